-- Builds in the queue, oldest first, with the limits that count for each: those of the workspaces $1, and the first $4
-- that no limit holds back. $2 builds per owner and $3 per template where no setting is stored; 0: no limit.
-- A stored text that is no number is passed over, as settings_in_force does.
with stored as (
    select name, case when btrim(text) ~ '^[0-9]{1,7}$' then text::integer end as number
    from workspaced.settings
    where name in ('builds_per_owner', 'builds_per_template')
),
limits as materialized (
    select
        coalesce(max(number) filter (where name = 'builds_per_owner' and number <= 1000000), $2) as per_owner,
        coalesce(max(number) filter (where name = 'builds_per_template' and number <= 1000000), $3) as per_template
    from stored
),
counted as (
    select
        b.workspace_id, b.id as build_id, w.owner_id, w.template_id, b.requested_at, b.queue is not null as waits,
        count(*) filter (where b.queue is null) over (partition by w.owner_id) as owner_running,
        count(*) filter (where b.queue is null) over (partition by w.template_id) as template_running,
        count(*) filter (where b.queue is not null)
            over (partition by w.owner_id order by b.requested_at, b.id) as owner_place,
        count(*) filter (where b.queue is not null)
            over (partition by w.template_id order by b.requested_at, b.id) as template_place
    from workspaced.builds as b
    join workspaced.workspaces as w on w.id = b.workspace_id
    where b.completed_at is null and b.error = '' and b.transition = 'start' and not b."foreign"
),
waiting as materialized (
    select
        c.*, l.per_owner, l.per_template,
        (l.per_owner = 0 or c.owner_running < l.per_owner)
            and (l.per_template = 0 or c.template_running < l.per_template) as fits
    from counted as c cross join limits as l
    where c.waits
),
asked as (
    (select * from waiting where fits order by requested_at, build_id limit $4)
    union
    select * from waiting where workspace_id = any ($1::uuid[])
)
select coalesce(json_agg(row_to_json(a) order by a.requested_at, a.build_id), '[]') from asked as a
