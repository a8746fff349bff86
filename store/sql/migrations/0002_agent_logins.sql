-- Agents get in with their build's secret, of which only the hash is kept.
alter table workspaced.builds add column agent_secret_hash text;

-- Connections that the auth callout let in: whom it must turn out once their build is not the latest any more.
-- No references: a login must not wait for the engine's locks, and the rows are short-lived.
create table workspaced.logins (
    server_id text not null,
    client_id bigint not null,
    workspace_id uuid not null,
    build_id uuid not null,
    agent_id uuid not null,
    at timestamptz not null default now(),
    primary key (server_id, client_id)
);
create index logins_workspace on workspaced.logins (workspace_id);
create index logins_build on workspaced.logins (build_id, agent_id);
create index logins_agent on workspaced.logins (agent_id);
