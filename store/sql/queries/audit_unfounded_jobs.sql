-- Jobs in JOBS of builds that were never committed; at most $1.
select j.job_id, 'JOBS has it, but no build was committed for it' as detail
from audit_jobs as j
where not exists (select from workspaced.builds as b where b.job_id = j.job_id)
order by j.job_id
limit $1
