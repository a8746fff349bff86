"""The local provisioner: a workspace is a folder and an agent process on this machine."""
