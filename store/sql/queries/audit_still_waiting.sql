-- Those of the chats $1 that still wait for the deadline that version $2 set.
select c.id::text as chat_id
from unnest($1::uuid[], $2::bigint[]) as w (id, deadline_version)
join workspaced.chats as c on c.id = w.id and c.deadline_version = w.deadline_version and c.deadline_at is not null
