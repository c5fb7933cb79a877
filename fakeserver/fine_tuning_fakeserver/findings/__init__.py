"""What code under test did wrong although its test passed, told from what it asked of the fake."""

from .finding import FinalState, Finding, render_finding
from .rules import CODES, find

__all__ = ["CODES", "FinalState", "Finding", "find", "render_finding"]
