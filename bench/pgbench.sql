\set slot random(1, 10000)
begin;
with moved as (
    update bench.chats set version = version + 1, entered_at = now() where slot = :slot returning id, version
)
insert into bench.transitions (
    chat_id, version, from_state, to_state, cause, at, input_id, input_key, snapshot, effects, machine_version
)
select
    id, version, 'idle', 'idle', '{"event": "agent.lifecycle", "id": "bench", "at": "2026-01-01T00:00:00Z"}', now(),
    gen_random_uuid()::text, gen_random_uuid()::text, to_json(repeat('x', 950)), '[]', 1
from moved;
commit;
