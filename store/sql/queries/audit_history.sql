-- Chats whose row is not what their last transition says; at most $1.
select
    c.id as chat_id,
    c.version,
    format('the row has (%s, workspace %s, agent %s, failure %s), its last transition (%s, %s, %s, %s)',
        c.state, c.workspace_id, c.agent_id, c.failure ->> 'code',
        s.to_state, s.workspace_id, s.agent_id, s.failure ->> 'code'
    ) as detail
from workspaced.chats as c
join workspaced.transitions as s on s.chat_id = c.id and s.version = c.version
where (c.state, c.workspace_id, c.agent_id, c.failure)
    is distinct from (s.to_state, s.workspace_id, s.agent_id, s.failure)
order by c.id
limit $1
