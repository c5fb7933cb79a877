"""Dialects of the API, as data."""
