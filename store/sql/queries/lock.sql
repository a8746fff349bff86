-- Locks what a batch may change: workspaces, then the chats bound to them, each in id order, then templates.
-- $1 workspaces, $2 chats, $3 and $4 connections (server, client), $5 templates. Returns the ids that were locked.
-- A row that is bound or made while this waits is not locked; `load` shows it and the batch is decided again.
with named as materialized (
    select unnest($1::uuid[]) as id
    union
    select workspace_id from workspaced.chats where id = any ($2::uuid[]) and workspace_id is not null
    union
    select a.workspace_id
    from unnest($3::text[], $4::bigint[]) as c (server_id, client_id)
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
