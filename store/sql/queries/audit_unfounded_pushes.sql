-- Pushes that CHATS holds of transitions that were never committed, or to another state; at most $1.
select distinct
    p.chat_id,
    p.version,
    format('pushed to %s, but %s', p.state,
        case when s.chat_id is null then 'no such transition was committed' else format('it led to %s', s.to_state) end
    ) as detail
from audit_pushes as p
left join workspaced.transitions as s on s.chat_id = p.chat_id and s.version = p.version
where (s.chat_id is null or s.to_state <> p.state)
    and not (
        exists (select from workspaced.marks where name = 'pruned_before')
        and p.version < (select min(version) from workspaced.transitions where chat_id = p.chat_id)
    )
order by p.chat_id, p.version
limit $1
