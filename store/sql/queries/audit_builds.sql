-- Workspaces with more than one unfinished build, or with one that is not the latest; at most $1.
select
    b.workspace_id,
    format('unfinished: builds %s', string_agg(b.build_number::text, ', ' order by b.build_number)) as detail
from workspaced.builds as b
where b.completed_at is null and b.error = ''
group by b.workspace_id
having count(*) > 1
    or max(b.build_number)
        < (select max(latest.build_number) from workspaced.builds as latest where latest.workspace_id = b.workspace_id)
order by b.workspace_id
limit $1
