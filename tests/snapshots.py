"""Snapshots: texts of our own that tests compare with a file, so that they can be reworded in one place.

``UPDATE_SNAPSHOTS=1 scripts/test tests/…`` writes the files anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path


def assert_snapshot(text: str, path: Path) -> None:
    """Compare *text* with the file at *path*, or write it there if that is asked for."""
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
