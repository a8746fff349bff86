-- The latest $2 stale reports about the workspace of chat $1, oldest first.
select coalesce(json_agg(row_to_json(s) order by s.at, s.input_key), '[]') as stale
from (
    select s.*
    from workspaced.chats as c
    join workspaced.stale as s on s.workspace_id = c.workspace_id
    where c.id = $1
    order by s.at desc, s.input_key desc
    limit $2
) as s
