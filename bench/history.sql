-- $1 transitions for each of the first $2 chats with a workspace; without the snapshots they published, which history does not read.
insert into workspaced.transitions (
    chat_id, version, from_state, to_state, cause, at, input_id, input_key, workspace_id, template_id, build_id,
    took_ms, effects, machine_version
)
select
    c.id, v, case v % 2 when 0 then 'ready' else 'starting' end, case v % 2 when 0 then 'starting' else 'ready' end,
    c.cause, c.entered_at - (100 - v) * interval '1 minute', c.id || ':' || v, 'EVENTS/1/' || v || c.id,
    c.workspace_id, w.template_id, c.build_id, case v % 2 when 1 then 30000 end, '[]', 1
from (select * from workspaced.chats where workspace_id is not null order by id limit $2) as c
join workspaced.workspaces as w on w.id = c.workspace_id
cross join generate_series(1, $1::integer) as v
