-- The template $1 with its active version, deleted or not.
select row_to_json(t) as template
from (
    select t.*, v.source, v.parameters, v.presets
    from workspaced.templates as t
    join workspaced.template_versions as v on v.id = t.active_version_id
    where t.id = $1
) as t
