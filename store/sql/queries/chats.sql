-- A page of chats by id, with the facts of their workspaces. Null means any: $1 state, $2 owner, $3 template,
-- $4 organization; $5 true for chats without a live workspace only; $6 the id to go on after, or null; $7 how many.
with c as materialized (
    select c.*
    from workspaced.chats as c
    left join workspaced.workspaces as w on w.id = c.workspace_id
    where ($6::uuid is null or c.id > $6)
        and ($1::text is null or c.state = $1)
        and ($2::uuid is null or c.owner_id = $2)
        and ($3::uuid is null or w.template_id = $3)
        and ($4::uuid is null or c.organization_id = $4)
        and (not $5::boolean or w.id is null or w.deleted)
    order by c.id
    limit $7
),
w as materialized (
    select * from workspaced.workspaces where id in (select workspace_id from c)
),
b as materialized (
    select latest.*
    from w cross join lateral (
        select * from workspaced.builds where workspace_id = w.id order by build_number desc limit 1
    ) as latest
)
select
    (select coalesce(json_agg(row_to_json(c) order by c.id), '[]') from c) as chats,
    (select coalesce(json_agg(row_to_json(w)), '[]') from w) as workspaces,
    (select coalesce(json_agg(row_to_json(b)), '[]') from b) as builds,
    (
        select coalesce(json_agg(row_to_json(a) order by a.id), '[]')
        from b join workspaced.agents as a on a.build_id = b.id
    ) as agents
