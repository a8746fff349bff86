-- The stored settings.
select name, text from workspaced.settings
