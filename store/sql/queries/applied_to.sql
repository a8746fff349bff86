-- The workspaces whose chats the inputs $1 moved when they were applied before. A look at the queue names none itself,
-- and what it said then is said again only where that is still wanted.
select distinct workspace_id::text as id
from workspaced.transitions
where input_key = any ($1::text[]) and workspace_id is not null
