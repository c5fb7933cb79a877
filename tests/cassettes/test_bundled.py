"""The packaged sessions are listed, labelled as recorded from the fake, reproducible, and replayed by any client."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

import record_sessions
from fine_tuning_cassettes import CassetteFileError, session, sessions, training_file, use_cassette
from fine_tuning_cassettes.cassette import FOLDER
from fine_tuning_cassettes.yaml_format import load_metadata
from fine_tuning_client import FineTuningClient
from fine_tuning_fakeserver.cli import main

pytestmark = pytest.mark.slow

NAMES = [each.play.__name__ for each in record_sessions.SESSIONS]
URL = "https://api.openai.com/v1"
FINISHED = ("succeeded", "failed", "cancelled")


def test_all_sessions_are_listed_with_a_line_each() -> None:
    """`sessions()` lists the session functions of the recording script with their docstrings."""
    assert sessions() == {
        each.play.__name__: each.play.__doc__
        for each in sorted(record_sessions.SESSIONS, key=lambda each: each.play.__name__)
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_session_says_that_it_is_not_openais(name: str) -> None:
    """The header of each session names the fake, and says that it is not OpenAI."""
    assert load_metadata(session(name).read_text(), name).recorded_from == record_sessions.FROM
    assert "not OpenAI" in record_sessions.FROM


@pytest.mark.parametrize("recorded_session", record_sessions.SESSIONS, ids=NAMES)
def test_each_session_replays_to_the_client_that_recorded_it(recorded_session: Any) -> None:
    """Playing a session again, at another host, requests exactly what was recorded."""
    with use_cassette(session(recorded_session.play.__name__), on_unplayed="fail"):
        recorded_session.play(
            FineTuningClient(api_key="sk-other", base_url=URL, sleep=lambda seconds: None, max_retries=0)
        )


def upload_training_file(client: openai.OpenAI) -> str:
    """Upload the packaged training file by its name; return its id."""
    return client.files.create(file=training_file(), purpose="fine-tune").id


def wait_for_job(client: openai.OpenAI) -> Any:
    """Create a job and poll until it is finished."""
    job = client.fine_tuning.jobs.create(model=record_sessions.MODEL, training_file=upload_training_file(client))
    while job.status not in FINISHED:
        job = client.fine_tuning.jobs.retrieve(job.id)
    return job


def status_of_refusal(kind: type[openai.APIStatusError], call: Callable[[], object]) -> int:
    """Return the status with which a call is refused."""
    with pytest.raises(kind) as caught:
        call()
    return caught.value.status_code


@pytest.fixture
def client() -> Any:
    """The official SDK, with retries that do not sleep."""
    with openai.OpenAI(base_url=URL, api_key="sk-any", max_retries=2) as made:
        made._sleep_for_retry = lambda **options: None  # type: ignore[method-assign]  # nobody waits in a test
        yield made


def test_the_official_sdk_plays_success(client: openai.OpenAI) -> None:
    """With the packaged training file the SDK gets a fine-tuned model and a result file."""
    with use_cassette(session("success")):
        job = wait_for_job(client)
        assert job.fine_tuned_model.startswith("ft:gpt-4o-mini-2024-07-18:")
        assert client.fine_tuning.jobs.list_events(job.id).data[0].message == "The job has successfully completed"
        assert len(client.files.content(job.result_files[0]).read()) > 1000


@pytest.mark.parametrize(("name", "status"), [("failure", "failed"), ("rate_limited", "succeeded")])
def test_the_official_sdk_plays_a_job_to_its_end(client: openai.OpenAI, name: str, status: str) -> None:
    """The SDK sees a recorded failure, and a success after a recorded rate limit."""
    with use_cassette(session(name)):
        assert wait_for_job(client).status == status


def test_the_official_sdk_plays_cancel_without_looking(client: openai.OpenAI) -> None:
    """A cancel without a poll before it is followed by a cancelled job, not a running one."""
    with use_cassette(session("cancel")):
        job = client.fine_tuning.jobs.create(model=record_sessions.MODEL, training_file=upload_training_file(client))
        client.fine_tuning.jobs.cancel(job.id)
        assert client.fine_tuning.jobs.retrieve(job.id).status == "cancelled"


def test_the_official_sdk_plays_every_refusal(client: openai.OpenAI) -> None:
    """Each recorded error is raised as the SDK's error of that status, even with more retries than were recorded."""
    jobs = client.fine_tuning.jobs
    calls: dict[str, tuple[type[openai.APIStatusError], Callable[[], object]]] = {
        "error_400": (
            openai.BadRequestError,
            lambda: jobs.create(model=record_sessions.MODEL, training_file="file-missing"),
        ),
        "error_401": (openai.AuthenticationError, jobs.list),
        "error_403": (openai.PermissionDeniedError, lambda: wait_for_job(client)),
        "error_404": (openai.NotFoundError, lambda: jobs.retrieve("ftjob-missing")),
        "error_429": (openai.RateLimitError, jobs.list),
        "error_500": (openai.InternalServerError, jobs.list),
    }
    for name, call in calls.items():
        with use_cassette(session(name)):
            assert f"error_{status_of_refusal(*call)}" == name


def test_a_session_that_is_not_there_is_refused() -> None:
    """An unknown session is refused with a list of the known ones."""
    with pytest.raises(CassetteFileError, match=r"unknown session 'sucess'; expected one of: cancel, dpo, .*, success"):
        session("sucess")


def test_recorded_anew_they_are_the_same(tmp_path: Path) -> None:
    """Recording the sessions again gives the same bytes as the packaged ones."""
    record_sessions.record(tmp_path)
    shipped = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    recorded = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(recorded) == sorted(shipped)
    assert [name for name in shipped if recorded[name] != shipped[name]] == []


def test_the_fake_is_verified_against_them(capsys: pytest.CaptureFixture[str]) -> None:
    """`fake-fine-tuning verify` finds no difference between the packaged sessions and the fake."""
    assert main(["verify", str(FOLDER)]) == 0
    assert ", 0 same shape, 0 differ, " in capsys.readouterr().out
