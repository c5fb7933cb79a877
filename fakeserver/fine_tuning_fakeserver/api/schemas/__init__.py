"""Schemas of the objects that the API answers with."""
