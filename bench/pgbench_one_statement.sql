-- The same rows in a single statement, which is its own transaction: the fewest round trips there can be.
\set slot random(1, :chats)
with told as (
    update bench.agents as a set
        lifecycle = case a.lifecycle when 'ready' then 'starting' else 'ready' end, lifecycle_at = now(),
        started_at = now()
    from bench.members as m where m.slot = :slot and a.id = m.agent_id
),
moved as (
    update bench.chats as c set
        version = c.version + 1, entered_at = now(), agent_started_at = now(),
        state = case c.state when 'ready' then 'starting' else 'ready' end,
        deadline_at = case c.state when 'ready' then now() + interval '10 minutes' end
    from bench.members as m where m.slot = :slot and c.id = m.chat_id
    returning c.id, c.version, c.state
)
insert into bench.transitions (
    chat_id, version, from_state, to_state, cause, at, input_id, input_key, snapshot, workspace_id, template_id,
    build_id, agent_id, failure, took_ms, effects, machine_version
)
select
    moved.id, moved.version, s.from_state, s.to_state, s.cause, now(), s.input_id, s.input_key, s.snapshot,
    s.workspace_id, s.template_id, s.build_id, s.agent_id, s.failure, s.took_ms, s.effects, s.machine_version
from moved join bench.samples as s on s.to_state = moved.state;
