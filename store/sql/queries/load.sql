-- Everything a batch decides on, in one snapshot: one row, the newest machine's version among the
-- chats, then one JSON value per field of `Loaded`, in its order.
-- $1 workspaces, $2 chats, $3 and $4 connections (server, client), $5 templates, $6 input keys,
-- $7 and $8 requests (chat, request id). Finds workspaces and chats the way `lock` does.
with named as materialized (
    select unnest($1::uuid[]) as id
    union
    select workspace_id from workspaced.chats where id = any ($2::uuid[]) and workspace_id is not null
    union
    select a.workspace_id
    from unnest($3::text[], $4::bigint[]) as c (server_id, client_id)
    join workspaced.agents as a on a.server_id = c.server_id and a.client_id = c.client_id
),
w as materialized (
    select w.* from named join workspaced.workspaces as w on w.id = named.id
),
concerned as materialized (
    select c.id from w join workspaced.chats as c on c.workspace_id = w.id
    union
    select unnest($2::uuid[])
),
b as materialized (
    select latest.*
    from w cross join lateral (
        select * from workspaced.builds where workspace_id = w.id order by build_number desc limit 1
    ) as latest
),
t as materialized (
    select
        t.id, t.organization_id, t.name, t.display_name, t.description, t.abstract, t.icon, t.active_version_id,
        t.agents_allowed, t.deprecated, t.deleted, t.has_external_agent, t.provisioner, t.require_active_version,
        t.allow_user_cancel, t.default_ttl_ms, t.deadlines, v.source, v.parameters, v.presets
    from workspaced.templates as t
    join workspaced.template_versions as v on v.id = t.active_version_id
    where t.id in (select template_id from w union select unnest($5::uuid[]))
),
i as materialized (
    select key from workspaced.inputs where key = any ($6::text[])
    union
    select i.key
    from unnest($7::uuid[], $8::text[]) as r (chat_id, request_id)
    join workspaced.inputs as i on i.chat_id = r.chat_id and i.request_id = r.request_id
),
-- Found before they are sorted: for a table that it thinks small the planner would read the whole index in order.
a as materialized (
    select a.* from b join workspaced.agents as a on a.build_id = b.id
),
c as materialized (
    select c.* from concerned join workspaced.chats as c on c.id = concerned.id
),
s as materialized (
    select * from workspaced.transitions where input_key = any ($6::text[])
)
select
    (select coalesce(max(machine_version), 0) from c) as machine_version,
    (select coalesce(json_object_agg(name, text), '{}') from workspaced.settings) as settings,
    (select coalesce(json_agg(w order by w.id), '[]') from w) as workspaces,
    (select coalesce(json_agg(b order by b.workspace_id), '[]') from b) as builds,
    (select coalesce(json_agg(a order by a.id), '[]') from a) as agents,
    (select coalesce(json_agg(c order by c.id), '[]') from c) as chats,
    (select coalesce(json_agg(t order by t.id), '[]') from t) as templates,
    (
        select coalesce(json_agg(v order by v.id), '[]')
        from workspaced.template_versions as v
        where v.id in (select active_version_id from t union select template_version_id from b)
    ) as versions,
    (
        select coalesce(json_agg(r order by r.key), '[]')
        from i join workspaced.inputs as r on r.key = i.key
    ) as inputs,
    (select coalesce(json_agg(s order by s.chat_id, s.version), '[]') from s) as transitions,
    (
        select coalesce(json_agg(d order by d.server_id, d.client_id), '[]')
        from unnest($3::text[], $4::bigint[]) as c (server_id, client_id)
        join workspaced.departures as d on d.server_id = c.server_id and d.client_id = c.client_id
    ) as departures
