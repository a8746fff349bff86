-- What every input came to, by input and in the order in which they were decided: when, to which chat and workspace, by
-- which cause, the jobs that it published, and whether it had the queue of builds looked at. Refused commands changed
-- nothing and are left out; so is what is older than $1.
select
    input_key, at, chat_id::text, version, workspace_id::text, event,
    (
        select coalesce(json_agg(e -> 'job' order by n), '[]')
        from json_array_elements(effects) with ordinality as effect (e, n)
        where e ->> 'type' = 'publish_job'
    ) as jobs,
    exists (
        select from json_array_elements(effects) as e where e ->> 'type' = 'set_timer' and e #>> '{due,type}' = 'queue'
    ) as looks
from (
    select input_key, at, chat_id, version, workspace_id, cause ->> 'event' as event, effects
    from workspaced.transitions
    union all
    select
        key, at, chat_id, 0,
        (
            select (coalesce(e ->> 'workspace_id', e #>> '{job,workspace,id}', e #>> '{due,workspace_id}'))::uuid as id
            from json_array_elements(effects) as e
            order by 1
            limit 1
        ),
        null, effects
    from workspaced.inputs
    where error is null
    union all
    select input_key, at, null, 0, workspace_id, null, '[]' from workspaced.stale
) as recorded
where at >= $1
order by at, input_key, chat_id, version
