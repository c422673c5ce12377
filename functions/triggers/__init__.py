"""The functions: HTTP, Event Grid, queue and timer, one blueprint per surface."""
