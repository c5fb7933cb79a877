"""An account as a test: it runs as it was pasted, and fails where the answers are others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.page.replay_writer import write_test
from fine_tuning_fakeserver.web.in_process import call_app
from strategies import BORN, ROWS

CREATE = {"model": "gpt-4o-mini"}
FORM = b"""--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r
--b\r\nContent-Disposition: form-data; name="file"; filename="train.jsonl"\r\n\r\n%s\r\n--b--\r\n"""


def send(fake: FakeFineTuning, method: str, path: str, body: Any = None, key: str = "any") -> Any:
    """Send one request in process; return what is answered, if anything is."""
    headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = b"multipart/form-data; boundary=b" if raw.startswith(b"--b") else b"application/json"
    answer = call_app(fake.asgi_app, method, f"/v1{path}".encode(), [*headers, (b"content-type", kind)], raw)
    return json.loads(answer.body) if answer.body else None


def upload(fake: FakeFineTuning, content: str = ROWS) -> str:
    """Upload a file; return its id."""
    return str(send(fake, "POST", "/files", FORM % content.encode())["id"])


def create(fake: FakeFineTuning, file: str, **members: Any) -> str:
    """Create a job; return its id."""
    return str(send(fake, "POST", "/fine_tuning/jobs", {**CREATE, "training_file": file, **members})["id"])


def polled_job(fake: FakeFineTuning) -> None:
    """A job that is polled to its end, with its events, checkpoints and files."""
    job = create(fake, upload(fake), suffix="it's", metadata={"team": 'a "b"\n'})
    for _ in range(4):
        send(fake, "GET", f"/fine_tuning/jobs/{job}")
    for path in (f"/fine_tuning/jobs/{job}/events", f"/fine_tuning/jobs/{job}/checkpoints", "/files", "/models"):
        send(fake, "GET", path)


def steered_job(fake: FakeFineTuning) -> None:
    """Jobs whose plans, faults and interventions come by control, between requests."""
    fake.plan_next(fail_at=4, error="server_error", curve="diverge")
    file = upload(fake)
    failing = create(fake, file)
    fake.plan_all(queued=10)
    fake.plan_when(suffix="slow", seconds_per_step=30)
    other = create(fake, file, suffix="slow")
    fake.advance_to("failed", failing)
    fake.advance_to("running", other)
    fake.pause_job(other)
    fake.advance("90s")
    fake.resume_job(other)
    fake.plan_job(other, fail_at=7)
    fake.plan_job(other, outcome="succeeded", curve="overfit")
    fake.plan_job(other, fail_at=9)
    fake.delete_file(file)
    fake.name_next("file", "file-mine")
    upload(fake)
    send(fake, "GET", f"/fine_tuning/jobs/{failing}")
    send(fake, "GET", "/fine_tuning/jobs?limit=1")


def refused_requests(fake: FakeFineTuning) -> None:
    """Requests that the service refuses, or the fake, or a fault."""
    send(fake, "GET", "/fine_tuning/jobs", key="")
    send(fake, "GET", "/fine_tuning/jobs/ftjob-none")
    send(fake, "POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini"})
    send(fake, "POST", "/fine_tuning/jobs", b"{nonsense")
    send(fake, "POST", "/embeddings", {})
    fake.rate_limit(on="list_files")
    send(fake, "GET", "/files")
    fake.disconnect(on="list_models")
    send(fake, "GET", "/models")
    fake.delay(30, on="list_models")
    send(fake, "GET", "/models")
    fake.fail(500, times=None)
    fake.clear_faults()
    send(fake, "GET", "/models/gpt-4o-mini-2024-07-18")


def seeded_account(fake: FakeFineTuning) -> None:
    """Files and jobs that were put into the account, in every state."""
    file = fake.add_file(ROWS, id="file-seeded", filename="it's.jsonl")["id"]
    fake.advance("1h")
    for status in ("queued", "running", "succeeded", "cancelled", "paused"):
        fake.add_job(file, status=status, id=f"ftjob-{status}", hyperparameters={"n_epochs": 2})
    fake.add_job(file, status="failed", id="ftjob-failed", plan={"fail_at": 3})
    fake.add_job(
        file, id="ftjob-dpo", status="failed", method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2}}}
    )
    fake.add_webhook()
    send(fake, "GET", "/fine_tuning/jobs")
    fake.cancel_job("ftjob-running")
    send(fake, "GET", "/fine_tuning/jobs/ftjob-running")


def migrated_account(fake: FakeFineTuning) -> None:
    """A job that goes on in another dialect than it began in."""
    file = upload(fake)
    job = create(fake, file)
    fake.advance("1m")
    fake.dialect = "azure-2025"
    for path in (f"/fine_tuning/jobs/{job}", "/fine_tuning/jobs/ftjob-none", f"/files/{file}"):
        send(fake, "GET", path)
    create(fake, file)


HISTORIES = [polled_job, steered_job, refused_requests, seeded_account, migrated_account]


PACES: tuple[Any, ...] = ("polls", "manual", 60.0)


def test_the_test_of_an_account_passes_as_pasted(pytester: pytest.Pytester) -> None:
    """The test that an account is written as passes, whatever has happened and however time has passed."""
    for pace in PACES:
        for history in HISTORIES:
            fake = FakeFineTuning(seed=7, start=BORN, pace=pace, patience=None)
            history(fake)
            pytester.makepyfile(**{f"test_{history.__name__}_{str(pace).partition('.')[0]}": write_test(fake._world)})

    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(passed=len(PACES) * len(HISTORIES))


def test_a_test_of_an_account_fails_where_the_answers_are_others(pytester: pytest.Pytester) -> None:
    """With another plan, the same requests have other answers, and the test fails."""
    fake = FakeFineTuning(start=BORN, patience=None)
    polled_job(fake)
    text = write_test(fake._world)
    changed = text.replace("patience=None", "patience=None, plan={'fail_at': 'validation'}")

    assert changed != text
    pytester.makepyfile(changed)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(failed=1)


def test_an_account_that_has_had_scripts_becomes_no_test() -> None:
    """What a script has answered is not recorded, so the account is refused as a test, and says why."""
    fake = FakeFineTuning(start=BORN)
    fake(["running"])
    with pytest.raises(FakeUsageError, match="had scripts"):
        write_test(fake._world)


def test_keys_are_in_no_test() -> None:
    """Secrets in a request's body are not in the test."""
    fake = FakeFineTuning(start=BORN)
    wandb = {"type": "wandb", "wandb": {"project": "p", "name": "x"}}
    create(fake, upload(fake), integrations=[wandb], metadata={"api_key": "very-secret-key"})
    assert "very-secret-key" not in write_test(fake._world)


def test_large_and_dropped_files_are_replaced(pytester: pytest.Pytester) -> None:
    """A file that is too large to be pasted, and one whose bytes were dropped, are replaced by ones that do as well."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    large, lost = upload(fake, ROWS * 400), upload(fake)
    create(fake, large)
    send(fake, "DELETE", f"/files/{lost}")
    text = write_test(fake._world)

    assert len(text) < 10_000
    pytester.makepyfile(text)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
