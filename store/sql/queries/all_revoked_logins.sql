-- The same of every workspace.
select l.server_id, l.client_id
from workspaced.logins as l
where
    l.build_id <> (
        select b.id from workspaced.builds as b
        where b.workspace_id = l.workspace_id
        order by b.build_number desc limit 1
    )
