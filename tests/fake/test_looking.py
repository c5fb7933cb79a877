"""Assertions about the code under test: when they pass, when they fail, and their messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from clients import MODEL, Code, official
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.account.recorded_calls import Call
from fine_tuning_fakeserver.account.request_log import BODY_BYTES_AT_MOST, ENTRIES_AT_MOST
from fine_tuning_fakeserver.web.operations import OPERATIONS
from strategies import BORN, ROWS


@pytest.fixture
def code() -> Iterator[Code]:
    """Code under test, on a fake whose time stands still."""
    with Code(FakeFineTuning(pace="manual", start=BORN)) as found:
        yield found


@pytest.fixture
def fake(code: Code) -> FakeFineTuning:
    """The fake of the code under test."""
    return code.fake


def failing(assertion: Callable[[], object]) -> str:
    """The message of an assertion that must fail."""
    with pytest.raises(AssertionError) as caught:
        assertion()
    return str(caught.value)


def test_a_created_job_is_seen(code: Code, fake: FakeFineTuning) -> None:
    """assert_job_created finds a job by any member, by part of a nested one, by predicate, and by count."""
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 1}}}
    job = code.create(suffix="mine", seed=0, metadata={"k": "v", "other": "x"}, method=method)

    fake.assert_job_created()
    fake.assert_job_created(suffix="mine", model=MODEL, seed=0, training_file=job["training_file"], job_id=job["id"])
    fake.assert_job_created(metadata={"k": "v"}, method={"supervised": {"hyperparameters": {"n_epochs": 2}}})
    fake.assert_job_created(lambda call: call.options["suffix"].startswith("m"), times=1, validation_file=None)
    fake.assert_job_not_created(suffix="yours").assert_job_not_created(metadata={"k": "w"})


@pytest.mark.parametrize(
    "assertion",
    [
        lambda fake: fake.assert_job_created(suffix="yours"),
        lambda fake: fake.assert_job_created(seed=1),
        lambda fake: fake.assert_job_created(suffix=None),
        lambda fake: fake.assert_job_created(metadata={"k": "v", "more": "x"}),
        lambda fake: fake.assert_job_created(lambda call: False),
        lambda fake: fake.assert_job_created(times=2),
        lambda fake: fake.assert_job_created(times=0),
        lambda fake: fake.assert_job_not_created(),
        lambda fake: fake.assert_job_not_created(metadata={"k": "v"}),
        lambda fake: fake.assert_no_jobs_created(),
        lambda fake: fake.assert_job_cancelled(),
        lambda fake: fake.assert_job_paused(),
        lambda fake: fake.assert_job_resumed(),
        lambda fake: fake.assert_job_retrieved(),
        lambda fake: fake.assert_file_uploaded(),
        lambda fake: fake.assert_file_deleted(),
        lambda fake: fake.assert_model_deleted(),
        lambda fake: fake.assert_called("list_jobs"),
        lambda fake: fake.assert_called("create_job", status=400),
        lambda fake: fake.assert_called("create_job", times=3),
        lambda fake: fake.assert_not_called("create_job"),
        lambda fake: fake.assert_not_called("create_job", suffix="mine"),
        lambda fake: fake.assert_called_in_order("create_job", "create_job"),
        lambda fake: fake.assert_called_in_order("create_job", "cancel_job"),
        lambda fake: fake.assert_nothing_called(),
    ],
)
def test_what_did_not_happen_fails(code: Code, fake: FakeFineTuning, assertion: Callable[[Any], object]) -> None:
    """Any assertion about something that did not happen fails and lists the requests."""
    code.create(suffix="mine", seed=0, metadata={"k": "v"})

    assert re.search(r"\n   1  create_job .*suffix='mine'.* → 200 ftjob-\w+$", failing(lambda: assertion(fake)))


def test_what_happened_passes(code: Code, fake: FakeFineTuning) -> None:
    """The assertion for each operation passes once it was requested, for any or for one object."""
    first, second = code.create(), code.create()
    fake.advance_to("running", first["id"])
    code.about(first, "/pause")
    code.about(first, "/resume")
    code.about(second, "/cancel")
    code.look(first)
    file = code.upload()
    code.send("DELETE", f"/files/{file}")

    fake.assert_job_created(times=2)
    fake.assert_job_paused().assert_job_paused(first["id"], times=1)
    fake.assert_job_resumed().assert_job_resumed(first["id"])
    fake.assert_job_cancelled().assert_job_cancelled(second["id"]).assert_job_not_cancelled(first["id"])
    fake.assert_job_retrieved(first["id"], times=1).assert_job_retrieved(second["id"], times=0)
    fake.assert_file_deleted().assert_file_deleted(file, times=1)
    fake.assert_called_in_order("create_job", "pause_job", "cancel_job", "delete_file")
    assert "job_id: expected" in failing(lambda: fake.assert_job_cancelled(first["id"]))
    assert "happened in request 5" in failing(lambda: fake.assert_job_not_cancelled(second["id"]))


def test_a_deleted_model_is_seen(code: Code, fake: FakeFineTuning) -> None:
    """assert_model_deleted finds a deleted model by its name."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="succeeded")
    model = job["fine_tuned_model"]
    code.send("DELETE", f"/models/{model}")

    fake.assert_model_deleted().assert_model_deleted(model, times=1)
    assert f"model_id: expected 'ft:x', was '{model}'" in failing(lambda: fake.assert_model_deleted("ft:x"))


def test_an_upload_is_seen(code: Code, fake: FakeFineTuning) -> None:
    """assert_file_uploaded finds an upload by name, size and purpose, and keeps no content."""
    file = code.upload("rows.jsonl")

    fake.assert_file_uploaded(filename="rows.jsonl", purpose="fine-tune", bytes=len(ROWS), file_id=file, times=1)
    (call,) = fake.calls_to("upload_file")
    assert call.options == {"filename": "rows.jsonl", "purpose": "fine-tune", "bytes": len(ROWS)}
    assert call.file_id == file
    said = failing(lambda: fake.assert_file_uploaded(filename="other.jsonl", purpose="evals"))
    assert "    filename: expected 'other.jsonl', was 'rows.jsonl'\n    purpose: expected 'evals', was" in said


def test_what_was_refused_is_not_created_but_called(code: Code, fake: FakeFineTuning) -> None:
    """A refused create counts as a call and not as a created job, and the failure shows the refusal."""
    code.create(model="gpt-9")

    fake.assert_no_jobs_created().assert_called("create_job", times=1, status=400, model="gpt-9")
    said = failing(lambda: fake.assert_job_created(model="gpt-9"))
    assert "nearest: request 1\n    it had no effect: status 400\nrecorded:\n   1  create_job" in said
    assert " → 400 Model gpt-9 is not available" in said


def test_what_a_fault_hides_has_happened_all_the_same(code: Code, fake: FakeFineTuning) -> None:
    """A call with an effect counts even if its response was lost; one without effect does not, even with 200."""
    fake.fail(500, on="create_job", applied=True)
    fake.malformed(on="create_job")
    file = fake.add_file(ROWS)["id"]
    for suffix in ("lost", "spoilt"):
        code.http.post("/fine_tuning/jobs", json={"model": MODEL, "training_file": file, "suffix": suffix})

    fake.assert_job_created(suffix="lost").assert_job_not_created(suffix="spoilt")
    assert [job["user_provided_suffix"] for job in fake.jobs] == ["lost"]
    said = failing(fake.assert_nothing_called)
    assert " → 500 by fault 'fail'" in said
    assert " → 200 by fault 'malformed'" in said


def test_a_failure_names_the_nearest_call(code: Code, fake: FakeFineTuning) -> None:
    """A failure shows the call with the fewest different fields, with expected and actual values."""
    code.create(suffix="far", seed=1)
    near = code.create(suffix="near", seed=2, metadata={"k": "v"}, method={"type": "supervised"})
    wanted: dict[str, Any] = {"suffix": "near", "seed": 3, "metadata": {"k": "w", "l": "x"}, "method": {"type": "dpo"}}

    said = failing(lambda: fake.assert_job_created(**wanted))

    assert said.splitlines()[:7] == [
        "job created with suffix='near', seed=3, metadata={'k': 'w', 'l': 'x'}, method={'type': 'dpo'}: "
        "expected at least once, happened never",
        "nearest: request 2",
        "    seed: expected 3, was 2",
        "    metadata.k: expected 'w', was 'v'",
        "    metadata.l: expected 'x', was not sent",
        "    method.type: expected 'dpo', was 'supervised'",
        "recorded:",
    ]
    assert said.splitlines()[8].endswith(f" → 200 {near['id']}")
    assert len(said.splitlines()) == 9


def test_a_predicate_that_says_no_is_named(code: Code, fake: FakeFineTuning) -> None:
    """A failure says if only the predicate rejected a call, and with too many calls names no nearest one."""
    code.create()

    said = failing(lambda: fake.assert_job_created(lambda call: False, model=MODEL))
    assert f"job created with model='{MODEL}' that the predicate accepts: expected at least once" in said
    assert "nearest: request 1\n    the predicate said no\n" in said
    assert "nearest" not in failing(lambda: fake.assert_job_created(times=0))


def test_a_failure_shows_the_last_twenty(code: Code, fake: FakeFineTuning) -> None:
    """A failure lists the newest twenty requests, one line of bounded length each, and their total."""
    for _ in range(30):
        code.create(suffix="s" * 60, metadata={"k": "v" * 500})

    lines = failing(lambda: fake.assert_job_not_created()).splitlines()

    assert lines[1] == "recorded, the last 20 of 30:"
    assert [int(line.split()[0]) for line in lines[2:]] == list(range(11, 31))
    assert max(map(len, lines[1:])) < 180


def test_an_order_that_was_not_kept(code: Code, fake: FakeFineTuning) -> None:
    """A failed order assertion says how much of the order was found."""
    job = code.create()
    code.about(job, "/cancel")

    fake.assert_called_in_order("create_job", "cancel_job").assert_called_in_order("cancel_job")
    said = failing(lambda: fake.assert_called_in_order("cancel_job", "create_job", "list_jobs"))
    assert said.startswith("expected cancel_job → create_job → list_jobs: after cancel_job there was no create_job\n")
    said = failing(lambda: fake.assert_called_in_order("list_jobs"))
    assert said.startswith("expected list_jobs: there was no list_jobs\n")


def test_lists_are_seen_as_they_were_asked_for(code: Code, fake: FakeFineTuning) -> None:
    """In a call's options `limit` is a number, metadata a mapping, and ``metadata=null`` is None."""
    code.send("GET", "/fine_tuning/jobs?limit=10&after=x&metadata[a]=1&metadata[b]=2&metadata=null&metadata[c]=3")
    code.send("GET", "/fine_tuning/jobs?metadata%5Ba%5D=1&metadata%5Bb%5D=2&limit=many")

    nothing, pairs = fake.calls_to("list_jobs")
    assert nothing.options == {"limit": 10, "after": "x", "metadata": None}
    assert pairs.options == {"limit": "many", "metadata": {"a": "1", "b": "2"}}
    fake.assert_called("list_jobs", lambda call: call.options["limit"] == 10)
    fake.assert_called("list_jobs", metadata={"b": "2"}, times=1)


def test_calls_of_what_is_no_route(code: Code, fake: FakeFineTuning) -> None:
    """A request to an unknown path is a call without an operation, shown by method and path."""
    code.send("GET", "/engines")

    assert [(call.operation, call.status, call.accepted) for call in fake.calls] == [(None, 404, False)]
    assert "   1  GET /v1/engines → 404 Unknown request URL" in failing(fake.assert_nothing_called)


def test_a_call_tells_when_and_by_whom(code: Code, fake: FakeFineTuning) -> None:
    """A call has its virtual times, user agent and response."""
    job = code.create()
    fake.advance("90s")
    code.look(job)

    created, retrieved = fake.calls
    assert (created.at, retrieved.begun_at, retrieved.at) == (BORN, BORN + 90, BORN + 90)
    assert created.user_agent == "code"
    assert (retrieved.job_id, retrieved.answer["status"]) == (job["id"], "running")
    assert (created.file_id, created.model_id, created.retry, created.fault) == (None, None, 0, None)


def test_the_official_client_is_seen() -> None:
    """Calls of the official SDK have its argument names, and their retry count."""
    fake = FakeFineTuning(pace="polls", start=BORN)
    with official(fake) as client:
        file = client.files.create(file=("train.jsonl", ROWS.encode()), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(model=MODEL, training_file=file.id, suffix="sdk", metadata={"k": "v"})
        fake.fail(503, on="retrieve_job", retry_after=0.001)
        client.fine_tuning.jobs.retrieve(job.id)
        client.fine_tuning.jobs.list(limit=5, metadata={"k": "v"})
        client.fine_tuning.jobs.cancel(job.id)

    fake.assert_file_uploaded(filename="train.jsonl", purpose="fine-tune", bytes=len(ROWS))
    fake.assert_job_created(suffix="sdk", metadata={"k": "v"}, training_file=file.id, times=1)
    fake.assert_called("list_jobs", limit=5, metadata={"k": "v"}).assert_job_cancelled(job.id)
    assert [(call.status, call.retry) for call in fake.calls_to("retrieve_job")] == [(503, 0), (200, 1)]
    assert fake.calls[0].user_agent.startswith("OpenAI/Python")
    fake.assert_no_findings()


@pytest.mark.parametrize(
    ("assertion", "words"),
    [
        (lambda fake: fake.assert_called("create_jobs"), "did you mean 'create_job'?"),
        (lambda fake: fake.assert_not_called("zzz"), "unknown operation 'zzz'; expected one of: create_job, "),
        (lambda fake: fake.assert_not_called(None), "unknown operation None"),
        (lambda fake: fake.calls_to("uploadfile"), "did you mean 'upload_file'?"),
        (lambda fake: fake.assert_called_in_order("create_job", "cancel"), "unknown operation 'cancel'"),
        (lambda fake: fake.assert_called_in_order(), "needs the names of operations"),
        (lambda fake: fake.assert_job_created(sufix="x"), "create_job has no field 'sufix' (did you mean 'suffix'?)"),
        (
            lambda fake: fake.assert_job_not_created(models="x"),
            "create_job has no field 'models' (did you mean 'model'",
        ),
        (
            lambda fake: fake.assert_not_called("list_files", metadata={}),
            "list_files has no field 'metadata'; there are",
        ),
        (
            lambda fake: fake.assert_file_uploaded(name="x"),
            "upload_file has no field 'name' (did you mean 'filename'?)",
        ),
        (
            lambda fake: fake.assert_job_created("file-1"),
            "predicate must be a function that takes a Call, got",
        ),
        (lambda fake: fake.assert_job_not_created(lambda call: None), "the predicate returned None"),
        (lambda fake: fake.assert_job_created(times=-1), "times must be a whole number from 0, got -1"),
        (lambda fake: fake.assert_job_created(times=True), "times must be a whole number from 0, got True"),
        (lambda fake: fake.assert_job_not_cancelled("ftjob-x"), "there is no job 'ftjob-x'"),
        (lambda fake: fake.assert_job_cancelled(object()), "must be a string such as job.id, got"),
        (
            lambda fake: fake.assert_job_cancelled(fake.jobs[0]),
            "job_id must be a string such as job.id, got {'object': ",
        ),
        (lambda fake: fake.assert_file_deleted({}), "file_id must be a string such as file.id, got {}"),
        (lambda fake: fake.assert_no_findings(ignore=["leaked_jobs"]), "did you mean 'leaked_job'?"),
        (lambda fake: fake.assert_no_findings(ignore=[{}]), "unknown finding {}"),
        (lambda fake: fake.assert_no_findings(ignore=3), "ignore must be a collection of codes of findings, got 3"),
        (lambda fake: fake.cancel_job(fake.jobs[0]), "job must be a string such as job.id, got {'object': "),
        (lambda fake: fake.pause_job(fake.jobs[0]), "job must be a string such as job.id, got {'object': "),
        (lambda fake: fake.resume_job(None), "job must be a string such as job.id, got None"),
        (lambda fake: fake.delete_file({}), "file must be a string such as file.id, got {}"),
        (lambda fake: fake.plan_job(fake.jobs[0], fail_at=3), "job must be a string such as job.id, got {'object': "),
        (lambda fake: fake.advance_to("running", fake.jobs[0]), "job must be a string such as job.id, got {'object': "),
    ],
)
def test_questions_that_make_no_sense(
    code: Code, fake: FakeFineTuning, assertion: Callable[[Any], object], words: str
) -> None:
    """An assertion with an unknown name or a value of a wrong type is a usage error."""
    code.create()
    with pytest.raises(FakeUsageError) as caught:
        assertion(fake)
    assert words in str(caught.value)


def test_a_field_that_was_sent_can_be_asked_for(code: Code, fake: FakeFineTuning) -> None:
    """A field that the API lacks can be asserted only for an operation to which it was sent."""
    code.create(priority="high")

    fake.assert_called("create_job", priority="high", status=400)
    fake.assert_not_called("create_chat_completion", temperature=0)
    with pytest.raises(FakeUsageError, match="no field 'priority'"):
        fake.assert_not_called("list_jobs", priority="high")


def test_a_predicate_that_breaks_says_where(code: Code, fake: FakeFineTuning) -> None:
    """An exception in a predicate has a note with the call."""
    code.create()
    with pytest.raises(KeyError) as caught:
        fake.assert_job_not_created(lambda call: call.options["sufix"] == "x")
    assert "the predicate was looking at    1  create_job" in caught.value.__notes__[0]


ALL_NEGATIVE: list[Callable[[FakeFineTuning], object]] = [
    lambda fake: fake.assert_nothing_called(),
    lambda fake: fake.assert_no_jobs_created(),
    lambda fake: fake.assert_job_not_created(model="x"),
    lambda fake: fake.assert_job_not_cancelled(),
    lambda fake: fake.assert_not_called("create_job"),
    lambda fake: fake.assert_job_created(times=0),
    lambda fake: fake.assert_no_findings(),
]


@pytest.mark.parametrize("assertion", ALL_NEGATIVE)
def test_nothing_passes_on_a_fake_that_nobody_could_reach(assertion: Callable[[FakeFineTuning], object]) -> None:
    """On a fake that could not be reached every assertion is a usage error."""
    with pytest.raises(FakeUsageError, match="nobody could have reached this fake"):
        assertion(FakeFineTuning())

    transported, handed_out, served = FakeFineTuning(), FakeFineTuning(), FakeFineTuning()
    transported.transport()
    assert callable(handed_out.asgi_app)
    with served.serving():
        assertion(served)
    for fake in (transported, handed_out, served):
        assertion(fake)


def test_a_reset_closes_what_is_no_longer_open() -> None:
    """After a reset a fake counts as reachable only if it is served or has handed out a transport."""
    fake = FakeFineTuning()
    with fake.serving():
        fake.reset()
        fake.assert_nothing_called()
    fake.reset()
    with pytest.raises(FakeUsageError, match="nobody could have reached"):
        fake.assert_nothing_called()
    fake.transport()
    fake.reset()
    fake.assert_nothing_called()


@pytest.mark.parametrize(
    "assertion",
    [
        lambda fake: fake.assert_job_cancelled("ftjob-typo", times=0),
        lambda fake: fake.assert_job_retrieved("ftjob-typo", times=0),
        lambda fake: fake.assert_not_called("cancel_job", job_id="ftjob-typo"),
        lambda fake: fake.assert_not_called("cancel_job", job_id=None),
        lambda fake: fake.assert_job_not_created(job_id="ftjob-typo"),
        lambda fake: fake.assert_file_deleted("file-typo", times=0),
    ],
)
def test_that_nothing_happened_to_what_never_was_says_nothing(
    assertion: Callable[[FakeFineTuning], object], code: Code, fake: FakeFineTuning
) -> None:
    """Asserting that nothing was done to an unknown object is a usage error that names the known ones."""
    job = code.create()
    with pytest.raises(FakeUsageError, match=r"there is no (job|file) .*the newest are: (ftjob|file)-"):
        assertion(fake)
    fake.assert_job_cancelled(job["id"], times=0).assert_not_called("cancel_job", job_id=job["id"])
    fake.assert_file_deleted(job["training_file"], times=0)


def test_an_id_that_was_asked_for_in_vain_can_be_asserted(code: Code, fake: FakeFineTuning) -> None:
    """An id that was requested or deleted can be asserted on, even if it does not exist."""
    code.about({"id": "ftjob-none"}, method="GET")
    fake.assert_not_called("cancel_job", job_id="ftjob-none")
    fake.delete_file(file := fake.add_file(ROWS)["id"])
    fake.assert_not_called("download_file", file_id=file)


def test_a_retired_fake_asserts_nothing(fake: FakeFineTuning) -> None:
    """After `finish_test` every assertion is a usage error until a reset."""
    fake.transport()
    fake.finish_test()
    with pytest.raises(FakeUsageError, match="the test that this fake was for is over"):
        fake.assert_nothing_called()
    fake.reset()
    fake.assert_nothing_called()


def test_what_the_log_has_forgotten_is_not_guessed(code: Code, fake: FakeFineTuning) -> None:
    """An assertion that depends on requests dropped from the log is a usage error."""
    code.create(suffix="old")
    for _ in range(ENTRIES_AT_MOST):
        code.send("GET", "/models/gpt-4o")

    fake.assert_called("retrieve_model")
    failing(lambda: fake.assert_not_called("retrieve_model"))
    failing(lambda: fake.assert_called("retrieve_model", times=3))
    assert f"there were {ENTRIES_AT_MOST + 1}\n" in failing(fake.assert_nothing_called)
    said = failing(lambda: fake.assert_called("retrieve_model", times=3))
    assert f"happened at least {ENTRIES_AT_MOST} times" in said
    assert f"recorded, the last 20 of {ENTRIES_AT_MOST + 1}:" in said
    unknown: list[Callable[[], object]] = [
        fake.assert_job_created,
        lambda: fake.assert_job_created(suffix="old"),
        lambda: fake.assert_called("retrieve_model", times=ENTRIES_AT_MOST),
        lambda: fake.assert_called("retrieve_model", times=ENTRIES_AT_MOST + 1),
        fake.assert_no_jobs_created,
        lambda: fake.assert_called_in_order("create_job", "retrieve_model"),
        fake.assert_no_findings,
    ]
    for assertion in unknown:
        with pytest.raises(FakeUsageError, match="keeps the last 1000 requests, and has forgotten 1"):
            assertion()


def test_a_body_that_was_cut_is_not_guessed(code: Code, fake: FakeFineTuning) -> None:
    """A field of a body that was cut cannot be asserted on, and the number of calls can."""
    code.create(suffix="x" * BODY_BYTES_AT_MOST)

    fake.assert_called("create_job", times=1)
    with pytest.raises(FakeUsageError, match="request 1 has a body of more than 64 KiB"):
        fake.assert_not_called("create_job", suffix="x")


def test_every_operation_can_be_asked_for(fake: FakeFineTuning) -> None:
    """Each operation of the API can be asserted on, with ``status``."""
    for operation in OPERATIONS:
        fake.assert_not_called(operation.name, status=200)


def test_assertions_can_be_chained(code: Code, fake: FakeFineTuning) -> None:
    """Every assertion that passes returns the fake."""
    job = code.create()
    chained = fake.assert_job_created().assert_job_not_created(suffix="x").assert_job_not_cancelled(job["id"])
    chained = chained.assert_called("create_job").assert_not_called("list_jobs").assert_called_in_order("create_job")
    assert chained.assert_no_findings() is fake
    fake.reset()
    assert fake.assert_no_jobs_created().assert_nothing_called() is fake
    assert failing(fake.assert_job_created).endswith("happened never\nrecorded: no request at all")


def test_calls_are_frozen(code: Code, fake: FakeFineTuning) -> None:
    """Reading the calls twice gives equal frozen values."""
    code.create()

    assert fake.calls == fake.calls
    assert isinstance(fake.calls[0], Call)


def test_bodies_that_cannot_be_printed(code: Code, fake: FakeFineTuning) -> None:
    """A call with a deeply nested body is listed without that value."""
    nested = b"[" * 1000 + b"]" * 1000
    code.send("POST", "/fine_tuning/jobs", content=b'{"training_file": "f", "model": ' + nested + b"}")

    assert "   1  create_job training_file='f' model=" in failing(fake.assert_nothing_called)
    fake.assert_no_findings()


@pytest.mark.parametrize("dialect", ["azure-2025", "openai-2023-11"])
def test_other_dialects_are_seen_alike(dialect: str) -> None:
    """Calls in other dialects have the same names, and no findings."""
    fake = FakeFineTuning(pace="manual", start=BORN, dialect=dialect)
    with Code(fake) as code:
        file = code.upload()
        job = code.create(training_file=file, suffix="mine")
        seen = [code.look(job)["status"] for _ in range(3)]
        fake.advance_to("running")
        code.about(job, "/pause")
        code.about(job, "/cancel")

    assert set(seen) <= {"pending", "validating_files", "queued", "running"}
    fake.assert_file_uploaded(file_id=file).assert_job_created(suffix="mine", training_file=file, job_id=job["id"])
    fake.assert_job_retrieved(job["id"], times=3).assert_job_paused(job["id"]).assert_job_cancelled(job["id"])
    fake.assert_no_findings()


def test_requests_over_a_socket_are_seen() -> None:
    """Requests over a socket are found like those in process, even after the server has stopped."""
    fake = FakeFineTuning(pace="polls", start=BORN)
    with fake.serving() as url, openai.OpenAI(base_url=url, api_key="any") as client:
        file = client.files.create(file=("train.jsonl", ROWS.encode()), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(model=MODEL, training_file=file.id)
        client.fine_tuning.jobs.cancel(job.id)

    fake.assert_called_in_order("upload_file", "create_job", "cancel_job").assert_job_cancelled(job.id, times=1)
    fake.assert_file_uploaded(filename="train.jsonl", bytes=len(ROWS)).assert_no_findings()
