-- What the engine remembers about its surroundings.
select name, text from workspaced.marks
