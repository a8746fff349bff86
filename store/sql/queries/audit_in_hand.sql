-- Those of the ids $1 that effects of inputs name which are not acknowledged: such effects are perhaps not out yet. Inputs
-- of no stream are out at once, those since $2 perhaps not yet.
with recorded as (
    select key as input_key, at, effects from workspaced.inputs
    union all
    select input_key, at, effects from workspaced.transitions
),
in_hand as materialized (
    select r.effects::text as effects
    from recorded as r
    left join audit_acknowledged as a on a.stream = split_part(r.input_key, '/', 1)
    where case
        when a.sequence is null then r.at >= $2
        when ('x' || lpad(split_part(r.input_key, '/', 2), 16, '0'))::bit(64)::bigint < a.created_us then false
        else split_part(r.input_key, '/', 3)::bigint > a.sequence
    end
)
select named.id
from unnest($1::text[]) as named (id)
where exists (select from in_hand as h where position(named.id in h.effects) > 0)
