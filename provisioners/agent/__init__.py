"""The agent: the program inside a workspace that calls home, runs the startup script and answers pings."""
