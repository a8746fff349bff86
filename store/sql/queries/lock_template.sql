-- Locks the template $1 against other writers and against batches that make workspaces of it.
select id, deleted from workspaced.templates where id = $1 for update
