"""An account that outlives its process: saved and loaded, copied, and taken back to where it was."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Self

from ..account.world import World
from ..usage_errors import FakeUsageError


class Saving:
    """Saves, loads, copies and rewinds the account."""

    _world: World

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the account to one file: a zip of its settings, records, request log and contents.

        API keys are in it as digests, and secrets of webhooks not at all; requests are redacted.

        Raises:
            FakeUsageError: a script is in use that is a function, or the file cannot be written.
        """
        write_file(path, self.account_file())

    def account_file(self, contents_at_most: int | None = None) -> bytes:
        """Return what `save` writes.

        Args:
            contents_at_most: how many bytes of files' contents are in it, and of the rest only the digests; None for
                all.

        Raises:
            FakeUsageError: a script is in use that is a function, or has one.
        """
        from ..web.account_file import account_file

        return account_file(self._world.store(), contents_at_most)

    @property
    def has_happened(self) -> bool:
        """Whether anything has happened in the account since it began."""
        return self._world.has_happened

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, allow_remote_webhooks: bool = False, sends_webhooks: bool = True
    ) -> Self:
        """Return a fake with the account of a file that `save` has written: from there on it answers the same bytes.

        Its `reset` begins a fresh account with the same settings.

        Args:
            path: the file.
            allow_remote_webhooks: whether the account's webhooks may go to another machine.
            sends_webhooks: False where this fake only shows how others begin.

        Raises:
            FakeUsageError: the file cannot be read, or is no whole account of this version or an older one.
        """
        fake = cls()
        if not sends_webhooks:
            fake._world.send_nothing()
        from ..web.account_file import read_account

        try:
            with open(path, "rb") as file:
                stored = read_account(file, allow_remote_webhooks=allow_remote_webhooks)
            fake._world.restore(stored, as_default=True)
        except OSError as error:
            reason = error.strerror or error
            raise FakeUsageError(f"the account cannot be loaded from {os.fspath(path)!r}: {reason}") from None
        except FakeUsageError as error:
            raise FakeUsageError(f"{os.fspath(path)}: {error}") from None
        return fake

    def fork(self) -> Self:
        """Return a fake with a copy of the account: what happens to the one leaves the other as it is.

        The copy has no URL, and is reset as this one is. What its webhooks have not been sent, it sends itself.

        Raises:
            FakeUsageError: a script is in use that is a function, or has one.
        """
        from ..web.script_format import read_scripts, write_scripts

        stored = self._world.store()
        scripts = read_scripts(write_scripts(stored.scripts))
        fake = type(self)()
        fake._world = self._world.sibling(replace(stored, scripts=scripts))
        return fake

    def rewind_to(self, *, request: int | None = None, time: float | None = None) -> None:
        """Take the account back to where it was when a request was answered, or at a time; what came later is gone.

        Args:
            request: the number of the request, as in `requests`; 0 for the account's beginning.
            time: virtual Unix seconds.

        Raises:
            FakeUsageError: neither or both are given, the request is not in the log any more, there ever was a script,
                waits are virtual, or bytes would be needed that were dropped when their file was deleted.
        """
        self._world.rewind(request, time)


def write_file(path: str | os.PathLike[str], raw: bytes) -> None:
    """Write a saved account to *path*; a half-written file never has its name.

    Raises:
        FakeUsageError: it cannot be written.
    """
    from fine_tuning_formats.atomic_files import replace_file  # here, since few fakes are saved

    try:
        replace_file(Path(path), raw)
    except OSError as error:
        raise FakeUsageError(f"the account cannot be saved to {str(path)!r}: {error.strerror or error}") from None
