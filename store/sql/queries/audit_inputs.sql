-- Inputs that were applied to a chat more than once: what one input does to a chat is consecutive versions, all at one
-- time; at most $1.
select
    s.chat_id,
    s.input_key,
    format('%s transitions, versions %s to %s, from %s to %s', count(*), min(version), max(version), min(at), max(at))
        as detail
from workspaced.transitions as s
group by s.chat_id, s.input_key
having count(*) > 1 and (max(version) - min(version) + 1 <> count(*) or min(at) <> max(at))
order by s.chat_id, s.input_key
limit $1
