-- Retention: forgets what happened before $1, but keeps each chat's last transition. Returns how many rows went.
-- What is gone is not known any more: history begins later, and a request or message that old, should it come
-- again, counts as new. So $1 lies further back than any stream keeps messages. It is remembered for the audit.
with old_transitions as (
    delete from workspaced.transitions as s
    using workspaced.chats as c
    where s.at < $1 and c.id = s.chat_id and s.version < c.version
    returning 1
),
old_inputs as (
    delete from workspaced.inputs where at < $1 returning 1
),
old_stale as (
    delete from workspaced.stale where at < $1 returning 1
),
old_departures as (
    delete from workspaced.departures where at < $1 returning 1
),
remembered as (
    insert into workspaced.marks (name, text) values ('pruned_before', $1::timestamptz::text)
    on conflict (name) do update
    set text = greatest(marks.text::timestamptz, excluded.text::timestamptz)::text
)
select
    (select count(*) from old_transitions)
    + (select count(*) from old_inputs)
    + (select count(*) from old_stale)
    + (select count(*) from old_departures)
