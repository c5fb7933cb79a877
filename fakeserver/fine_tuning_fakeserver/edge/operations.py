"""The names of operations, as the fake's own user writes them."""

from __future__ import annotations

from ..domain.usage import FakeUsageError, nearest
from .routes import OPERATIONS

NAMES = tuple(operation.name for operation in OPERATIONS)


def check_operation(name: object) -> str:
    """*name*, which must be an operation.

    Raises:
        FakeUsageError: there is none called so.
    """
    if isinstance(name, str) and name in NAMES:
        return name
    raise FakeUsageError(f"there is no operation {name!r}{nearest(name, NAMES)}; there are {', '.join(NAMES)}")
