"""Assertions about what came to be: jobs created and cancelled, files uploaded, models deleted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from ..domain.usage import FakeUsageError, nearest
from ..findings import CODES, Finding, find, told
from .asserting import Asserting
from .core import HIDDEN
from .facts import facts
from .matching import Predicate, Question, question_of

__tracebackhide__ = HIDDEN


class Looking(Asserting):
    """Assertions on what the code under test brought about, and what it did wrong.

    Those that are named after what happened (a job created, a file uploaded) count what the fake accepted: a create
    that was refused with 400 has created no job. For what was tried, whatever came of it, there is `assert_called`.
    What a test puts into the account itself (`add_job`, `add_file`) was asked by nobody, and counts for nothing.
    """

    def assert_job_created(
        self, predicate: Predicate | None = None, /, *, times: int | None = None, **fields: Any
    ) -> Self:
        """Fail unless a job was created: at least once, or *times*.

        Args:
            predicate: takes a `Call`, says True or False.
            times: exactly how often.
            fields: members of the body, such as ``training_file``, ``model``, ``suffix``, ``metadata``. A mapping
                need only be part of what was sent; None is null, or nothing.
        """
        return self._expect("job created", question_of("create_job", predicate, fields, accepted=True), times)

    def assert_job_not_created(self, predicate: Predicate | None = None, /, **fields: Any) -> Self:
        """Fail if a job was created (with these fields). That it was not even tried, `assert_not_called` tells."""
        return self._exclude("job created", question_of("create_job", predicate, fields, accepted=True))

    def assert_no_jobs_created(self) -> Self:
        """Fail if any job was created."""
        return self.assert_job_not_created()

    def assert_job_cancelled(self, job_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this job, or any, was cancelled by a call."""
        return self._expect("job cancelled", _about("cancel_job", job_id=job_id), times)

    def assert_job_not_cancelled(self, job_id: str | None = None) -> Self:
        """Fail if this job, or any, was cancelled by a call."""
        return self._exclude("job cancelled", _about("cancel_job", job_id=job_id))

    def assert_job_paused(self, job_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this job, or any, was paused by a call."""
        return self._expect("job paused", _about("pause_job", job_id=job_id), times)

    def assert_job_resumed(self, job_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this job, or any, was resumed by a call."""
        return self._expect("job resumed", _about("resume_job", job_id=job_id), times)

    def assert_job_retrieved(self, job_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this job, or any, was retrieved: at least once, or *times*."""
        return self._expect("job retrieved", _about("retrieve_job", job_id=job_id), times)

    def assert_file_uploaded(
        self, predicate: Predicate | None = None, /, *, times: int | None = None, **fields: Any
    ) -> Self:
        """Fail unless a file was uploaded in one piece: at least once, or *times*.

        Args:
            predicate: takes a `Call`, says True or False.
            times: exactly how often.
            fields: ``filename``, ``purpose``, ``bytes`` (its size), ``file_id``.
        """
        return self._expect("file uploaded", question_of("upload_file", predicate, fields, accepted=True), times)

    def assert_file_deleted(self, file_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this file, or any, was deleted."""
        return self._expect("file deleted", _about("delete_file", file_id=file_id), times)

    def assert_model_deleted(self, model_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this model, or any, was deleted."""
        return self._expect("model deleted", _about("delete_model", model_id=model_id), times)

    @property
    def findings(self) -> list[Finding]:
        """What the code under test did wrong although its test passes, by request number; see `CODES`.

        They are found when this is read, in the requests that the log has kept. Each rule says in its docstring what
        it holds to be wrong, and what it cannot see; in doubt there is no finding.

        Raises:
            FakeUsageError: nobody could have reached the fake.
        """
        return find(self._look(), facts(self._service))

    def assert_no_findings(self, ignore: Iterable[str] = ()) -> Self:
        """Fail if there are findings of other codes than those to *ignore*.

        Raises:
            FakeUsageError: there is no such code; or nothing was found, in a log that has forgotten requests.
        """
        ignored = _codes(ignore)
        if found := [finding for finding in self.findings if finding.code not in ignored]:
            count = "1 finding" if len(found) == 1 else f"{len(found)} findings"
            raise AssertionError("\n".join([f"{count}:", *told(found)]))
        self._refuse_guess(self.calls)
        return self


def _about(operation: str, **identifier: str | None) -> Question:
    """Accepted calls of *operation*, about one thing or about any."""
    for name, value in identifier.items():
        if not isinstance(value, str | None):
            raise FakeUsageError(f"{name} is {value!r}: an id is wanted, a text such as job.id")
    return Question(operation, {name: value for name, value in identifier.items() if value is not None}, None, True)


def _codes(ignore: Iterable[str]) -> frozenset[str]:
    codes = frozenset([ignore] if isinstance(ignore, str) else ignore)
    for code in sorted(codes - CODES.keys()):
        raise FakeUsageError(f"there is no finding {code!r}{nearest(code, CODES)}; there are {', '.join(CODES)}")
    return codes
