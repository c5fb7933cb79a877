"""`serve --log-format json`: the log as objects, for machines."""

from __future__ import annotations

import json
import logging
import signal
import socket
from collections.abc import Generator
from io import StringIO
from typing import Any

import httpx
import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.cli.json_log import JobLog, JsonAccessLog, JsonHandler
from fine_tuning_fakeserver.cli.line_queue import LineQueue
from fine_tuning_fakeserver.web.in_process import transport
from serve_process import KEY, end, line, started
from strategies import BORN, ROWS, Http


def logged(method: str, path: str, fake: FakeFineTuning | None = None) -> list[dict[str, Any]]:
    """The lines for one request."""
    fake, out = fake or FakeFineTuning(start=BORN, pace="manual"), StringIO()
    accounts = FakeAccounts.around(fake)
    app = JsonAccessLog(accounts, accounts.asgi_app, LineQueue(out))
    with httpx.Client(transport=transport(app), base_url="http://fake") as client:
        client.request(method, path, headers=KEY)
    return [json.loads(text) for text in out.getvalue().splitlines()]


def test_a_request_is_an_object() -> None:
    """A line has time, client, request id, operation, method, path, status, duration, account and time."""
    (request,) = logged("GET", "/v1/fine_tuning/jobs?limit=2")

    assert request.pop("time").endswith("Z")
    assert request.pop("duration_ms") >= 0
    assert request.pop("request_id").startswith("req_")
    assert request == {
        "level": "info",
        "message": "request",
        "client": None,  # in process
        "operation": "list_jobs",
        "status": 200,
        "method": "GET",
        "path": "/v1/fine_tuning/jobs?limit=2",
        "account": "main",
        "virtual_time": BORN,
    }


@pytest.mark.parametrize(
    ("path", "operation", "status"),
    [("/v1/nowhere", None, 404), ("/_fake/clock", "GET /_fake/clock", 200), ("/v1/files/file-x", "retrieve_file", 404)],
)
def test_every_kind_of_request_is_logged(path: str, operation: str | None, status: int) -> None:
    """Unknown paths have no operation, control requests the name of their route."""
    (request,) = logged("GET", path)

    assert (request["operation"], request["status"]) == (operation, status)


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_health_probes_are_left_out(path: str) -> None:
    """A request of a health check or of Prometheus is not logged."""
    assert logged("GET", path) == []


@pytest.mark.parametrize(
    ("path", "account"),
    [
        ("/accounts/mine/v1/models", "mine"),
        ("/accounts//mine//v1/models", "mine"),
        ("/%61ccounts/mine/v1/models", "mine"),
        ("/accounts/mine%2Fv1/models", None),
        ("/accounts/-/v1/models", None),
        ("/accounts/mine", None),
    ],
)
def test_a_request_has_the_account_that_answered_it(path: str, account: str | None) -> None:
    """A line names the account that a path was routed to, however it is spelled, and none where its name is refused."""
    (request,) = logged("GET", path)

    assert request["account"] == account


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models?api-key=secret&x=1",
        "/v1/models/sk-secret-0123456789abc",
        "/accounts/sk-secret-0123456789abc/v1/models",
        "/v1/%0a%1b",
    ],
)
def test_the_log_has_no_keys_and_cannot_be_forged(path: str) -> None:
    """Neither keys in path and query nor what a terminal would obey get into the log."""
    (request,) = logged("GET", path)

    assert "secret" not in json.dumps(request)
    assert request["path"].isprintable()


def test_a_record_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    """A log record is a line with level and members of its own, its traceback within."""
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "bug: %s", ("\x1b\n",), (type(error), error, None))
    record.members = {"job": "ftjob-1"}
    JsonHandler().handle(record)

    (text,) = capsys.readouterr().err.splitlines()
    said = json.loads(text)
    assert (said["level"], said["message"], said["job"]) == ("error", "bug: \x1b\n", "ftjob-1")
    assert "ZeroDivisionError" in said["traceback"]


def test_what_is_no_unicode_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """A message or member with half a surrogate pair, as a path may be decoded to, makes logging itself fail."""
    record = logging.LogRecord("x", logging.ERROR, "", 0, "bug: %s", ("\udc2f",), None)
    record.members = {"path": "\ud800"}
    JsonHandler().handle(record)

    said = json.loads(capsys.readouterr().err)
    assert (said["message"], said["path"]) == ("bug: \udc2f", "\ud800")


@pytest.fixture
def statuses(caplog: pytest.LogCaptureFixture) -> Generator[list[tuple[str, str]]]:
    """The statuses of jobs that were logged, with the job's id."""
    found: list[tuple[str, str]] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            members = getattr(record, "members", {})
            found.append((members["job"], members["status"]))

    handler, log = Collector(), logging.getLogger("fine_tuning_fakeserver")
    log.addHandler(handler)
    with caplog.at_level(logging.INFO, "fine_tuning_fakeserver"):
        yield found
    log.removeHandler(handler)


def test_each_status_of_a_job_is_logged_once(statuses: list[tuple[str, str]]) -> None:
    """Each new status of a job is logged, however many there are between two looks; looking moves no time."""
    fake = FakeFineTuning(start=BORN, pace="polls")
    log, job = JobLog(FakeAccounts.around(fake)), Http(fake).job()["id"]
    for _ in range(3):
        log.look()
    assert statuses == [(job, "validating_files")]

    fake.advance_to("running")
    fake.pause_job(job)
    log.look()
    fake.cancel_job(job)
    log.look()
    fake.advance("1d")
    log.look()

    assert [status for _, status in statuses] == ["validating_files", "queued", "running", "paused", "cancelled"]
    assert fake.now == BORN + 86400 + 50


def test_the_past_of_seeded_jobs_is_no_news(statuses: list[tuple[str, str]]) -> None:
    """Of jobs that are put into the account only what comes is logged; after a reset it begins anew."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    log, file = JobLog(FakeAccounts.around(fake)), fake.add_file(ROWS)["id"]
    fake.add_job(file, id="ftjob-old")
    fake.add_job(file, id="ftjob-new", status="running")
    log.look()
    assert statuses == []

    fake.advance("1d")
    log.look()
    fake.reset()
    fake.add_job(fake.add_file(ROWS)["id"], id="ftjob-new", status="queued")
    fake.advance("1d")
    log.look()

    assert statuses == [("ftjob-new", status) for status in ("succeeded", "running", "succeeded")]


@pytest.mark.slow
def test_everything_on_stderr_is_an_object() -> None:
    """Notes, requests, jobs and webhooks that nobody takes are objects on stderr; jobs are logged without a request."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        target = f"http://127.0.0.1:{gone.getsockname()[1]}/hook"
    arguments = ("--port", "0", "--log-format", "json", "--pace", "10000", "--webhook", f"{target}?token=secret")
    with started(*arguments) as process:
        url = line(process.stdout)
        with httpx.Client(base_url=url, headers=KEY, trust_env=False) as http:
            file = {"file": ("train.jsonl", b"{}\n")}
            uploaded = http.post("/files", data={"purpose": "fine-tune"}, files=file).json()["id"]
            body = {"training_file": uploaded, "model": "gpt-4o-mini"}
            job = http.post("/fine_tuning/jobs", json=body).json()["id"]
        lines = [json.loads(line(process.stderr))]
        while not {"failed"} <= {each.get("status") for each in lines} or not any("webhook" in each for each in lines):
            lines.append(json.loads(line(process.stderr)))
        process.send_signal(signal.SIGTERM)
        lines += map(json.loads, end(process).splitlines())

    assert process.returncode == 0
    assert lines[0]["message"].startswith("fake-fine-tuning ")
    assert [each["operation"] for each in lines if each["message"] == "request"] == ["upload_file", "create_job"]
    assert [each["client"].rpartition(":")[0] for each in lines if each["message"] == "request"] == ["127.0.0.1"] * 2
    assert [each["status"] for each in lines if each["message"].startswith(f"job {job} ")] == [
        "validating_files",
        "failed",
    ]
    webhook = next(each for each in lines if "webhook" in each)
    assert (webhook["webhook"], webhook["job"], webhook["url"]) == ("fine_tuning.job.failed", job, target)
    assert "secret" not in json.dumps(lines)
