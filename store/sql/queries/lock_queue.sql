-- Lets one transaction at a time decide which builds leave the queue. Builds that end meanwhile only make more room.
-- A statement of its own, because what is counted must be read after the lock is held.
select pg_advisory_xact_lock(hashtextextended('workspaced/queue', 0))
