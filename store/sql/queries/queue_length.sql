-- How many builds wait in the queue.
select count(*) from workspaced.builds where completed_at is null and error = '' and queue is not null
