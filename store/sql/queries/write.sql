-- Writes what a batch decided, all tables in one statement; each parameter is a JSON array of one table's rows,
-- taken in its order: $1 workspaces, $2 builds, $3 agents, $4 chats with $5 the versions they must still have
-- (0: no row) and $6 the machine's version, $7 transitions, $8 inputs, $9 stale, $10 departures. $11 are the snapshots
-- of $7, apart: they are kept as they are, and picking them out of the JSON around them takes as long as all the rest.
-- Returns how many chats were written; one that is missing lost the race, and the batch is decided again.
with workspaces_written as (
    insert into workspaced.workspaces (
        id, name, owner_id, owner_name, organization_id, template_id, created_at, ttl_ms, ttl_at, deleted,
        name_released, was_ready, next, next_parameters, next_initiator
    )
    select
        id, name, owner_id, owner_name, organization_id, template_id, created_at, ttl_ms, ttl_at, deleted,
        name_released, was_ready, next, next_parameters, next_initiator
    from json_populate_recordset(null::workspaced.workspaces, $1::json)
    on conflict (id) do update set (
        name, owner_id, owner_name, organization_id, template_id, ttl_ms, ttl_at, deleted, name_released,
        was_ready, next, next_parameters, next_initiator
    ) = row (
        excluded.name, excluded.owner_id, excluded.owner_name, excluded.organization_id, excluded.template_id,
        excluded.ttl_ms, excluded.ttl_at, excluded.deleted, excluded.name_released, excluded.was_ready,
        excluded.next, excluded.next_parameters, excluded.next_initiator
    )
),
builds_written as (
    insert into workspaced.builds (
        id, workspace_id, build_number, transition, job_id, requested_at, provisioner, template_version_id,
        prior_version_id, prior_build_id, preset_id, parameters, initiator, request_id, worker, attempt, error,
        error_code, retryable, quota, reported, started_at, canceled_at, completed_at, limited, "foreign", agents_told,
        ready_at, agent_secret_hash, queue, released_at
    )
    select
        id, workspace_id, build_number, transition, job_id, requested_at, provisioner, template_version_id,
        prior_version_id, prior_build_id, preset_id, parameters, initiator, request_id, worker, attempt, error,
        error_code, retryable, quota, reported, started_at, canceled_at, completed_at, limited, "foreign", agents_told,
        ready_at, agent_secret_hash, queue, released_at
    from json_populate_recordset(null::workspaced.builds, $2::json)
    on conflict (id) do update set (
        transition, job_id, requested_at, provisioner, template_version_id, prior_version_id, prior_build_id,
        preset_id, parameters, initiator, request_id, worker, attempt, error, error_code, retryable, quota,
        reported, started_at, canceled_at, completed_at, limited, "foreign", agents_told, ready_at, agent_secret_hash,
        queue, released_at
    ) = row (
        -- Null, and so refused, for an id that another build has: ids come from outside and must not overwrite.
        case when builds.workspace_id = excluded.workspace_id and builds.build_number = excluded.build_number
            then excluded.transition end,
        excluded.job_id, excluded.requested_at, excluded.provisioner,
        excluded.template_version_id, excluded.prior_version_id, excluded.prior_build_id, excluded.preset_id,
        excluded.parameters, excluded.initiator, excluded.request_id, excluded.worker, excluded.attempt,
        excluded.error, excluded.error_code, excluded.retryable, excluded.quota, excluded.reported,
        excluded.started_at, excluded.canceled_at, excluded.completed_at, excluded.limited, excluded."foreign",
        excluded.agents_told,
        excluded.ready_at, excluded.agent_secret_hash, excluded.queue, excluded.released_at
    )
),
agents_written as (
    insert into workspaced.agents (
        id, workspace_id, build_id, created_at, announced, name, parent_id, display_order, external,
        connection_timeout_seconds, troubleshooting_url, first_connected_at, last_connected_at, disconnected_at,
        server_id, client_id, gone, lifecycle, lifecycle_at, lifecycle_server_id, lifecycle_client_id,
        started_at, ready_at
    )
    select
        id, workspace_id, build_id, created_at, announced, name, parent_id, display_order, external,
        connection_timeout_seconds, troubleshooting_url, first_connected_at, last_connected_at, disconnected_at,
        server_id, client_id, gone, lifecycle, lifecycle_at, lifecycle_server_id, lifecycle_client_id,
        started_at, ready_at
    from json_populate_recordset(null::workspaced.agents, $3::json)
    on conflict (id) do update set (
        build_id, created_at, announced, name, parent_id, display_order, external, connection_timeout_seconds,
        troubleshooting_url, first_connected_at, last_connected_at, disconnected_at, server_id, client_id, gone,
        lifecycle, lifecycle_at, lifecycle_server_id, lifecycle_client_id, started_at, ready_at
    ) = row (
        -- As for builds: the agent of another workspace stays its.
        case when agents.workspace_id = excluded.workspace_id then excluded.build_id end,
        excluded.created_at, excluded.announced, excluded.name, excluded.parent_id,
        excluded.display_order, excluded.external, excluded.connection_timeout_seconds,
        excluded.troubleshooting_url, excluded.first_connected_at, excluded.last_connected_at,
        excluded.disconnected_at, excluded.server_id, excluded.client_id, excluded.gone, excluded.lifecycle,
        excluded.lifecycle_at, excluded.lifecycle_server_id, excluded.lifecycle_client_id, excluded.started_at,
        excluded.ready_at
    )
),
moved as materialized (
    -- By name: a later release may have added columns.
    select chat.*, chat.unnest as expected_version
    from rows from (json_populate_recordset(null::workspaced.chats, $4::json), unnest($5::bigint[])) as chat
),
chats_made as (
    insert into workspaced.chats (
        id, owner_id, owner_name, organization_id, version, state, entered_at, parent_chat_id, workspace_id,
        build_id, agent_id, failure, cause, deadline_at, deadline_version, deadline_ms, starting_left_ms,
        agent_started_at, machine_version
    )
    select
        id, owner_id, owner_name, organization_id, version, state, entered_at, parent_chat_id, workspace_id,
        build_id, agent_id, failure, cause, deadline_at, deadline_version, deadline_ms, starting_left_ms,
        agent_started_at, $6
    from moved
    where expected_version = 0
    on conflict (id) do nothing
    returning id
),
chats_moved as (
    update workspaced.chats as c set (
        owner_id, owner_name, organization_id, version, state, entered_at, parent_chat_id, workspace_id,
        build_id, agent_id, failure, cause, deadline_at, deadline_version, deadline_ms, starting_left_ms,
        agent_started_at, machine_version
    ) = row (
        moved.owner_id, moved.owner_name, moved.organization_id, moved.version, moved.state, moved.entered_at,
        moved.parent_chat_id, moved.workspace_id, moved.build_id, moved.agent_id, moved.failure, moved.cause,
        moved.deadline_at, moved.deadline_version, moved.deadline_ms, moved.starting_left_ms,
        moved.agent_started_at, $6
    )
    from moved
    where c.id = moved.id and c.version = moved.expected_version
    returning c.id
),
transitions_written as (
    insert into workspaced.transitions (
        chat_id, version, from_state, to_state, cause, at, input_id, input_key, snapshot, workspace_id,
        template_id, build_id, agent_id, failure, took_ms, effects, machine_version
    )
    select
        chat_id, version, from_state, to_state, cause, at, input_id, input_key, step.unnest::json, workspace_id,
        template_id, build_id, agent_id, failure, took_ms, effects, machine_version
    from rows from (json_populate_recordset(null::workspaced.transitions, $7::json), unnest($11::text[])) as step
),
inputs_written as (
    insert into workspaced.inputs (
        key, at, chat_id, request_id, content, outcome, build_id, error_status, error, effects
    )
    select
        key, at, chat_id, request_id, content, outcome, build_id, error_status, error, effects
    from json_populate_recordset(null::workspaced.inputs, $8::json)
),
stale_written as (
    insert into workspaced.stale (
        workspace_id, at, input_id, input_key, subject, reason
    )
    select
        workspace_id, at, input_id, input_key, subject, reason
    from json_populate_recordset(null::workspaced.stale, $9::json)
    on conflict (workspace_id, input_key) do nothing
),
departures_written as (
    insert into workspaced.departures (
        server_id, client_id, at
    )
    select
        server_id, client_id, at
    from json_populate_recordset(null::workspaced.departures, $10::json)
    on conflict (server_id, client_id) do nothing
)
select (select count(*) from chats_made) + (select count(*) from chats_moved) as written
