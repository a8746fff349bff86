-- A page of chats that wait, by id after $1 (null: from the first), $2 of them, each with whether its wake-up must be in
-- TIMERS: the input that set the deadline is done. Of one from streams that are gone, or of pruned history, recovery has
-- set it again; one of no stream sets it at once, since $3 perhaps not yet.
select
    c.id::text as chat_id,
    c.deadline_version,
    c.deadline_at,
    case
        when s.input_key is null then true
        when a.sequence is null then s.at < $3
        when ('x' || lpad(split_part(s.input_key, '/', 2), 16, '0'))::bit(64)::bigint < a.created_us then true
        else split_part(s.input_key, '/', 3)::bigint <= a.sequence
    end as set
from workspaced.chats as c
left join workspaced.transitions as s on s.chat_id = c.id and s.version = c.deadline_version
left join audit_acknowledged as a on a.stream = split_part(s.input_key, '/', 1)
where c.deadline_at is not null and ($1::uuid is null or c.id > $1)
order by c.id
limit $2
