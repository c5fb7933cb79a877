"""What every part of the handle works on."""

from __future__ import annotations

from operator import methodcaller

from ..account.service import Service
from ..usage_errors import FakeUsageError
from ..web.request_log import RequestLog

HIDDEN = methodcaller("errisinstance", (AssertionError, FakeUsageError))
"""A module's ``__tracebackhide__``: pytest shows the test's own line where an assertion fails, not what is in there."""


class FakeBase:
    """An account and what was asked of it; `FakeFineTuning` fills both in."""

    requests_log: RequestLog
    _service: Service
    _reachable: bool
    """Whether anybody could have asked anything since the account began."""
    _retired: bool
    """Whether what the account was for is over."""
