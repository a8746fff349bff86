-- A page of what must end by itself: live workspaces with a TTL, and jobs that are not over, by kind and slot after $1
-- and $2 (null: from the first), $3 of them. A job's status is the one whose limit is in force: none
-- in the queue of start builds.
select *
from (
    select 'ttl' as kind, w.id::text as slot, w.id::text as workspace_id, w.ttl_at as at, null as status
    from workspaced.workspaces as w
    where w.ttl_at is not null and not w.deleted
    union all
    select
        'job', b.job_id::text, b.workspace_id::text, null,
        case when b.started_at is null then 'pending' else 'running' end
    from workspaced.builds as b
    where b.completed_at is null and b.error = '' and b.queue is null
) as limited
where $1::text is null or (kind, slot) > ($1, $2::text)
order by kind, slot
limit $3
