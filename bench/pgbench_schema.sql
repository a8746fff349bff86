-- Tables with the columns and keys of what one event writes, so that pgbench does the same work.
drop schema if exists bench cascade;
create schema bench;
create table bench.chats (like workspaced.chats including all);
create table bench.transitions (like workspaced.transitions including all);
insert into bench.chats (id, owner_id, owner_name, organization_id, version, state, entered_at, machine_version)
select gen_random_uuid(), gen_random_uuid(), 'bench', gen_random_uuid(), 1, 'idle', now(), 1
from generate_series(1, 10000);
alter table bench.chats add column slot serial;
create unique index on bench.chats (slot);
