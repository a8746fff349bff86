-- Chats that wait without a deadline, have one without waiting, or one that no version of theirs has set; at most $1.
select
    c.id as chat_id,
    format('%s at version %s, deadline %s, set by version %s', c.state, c.version, coalesce(c.deadline_at::text, 'none'),
        c.deadline_version
    ) as detail
from workspaced.chats as c
where (c.state in ('creating', 'building', 'binding', 'connecting', 'starting')) <> (c.deadline_at is not null)
    or (c.deadline_at is not null and c.deadline_version not between 1 and c.version)
order by c.id
limit $1
