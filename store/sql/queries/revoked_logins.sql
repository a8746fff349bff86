-- Connections of a workspace's agents whose build is not its latest. $1 workspace.
select l.server_id, l.client_id
from workspaced.logins as l
where
    l.workspace_id = $1::uuid
    and l.build_id <> (
        select id from workspaced.builds where workspace_id = $1::uuid order by build_number desc limit 1
    )
