"""Prepared answers: what the service is to say, to whatever client calls."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5
from typing import Any, Self

from ..account.script_queue import Script
from ..account.world import World
from ..usage_errors import HIDDEN, FakeUsageError
from ..web.operations import check_operation

__tracebackhide__ = HIDDEN


class ScriptControl:
    """Answers with what a test has prepared, and as usual when that has run out.

    The fake is called with the answers, and returns the script, which is in use until `Script.stop`, the next reset, or
    the end of its `with` block::

        fake_fine_tuning([None, "queued", "running", "failed"])  # one queue for all operations; None: the upload
        fake_fine_tuning({"create_job": ["queued"], "retrieve_job": ["running", "failed"]})
        fake_fine_tuning(lambda call: "failed" if call.operation == "retrieve_job" else None)
        with fake_fine_tuning([RateLimitError("slow down")]) as script: ...

    An item is a status (the fake's job goes there, and what follows agrees), a dict of members on the wire, an object
    of a client's or an SDK's, an exception of theirs, a list of items for a list, a function of a `ScriptedCall`, or
    None for the fake's own answer. A scripted job is put into the account if it is not there, with its training file. A
    status that the fake cannot have is shown once, and then the fake goes on. An item answers one request, so a client
    that retries takes the next. A client that is scripted to time out has waited: virtual time passes.
    """

    _world: World

    def __call__(self, responses: Any = None, *, strict: bool = False) -> Script:
        """Answer with *responses* from now on; older scripts answer what this one cannot.

        Args:
            responses: items in one queue for all operations; a mapping of operation to items of its own; or a
                function that is called for every request.
            strict: whether a call that no answer is left for is an error, instead of the fake's to answer.

        Returns:
            The script: a context manager, with `stop()`, `prevent_stray()` and `exhausted`.

        Raises:
            FakeUsageError: *responses* have another type, or name an unknown operation. An item that does not fit the
                operation that is called is answered with ``{"fake_error": …}``, and is kept.
        """
        for operation in responses if isinstance(responses, Mapping) else ():
            check_operation(operation)
        return Script(self._world.scripts, responses, strict=strict)

    def assert_script_exhausted(self) -> Self:
        """Fail if a prepared answer was not used, or a function never called.

        Scripts that have ended count, too.

        Raises:
            FakeUsageError: there never was a script.
        """
        scripts = [*self._world.scripts.ended, *self._world.scripts.scripts]
        if not scripts:
            raise FakeUsageError("there is no script: call the fake with answers first, as in fake([...])")
        left = [item for script in scripts for item in script.left]
        lines = [f"  {operation or 'any operation'}: {item!r}" for operation, item in left]
        if left:
            raise AssertionError("\n".join([f"{len(left)} scripted answers were never asked for:", *lines]))
        return self

    @staticmethod
    def fake_id(name: str) -> str:
        """Return a job's id that is the same for every *name*: ``ftjob-fake-`` and twelve hexadecimal digits."""
        return f"ftjob-fake-{md5(name.encode(), usedforsecurity=False).hexdigest()[:12]}"
