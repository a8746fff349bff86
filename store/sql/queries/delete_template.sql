-- Marks the template $1 deleted unless a live workspace is made from it; call it under `lock_template`.
update workspaced.templates set deleted = true
where id = $1 and not exists (select from workspaced.workspaces where template_id = $1 and not deleted)
returning id
