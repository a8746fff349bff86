-- Builds whose job is pending, running or canceling, by workspace, without those in the queue of start builds; with $1
-- and $2 only those that nobody has taken and whose job was requested by $1, and those that were taken by $2.
select row_to_json(b) as row
from workspaced.builds as b
where b.completed_at is null and b.error = '' and b.queue is null
    and case when b.started_at is null
        then $1::timestamptz is null or coalesce(b.released_at, b.requested_at) <= $1
        else $2::timestamptz is null or b.started_at <= $2
    end
order by b.workspace_id
