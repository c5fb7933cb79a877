"""What code under test did wrong although its test passed, told from what it asked of the fake."""

from .finding import Facts, Finding, told
from .rules import CODES, find

__all__ = ["CODES", "Facts", "Finding", "find", "told"]
