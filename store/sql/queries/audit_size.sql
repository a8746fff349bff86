-- How many chats there are, and how many of them wait.
select count(*) as chats, count(deadline_at) as waiting from workspaced.chats
