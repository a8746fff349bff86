-- Transitions to another state that are no move of the machine; $2 and $3 are its moves, from and to; at most $1.
select s.chat_id, s.version, format('the machine knows no move from %s to %s', s.from_state, s.to_state) as detail
from workspaced.transitions as s
where s.from_state <> s.to_state
    and not exists (
        select
        from unnest($2::text[], $3::text[]) as m (from_state, to_state)
        where m.from_state = s.from_state and m.to_state = s.to_state
    )
order by s.chat_id, s.version
limit $1
