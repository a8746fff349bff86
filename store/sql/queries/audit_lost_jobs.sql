-- Builds whose job waits for a provisioner and is not in JOBS, though the input that requested it is done; at most $1.
-- Builds that others began have no job of ours: only those with a recorded `publish_job` count. Inputs of no stream
-- are published at once, those since $2 perhaps not yet.
with lost as materialized (
    select b.id, b.workspace_id, b.job_id, coalesce(b.released_at, b.requested_at) as requested_at
    from workspaced.builds as b
    where b.completed_at is null and b.error = '' and b.started_at is null and b.canceled_at is null and b.queue is null
        and not exists (select from audit_jobs as j where j.job_id = b.job_id)
),
recorded as (
    select key as input_key, at, effects from workspaced.inputs where at in (select requested_at from lost)
    union all
    select input_key, at, effects from workspaced.transitions where at in (select requested_at from lost)
)
select distinct
    l.workspace_id,
    l.id as build_id,
    l.job_id,
    format('pending, but JOBS has no message of it and no provisioner told of it; %s requested it', r.input_key)
        as detail
from lost as l
join recorded as r on r.at = l.requested_at
left join audit_acknowledged as a on a.stream = split_part(r.input_key, '/', 1)
where case
        when a.sequence is null then r.at < $2
        when ('x' || lpad(split_part(r.input_key, '/', 2), 16, '0'))::bit(64)::bigint < a.created_us then true  -- of streams that are gone: recovery queues it again
        else split_part(r.input_key, '/', 3)::bigint <= a.sequence
    end
    and exists (
        select
        from json_array_elements(r.effects) as e
        where e ->> 'type' = 'publish_job' and e -> 'job' ->> 'job_id' = l.job_id::text
    )
order by l.workspace_id
limit $1
