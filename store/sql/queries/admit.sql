-- Notes an agent's login, if its build's secret is right, the build is the workspace's latest and the id is nobody
-- else's; no row otherwise. `former` are the agent's earlier connections, as [[server, client], ...].
-- $1 build, $2 hash of the secret, $3 agent, $4 and $5 connection (server, client), $6 agents that a build may have.
with build as (
    select b.id, b.workspace_id
    from workspaced.builds as b
    join workspaced.workspaces as w on w.id = b.workspace_id
    where
        b.id = $1::uuid
        and b.agent_secret_hash = $2::text
        and b.transition = 'start'
        and not w.deleted
        and not exists (
            select 1 from workspaced.builds as newer
            where newer.workspace_id = b.workspace_id and newer.build_number > b.build_number
        )
        and not exists (
            select 1 from workspaced.agents as a where a.id = $3::uuid and a.workspace_id <> b.workspace_id
        )
        and not exists (
            select 1 from workspaced.logins as l where l.agent_id = $3::uuid and l.workspace_id <> b.workspace_id
        )
        and (
            select count(distinct l.agent_id) from workspaced.logins as l
            where l.build_id = b.id and l.agent_id <> $3::uuid
        ) < $6::integer
),
noted as (
    insert into workspaced.logins (server_id, client_id, workspace_id, build_id, agent_id)
    select $4::text, $5::bigint, workspace_id, id, $3::uuid from build
    on conflict (server_id, client_id) do update set (workspace_id, build_id, agent_id, at) = row (
        excluded.workspace_id, excluded.build_id, excluded.agent_id, excluded.at
    )
    returning workspace_id
)
select
    workspace_id::text as workspace_id,
    (
        select coalesce(json_agg(json_build_array(l.server_id, l.client_id)), '[]')
        from workspaced.logins as l
        where l.agent_id = $3::uuid and (l.server_id, l.client_id) <> ($4::text, $5::bigint)
    ) as former
from noted
