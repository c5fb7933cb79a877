"""Findings about polling, models and what is left behind: sessions with the flaw, and sessions without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from callers import MODEL, Code, official, redirected
from fine_tuning_client import FineTuning, WaitTimeout
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.findings import CODES, Finding
from fine_tuning_fakeserver.findings.leaks import WAITED_LOOKS
from fine_tuning_fakeserver.findings.polling import HOT_LOOKS, LOOKS_TOO_MANY
from worlds import BORN, ROWS


@pytest.fixture
def code() -> Iterator[Code]:
    """Code under test, on a fake whose clock stands still."""
    with Code(FakeFineTuning(pace="manual", start=BORN)) as found:
        yield found


@pytest.fixture
def fake(code: Code) -> FakeFineTuning:
    """The fake that the code under test asks."""
    return code.fake


@pytest.fixture
def own(fake: FakeFineTuning) -> Iterator[None]:
    """Our own client talks to the fake."""
    with redirected(fake):
        yield


def found(fake: FakeFineTuning) -> list[tuple[str, tuple[int, ...]]]:
    """Codes and request numbers of the findings."""
    return [(finding.code, finding.requests) for finding in fake.findings]


def numbers(first: int, last: int) -> tuple[int, ...]:
    """Request numbers from *first* to *last*."""
    return tuple(range(first, last + 1))


# polled_without_pause


def test_a_loop_without_a_sleep_is_found(code: Code, fake: FakeFineTuning) -> None:
    """Twenty looks at a job that trains, with nothing between them, are a loop without a pause; nineteen are not."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    for _ in range(HOT_LOOKS - 1):
        code.look(job)
    assert found(fake) == []

    code.look(job)
    assert found(fake) == [("polled_without_pause", numbers(1, HOT_LOOKS))]


def test_a_loop_of_the_official_client_without_a_sleep_is_found(fake: FakeFineTuning) -> None:
    """A loop of the official SDK that never sleeps is found also where other things are asked for in between."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    with official(fake) as client:
        for _ in range(HOT_LOOKS):
            client.fine_tuning.jobs.retrieve(job["id"])
            client.fine_tuning.jobs.list_events(job["id"], limit=1)

    assert found(fake) == [("polled_without_pause", numbers(1, 2 * HOT_LOOKS)[::2])]


@pytest.mark.parametrize("rest", [lambda fake: fake.advance(5), lambda fake: fake.sleep(5)])
@pytest.mark.parametrize("pace", ["manual", "polls"])
def test_a_loop_that_sleeps_is_fine(
    code: Code, fake: FakeFineTuning, pace: Any, rest: Callable[[FakeFineTuning], object]
) -> None:
    """Virtual time that passes between two looks, by hand or by our client's sleep, is a pause at any pace."""
    fake.pace = pace
    job = fake.add_job(fake.add_file(ROWS)["id"], status="paused")
    for _ in range(2 * HOT_LOOKS):
        code.look(job)
        rest(fake)

    assert found(fake) == []


def test_a_sleep_that_was_replaced_is_not_held_against_anybody(
    code: Code, fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a test has replaced `time.sleep` or `asyncio.sleep`, nobody can tell who waits, and nothing is found."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    for name in ("time.sleep", "asyncio.sleep"):
        with monkeypatch.context() as patch:
            patch.setattr(name, lambda seconds: None)
            for _ in range(HOT_LOOKS):
                code.look(job)

    assert found(fake) == []


def test_a_clock_that_was_stopped_is_not_held_against_anybody(
    code: Code, fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a test has stopped the real clock, no pause can be seen, and nothing is found."""
    monkeypatch.setattr("time.monotonic", lambda: 1.0)
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    for _ in range(HOT_LOOKS):
        code.look(job)

    assert found(fake) == []


# no_terminal_check


def test_polling_on_after_the_end_is_found(code: Code, fake: FakeFineTuning) -> None:
    """A loop that does not know "cancelled", and asks five times more, is found."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    code.look(job)
    code.about(job, "/cancel")
    for _ in range(1 + LOOKS_TOO_MANY):
        code.look(job)

    (finding,) = fake.findings
    assert (finding.code, finding.requests) == ("no_terminal_check", numbers(3, 3 + LOOKS_TOO_MANY))
    assert f"job {job['id']} was cancelled, and was retrieved 5 times more" in finding.message


def test_looking_again_at_the_end_is_fine(code: Code, fake: FakeFineTuning) -> None:
    """A few looks more at a job that is over are fine, and so are any number in a loop over several jobs."""
    file = fake.add_file(ROWS)["id"]
    over, going = fake.add_job(file, status="succeeded"), fake.add_job(file, status="running")
    for _ in range(LOOKS_TOO_MANY):
        code.look(over)
    for _ in range(2 * LOOKS_TOO_MANY):
        code.look(going)
        code.look(over)

    assert found(fake) == []


# unknown_status_crashed


def poll(client: Any, job: Any, fake: FakeFineTuning, known: tuple[str, ...]) -> None:
    """Poll a job as somebody does who has a table of statuses, and crash at one that is not in it."""
    for _ in range(3):
        known.index(client.fine_tuning.jobs.retrieve(job["id"]).status)
        fake.advance(5)


def test_a_crash_at_a_pause_is_found(code: Code, fake: FakeFineTuning) -> None:
    """A poller that falls silent at a pause that somebody else made is found, and its job is not taken for leaked."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    with official(fake) as client:
        poll(client, job, fake, ("running",))
        code.about(job, "/pause")
        with pytest.raises(ValueError, match="not in tuple"):
            poll(client, job, fake, ("running",))

    assert found(fake) == [("unknown_status_crashed", (3, 5))]


def test_who_goes_on_after_a_pause_has_not_crashed(code: Code, fake: FakeFineTuning) -> None:
    """A poller that asks for anything more after a pause is fine, and so is one that has paused the job itself."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")
    with official(fake) as client:
        poll(client, job, fake, ("running",))
        code.about(job, "/pause")
        client.fine_tuning.jobs.retrieve(job["id"])
        client.fine_tuning.jobs.list_events(job["id"], limit=1)
        assert found(fake) == []
        code.about(job, "/resume")
        fake.advance_to("running")
        poll(client, job, fake, ("running",))
        client.fine_tuning.jobs.pause(job["id"])
        client.fine_tuning.jobs.retrieve(job["id"])

    assert found(fake) == []


@pytest.mark.usefixtures("own")
def test_our_client_may_stop_at_a_pause(code: Code, fake: FakeFineTuning) -> None:
    """Our own client, told to wait until a pause, has not crashed at it."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")

    def pause(seen: Any) -> None:
        if len(fake.calls) > 1 and not seen.is_paused():
            code.about(job, "/pause")

    FineTuning.retrieve_job(job["id"])
    FineTuning.retrieve_job(job["id"])
    assert FineTuning.wait_for_job(job["id"], until_paused=True, on_update=pause).is_paused()
    assert found(fake) == []


# read_model_before_success


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/models/None", None),
        ("DELETE", "/models/undefined", None),
        ("POST", "/chat/completions", {"model": None, "messages": [{"role": "user", "content": "?"}]}),
        ("POST", "/completions", {"model": "", "prompt": "?"}),
        ("POST", "/fine_tuning/jobs", {"model": None, "training_file": "file-x"}),
    ],
)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("running", "read_model_before_success"),
        ("failed", "ignored_job_error"),
        ("cancelled", "ignored_job_error"),
        ("succeeded", None),
    ],
)
def test_a_model_that_there_is_not_yet(
    code: Code, fake: FakeFineTuning, method: str, path: str, body: Any, status: str, expected: str | None
) -> None:
    """Naming nothing for a model is found after a job that trains, or that ended badly, and not after a success."""
    code.look(fake.add_job(fake.add_file(ROWS)["id"], status=status))
    code.send(method, path, json=body)

    assert found(fake) == ([(expected, (1, 2))] if expected else [])


def test_a_model_that_is_none_without_a_job_is_no_finding(code: Code, fake: FakeFineTuning) -> None:
    """Where no job was seen, a request that names no model has another cause; and a name of its own is a name."""
    code.send("GET", "/models/None")
    code.look(fake.add_job(fake.add_file(ROWS)["id"], status="running"))
    code.send("GET", "/models/nonesuch")
    code.send("POST", "/chat/completions", json={"messages": []})

    assert found(fake) == []


# ignored_job_error


def test_the_same_job_after_a_bad_file_is_found(code: Code, fake: FakeFineTuning) -> None:
    """A job that failed because of its file, asked for again as it was, is found with all three requests."""
    fake.pace, fake.plan = "polls", {"error": "invalid_training_file"}
    file = fake.add_file(ROWS)["id"]
    job = code.create(training_file=file)
    assert code.look(job)["status"] == "failed"
    code.create(training_file=file)

    assert found(fake) == [("ignored_job_error", (1, 2, 3))]


@pytest.mark.parametrize(
    ("error", "again"),
    [("server_error", {}), ("invalid_training_file", {"seed": 2}), ("invalid_training_file", {"training_file": None})],
)
def test_another_job_after_a_failure_is_fine(code: Code, fake: FakeFineTuning, error: str, again: Any) -> None:
    """A failure of the service may be tried again, and a failure of the file with another file or other options."""
    fake.pace, fake.plan = "polls", {"outcome": "failed", "error": error}
    body = {"training_file": fake.add_file(ROWS)["id"]}
    code.look(code.create(**body))
    code.create(**{name: value or fake.add_file(ROWS)["id"] for name, value in {**body, **again}.items()})

    assert found(fake) == []


# leaked_job


def test_a_job_that_was_waited_for_and_left_is_found(code: Code, fake: FakeFineTuning) -> None:
    """Who creates a job, looks five times and stops, leaves it running; four looks are no waiting."""
    job = code.create()
    for _ in range(WAITED_LOOKS - 1):
        code.look(job)
        fake.advance(1)
    assert found(fake) == []

    code.look(job)
    assert found(fake) == [("leaked_job", (1, 1 + WAITED_LOOKS))]


@pytest.mark.usefixtures("own")
def test_a_wait_that_timed_out_leaves_a_job_unless_it_is_cancelled(fake: FakeFineTuning) -> None:
    """After our client's timeout the job is left running, until it is cancelled."""
    fake.plan = {"queued": "6h"}
    job = FineTuning.create_job(fake.add_file(ROWS)["id"], MODEL)
    with pytest.raises(WaitTimeout):
        FineTuning.wait_for_job(job.id, timeout=3600)
    assert [code for code, _ in found(fake)] == ["leaked_job"]

    FineTuning.cancel_job(job.id)
    assert found(fake) == []


@pytest.mark.parametrize("ending", ["over", "paused by us", "told", "ours"])
def test_jobs_that_are_not_left(code: Code, fake: FakeFineTuning, ending: str) -> None:
    """A job that is over or paused, whose end a webhook will tell, or that a test has put there is not leaked."""
    if ending == "told":
        fake.add_webhook()
    job = code.create() if ending != "ours" else fake.add_job(fake.add_file(ROWS)["id"], status="running")
    for _ in range(WAITED_LOOKS):
        code.look(job)
        fake.advance("60s")
    if ending == "over":
        fake.advance_to("succeeded")
    if ending == "paused by us":
        code.about(job, "/pause")

    assert found(fake) == []


# leaked_file


@pytest.mark.parametrize("status", [400, 429, 503])
def test_a_file_without_a_job_is_found(code: Code, fake: FakeFineTuning, status: int) -> None:
    """A file of which no job came, and that nobody deletes, is left behind once a job is created with another."""
    fake.fail(status, on="create_job")
    code.create(training_file=code.upload())
    assert found(fake) == []

    code.create(training_file=code.upload())
    assert found(fake) == [("leaked_file", (1, 2, 4))]


@pytest.mark.parametrize("way", ["deleted", "used", "used before", "another's", "not asked for"])
def test_files_that_are_not_left(code: Code, fake: FakeFineTuning, way: str) -> None:
    """A file that is deleted, that some job uses, or that was never tried by who creates another is not leaked."""
    file = code.upload()
    if way == "used before":
        code.create(training_file=file)
    if way != "not asked for":
        code.create(training_file=file, model="gpt-9")
    if way == "deleted":
        code.send("DELETE", f"/files/{file}")
    if way == "used":
        code.create(training_file=fake.add_file(ROWS)["id"], validation_file=file)
    with Code(fake, "another") as other:
        (other if way == "another's" else code).create()

    assert found(fake) == []


# the whole


def test_findings_fail_an_assertion_unless_they_are_ignored(code: Code, fake: FakeFineTuning) -> None:
    """`assert_no_findings` names code, requests, message and hint of all findings but those to be ignored."""
    code.create(training_file=code.upload(), model="gpt-9")
    code.create()
    code.look(fake.add_job(fake.add_file(ROWS)["id"], status="running"))
    code.send("GET", "/models/null")

    with pytest.raises(AssertionError) as caught:
        fake.assert_no_findings()
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 findings:"
    assert lines[1].startswith("leaked_file (requests 1, 2, 3): file file-")
    assert lines[2] == "    delete a file when no job comes of it"
    assert lines[3].startswith("read_model_before_success (requests 4, 5): retrieve_model names no model")
    with pytest.raises(AssertionError, match=r"1 finding:\nread_model"):
        fake.assert_no_findings(ignore=["leaked_file"])
    fake.assert_no_findings(ignore=("leaked_file", "read_model_before_success"))


def test_there_are_eleven_codes() -> None:
    """Every code has one line that says what it means."""
    assert len(CODES) == 11
    assert all(line and "\n" not in line and not line.endswith(".") for line in CODES.values())


@pytest.mark.parametrize(
    ("requests", "words"),
    [((3,), "request 3"), ((3, 5), "requests 3, 5"), (numbers(2, 9), "8 requests, 2 to 9")],
)
def test_how_a_finding_is_told(requests: tuple[int, ...], words: str) -> None:
    """A finding names its request, a few of them, or how many there are and where they begin and end."""
    finding = Finding("leaked_job", "a job was left", requests, "cancel it")

    assert str(finding) == f"leaked_job ({words}): a job was left\n    cancel it"
