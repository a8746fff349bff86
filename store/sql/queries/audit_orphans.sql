-- Live workspaces that no chat is bound to and that nobody cleans up: running or failed starts, and any that never was
-- ready; at most $1. An attach leaves the chat's former workspace as it is (domain.md 2.5), so those are none.
with orphans as materialized (
    select w.id, w.was_ready, b.transition
    from workspaced.workspaces as w
    cross join lateral (
        select transition from workspaced.builds where workspace_id = w.id order by build_number desc limit 1
    ) as b
    where not w.deleted
        and not w.name_released
        and w.next is distinct from 'delete'
        and (b.transition = 'start' or (b.transition = 'stop' and not w.was_ready))
        and not exists (select from workspaced.chats as c where c.workspace_id = w.id)
),
left_by_attach as (
    select s.workspace_id
    from workspaced.transitions as s
    join workspaced.transitions as after on after.chat_id = s.chat_id and after.version = s.version + 1
    where s.workspace_id in (select id from orphans)
        and after.workspace_id is distinct from s.workspace_id
        and after.cause ->> 'event' = 'attach'
)
select
    o.id as workspace_id,
    format('no chat is bound to it, it %s ready, and its latest build is a %s',
        case when o.was_ready then 'was' else 'never was' end, o.transition
    ) as detail
from orphans as o
where not exists (select from left_by_attach as l where l.workspace_id = o.id)
order by o.id
limit $1
