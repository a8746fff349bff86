-- Transitions that CHATS should hold and does not; at most $1. Whatever an acknowledged input did was published before:
-- what is not acknowledged comes again and is published then. Inputs of no stream are published at once, those since $2
-- perhaps not yet. Of streams that are gone nobody knows. CHATS holds what was said since $3, and at most $4 messages
-- of a subject.
with missing as materialized (
    select s.chat_id, s.version, s.to_state, s.input_key
    from workspaced.transitions as s
    left join audit_acknowledged as a on a.stream = split_part(s.input_key, '/', 1)
    where s.at >= $3
        and case
            when a.sequence is null then s.at < $2
            when ('x' || lpad(split_part(s.input_key, '/', 2), 16, '0'))::bit(64)::bigint < a.created_us then false
            else split_part(s.input_key, '/', 3)::bigint <= a.sequence
        end
        and not exists (
            select
            from audit_pushes as p
            where p.chat_id = s.chat_id and p.version = s.version and p.state = s.to_state
        )
)
select m.chat_id, m.version, format('%s did it and is done, but CHATS has no push to %s', m.input_key, m.to_state)
    as detail
from missing as m
where (select count(*) from audit_pushes as p where p.chat_id = m.chat_id and p.state = m.to_state) < $4
order by m.chat_id, m.version
limit $1
