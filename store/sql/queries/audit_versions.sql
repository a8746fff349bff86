-- Chats whose versions have a gap, or whose history does not begin with 1 (unless it was pruned) or does not end with
-- the chat's version; at most $1.
with kept as materialized (
    select chat_id, min(version) as first, max(version) as last, count(*) as rows
    from workspaced.transitions
    group by chat_id
)
select
    c.id as chat_id,
    case
        when k.chat_id is null then format('version %s without any transition', c.version)
        else format('version %s, but %s transitions from %s to %s', c.version, k.rows, k.first, k.last)
    end as detail
from workspaced.chats as c
left join kept as k on k.chat_id = c.id
where k.chat_id is null
    or k.last <> c.version
    or k.rows <> k.last - k.first + 1
    or (k.first > 1 and not exists (select from workspaced.marks where name = 'pruned_before'))
order by c.id
limit $1
