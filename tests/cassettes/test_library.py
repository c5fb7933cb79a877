"""The library of sessions: listed, labelled as the fake's, and replayed by any client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

import record_sessions
from fine_tuning_cassettes import CassetteFileError, session, sessions, training_file, use_cassette
from fine_tuning_cassettes.yaml_format import header_in
from fine_tuning_client import FineTuningClient

NAMES = [each.play.__name__ for each in record_sessions.SESSIONS]
URL = "https://api.openai.com/v1"
OVER = ("succeeded", "failed", "cancelled")


def test_all_sessions_are_listed_with_a_line_each() -> None:
    """The names are those of the script's functions, the lines their docstrings."""
    assert sessions() == {
        each.play.__name__: each.play.__doc__
        for each in sorted(record_sessions.SESSIONS, key=lambda each: each.play.__name__)
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_session_says_that_it_is_not_openais(name: str) -> None:
    """The header of each names the fake, and says what it is not."""
    assert header_in(session(name).read_text(), name).recorded_from == record_sessions.FROM
    assert "not OpenAI" in record_sessions.FROM


@pytest.mark.parametrize("played", record_sessions.SESSIONS, ids=NAMES)
def test_each_session_replays_to_the_client_that_recorded_it(played: Any) -> None:
    """Playing a session again asks for all that is in it, and for nothing else, at another host."""
    with use_cassette(session(played.play.__name__), on_unplayed="fail"):
        played.play(FineTuningClient(api_key="sk-other", base_url=URL, sleep=lambda seconds: None, max_retries=0))


def uploaded(client: openai.OpenAI) -> str:
    """The library's training file, uploaded by its name."""
    return client.files.create(file=training_file(), purpose="fine-tune").id


def waited(client: openai.OpenAI) -> Any:
    """A job on it once it is over."""
    job = client.fine_tuning.jobs.create(model=record_sessions.MODEL, training_file=uploaded(client))
    while job.status not in OVER:
        job = client.fine_tuning.jobs.retrieve(job.id)
    return job


def refused(kind: type[openai.APIStatusError], call: Callable[[], object]) -> int:
    """The status that a call is refused with."""
    with pytest.raises(kind) as caught:
        call()
    return caught.value.status_code


@pytest.fixture
def client() -> Any:
    """The official SDK, with retries that take no time."""
    with openai.OpenAI(base_url=URL, api_key="sk-any", max_retries=2) as made:
        made._sleep_for_retry = lambda **options: None  # type: ignore[method-assign]  # nobody waits in a test
        yield made


def test_the_official_sdk_plays_success(client: openai.OpenAI) -> None:
    """With the training file that is shipped the SDK gets to a model, and to results that are numbers."""
    with use_cassette(session("success")):
        job = waited(client)
        assert job.fine_tuned_model.startswith("ft:gpt-4o-mini-2024-07-18:")
        assert client.fine_tuning.jobs.list_events(job.id).data[0].message == "The job has successfully completed"
        assert len(client.files.content(job.result_files[0]).read()) > 1000


@pytest.mark.parametrize(("name", "status"), [("failure", "failed"), ("rate_limited", "succeeded")])
def test_the_official_sdk_plays_a_job_to_its_end(client: openai.OpenAI, name: str, status: str) -> None:
    """A failed job fails, and one that is rate limited at first succeeds after a retry."""
    with use_cassette(session(name)):
        assert waited(client).status == status


def test_the_official_sdk_plays_cancel_without_looking(client: openai.OpenAI) -> None:
    """Whoever cancels without having looked sees the job cancelled, and not running."""
    with use_cassette(session("cancel")):
        job = client.fine_tuning.jobs.create(model=record_sessions.MODEL, training_file=uploaded(client))
        client.fine_tuning.jobs.cancel(job.id)
        assert client.fine_tuning.jobs.retrieve(job.id).status == "cancelled"


def test_the_official_sdk_plays_every_refusal(client: openai.OpenAI) -> None:
    """Each recorded error is the SDK's error of that status, also when it tries again more often than was recorded."""
    jobs = client.fine_tuning.jobs
    calls: dict[str, tuple[type[openai.APIStatusError], Callable[[], object]]] = {
        "error_400": (
            openai.BadRequestError,
            lambda: jobs.create(model=record_sessions.MODEL, training_file="file-missing"),
        ),
        "error_401": (openai.AuthenticationError, jobs.list),
        "error_403": (openai.PermissionDeniedError, lambda: waited(client)),
        "error_404": (openai.NotFoundError, lambda: jobs.retrieve("ftjob-missing")),
        "error_429": (openai.RateLimitError, jobs.list),
        "error_500": (openai.InternalServerError, jobs.list),
    }
    for name, call in calls.items():
        with use_cassette(session(name)):
            assert f"error_{refused(*call)}" == name


def test_a_session_that_is_not_there_is_refused() -> None:
    """The error lists the sessions that there are."""
    with pytest.raises(CassetteFileError, match=r"there is no session 'sucess': there are cancel, dpo, .*, success"):
        session("sucess")
