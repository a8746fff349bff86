-- The transitions of chat $1 after version $2, $3 of them, ascending; without what was published.
select coalesce(json_agg(row_to_json(s) order by s.version), '[]') as transitions
from (
    select
        chat_id, version, from_state, to_state, cause, at, input_id, input_key, null::json as snapshot, workspace_id,
        template_id, build_id, agent_id, failure, took_ms, machine_version
    from workspaced.transitions
    where chat_id = $1 and version > $2
    order by version
    limit $3
) as s
