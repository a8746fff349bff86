-- Who is limited to one organization lists its chats and workspaces.
create index chats_organization on workspaced.chats (organization_id, id);
create index workspaces_organization on workspaced.workspaces (organization_id, id);
