"""Environment variables that are set for a while.

Runs that use no fake import this module, too, so it imports the standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

AZURE_VARIABLES = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY")


class EnvironmentPatch:
    """Variables that are set now and restored later.

    Not pytest's `monkeypatch`: a test's own ``monkeypatch.undo()`` would take them away.

    Args:
        ours: the variables; None removes one.
    """

    def __init__(self, ours: Mapping[str, str | None]) -> None:
        self._ours = dict(ours)
        self._before = {name: os.environ.get(name) for name in ours}
        for name, value in ours.items():
            set_variable(name, value)

    def restore(self) -> None:
        """Restore all variables."""
        for name, value in self._before.items():
            set_variable(name, value)

    def restore_again(self) -> None:
        """Restore the variables that have our values once more.

        A `monkeypatch` that was created before us undoes after us, and puts our values back.
        """
        for name, value in self.changes_to_undo({}).items():
            set_variable(name, value)

    def changes_to_undo(self, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """Return what the variables with our values were before; *values* are those that the environment lacks."""
        return {
            name: self._before[name]
            for name, value in self._ours.items()
            if values.get(name, os.environ.get(name)) == value
        }


def set_variable(name: str, value: str | None) -> None:
    """Set a variable of the environment; None removes it."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
