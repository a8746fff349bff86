-- Builds that wait for a limit on builds at once (fsm/queue.py).
alter table workspaced.builds
    add column queue jsonb,
    add column released_at timestamptz,
    add constraint builds_queued_is_pending check (
        queue is null
        or (transition = 'start' and started_at is null and canceled_at is null and completed_at is null and error = '')
    );
