-- One event as a service would write it: a transaction with a statement per table, as pgbench's own script has it.
\set slot random(1, :chats)
begin;
update bench.agents set
    lifecycle = case lifecycle when 'ready' then 'starting' else 'ready' end, lifecycle_at = now(), started_at = now()
where id = (select agent_id from bench.members where slot = :slot);
update bench.chats set
    version = version + 1, entered_at = now(), agent_started_at = now(),
    state = case state when 'ready' then 'starting' else 'ready' end,
    deadline_at = case state when 'ready' then now() + interval '10 minutes' end
where id = (select chat_id from bench.members where slot = :slot);
insert into bench.transitions (
    chat_id, version, from_state, to_state, cause, at, input_id, input_key, snapshot, workspace_id, template_id,
    build_id, agent_id, failure, took_ms, effects, machine_version
)
select
    c.id, c.version, s.from_state, s.to_state, s.cause, now(), s.input_id, s.input_key, s.snapshot,
    s.workspace_id, s.template_id, s.build_id, s.agent_id, s.failure, s.took_ms, s.effects, s.machine_version
from bench.chats as c join bench.samples as s on s.to_state = c.state
where c.id = (select chat_id from bench.members where slot = :slot);
commit;
