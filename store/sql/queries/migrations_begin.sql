-- One runner at a time; the number is any that nobody else of this database uses.
select pg_advisory_xact_lock(7739461853);
create schema if not exists workspaced;
create table if not exists workspaced.migrations (
    version integer primary key,
    name text not null,
    sha256 text not null,
    applied_at timestamptz not null default now()
);
