-- Builds in the queue though no limit holds them back, when no look at the queue is to be published any more; at most $1.
-- An input whose effects are perhaps not out yet is one that is not acknowledged, or since $2 one of no stream. $3 builds
-- per owner and $4 per template where no setting is stored; where neither is known nothing can be said.
with stored as (
    select name, case when btrim(text) ~ '^[0-9]{1,7}$' then text::integer end as number, changed_at
    from workspaced.settings
    where name in ('builds_per_owner', 'builds_per_template')
),
limits as materialized (
    select
        coalesce(max(number) filter (where name = 'builds_per_owner' and number <= 1000000), $3) as per_owner,
        coalesce(max(number) filter (where name = 'builds_per_template' and number <= 1000000), $4) as per_template,
        coalesce(max(changed_at), '-infinity') as changed_at
    from stored
),
counted as materialized (
    select
        b.workspace_id, b.id as build_id, b.requested_at, b.queue is not null as waits,
        count(*) filter (where b.queue is null) over (partition by w.owner_id) as owner_running,
        count(*) filter (where b.queue is null) over (partition by w.template_id) as template_running
    from workspaced.builds as b
    join workspaced.workspaces as w on w.id = b.workspace_id
    where b.completed_at is null and b.error = '' and b.transition = 'start' and not b."foreign"
),
recorded as (
    select key as input_key, at, effects from workspaced.inputs
    union all
    select input_key, at, effects from workspaced.transitions
),
looks_in_hand as materialized (
    select
    from recorded as r
    left join audit_acknowledged as a on a.stream = split_part(r.input_key, '/', 1)
    where case
            when a.sequence is null then r.at >= $2
            when ('x' || lpad(split_part(r.input_key, '/', 2), 16, '0'))::bit(64)::bigint < a.created_us then false
            else split_part(r.input_key, '/', 3)::bigint > a.sequence
        end
        and exists (
            select
            from json_array_elements(r.effects) as e
            where e ->> 'type' = 'set_timer' and e -> 'due' ->> 'type' = 'queue'
        )
    limit 1
)
select
    c.workspace_id,
    c.build_id,
    format('in the queue, but its owner has %s of %s builds under way and its template %s of %s',
        c.owner_running, l.per_owner, c.template_running, l.per_template) as detail
from counted as c cross join limits as l
where c.waits
    and (l.per_owner > 0 or l.per_template > 0)
    and (l.per_owner = 0 or c.owner_running < l.per_owner)
    and (l.per_template = 0 or c.template_running < l.per_template)
    and l.changed_at < $2::timestamptz - interval '1 minute'  -- its look is published after the commit
    and not exists (select from looks_in_hand)
order by c.requested_at, c.build_id
limit $1
