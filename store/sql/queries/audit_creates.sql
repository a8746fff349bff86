-- Workspaces that no accepted create accounts for, as a create that was carried out twice leaves one, and accepted
-- commands whose build is not there. Answers that were pruned are not asked for; at most $1.
with pruned as (
    select coalesce(max(text::timestamptz), '-infinity') as before from workspaced.marks where name = 'pruned_before'
)
select
    null::uuid as chat_id,
    b.workspace_id,
    format('request %s made this workspace, but its accepted answer names another one or none', b.request_id)
        as detail
from workspaced.builds as b
cross join pruned
where b.build_number = 1
    and b.request_id is not null
    and b.requested_at >= pruned.before
    and not exists (
        select
        from workspaced.inputs as i
        where i.build_id = b.id and i.request_id = b.request_id and i.outcome = 'accepted'
    )
union all
select
    i.chat_id,
    null as workspace_id,
    format('request %s was accepted for build %s, which is not there', i.request_id, i.build_id) as detail
from workspaced.inputs as i
where i.outcome = 'accepted'
    and i.build_id is not null
    and not exists (select from workspaced.builds as b where b.id = i.build_id)
limit $1
