"""What others do to the same account, behind the back of the code under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..account.service import Service
from ..api import files, jobs
from ..api_errors import ApiError
from ..domain.dialects.dialect import to_dialect
from ..usage_errors import FakeUsageError
from .base import FakeBase

MANY = 1_000_000
"""More files than an account has."""


class OutsideChanges(FakeBase):
    """Does as a colleague does in the dashboard: the account changes, and no request is in the log."""

    def cancel_job(self, job: str) -> dict[str, Any]:
        """End a job that is not over; return it as the service would.

        Raises:
            FakeUsageError: there is no such job, or it is over; so do the other methods, where they cannot be done.
        """
        return self._as_outsider(jobs.cancel, job)

    def pause_job(self, job: str) -> dict[str, Any]:
        """Hold a running job."""
        return self._as_outsider(jobs.pause, job)

    def resume_job(self, job: str) -> dict[str, Any]:
        """Let a held job go on."""
        return self._as_outsider(jobs.resume, job)

    def delete_file(self, file: str) -> dict[str, Any]:
        """Delete a file; a job that still needs it fails."""
        return self._as_outsider(files.delete, file)

    @property
    def files(self) -> list[dict[str, Any]]:
        """All files as the service would answer them now, newest first."""
        dialect = self._service.account.dialect
        page = files.list_files(self._service, after=None, limit=MANY, purpose=None, oldest_first=False)
        return [to_dialect(dialect, dict(file)) for file in page["data"]]

    def _as_outsider(self, verb: Callable[[Service, str], Any], identifier: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = to_dialect(self._service.account.dialect, dict(verb(self._service, identifier)))
        except ApiError as error:
            raise FakeUsageError(f"{verb.__name__} {identifier}: {error.message}") from None
        return answer
