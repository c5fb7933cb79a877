"""Variables of this process, for as long as a test lasts."""

from __future__ import annotations

import os
from collections.abc import Mapping


class Environment:
    """Variables that are set, and put back to what they were.

    Not by the test's own `monkeypatch`, whose ``undo()`` in a test would take them away.
    """

    def __init__(self, ours: Mapping[str, str]) -> None:
        self._ours = dict(ours)
        self._before = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)

    def put_back(self) -> None:
        """Let them be as they were."""
        for name in self._ours:
            self._put_back(name)

    def put_back_again(self) -> None:
        """Let those be as they were that are ours once more.

        A `monkeypatch` older than these has seen ours before the test's, and has put ours back after us.
        """
        for name, value in self._ours.items():
            if os.environ.get(name) == value:
                self._put_back(name)

    def _put_back(self, name: str) -> None:
        value = self._before[name]
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
