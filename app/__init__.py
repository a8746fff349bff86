"""The composition root: engine loop, settings, command line, embedded servers, health and metrics."""
