-- Writes a template ($1, a JSON array of one row) and its new version ($2, the same, or empty when it keeps its own).
with version_written as (
    insert into workspaced.template_versions (id, template_id, parameters, presets, source)
    select id, template_id, parameters, presets, source
    from json_populate_recordset(null::workspaced.template_versions, $2::json)
)
insert into workspaced.templates (
    id, organization_id, name, display_name, description, abstract, readme, icon, active_version_id, agents_allowed,
    deprecated, deleted, has_external_agent, provisioner, require_active_version, allow_user_cancel, default_ttl_ms,
    deadlines
)
select
    id, organization_id, name, display_name, description, abstract, readme, icon, active_version_id, agents_allowed,
    deprecated, deleted, has_external_agent, provisioner, require_active_version, allow_user_cancel, default_ttl_ms,
    deadlines
from json_populate_recordset(null::workspaced.templates, $1::json)
on conflict (id) do update set (
    organization_id, name, display_name, description, abstract, readme, icon, active_version_id, agents_allowed,
    deprecated, deleted, has_external_agent, provisioner, require_active_version, allow_user_cancel, default_ttl_ms,
    deadlines
) = row (
    excluded.organization_id, excluded.name, excluded.display_name, excluded.description, excluded.abstract,
    excluded.readme, excluded.icon, excluded.active_version_id, excluded.agents_allowed, excluded.deprecated,
    excluded.deleted, excluded.has_external_agent, excluded.provisioner, excluded.require_active_version,
    excluded.allow_user_cancel, excluded.default_ttl_ms, excluded.deadlines
)
