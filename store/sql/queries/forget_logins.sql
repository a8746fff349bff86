-- Forgets logins of connections that were turned out. $1 and $2 connections (server, client).
delete from workspaced.logins as l
using unnest($1::text[], $2::bigint[]) as gone (server_id, client_id)
where l.server_id = gone.server_id and l.client_id = gone.client_id
