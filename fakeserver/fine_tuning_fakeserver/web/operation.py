"""One operation of the API: its name, route and implementation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .response import RouteGroup

if TYPE_CHECKING:
    from .request import ApiRequest


@dataclass(frozen=True, slots=True)
class Operation:
    """One route: its name, the verb it asks, and the family its answers belong to."""

    name: str
    method: str
    path: str
    run: Callable[[ApiRequest], Any]
    group: RouteGroup
    file_bytes_at_most: int = 0
    """How large a file the route's form may bring; 0 for a route that takes no form."""
    prepare: Callable[[ApiRequest], Callable[[], Any] | None] | None = None
    """What there is to do for a call before its verb is asked, if it takes long and needs no lock."""
