-- How long each state lasted, in ms, the last $2 times a chat of each template left it (but not for `failed`);
-- $1 the states. Reads at most that many index entries for each pair.
select t.id::text as template_id, s.state, array_agg(l.took_ms order by l.at desc) as took_ms
from workspaced.templates as t
cross join unnest($1::text[]) as s (state)
cross join lateral (
    select at, took_ms
    from workspaced.transitions
    where template_id = t.id and from_state = s.state and took_ms is not null and to_state <> 'failed'
    order by at desc
    limit $2
) as l
group by t.id, s.state
order by t.id, s.state
