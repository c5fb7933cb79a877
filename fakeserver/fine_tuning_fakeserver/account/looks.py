"""Looks: requests that show how far a job or a file is, as loops send them that wait for it to be over."""

from __future__ import annotations

from collections.abc import Hashable

REQUESTS_AT_MOST = 1000
"""So many different requests are remembered, the newest."""


class Looks:
    """The looks at one account: what each request showed last."""

    def __init__(self) -> None:
        self._shown: dict[Hashable, object] = {}

    def is_repeated(self, request: Hashable, shown: object) -> bool:
        """Return whether *request* was answered before, with the same to be seen."""
        return request in self._shown and self._shown[request] == shown

    def remember(self, request: Hashable, shown: object) -> None:
        """Keep what *request* shows now."""
        self._shown.pop(request, None)
        self._shown[request] = shown
        if len(self._shown) > REQUESTS_AT_MOST:
            del self._shown[next(iter(self._shown))]
