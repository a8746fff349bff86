-- Makes room for what the streams hold, so that rows are compared with them where the rows are; this session's alone.
-- Input keys are `<stream>/<microseconds when it was stored, hexadecimal>/<sequence>`; what a stream stored before it was
-- created is of one that is gone.
create temp table audit_acknowledged (stream text, created_us bigint, sequence bigint);
create temp table audit_pushes (chat_id uuid, version bigint, state text);
create temp table audit_jobs (job_id uuid);
