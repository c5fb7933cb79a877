"""Recorded exchanges with the service, replayed against the fake, and how its answers compare."""
