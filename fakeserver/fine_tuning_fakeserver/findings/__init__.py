"""Flaws of the code under test that a passing test hides, found in its requests by `@rule` functions."""

from .rules import CODES, FinalState, Finding, find, render_findings  # isort: split

from . import job_lifecycle, pagination, repeated_requests  # noqa: F401 - importing a module registers its rules

__all__ = ["CODES", "FinalState", "Finding", "find", "render_findings"]
