-- A page of templates that are not deleted, those with most active developers (owners of live workspaces) first.
-- $1 organization or null, $2 text to find in names and descriptions or empty, $3 also those hidden from chats,
-- $4 how many to skip, $5 how many.
with found as materialized (
    select t.*, v.source, v.parameters, v.presets, coalesce(d.active_developers, 0) as active_developers
    from workspaced.templates as t
    join workspaced.template_versions as v on v.id = t.active_version_id
    left join (
        select template_id, count(distinct owner_id) as active_developers
        from workspaced.workspaces
        where not deleted
        group by template_id
    ) as d on d.template_id = t.id
    where not t.deleted
        and ($1::uuid is null or t.organization_id = $1)
        and ($3::boolean or (t.agents_allowed and not t.deprecated))
        and (
            $2::text = ''
            or position(lower($2) in lower(t.name)) > 0
            or position(lower($2) in lower(t.display_name)) > 0
            or position(lower($2) in lower(t.description)) > 0
            or position(lower($2) in lower(t.abstract)) > 0
        )
),
page as (
    select * from found order by active_developers desc, name collate "C", id offset $4 limit $5
)
select
    (select count(*) from found) as total_count,
    (
        select coalesce(json_agg(
            json_build_array(row_to_json(p), p.active_developers)
            order by p.active_developers desc, p.name collate "C", p.id
        ), '[]')
        from page as p
    ) as templates
