-- The agents of latest builds that count as connected, by id.
select row_to_json(a) as row
from workspaced.agents as a
join workspaced.workspaces as w on w.id = a.workspace_id
where a.server_id is not null
    and not a.gone
    and a.last_connected_at is not null
    and (a.disconnected_at is null or a.disconnected_at < a.last_connected_at)
    and not w.deleted
    and a.build_id = (
        select id from workspaced.builds where workspace_id = a.workspace_id order by build_number desc limit 1
    )
order by a.id
