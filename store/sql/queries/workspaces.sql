-- A page of live workspaces by id, with their facts and the chats bound to them. Null means any: $1 owner,
-- $2 template, $3 organization; $4 true for those only that no chat is bound to; $5 the id to go on after, or null;
-- $6 how many.
with w as materialized (
    select w.*
    from workspaced.workspaces as w
    where not w.deleted
        and ($5::uuid is null or w.id > $5)
        and ($1::uuid is null or w.owner_id = $1)
        and ($2::uuid is null or w.template_id = $2)
        and ($3::uuid is null or w.organization_id = $3)
        and (not $4::boolean or not exists (select from workspaced.chats as c where c.workspace_id = w.id))
    order by w.id
    limit $6
),
b as materialized (
    select latest.*
    from w cross join lateral (
        select * from workspaced.builds where workspace_id = w.id order by build_number desc limit 1
    ) as latest
)
select
    (
        select coalesce(json_agg(row_to_json(c) order by c.id), '[]')
        from w join workspaced.chats as c on c.workspace_id = w.id
    ) as chats,
    (select coalesce(json_agg(row_to_json(w) order by w.id), '[]') from w) as workspaces,
    (select coalesce(json_agg(row_to_json(b)), '[]') from b) as builds,
    (
        select coalesce(json_agg(row_to_json(a) order by a.id), '[]')
        from b join workspaced.agents as a on a.build_id = b.id
    ) as agents
