-- Locks what a batch may change: connections (by name, for there may be no row yet: what an agent and what the server
-- tell of one must not miss each other on two engines), workspaces, then the chats bound to them, then templates;
-- each kind in id order.
-- $1 workspaces, $2 chats, $3 and $4 connections (server, client), $5 templates. Returns the ids that were locked.
-- A row that is bound or made while this waits is not locked; `load` shows it and the batch is decided again.
with locked_connections as materialized (
    select count(pg_advisory_xact_lock(hashtextextended(c.server_id || '/' || c.client_id, 0))) as locks
    from (
        select server_id, client_id
        from unnest($3::text[], $4::bigint[]) as c (server_id, client_id)
        order by server_id, client_id
    ) as c
),
named as materialized (
    select id from locked_connections cross join unnest($1::uuid[]) as id
    union
    select c.workspace_id
    from locked_connections cross join workspaced.chats as c
    where c.id = any ($2::uuid[]) and c.workspace_id is not null
    union
    select a.workspace_id
    from locked_connections
    cross join unnest($3::text[], $4::bigint[]) as c (server_id, client_id)
    join workspaced.agents as a on a.server_id = c.server_id and a.client_id = c.client_id
),
locked_workspaces as materialized (
    select id from workspaced.workspaces where id in (select id from named) order by id for update
),
concerned as materialized (  -- reads all of locked_workspaces, which is what orders the two kinds of locks
    select c.id from locked_workspaces as w join workspaced.chats as c on c.workspace_id = w.id
    union
    select unnest($2::uuid[])
),
locked_chats as materialized (
    select id from workspaced.chats where id in (select id from concerned) order by id for update
),
locked_templates as materialized (
    select id from workspaced.templates where id = any ($5::uuid[]) order by id for share
)
select
    (select coalesce(array_agg(id::text), '{}') from locked_workspaces) as workspaces,
    (select coalesce(array_agg(id::text), '{}') from locked_chats) as chats,
    (select count(*) from locked_templates) as templates
