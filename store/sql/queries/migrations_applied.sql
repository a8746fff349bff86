-- What was applied to this database.
select version, name, sha256 from workspaced.migrations order by version
