"""Recorded exchanges with the service, replayed against the fake, and how its answers compare."""

AUTO = "auto"
"""The dialect of each exchange's date."""
