-- Whose workspace build $1 is of.
select w.organization_id
from workspaced.builds as b join workspaced.workspaces as w on w.id = b.workspace_id
where b.id = $1
