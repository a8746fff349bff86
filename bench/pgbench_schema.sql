-- Copies of what one event writes, with the same columns, keys, fill and rows, so that pgbench does the same work.
drop schema if exists bench cascade;
create schema bench;
create table bench.agents (like workspaced.agents including all) with (fillfactor = 70);
create table bench.chats (like workspaced.chats including all) with (fillfactor = 70);
create table bench.transitions (like workspaced.transitions including all);
insert into bench.agents select * from workspaced.agents;
insert into bench.chats select * from workspaced.chats where agent_id is not null;
create table bench.members (slot serial primary key, chat_id uuid not null, agent_id uuid not null);
insert into bench.members (chat_id, agent_id) select id, agent_id from bench.chats;
-- Of each state the last transition that the engine wrote: what is inserted is as long as the real thing.
create table bench.samples as
select distinct on (to_state) *
from workspaced.transitions
where from_state in ('starting', 'ready') and to_state in ('starting', 'ready') and from_state <> to_state
order by to_state, at desc;
create unique index on bench.samples (to_state);
analyze bench.agents, bench.chats, bench.members, bench.samples;
