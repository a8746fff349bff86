-- Remembers $2 under $1.
insert into workspaced.marks (name, text) values ($1, $2)
on conflict (name) do update set text = excluded.text
