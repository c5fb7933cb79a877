"""Set environment variables for the duration of a test."""

from __future__ import annotations

import os
from collections.abc import Mapping


class EnvironmentPatch:
    """Variables that are set now and restored later.

    Not pytest's `monkeypatch`: a test's own ``monkeypatch.undo()`` would take them away.
    """

    def __init__(self, ours: Mapping[str, str]) -> None:
        self._ours = dict(ours)
        self._before = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)

    def restore(self) -> None:
        """Restore all variables."""
        for name in self._ours:
            self._restore(name)

    def restore_again(self) -> None:
        """Restore the variables that have our values once more.

        A `monkeypatch` that was created before us undoes after us, and puts our values back.
        """
        for name, value in self._ours.items():
            if os.environ.get(name) == value:
                self._restore(name)

    def _restore(self, name: str) -> None:
        value = self._before[name]
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
