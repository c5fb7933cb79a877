"""Which requests are repeated, and after how long."""

from __future__ import annotations

from typing import Any

import pytest

from fine_tuning_client import FineTuningError, operations
from fine_tuning_client.effects import Failure, FilePart, RawResponse, Request, Sleep
from fine_tuning_client.retries import is_idempotent, pause_before_retry, with_retries

GET = Request("GET", "/x", "retrieve")
POST = Request("POST", "/x", "create")
REFUSED = Failure(OSError(), sent=False)
LOST = Failure(OSError())
HOPELESS = Failure(OSError(), sent=False, hopeless=True)


class Pipe:
    """A file that cannot be read a second time."""

    def seekable(self) -> bool:
        """Return False."""
        return False


@pytest.mark.parametrize(
    ("outcome", "get", "post"),
    [
        (REFUSED, True, True),
        (LOST, True, False),
        (HOPELESS, False, False),
        (RawResponse(200), False, False),
        (RawResponse(400), False, False),
        (RawResponse(408), True, False),
        (RawResponse(409), False, False),
        (RawResponse(429), True, True),
        (RawResponse(500), True, False),
        (RawResponse(503), True, False),
    ],
)
def test_only_what_is_safe_is_repeated(outcome: RawResponse | Failure, get: bool, post: bool) -> None:
    """A GET is repeated after any passing failure, other requests only if they cannot have taken effect."""
    assert (is_idempotent(GET, outcome), is_idempotent(POST, outcome)) == (get, post)


@pytest.mark.parametrize(("source", "again"), [(b"x", True), ("path", True), (Pipe(), False)])
def test_an_upload_is_repeated_if_it_can_be_read_again(source: Any, again: bool) -> None:
    """An upload is repeated only if its file can be read again."""
    assert is_idempotent(Request("POST", "/files", "files", file=FilePart(source, "a")), REFUSED) is again


def test_backoff_doubles_up_to_eight_seconds_less_jitter() -> None:
    """Pauses double from 0.5 to 8 seconds, less up to a quarter of jitter."""
    pauses = [pause_before_retry(GET, RawResponse(500), retry, 0.0) for retry in range(6)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert pause_before_retry(GET, RawResponse(500), 1, 1.0) == 0.75


@pytest.mark.parametrize(("asked", "pause"), [("7", 7.0), ("60", 60.0), ("61", None), ("0", 0.0)])
def test_retry_after_is_obeyed_up_to_a_minute(asked: str, pause: float | None) -> None:
    """A Retry-After of up to a minute is obeyed; for a longer one there is no retry."""
    assert pause_before_retry(GET, RawResponse(429, {"retry-after": asked}), 0, 0.5) == pause


def test_giving_up_raises_the_last_refusal() -> None:
    """After two retries the third refusal is raised."""
    steps = with_retries(operations.retrieve_job("ftjob-1"), 2, lambda: 0.0)
    seen = [steps.send(None)]
    seen += [steps.send(outcome) for outcome in (RawResponse(500), None, RawResponse(502), None)]
    assert [type(each) for each in seen] == [Request, Sleep, Request, Sleep, Request]
    with pytest.raises(FineTuningError, match="openai answered 503"):
        steps.send(RawResponse(503))


def test_no_retries_if_none_are_wanted() -> None:
    """With `max_retries` 0 the first refusal is raised."""
    steps = with_retries(operations.retrieve_job("ftjob-1"), 0, lambda: 0.0)
    steps.send(None)
    with pytest.raises(FineTuningError, match="500"):
        steps.send(RawResponse(500))
