"""Servers held to the contract: our own fake passes, wrong ones fail, and nobody pays for it unasked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.cli import main
from fine_tuning_fakeserver.conform import score
from fine_tuning_fakeserver.conform.answer_checks import conform, reference_target
from fine_tuning_fakeserver.conform.target import NO_LIMIT, Target, is_loopback
from fine_tuning_fakeserver.domain.dialects import DIALECTS
from fine_tuning_fakeserver.domain.dialects.dialect import RECORDED


@pytest.mark.parametrize("name", DIALECTS)
def test_the_fake_conforms(name: str) -> None:
    """The fake passes every check in every dialect, and each check is run."""
    results = conform(reference_target(DIALECTS[name]))

    assert {result.outcome for result in results} == {"passed"}, list(score.lines(results))
    assert score.scores(results)["all"]["score"] == 100


Body = dict[str, Any]
Change = Callable[[httpx.Request, int, Any, httpx.Headers], tuple[int, Any]]


def _member(path: str, change: Callable[[Body], object]) -> Change:
    """Change the objects that answer requests for a path, items of pages too."""

    def apply(request: httpx.Request, status: int, body: Any, headers: httpx.Headers) -> tuple[int, Any]:
        if status < 300 and isinstance(body, dict) and re.fullmatch(path, request.url.path):
            for each in body.get("data", [body]):
                change(each)
        return status, body

    return apply


def _page(path: str, change: Callable[[Body], object]) -> Change:
    def apply(request: httpx.Request, status: int, body: Any, headers: httpx.Headers) -> tuple[int, Any]:
        if status < 300 and isinstance(body, dict) and "data" in body and re.fullmatch(path, request.url.path):
            change(body)
        return status, body

    return apply


def _status(wrong: int, *statuses: int, method: str = "GET|POST|DELETE") -> Change:
    def apply(request: httpx.Request, status: int, body: Any, headers: httpx.Headers) -> tuple[int, Any]:
        return (wrong if status in statuses and re.fullmatch(method, request.method) else status), body

    return apply


def _error(change: Callable[[Body], object]) -> Change:
    def apply(request: httpx.Request, status: int, body: Any, headers: httpx.Headers) -> tuple[int, Any]:
        if status >= 400:
            change(body["error"])
        return status, body

    return apply


def _header(change: Callable[[httpx.Headers], object]) -> Change:
    def apply(request: httpx.Request, status: int, body: Any, headers: httpx.Headers) -> tuple[int, Any]:
        change(headers)
        return status, body

    return apply


def _accepts_unknown(request: httpx.Request, status: int, body: Any, headers: httpx.Headers) -> tuple[int, Any]:
    return (200, {"object": "fine_tuning.job"}) if status == 404 and "/jobs/" in request.url.path else (status, body)


def _forgets_deletion(request: httpx.Request, status: int, body: Any, headers: httpx.Headers) -> tuple[int, Any]:
    if request.method == "DELETE":
        return 200, {"object": "file", "deleted": True, "id": request.url.path.rpartition("/")[2]}
    return status, body


def _details(body: Body) -> None:
    message = body.pop("message")
    body.clear()
    body["detail"] = message


JOB, JOBS, EVENTS = "/v1/fine_tuning/jobs/[^/]+", "/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs/[^/]+/events"
FILES, CHECKPOINTS = "/v1/files(/[^/]+)?", "/v1/fine_tuning/jobs/[^/]+/checkpoints"
MUTATIONS: dict[str, Change] = {
    "creation is answered with 201": _status(201, 200, method="POST"),
    "a missing thing is a 400": _status(400, 404),
    "no key is a 403": _status(403, 401),
    "unknown jobs exist": _accepts_unknown,
    "a deletion is repeated": _forgets_deletion,
    "errors are FastAPI's": _error(_details),
    "errors have no code": _error(lambda error: error.pop("code", None)),
    "errors have another type": _error(lambda error: error.update(type="server_error")),
    "jobs lack null members": _member(JOB, lambda job: [job.pop(name) for name in list(job) if job[name] is None]),
    "times are text": _member(JOB, lambda job: job.update(created_at="2026-01-01T00:00:00Z")),
    "jobs are another object": _member(JOB, lambda job: job.update(object="fine-tune")),
    "jobs never have a model": _member(JOB, lambda job: job.update(fine_tuned_model=None)),
    "jobs end at once": _member(JOBS, lambda job: job.update(status="succeeded")),
    "job ids have no prefix": _member(
        f"{JOB}|{JOBS}", lambda job: job.update(id=str(job["id"]).removeprefix("ftjob-"))
    ),
    "pages never go on": _page(f"{EVENTS}|{JOBS}", lambda page: page.update(has_more=False)),
    "pages lack has_more": _page(EVENTS, lambda page: page.pop("has_more")),
    "events are oldest first": _page(EVENTS, lambda page: page["data"].reverse()),
    "events share an id": _member(EVENTS, lambda event: event.update(id="ftevent-1")),
    "checkpoints are of another job": _member(CHECKPOINTS, lambda each: each.update(fine_tuning_job_id="ftjob-2")),
    "files have no size": _member(FILES, lambda file: file.update(bytes=0)),
    "answers have no request id": _header(lambda headers: headers.pop("x-request-id", None)),
    "JSON is called text": _header(lambda headers: headers.update({"content-type": "text/plain"})),
}


class Mutated(httpx.BaseTransport):
    """The fake, but for one change of its answers."""

    def __init__(self, change: Change) -> None:
        self._change, self._fake = change, FakeFineTuning(pace="polls").transport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request as the fake does, and change that."""
        response: httpx.Response = self._fake.handle_request(request)
        raw = response.read()
        headers = httpx.Headers({name: value for name, value in response.headers.items() if name != "content-length"})
        if headers.get("content-type", "").startswith("application/json") and "/_fake" not in request.url.path:
            status, body = self._change(request, response.status_code, json.loads(raw), headers)
            return httpx.Response(status, headers=headers, content=json.dumps(body))
        return httpx.Response(response.status_code, headers=headers, content=raw)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_wrong_server_is_caught(name: str) -> None:
    """A fake that is wrong in one way fails a check."""
    target = Target(httpx.Client(transport=Mutated(MUTATIONS[name])), "http://x/v1", RECORDED, "k", NO_LIMIT, 0, True)

    failed = [result for result in conform(target) if result.outcome == "failed"]

    assert failed
    assert all(result.problems for result in failed)


def _target(handler: Callable[[httpx.Request], httpx.Response], budget: int = 0) -> Target:
    return Target(
        httpx.Client(transport=httpx.MockTransport(handler)), "http://x/v1", RECORDED, budget=budget, timeout_s=0
    )


def test_nothing_is_created_without_a_budget() -> None:
    """A server that may be a gateway gets no request that could create anything, whatever it answers."""
    for status in (200, 400, 500):
        seen: list[tuple[str, str]] = []

        def handler(request: httpx.Request, status: int = status, seen: list[Any] = seen) -> httpx.Response:
            seen.append((request.method, request.url.path))
            return httpx.Response(status, json={"id": "ftjob-1", "data": [{"id": "ftjob-1"}]})

        results = conform(_target(handler))

        posts = {path for method, path in seen if method != "GET"}
        assert posts
        assert all("c0nf0rm" in path for path in posts)  # ids that nobody has
        assert any(result.outcome == "not run" for result in results)


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_no_more_jobs_than_the_budget(budget: int) -> None:
    """A server that accepts whatever it is sent gets at most as many jobs as the budget has, and they are cancelled."""
    created: list[str] = []
    cancelled: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("/cancel"):
            cancelled.append(path.split("/")[-2])
        if request.method == "POST" and path == "/v1/fine_tuning/jobs":
            created.append(f"ftjob-{len(created)}")
            return httpx.Response(200, json={"id": created[-1], "status": "running"})
        return httpx.Response(200, json={"id": "file-1", "status": "running"})

    conform(_target(handler, budget))

    assert len(created) == budget
    assert set(created) <= set(cancelled)


def test_ids_of_a_server_lead_nowhere_else() -> None:
    """An id that a server makes up is one segment of a path, whatever is in it."""
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(200, json={"id": "../../admin?x=1#{job}"})

    conform(_target(handler, 2))

    assert not [path for path in seen if "/admin" in path or "x=1" in path]


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://[::1]/v1", True),
        ("http://localhost/v1", True),
        ("http://localhost.example.com/v1", False),
        ("http://127.0.0.1.nip.io/v1", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_what_is_loopback(url: str, near: bool) -> None:
    """Only this machine's own name and addresses are loopback."""
    assert is_loopback(url) is near


def test_the_command_at_a_fake(capsys: pytest.CaptureFixture[str]) -> None:
    """A fake proves by its log that it is one, so that jobs are created without a budget; each output is whole."""
    outputs = {}
    with FakeFineTuning().serving() as url:
        for flag in ("--json", "--junit", "--badge"):
            assert main(["conform", url, flag]) == 0
            outputs[flag] = capsys.readouterr().out
        assert main(["conform", url.removesuffix("/v1")]) == 0

    document = json.loads(outputs["--json"])
    assert document["is_fake"]
    assert document["scores"]["all"]["score"] == 100
    assert {"id", "area", "evidence", "page"} <= set(document["checks"][0])
    assert ElementTree.fromstring(outputs["--junit"]).get("failures") == "0"
    assert json.loads(outputs["--badge"])["message"] == "100 %"
    assert "100 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["https://api.example.com/v1", "--budget-jobs", "1"], "--i-know-this-costs"),
        (["api.example.com"], "URL must be an address"),
        (["http://127.0.0.1:9/v1", "--key-env", "NO_SUCH_VARIABLE"], "--key-env must name a variable that is set"),
        (["http://127.0.0.1:9/v1", "--budget-jobs", "-1"], "--budget-jobs must be a whole number from 0 on"),
        (["http://127.0.0.1:9/v1", "--dialect", "azur"], "--dialect must be one of"),
        (["http://127.0.0.1:9/v1"], "127.0.0.1:9 does not answer"),
    ],
)
def test_wrong_usage(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is said in a line, with exit code 2, before anything is asked."""
    assert main(["conform", *words]) == 2
    assert text in capsys.readouterr().err
