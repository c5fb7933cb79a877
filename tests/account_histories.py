"""Histories of accounts, step by step, and accounts as files: what the tests of saved accounts share."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from hypothesis import strategies as st

from fine_tuning_client import RateLimitError
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.web.account_file import read_account, write_account
from fine_tuning_fakeserver.web.in_process import InProcessResponse, call_app
from strategies import BORN, FORM, KEY, ROWS, Http, form, part_form

JOBS = "/fine_tuning/jobs"
PACES = ("manual", "polls", "instant", 1e-6)
Step: TypeAlias = Callable[[Http, list[str]], object]


def send(
    http: Http, method: str, path: str, body: Any = None, *, kind: bytes = b"application/json"
) -> InProcessResponse:
    """Send a request, without a check of the answer: it may be a fault's."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    headers = [KEY, (b"content-type", kind)]
    target = path if path.startswith("/_fake") else f"/v1{path}"
    return call_app(http.fake.asgi_app, method, target.encode(), headers, raw, 1.0)


def find(http: Http, ids: list[str], prefix: str) -> str:
    """Return the newest of *ids* with this prefix."""
    return next((each for each in reversed(ids) if each.startswith(prefix)), f"{prefix}none")


def made(ids: list[str], reply: InProcessResponse) -> InProcessResponse:
    """Keep the id that an answer has."""
    try:
        answer = json.loads(reply.body)
    except ValueError:
        return reply
    if isinstance(answer, dict) and isinstance(answer.get("id"), str):
        ids.append(answer["id"])
    return reply


def request(method: str, path: str, body: Any = None) -> Step:
    """Return a step that sends a request; JOB, FILE and UPLOAD stand for the newest of these."""

    def step(http: Http, ids: list[str]) -> InProcessResponse:
        names = {"JOB": "ftjob-", "FILE": "file-", "UPLOAD": "upload_", "PART": "part_"}
        text = json.dumps({"path": path, "body": body})
        for name, prefix in names.items():
            text = text.replace(name, find(http, ids, prefix))
        filled = json.loads(text)
        return made(ids, send(http, method, filled["path"], filled["body"]))

    return step


def upload(http: Http, ids: list[str]) -> InProcessResponse:
    """Upload a file."""
    return made(ids, send(http, "POST", "/files", form(ROWS.encode()), kind=FORM[1]))


def add_part(http: Http, ids: list[str]) -> InProcessResponse:
    """Add a part to the newest upload."""
    path = f"/uploads/{find(http, ids, 'upload_')}/parts"
    return made(ids, send(http, "POST", path, part_form(ROWS.encode()), kind=FORM[1]))


UPLOAD = {"filename": "a.jsonl", "purpose": "fine-tune", "bytes": len(ROWS), "mime_type": "text/jsonl"}
JOB = {"model": "gpt-4o-mini", "training_file": "FILE"}
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}
REQUESTS: tuple[Step, ...] = (
    upload,
    add_part,
    request("POST", JOBS, JOB),
    request("POST", JOBS, {**JOB, "metadata": {"fake_outcome": "failed", "team": "a"}}),
    *(request("POST", f"{JOBS}/JOB/{verb}") for verb in ("cancel", "pause", "resume")),
    *(request("GET", path) for path in (JOBS, f"{JOBS}?limit=1", f"{JOBS}?metadata[team]=a", "/files", "/models")),
    *(request("GET", f"{JOBS}/JOB{path}") for path in ("", "/events", "/events?limit=2", "/checkpoints")),
    *(request("GET", f"/files/FILE{path}") for path in ("", "/content")),
    request("DELETE", "/files/FILE"),
    request("POST", "/chat/completions", CHAT),
    request("POST", "/uploads", UPLOAD),
    request("POST", "/uploads/UPLOAD/complete", {"part_ids": ["PART"]}),
)
CONTROLS: tuple[Step, ...] = (
    *(lambda http, ids, by=by: http.fake.advance(by) for by in (1, 50, 1000)),
    lambda http, ids: http.fake.fail(503, times=2),
    lambda http, ids: http.fake.rate_limit(on="list_jobs", probability=0.5),
    lambda http, ids: http.fake.outage("90s"),
    lambda http, ids: http.fake.clear_faults(),
    lambda http, ids: http.fake.plan_next(fail_at=3),
    lambda http, ids: http.fake.plan_all(curve="overfit"),
    lambda http, ids: http.fake.replies("Yes.", "No."),
    lambda http, ids: http.fake.grader_scores([0.5, None]),
    lambda http, ids: http.fake.name_next("job", "ftjob-named"),
    lambda http, ids: http.fake.add_webhook(),
    *(lambda http, ids, pace=pace: setattr(http.fake, "pace", pace) for pace in PACES),
    *(lambda http, ids, name=name: setattr(http.fake, "dialect", name) for name in ("azure-2025", "openai-2025-09")),
)
SCRIPTS: tuple[Step, ...] = (
    lambda http, ids: http.fake({"create_job": ["running", {"status": "failed"}], "list_jobs": [["queued"]]}),
    lambda http, ids: http.fake([None, RateLimitError("slow down")]),
    lambda http, ids: http.fake({"list_files": [TimeoutError("gone"), {"data": []}]}, strict=True).stop(),
)
requests = st.lists(st.sampled_from(REQUESTS), max_size=12)
histories = st.lists(st.sampled_from((*REQUESTS, *CONTROLS)), max_size=14)
VIEWS = ("", "/clock", "/faults", "/webhooks", "/requests")


def run(http: Http, ids: list[str], steps: list[Step]) -> list[tuple[int, bytes, list[tuple[bytes, bytes]]]]:
    """Take all *steps*; return the answers of those that are requests."""
    replies: list[object] = []
    for step in steps:
        with suppress(FakeUsageError):  # a name that is taken
            replies.append(step(http, ids))
    return [(each.status, each.body, each.headers) for each in replies if isinstance(each, InProcessResponse)]


def views(http: Http) -> list[bytes]:
    """What the control API shows of the account."""
    return [send(http, "GET", f"/_fake{path}").body for path in VIEWS]


def file_of(fake: FakeFineTuning) -> bytes:
    """The account as a file."""
    out = io.BytesIO()
    write_account(fake._world.store(), out)
    return out.getvalue()


def member(raw: bytes, name: str) -> bytes:
    """A member of a file."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return archive.read(name)


def loaded(raw: bytes) -> FakeFineTuning:
    """A fake with the account of a file."""
    fake = FakeFineTuning()
    fake._world.restore(read_account(io.BytesIO(raw)))
    return fake


def with_job(**options: Any) -> tuple[Http, str]:
    """A fake with a job."""
    http = Http(FakeFineTuning(start=BORN, pace="polls", **options))
    return http, str(http.job(metadata={"team": "a"})["id"])
