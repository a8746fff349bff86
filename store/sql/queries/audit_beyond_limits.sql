-- Owners and templates with more start builds under way than the stored limit; at most $1. Those begun before the limit
-- was set do not count against it, nor do those whose batch had read the settings by then.
with limits as (
    select name, case when btrim(text) ~ '^[0-9]{1,7}$' then text::integer end as number, changed_at
    from workspaced.settings
    where name in ('builds_per_owner', 'builds_per_template')
),
running as materialized (
    select w.owner_id, w.template_id, coalesce(b.released_at, b.requested_at) as began_at
    from workspaced.builds as b
    join workspaced.workspaces as w on w.id = b.workspace_id
    where b.completed_at is null and b.error = '' and b.transition = 'start' and not b."foreign" and b.queue is null
),
lines as (
    select 'builds_per_owner' as name, owner_id, null as template_id, count(*) as running, max(began_at) as last_began_at
    from running
    group by owner_id
    union all
    select 'builds_per_template', null, template_id, count(*), max(began_at)
    from running
    group by template_id
)
select
    n.owner_id,
    n.template_id,
    format('%s start builds are under way, the last since %s, but %s is %s', n.running, n.last_began_at, l.name, l.number)
        as detail
from lines as n
join limits as l using (name)
where l.number between 1 and 1000000
    and n.running > l.number
    and n.last_began_at > l.changed_at + interval '10 seconds'
order by n.owner_id, n.template_id
limit $1
