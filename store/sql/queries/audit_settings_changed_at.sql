-- When a setting was changed last; null where none is stored.
select max(changed_at) as changed_at from workspaced.settings
