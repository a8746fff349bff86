-- Merges settings into the stored ones: $1 names, $2 texts.
insert into workspaced.settings as s (name, text)
select * from unnest($1::text[], $2::text[])
on conflict (name) do update
set
    text = excluded.text,
    changed_at = case when s.text = excluded.text then s.changed_at else now() end
