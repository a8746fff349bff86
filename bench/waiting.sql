-- $1 more chats that wait, a fifth in each waiting state, as the engine would have left them; $2 the template,
-- $3 and $4 the connection that their agents share.
with made as materialized (
    select
        gen_random_uuid() as chat_id, gen_random_uuid() as owner_id, gen_random_uuid() as workspace_id,
        gen_random_uuid() as build_id, gen_random_uuid() as agent_id,
        (array['creating', 'building', 'binding', 'connecting', 'starting'])[1 + n % 5] as state, 1 + n % 5 as phase,
        n, now() - interval '10 seconds' as at, t.organization_id, t.id as template_id, t.active_version_id
    from generate_series(1, $1::integer) as n cross join workspaced.templates as t
    where t.id = $2
),
workspaces_made as (
    insert into workspaced.workspaces (id, name, owner_id, owner_name, organization_id, template_id, created_at)
    select workspace_id, 'bench-' || n, owner_id, 'bench', organization_id, template_id, at from made
),
builds_made as (
    insert into workspaced.builds (
        id, workspace_id, build_number, transition, job_id, requested_at, provisioner, template_version_id, reported,
        started_at, completed_at, agents_told
    )
    select
        build_id, workspace_id, 1, 'start', gen_random_uuid(), at, 'bench', active_version_id,
        (array['pending', 'running', 'succeeded', 'succeeded', 'succeeded'])[phase],
        case when phase >= 2 then at end, case when phase >= 3 then at end, phase >= 4
    from made
),
agents_made as (
    insert into workspaced.agents (
        id, workspace_id, build_id, created_at, announced, name, lifecycle, first_connected_at, last_connected_at,
        server_id, client_id
    )
    select
        agent_id, workspace_id, build_id, at, true, 'main', case when phase = 5 then 'starting' else 'created' end,
        case when phase = 5 then at end, case when phase = 5 then at end,
        case when phase = 5 then $3::text end, case when phase = 5 then $4::bigint end
    from made
    where phase >= 4
)
insert into workspaced.chats (
    id, owner_id, owner_name, organization_id, version, state, entered_at, workspace_id, build_id, agent_id, cause,
    deadline_at, deadline_version, deadline_ms, machine_version
)
select
    chat_id, owner_id, 'bench', organization_id, 100, state, at, workspace_id, build_id,
    case when phase >= 4 then agent_id end, json_build_object('event', 'create', 'id', chat_id, 'at', at),
    now() + interval '1 day', 100, 86400000, 1
from made
