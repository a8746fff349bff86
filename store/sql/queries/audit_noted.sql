-- What the streams hold is noted down: plans may count on it.
create index on audit_pushes (chat_id, version);
create index on audit_jobs (job_id);
analyze audit_acknowledged;
analyze audit_pushes;
analyze audit_jobs;
