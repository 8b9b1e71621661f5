"""The servers under load; each runs in its own process, on any loop."""
