-- The rows of fsm/facts.py, chat.py and rows.py: column names are field names.
-- Constraints repeat the core's invariants, so that no bug of ours outlives its transaction.

create table workspaced.templates (
    id uuid primary key,
    organization_id uuid not null,
    name text not null,
    display_name text not null default '',
    description text not null default '',
    abstract text not null default '',
    readme text not null default '',
    icon text not null default '',
    active_version_id uuid not null,
    agents_allowed boolean not null default true,
    deprecated boolean not null default false,
    deleted boolean not null default false,
    has_external_agent boolean not null default false,
    provisioner text not null default 'local',
    require_active_version boolean not null default false,
    allow_user_cancel boolean not null default true,
    default_ttl_ms bigint check (default_ttl_ms > 0),
    deadlines jsonb
);
create unique index templates_name on workspaced.templates (organization_id, lower(name)) where not deleted;

create table workspaced.template_versions (
    id uuid primary key,
    template_id uuid not null references workspaced.templates,
    parameters jsonb not null default '[]',
    presets jsonb not null default '[]',
    source json,  -- handed to provisioners as it came in, so not jsonb
    created_at timestamptz not null default now()
);
create index template_versions_template on workspaced.template_versions (template_id);

-- A template and its first version come in one statement, at whose end both references are checked.
alter table workspaced.templates add constraint templates_active_version
    foreign key (active_version_id) references workspaced.template_versions;

create table workspaced.workspaces (
    id uuid primary key,
    name text not null,
    owner_id uuid not null,
    owner_name text not null,
    organization_id uuid not null,
    template_id uuid not null references workspaced.templates,
    created_at timestamptz not null,
    ttl_ms bigint check (ttl_ms > 0),
    ttl_at timestamptz,
    deleted boolean not null default false,
    name_released boolean not null default false,
    was_ready boolean not null default false,
    next text check (next in ('start', 'delete')),
    next_parameters jsonb,
    next_initiator text
);
create unique index workspaces_name on workspaced.workspaces (owner_id, lower(name))
    where not deleted and not name_released;
create index workspaces_owner on workspaced.workspaces (owner_id, id);
create index workspaces_template on workspaced.workspaces (template_id, id);
create index workspaces_ttl on workspaced.workspaces (ttl_at) where ttl_at is not null and not deleted;

create table workspaced.builds (
    id uuid primary key,
    workspace_id uuid not null references workspaced.workspaces,
    build_number integer not null check (build_number >= 1),
    transition text not null check (transition in ('start', 'stop', 'delete')),
    job_id uuid not null,
    requested_at timestamptz not null,
    provisioner text not null,
    -- Builds that others began may name versions and presets that are not ours: no references.
    template_version_id uuid,
    prior_version_id uuid,
    prior_build_id uuid,
    preset_id uuid,
    parameters jsonb not null default '{}',
    initiator text,
    request_id text,
    worker text,
    attempt integer not null default 0,
    error text not null default '',
    error_code text,
    retryable boolean,
    quota jsonb,
    reported text not null
        check (reported in ('pending', 'running', 'succeeded', 'failed', 'canceling', 'canceled')),
    started_at timestamptz,
    canceled_at timestamptz,
    completed_at timestamptz,
    limited boolean not null default false,
    "foreign" boolean not null default false,
    agents_told boolean not null default false,
    ready_at timestamptz,
    unique (workspace_id, build_number)
);
-- Unfinished as `job_status` has it: pending, running or canceling.
create unique index builds_unfinished on workspaced.builds (workspace_id) where completed_at is null and error = '';

create table workspaced.agents (
    id uuid primary key,
    workspace_id uuid not null references workspaced.workspaces,
    build_id uuid not null references workspaced.builds,
    created_at timestamptz not null,
    announced boolean not null default false,
    name text not null default '',
    parent_id uuid,
    display_order integer not null default 0,
    external boolean not null default false,
    connection_timeout_seconds integer check (connection_timeout_seconds >= 0),
    troubleshooting_url text,
    first_connected_at timestamptz,
    last_connected_at timestamptz,
    disconnected_at timestamptz,
    server_id text,
    client_id bigint,
    gone boolean not null default false,
    lifecycle text not null check (lifecycle in (
        'created', 'starting', 'start_timeout', 'start_error', 'ready',
        'shutting_down', 'shutdown_timeout', 'shutdown_error', 'off'
    )),
    lifecycle_at timestamptz,
    lifecycle_server_id text,
    lifecycle_client_id bigint,
    started_at timestamptz,
    ready_at timestamptz,
    check ((server_id is null) = (client_id is null))
);
create index agents_build on workspaced.agents (build_id);
create index agents_connection on workspaced.agents (server_id, client_id) where server_id is not null;

create table workspaced.chats (
    id uuid primary key,
    owner_id uuid not null,
    owner_name text not null,
    organization_id uuid not null,
    version bigint not null check (version >= 1),
    state text not null check (state in (
        'idle', 'creating', 'building', 'binding', 'connecting', 'starting', 'ready', 'failed'
    )),
    entered_at timestamptz not null,
    parent_chat_id uuid,
    workspace_id uuid references workspaced.workspaces,
    build_id uuid,
    agent_id uuid,
    failure jsonb,
    cause jsonb,
    deadline_at timestamptz,
    deadline_version bigint not null default 0,
    deadline_ms bigint not null default 0,
    starting_left_ms bigint,
    agent_started_at timestamptz,
    machine_version integer not null,
    constraint chats_failed_has_failure check ((state = 'failed') = (failure is not null)),
    constraint chats_ready_has_agent check (state <> 'ready' or agent_id is not null),
    constraint chats_waiting_has_deadline check (
        (state in ('creating', 'building', 'binding', 'connecting', 'starting')) = (deadline_at is not null)
    ),
    constraint chats_binding_is_whole check (
        (agent_id is null or build_id is not null) and (build_id is null or workspace_id is not null)
    )
);
create index chats_workspace on workspaced.chats (workspace_id) where workspace_id is not null;
create index chats_deadline on workspaced.chats (deadline_at) where deadline_at is not null;
create index chats_state on workspaced.chats (state, id);
create index chats_owner on workspaced.chats (owner_id, id);

-- No references: history is written often, never changed, and may outlive what it tells of; the chat's version
-- guard in the same statement already proves that the chat exists.
create table workspaced.transitions (
    chat_id uuid not null,
    version bigint not null check (version >= 1),
    from_state text not null,
    to_state text not null,
    cause jsonb not null,
    at timestamptz not null,
    input_id text not null,
    input_key text not null,
    snapshot json,  -- published again byte for byte after a crash
    workspace_id uuid,
    template_id uuid,
    build_id uuid,
    agent_id uuid,
    failure jsonb,
    took_ms bigint check (took_ms >= 0),
    effects json not null,
    machine_version integer not null,
    primary key (chat_id, version)
);
create index transitions_input on workspaced.transitions (input_key);
create index transitions_typical on workspaced.transitions (template_id, from_state, at desc) include (took_ms)
    where took_ms is not null and to_state <> 'failed';
create index transitions_at on workspaced.transitions using brin (at);  -- for pruning; rows come in order of time

create table workspaced.inputs (
    key text primary key,
    at timestamptz not null,
    chat_id uuid,
    request_id text,
    content text,
    outcome text,
    build_id uuid,
    error_status integer,
    error jsonb,
    effects json not null
);
create unique index inputs_request on workspaced.inputs (chat_id, request_id) where request_id is not null;
create index inputs_at on workspaced.inputs using brin (at);

create table workspaced.stale (
    workspace_id uuid not null,
    at timestamptz not null,
    input_id text not null,
    input_key text not null,
    subject text not null,
    reason text not null,
    primary key (workspace_id, input_key)  -- a redelivered input is stale again, and told once
);
create index stale_at on workspaced.stale (workspace_id, at desc);

create table workspaced.departures (
    server_id text not null,
    client_id bigint not null,
    at timestamptz not null,
    primary key (server_id, client_id)
);

create table workspaced.settings (
    name text primary key,
    text text not null
);

-- What the engine remembers about its surroundings, such as which NATS storage it knows.
create table workspaced.marks (
    name text primary key,
    text text not null
);

-- Rows that are updated all the time: room for the new one beside the old, and no waiting for a fifth to be dead.
alter table workspaced.workspaces set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
alter table workspaced.builds set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
alter table workspaced.agents set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
alter table workspaced.chats set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
