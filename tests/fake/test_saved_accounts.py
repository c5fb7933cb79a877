"""Accounts that are saved, loaded, forked, and taken back to where they were."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from account_histories import (
    CONTROLS,
    JOBS,
    PACES,
    REQUESTS,
    SCRIPTS,
    Step,
    file_of,
    histories,
    loaded,
    member,
    requests,
    run,
    send,
    views,
    with_job,
)
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.account.blobs import MUCH_BYTES
from fine_tuning_fakeserver.domain.dialects import DIALECTS
from fine_tuning_fakeserver.web.account_file import write_account
from fine_tuning_fakeserver.web.in_process import call_app
from strategies import BORN, ROWS, Http, example_count, held


@settings(max_examples=example_count(25), deadline=None)
@given(
    st.sampled_from(PACES),
    st.sampled_from(sorted(DIALECTS)),
    st.lists(st.sampled_from((*REQUESTS, *CONTROLS, *SCRIPTS)), max_size=14),
    requests,
)
def test_a_loaded_account_answers_the_same_bytes(
    pace: Any, dialect: str, history: list[Step], later: list[Step]
) -> None:
    """An account that was saved and loaded, or forked, answers a request in other bytes than the one it was."""
    http, ids = Http(FakeFineTuning(start=BORN, seed=7, pace=pace, dialect=dialect)), list[str]()
    run(http, ids, history)
    if http.fake.pace == 1e-6:
        http.fake.advance(0.5)  # so that no whole second passes while the test runs
    raw = file_of(http.fake)
    twin, fork = Http(loaded(raw)), Http(http.fake.fork())

    assert member(file_of(twin.fake), "records.jsonl") == member(raw, "records.jsonl")
    if isinstance(http.fake.pace, str):  # else the views show a time that passes
        assert views(twin) == views(fork) == views(http)
    answers = run(http, list(ids), later)
    assert run(twin, list(ids), later) == answers
    assert run(fork, list(ids), later) == answers


def with_bytes(http: Http) -> set[str]:
    """The files and uploads that have bytes."""
    account = http.fake._world.account
    return {*account.files, *account.parts}


@settings(max_examples=example_count(25), deadline=None)
@given(st.sampled_from(PACES), histories, requests)
def test_a_rewound_account_answers_as_it_did(pace: Any, history: list[Step], later: list[Step]) -> None:
    """An account that was taken back to a request answers those that followed in other bytes than before."""
    http, ids = Http(FakeFineTuning(start=BORN, seed=7, pace=pace)), list[str]()
    run(http, ids, [*history, REQUESTS[7]])
    count, owners = http.fake.requests_log.count, with_bytes(http)
    answers = run(http, list(ids), later)
    if owners - with_bytes(http):
        with pytest.raises(FakeUsageError, match="its bytes were dropped"):
            http.fake.rewind_to(request=count)
        return

    http.fake.rewind_to(request=count)

    assert http.fake.requests_log.count == count == http.fake.requests[-1].number
    assert run(http, list(ids), later) == answers


# ---- one at a time


def test_a_saved_account_is_loaded(tmp_path: Path) -> None:
    """`load` does not bring back the account, its log, or its settings for a reset."""
    http, _ = with_job(seed=3)
    http.fake.save(tmp_path / "account.zip")

    fake = FakeFineTuning.load(tmp_path / "account.zip")

    assert fake.jobs == http.fake.jobs
    assert [str(call) for call in fake.calls] == [str(call) for call in http.fake.calls]
    assert fake.settings == http.fake.settings
    assert fake.born == BORN
    fake.reset()
    assert (fake.settings.seed, fake.jobs) == (3, [])


def test_saving_at_the_same_time_leaves_a_whole_file(tmp_path: Path) -> None:
    """Of threads that save to one path, one is refused, or the file is no whole account, or parts are left."""
    http, _ = with_job()
    path = tmp_path / "account.zip"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: http.fake.save(path), range(40)))

    assert FakeFineTuning.load(path).jobs == http.fake.jobs
    assert [*tmp_path.iterdir()] == [path]


def test_a_fork_and_its_origin_go_their_own_ways() -> None:
    """A change of a fork, or of the account it was made of, changes the other."""
    http, job = with_job()
    fault = http.fake.fail(on="list_jobs", times=2)
    fork = http.fake.fork()
    before = held(fork)

    http.send("GET", f"{JOBS}/{job}")
    send(http, "GET", JOBS)
    http.fake.delete_file(http.fake.jobs[0]["training_file"])

    assert held(fork) == before
    assert (fault.fired, fork.faults[0].fired) == (1, 0)
    fork.cancel_job(job)
    assert http.fake.jobs[0]["status"] == "failed"


def test_a_fork_is_reset_as_its_origin_is(tmp_path: Path) -> None:
    """A reset of a fork begins otherwise than a reset of its origin, which has a setup file and settings of its own."""
    setup = tmp_path / "setup.json"
    setup.write_text(json.dumps({"file": [{"content": ROWS}], "fault": [{"kind": "fail", "on": "list_jobs"}]}))
    fake = FakeFineTuning.from_setup(setup, seed=3, start=BORN, pace="manual")
    fake.reset(seed=4)

    fork = fake.fork()
    assert fork.settings.seed == 4
    for each in (fake, fork):
        each.reset()

    assert (fork.settings, fork.files, fork.state()["counts"]) == (fake.settings, fake.files, fake.state()["counts"])
    assert [fault.as_json() for fault in fork.faults] == [fault.as_json() for fault in fake.faults]
    assert (fork.settings.seed, len(fork.files), len(fork.faults)) == (3, 1, 1)


def test_an_account_is_rewound_to_a_time() -> None:
    """`rewind_to(time=…)` leaves what came later, or forgets what came before."""
    http, job = with_job()
    http.fake.pace = "manual"
    http.fake.advance(100)
    http.json("POST", f"{JOBS}/{job}/cancel")
    http.fake.advance(100)

    http.fake.rewind_to(time=BORN + 99)

    assert (http.fake.now, http.fake.jobs[0]["status"]) == (BORN + 99, "running")
    assert http.fake.pace == "manual"
    assert [entry.operation for entry in http.fake.requests] == ["upload_file", "create_job"]


def test_the_beginning_is_request_0() -> None:
    """`rewind_to(request=0)` is not the account as it began, with the faults it began with."""
    fake = FakeFineTuning(start=BORN, faults=[{"kind": "fail", "on": "list_models"}])
    http = Http(fake)
    first = http.file()
    send(http, "GET", "/models")

    fake.rewind_to(request=0)

    assert (fake.requests, fake.files, [fault.fired for fault in fake.faults]) == ([], [], [0])
    assert http.file() == first


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({}, "rewind_to needs either a request or a time"),
        ({"request": 1, "time": BORN}, "rewind_to needs either a request or a time"),
        ({"request": 3}, "request must be a number from 0 to 2, the last request, got 3"),
        ({"request": -1}, "request must be a number from 0 to 2, the last request, got -1"),
        ({"request": True}, "got True"),
        ({"time": BORN - 1}, "time must be Unix seconds from 1700000000.0, when the account began, to 1700000000.0"),
        ({"time": float("nan")}, "got nan"),
    ],
)
def test_where_no_account_was_none_is_rewound_to(where: dict[str, Any], message: str) -> None:
    """A rewind to where there is no account is not refused, or changes it."""
    http, _ = with_job()
    before = held(http.fake)

    with pytest.raises(FakeUsageError) as caught:
        http.fake.rewind_to(**where)

    assert message in str(caught.value)
    assert held(http.fake) == before


def test_requests_that_the_log_forgot_cannot_be_rewound_to() -> None:
    """A rewind to a request that is not in the log any more is not refused with what is in it."""
    http, _ = with_job()
    for _ in range(1000):
        send(http, "GET", "/models/gpt-4o")
    with pytest.raises(FakeUsageError, match="request 1 is not in the request log, which has the last 1000"):
        http.fake.rewind_to(request=1)


def test_what_a_script_answered_cannot_be_taken_back() -> None:
    """An account that has had a script is rewound to something that never was."""
    http, _ = with_job()
    http.fake([None]).stop()
    with pytest.raises(FakeUsageError, match="an account that has had scripts cannot be rewound"):
        http.fake.rewind_to(request=1)


@pytest.mark.parametrize(
    "script",
    [lambda call: None, {"create_job": lambda call: None}, [lambda call: None], iter([None]), [object()], [{"a": {1}}]],
    ids=["function", "function of an operation", "function in a list", "iterator", "object", "no JSON"],
)
def test_a_script_that_is_no_data_is_not_saved(script: Any, tmp_path: Path) -> None:
    """An account with a script that cannot be stored is saved without it, or without a word why not."""
    fake = FakeFineTuning()
    running = fake(script)
    with pytest.raises(FakeUsageError, match="cannot be stored"):
        fake.save(tmp_path / "account.zip")
    assert list(tmp_path.iterdir()) == []

    running.stop()
    fake.save(tmp_path / "account.zip")


def test_keys_and_secrets_stay_behind(tmp_path: Path) -> None:
    """A saved account holds an API key, a webhook's secret, or a secret of a request."""
    secrets = [
        "sk-right-key-0123456789",
        "whsec_c2VjcmV0LW9mLWhvb2s=",
        "another-secret-of-a-hook",
        "wandb-secret-key-1",
    ]
    fake = FakeFineTuning(api_keys=[secrets[0]], webhooks=[{"url": "http://127.0.0.1:9/a", "secret": secrets[1]}])
    fake.add_webhook("http://127.0.0.1:9/b", secrets[2])
    headers = [(b"authorization", f"Bearer {secrets[0]}".encode()), (b"content-type", b"application/json")]
    body = json.dumps({"model": "x", "training_file": "y", "api_key": secrets[3]}).encode()
    call_app(fake.asgi_app, "POST", b"/v1/fine_tuning/jobs", headers, body)
    fake.save(tmp_path / "account.zip")

    with zipfile.ZipFile(tmp_path / "account.zip") as archive:
        text = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert [secret for secret in secrets if secret in text] == []

    twin = FakeFineTuning.load(tmp_path / "account.zip")
    assert call_app(twin.asgi_app, "GET", b"/v1/models", headers, b"").status == 200
    (digest,) = twin.settings.api_keys
    for key in ("wrong", digest):
        bearer = [(b"authorization", f"Bearer {key}".encode())]
        assert call_app(twin.asgi_app, "GET", b"/v1/models", bearer, b"").status == 401
    assert [webhook.url for webhook in twin.webhooks] == ["http://127.0.0.1:9/a", "http://127.0.0.1:9/b"]


def test_a_webhook_of_another_machine_is_loaded_if_allowed(tmp_path: Path) -> None:
    """A file from elsewhere lets the fake send to another machine unasked."""
    fake = FakeFineTuning(allow_remote_webhooks=True)
    fake.add_webhook("https://example.com/hook")
    fake.save(tmp_path / "account.zip")

    with pytest.raises(FakeUsageError, match="only with allow_remote_webhooks may it be on another machine"):
        FakeFineTuning.load(tmp_path / "account.zip")
    assert FakeFineTuning.load(tmp_path / "account.zip", allow_remote_webhooks=True).webhooks


def test_contents_that_were_left_out_are_said_to_be_missing() -> None:
    """A file whose bytes are not in the saved account is downloaded as if it were empty, or breaks the download."""
    http, _ = with_job()
    out = io.BytesIO()
    write_account(http.fake._world.store(), out, contents_at_most=10)

    twin = Http(loaded(out.getvalue()))

    assert twin.fake.jobs == http.fake.jobs
    answer = send(twin, "GET", f"/files/{twin.fake.files[0]['id']}/content")
    assert (answer.status, b"were dropped" in answer.body) == (400, True)


def test_the_tokens_of_contents_that_were_left_out_are_known() -> None:
    """A job on a large file whose bytes are not in the saved account has the tokens that it had had before."""
    before = Http(FakeFineTuning(start=BORN, seed=3, pace="instant"))
    file = before.file(ROWS * (MUCH_BYTES // len(ROWS) + 1))
    out = io.BytesIO()
    write_account(before.fake._world.store(), out, contents_at_most=10)
    after = Http(loaded(out.getvalue()))

    made = [http.job(training_file=file)["id"] for http in (before, after)]

    done = [http.json("GET", f"/fine_tuning/jobs/{job}") for http, job in zip((before, after), made, strict=True)]
    assert done[0] == done[1]
    assert done[0]["trained_tokens"] > 0
