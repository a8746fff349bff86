-- Which of the names ($1 owners, $2 lower-case names) a live workspace has that has not given it up.
select w.owner_id::text as owner_id, lower(w.name) as name
from unnest($1::uuid[], $2::text[]) as wanted (owner_id, name)
join workspaced.workspaces as w
    on w.owner_id = wanted.owner_id and lower(w.name) = wanted.name and not w.deleted and not w.name_released
