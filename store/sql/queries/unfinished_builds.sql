-- Builds whose job is pending, running or canceling, by workspace.
select row_to_json(b) as row
from workspaced.builds as b
where b.completed_at is null and b.error = ''
order by b.workspace_id
