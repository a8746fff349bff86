-- Transitions that do not begin in the state in which the one before ended, the first one in idle; at most $1.
select
    s.chat_id,
    s.version,
    format('begins in %s, but %s', s.from_state,
        case when s.version = 1 then 'a chat begins in idle' else format('version %s led to %s', s.version - 1, s.before)
        end
    ) as detail
from (
    select
        chat_id, version, from_state,
        lag(to_state) over in_order as before,
        lag(version) over in_order as version_before
    from workspaced.transitions
    window in_order as (partition by chat_id order by version)
) as s
where (s.version_before = s.version - 1 and s.from_state <> s.before) or (s.version = 1 and s.from_state <> 'idle')
order by s.chat_id, s.version
limit $1
