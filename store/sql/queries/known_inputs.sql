-- Those of the input keys $1 that left a row: a transition, an answer, a late report.
select given.key
from unnest($1::text[]) as given (key)
where exists (select from workspaced.inputs as i where i.key = given.key)
    or exists (select from workspaced.transitions as s where s.input_key = given.key)
    or exists (select from workspaced.stale as l where l.input_key = given.key)
