"""The pure core: states, facts, commands, the machine, `decide`. No I/O, no clock, no id made inside."""
