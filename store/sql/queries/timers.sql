-- Every deadline that is waited for, soonest first; with $1 only those that are due by then.
select 'chat' as kind, id::text as id, deadline_at as at, deadline_version as version
from workspaced.chats
where deadline_at is not null and ($1::timestamptz is null or deadline_at <= $1)
union all
select 'ttl' as kind, id::text as id, ttl_at as at, 0 as version
from workspaced.workspaces
where ttl_at is not null and not deleted and ($1::timestamptz is null or ttl_at <= $1)
order by at, id
