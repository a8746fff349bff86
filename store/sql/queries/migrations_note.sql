-- Notes that a migration was applied: $1 version, $2 name, $3 the file's sha256.
insert into workspaced.migrations (version, name, sha256) values ($1, $2, $3)
