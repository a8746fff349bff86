-- When a setting got its value: what was begun before is not held against it.
alter table workspaced.settings add column changed_at timestamptz not null default now();
