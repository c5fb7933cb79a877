"""Prepared answers: what a test says that the service will say, to whatever client asks."""

from __future__ import annotations

from hashlib import md5
from typing import Any, Self

from ..usage_errors import FakeUsageError
from ..web.scripting.player import ScriptStack
from ..web.scripting.script import Script
from .base import HIDDEN, FakeBase

__tracebackhide__ = HIDDEN


class ScriptControl(FakeBase):
    """Answers with what a test has prepared, and as the twin does when that has run out.

    The handle is called with the answers, and is itself a context manager that ends the innermost script::

        fake_fine_tuning([None, "queued", "running", "failed"])  # one queue for all operations; None: the upload
        fake_fine_tuning({"create_job": ["queued"], "retrieve_job": ["running", "failed"]})
        fake_fine_tuning(lambda call: "failed" if call.operation == "retrieve_job" else None)
        with fake_fine_tuning([RateLimitError("slow down")]): ...

    An item is a status (the twin's job goes there, and what follows agrees), a dict of members on the wire, an object
    of a client's or an SDK's, an exception of theirs, a list of items for a list, a function of a `ScriptedCall`, or
    None for the twin's own answer. A scripted job is put into the account, its training file too, if it is not there.
    A status that the twin cannot have is said once, and then the twin goes on. An item answers one request, so a client
    that retries takes the next. A client that is scripted to time out has waited: virtual time passes.
    """

    _scripts: ScriptStack
    _entered: list[Script]

    def __call__(self, responses: Any = None, *, strict: bool = False) -> Self:
        """Answer with *responses* from now on, until `stop` or the test's end; older scripts answer what it cannot.

        Args:
            responses: items in one queue for all operations; a mapping of operation to items of its own; or a
                function that is asked about every call.
            strict: whether a call that no answer is left for is an error, instead of the twin's to answer.

        Raises:
            FakeUsageError: *responses* are none, or are for an operation that there is not. An item that is no answer
                to what is asked is told when it is asked, as ``{"fake_error": …}``, and is kept.
        """
        self._scripts.stack.append(Script(responses, strict=strict))
        return self

    def prevent_stray(self) -> Self:
        """Let every call that no answer is left for be an error from now on; also where nothing is scripted at all."""
        if not self._scripts.stack:
            self([])
        self._innermost().strict = True
        return self

    def stop(self) -> Self:
        """End the innermost script."""
        self._scripts.end(self._innermost())
        return self

    def __enter__(self) -> Self:
        self._entered.append(self._innermost())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._scripts.end(self._entered.pop())

    def assert_script_exhausted(self) -> Self:
        """Fail if an answer was prepared that nobody has asked for, or a function was never asked.

        Those of scripts that are over count, too.

        Raises:
            FakeUsageError: there never was a script.
        """
        scripts = [*self._scripts.ended, *self._scripts.stack]
        if not scripts:
            self._innermost()
        left = [item for script in scripts for item in script.left]
        lines = [f"  {operation or 'any operation'}: {item!r}" for operation, item in left]
        if left:
            raise AssertionError("\n".join([f"{len(left)} scripted answers were never asked for:", *lines]))
        return self

    @staticmethod
    def fake_id(name: str) -> str:
        """A job's id that is always the same for *name*, for scripts: ``ftjob-fake-`` and twelve hexadecimal digits."""
        return f"ftjob-fake-{md5(name.encode(), usedforsecurity=False).hexdigest()[:12]}"

    def _innermost(self) -> Script:
        if not self._scripts.stack:
            raise FakeUsageError("there is no script: call the fake with answers first, as in fake([...])")
        return self._scripts.stack[-1]
