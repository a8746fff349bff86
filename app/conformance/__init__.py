"""Plays the engine on the wire, and checks that a provisioner or an agent does its duties."""
