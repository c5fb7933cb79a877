"""Accounts of failed tests, saved below pytest's cache folder, each to be opened by one command."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.fake.saving import write_file

from .orphans import shown_path

FOLDER = "fake-fine-tuning"
BYTES_AT_MOST = 5 * 1024 * 1024
"""How large the file of one test may be; contents that would make it larger are kept as digests only."""
FILES_AT_MOST = 20
NAME_AT_MOST = 80


def save_account(item: pytest.Item, fake: FakeFineTuning) -> list[str]:
    """Save the account of a failed test; return the lines of its report that say how to open it.

    There are none where nothing has happened in it, where nothing can be written, or nothing is to be.
    """
    cache: Any = getattr(item.config, "cache", None)
    if cache is None or item.config.getoption("fine_tuning_no_save") or not fake.has_happened:
        return []
    try:
        raw = _account_file(fake)
    except FakeUsageError as error:
        return [f"its account is not saved: {error}"]
    try:
        path = Path(cache.mkdir(FOLDER)) / _file_name(item.nodeid)
        write_file(path, raw)
    except (OSError, FakeUsageError):  # a cache that cannot be written to is no error of the test
        return []
    _remove_oldest(path.parent)
    return ["open this account, as it is now, in a server:", f"  {shlex.join(_command(path))}"]


def _command(path: Path) -> list[str]:
    return ["fake-fine-tuning", "serve", "--load", shown_path(path)]


def _account_file(fake: FakeFineTuning) -> bytes:
    """Return the account as a file of at most `BYTES_AT_MOST`.

    Raises:
        FakeUsageError: it is larger even without contents, or it cannot be stored.
    """
    for contents_at_most in (BYTES_AT_MOST, 0):
        if len(raw := fake.account_file(contents_at_most)) <= BYTES_AT_MOST:
            return raw
    raise FakeUsageError(f"it is larger than {BYTES_AT_MOST} bytes without the contents of its files")


def _file_name(nodeid: str) -> str:
    words = re.sub(r"[^\w.-]+", "-", nodeid, flags=re.ASCII).strip("-.")
    return f"{words[-NAME_AT_MOST:]}-{sha256(nodeid.encode(errors='replace')).hexdigest()[:8]}.zip"


def _remove_oldest(folder: Path) -> None:
    """Remove the oldest files of a folder if there are too many."""
    for old in sorted(folder.glob("*.zip"), key=_last_written, reverse=True)[FILES_AT_MOST:]:
        with suppress(OSError):  # another worker has removed it
            old.unlink()


def _last_written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
