"""What sits at the other end of the bus: programs that build workspaces, written on the public client."""
