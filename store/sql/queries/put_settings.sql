-- Merges settings into the stored ones: $1 names, $2 texts.
insert into workspaced.settings (name, text)
select * from unnest($1::text[], $2::text[])
on conflict (name) do update set text = excluded.text
