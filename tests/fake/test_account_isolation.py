"""Isolation: no route of one account shows or changes another's, and nothing but the server is shared."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.web.control_endpoints import CONTROL_OPERATIONS
from fine_tuning_fakeserver.web.in_process import InProcessResponse, call_app
from fine_tuning_fakeserver.web.operation import Operation
from fine_tuning_fakeserver.web.operations import OPERATIONS
from strategies import BORN, FORM, GRADER, KEY, ROWS, Http, everything, form, part_form
from webhook_receiver import Receiver, receiving

WHOLE_ACCOUNT = ("GET /_fake/export", "POST /_fake/import", "POST /_fake/rewind")
"""What shows real times, or needs an account without jobs or scripts: it has a test of its own."""
ROUTES = tuple(each for each in (*OPERATIONS, *CONTROL_OPERATIONS) if each.name not in WHOLE_ACCOUNT)
MESSAGES = [{"role": "user", "content": "Hello?"}]
BODIES: dict[str, Any] = {
    "create_job": {"model": "gpt-4o-mini", "training_file": "{file_id}"},
    "grant_permissions": {"project_ids": ["proj_other"]},
    "run_grader": {"grader": GRADER, "model_sample": "x", "item": {"answer": "x"}},
    "validate_grader": {"grader": GRADER},
    "upload_file": form(ROWS.encode()),
    "create_upload": {"filename": "p.jsonl", "purpose": "fine-tune", "bytes": 4, "mime_type": "text/jsonl"},
    "add_upload_part": part_form(b"more"),
    "complete_upload": {"part_ids": ["{part_id}"]},
    "create_chat_completion": {"model": "{model}", "messages": MESSAGES},
    "create_completion": {"model": "davinci-002", "prompt": "Hello"},
    "POST /_fake/reset": {"seed": 9},
    "PATCH /_fake/clock": {"pace": "polls"},
    "POST /_fake/clock/advance": {"seconds": 90},
    "POST /_fake/clock/sleep": {"seconds": 5},
    "POST /_fake/plan/next": {"outcome": "failed"},
    "POST /_fake/scripts": {"responses": ["failed"]},
    "PUT /_fake/dialect": {"dialect": "openai-2024-10"},
    "PUT /_fake/plan": {"seconds_per_step": 5},
    "PUT /_fake/jobs/{job_id}/plan": {"outcome": "failed"},
    "POST /_fake/files": {"content": ROWS, "id": "file-seeded"},
    "POST /_fake/jobs": {"training_file": "{file_id}", "id": "ftjob-seeded"},
    "POST /_fake/next": {"kind": "job", "id": "ftjob-next"},
    "POST /_fake/requests/failed_assertions": {"text": "no job", "request": None, "problems": []},
    "PUT /_fake/replies": {"replies": ["Hm."]},
    "PUT /_fake/graders": {"scores": [0.5]},
    "POST /_fake/webhooks": {},
    "POST /_fake/faults": {"kind": "fail", "on": "list_jobs"},
    "POST /_fake/plans": {"when": {"suffix": "x"}, "outcome": "failed"},
}
"""The bodies with which a route succeeds, by operation; the others need none."""
JOBS = {
    **dict.fromkeys(["cancel_job", "pause_job", "PUT /_fake/jobs/{job_id}/plan"], "running"),
    **dict.fromkeys([f"POST /_fake/jobs/{{job_id}}/{verb}" for verb in ("cancel", "pause")], "running"),
    **dict.fromkeys(["resume_job", "POST /_fake/jobs/{job_id}/resume"], "paused"),
}
"""Which job a route needs, by its status; the others a succeeded one."""


def fill(fake: FakeFineTuning) -> dict[str, str]:
    """Put something of each kind into an account; return the ids, by path parameter and by status of a job."""
    http = Http(fake)
    file = http.file()
    jobs = {status: fake.add_job(file, status=status) for status in ("succeeded", "running", "paused")}
    done = jobs["succeeded"]
    checkpoint = http.json("GET", f"/fine_tuning/jobs/{done['id']}/checkpoints")["data"][0][
        "fine_tuned_model_checkpoint"
    ]
    granted = http.json("POST", f"/fine_tuning/checkpoints/{checkpoint}/permissions", {"project_ids": ["proj_x"]})
    upload = http.json("POST", "/uploads", BODIES["create_upload"])["id"]
    part = json.loads(http.send("POST", f"/uploads/{upload}/parts", part_form(b"abcd"), (KEY, FORM)).body)["id"]
    fake.add_webhook()
    fake.fail(on="delete_file", nth=99)
    fake({"download_file": ["Hm."]}).stop()
    return {
        **{status: job["id"] for status, job in jobs.items()},
        "job_id": done["id"],
        "file_id": file,
        "model": done["fine_tuned_model"],
        "checkpoint": checkpoint,
        "permission_id": granted["data"][0]["id"],
        "upload_id": upload,
        "part_id": part,
        "script_number": "1",
        "webhook_id": fake.webhooks[0].id,
    }


def call(app: ASGIApp, root: str, operation: Operation, ids: dict[str, str]) -> InProcessResponse:
    """Request *operation* of the account at *root* with these ids."""
    ids = {**ids, "job_id": ids[JOBS.get(operation.name, "succeeded")]}
    path = re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], operation.path)
    body = BODIES.get(operation.name, b"")
    if not isinstance(body, bytes):
        text = json.dumps(body)
        for name, value in ids.items():
            text = text.replace(f'"{{{name}}}"', json.dumps(value))
        body = text.encode()
    headers = [KEY, FORM] if operation.form else [KEY]
    return call_app(app, operation.method, f"{root}{path}".encode(), headers, body)


def shown_of(fake: FakeFineTuning) -> tuple[object, ...]:
    """All that a handle shows of an account."""
    faults = [fault.as_json() for fault in fake.faults]
    return fake.describe(), fake.state(), fake.jobs, fake.files, faults, fake.webhooks, fake.webhook_deliveries


def answer_of(response: InProcessResponse) -> tuple[object, ...]:
    """All that a client sees of a response."""
    return response.status, response.headers, response.body


SETTINGS: dict[str, Any] = {"start": BORN, "pace": "manual", "project": "proj_mine"}


@pytest.mark.parametrize("operation", ROUTES, ids=lambda operation: operation.name)
def test_an_account_does_not_know_what_another_has(operation: Operation) -> None:
    """Each route, asked in an empty account for what another has, answers as if that one were not there, and changes
    nothing of it."""
    accounts, lone = FakeAccounts(**SETTINGS), FakeFineTuning(**SETTINGS)
    others = [accounts.account("a"), accounts.main]
    ids, _ = (fill(other) for other in others)
    before = [(everything(other), shown_of(other), other.requests) for other in others]

    answer = call(accounts.asgi_app, "/accounts/b", operation, ids)

    assert answer_of(answer) == answer_of(call(lone.asgi_app, "", operation, ids))
    assert [(everything(other), shown_of(other), other.requests) for other in others] == before


@pytest.mark.parametrize("operation", ROUTES, ids=lambda operation: operation.name)
def test_an_account_changes_nothing_of_its_twin(operation: Operation) -> None:
    """Each route, asked with ids that three accounts have, succeeds in its own as in a lone fake, and changes
    nothing of the others."""
    accounts, lone = FakeAccounts(**SETTINGS), FakeFineTuning(**SETTINGS)
    mine, others = accounts.account("b"), [accounts.account("a"), accounts.main]
    ids = [fill(fake) for fake in (*others, mine, lone)]
    assert all(each == ids[0] for each in ids)
    before = [(everything(other), shown_of(other), other.requests) for other in others]

    answer = call(accounts.asgi_app, "/accounts/b", operation, ids[0])

    assert answer.status < 300, answer.body
    assert answer_of(answer) == answer_of(call(lone.asgi_app, "", operation, ids[0]))
    assert shown_of(mine) == shown_of(lone)
    assert [(everything(other), shown_of(other), other.requests) for other in others] == before


def test_saving_and_rewinding_concern_one_account() -> None:
    """An account that is exported, imported or rewound is another's, or changes another's."""
    accounts = FakeAccounts(**SETTINGS)
    mine, other, copy = (accounts.account(name) for name in ("a", "b", "c"))
    mine.add_job(Http(mine).file())
    other.add_job(Http(other).file(), status="running")
    before = everything(other), shown_of(other), other.requests

    exported = call_app(accounts.asgi_app, "GET", b"/accounts/a/_fake/export", [KEY], b"")
    imported = call_app(accounts.asgi_app, "POST", b"/accounts/c/_fake/import", [KEY], exported.body)
    assert (imported.status, copy.jobs, copy.files) == (200, mine.jobs, mine.files)
    rewound = call_app(accounts.asgi_app, "POST", b"/accounts/a/_fake/rewind", [KEY], b'{"request": 1}')

    assert (rewound.status, mine.jobs, len(copy.jobs)) == (200, [], 1)
    assert (everything(other), shown_of(other), other.requests) == before


def test_clocks_paces_faults_scripts_and_logs_are_the_accounts_own() -> None:
    """Time, pace, plans, faults, scripts, replies, request numbers and findings of one account are not another's."""
    accounts = FakeAccounts(**SETTINGS)
    mine, other = accounts.account("a"), accounts.account("b")
    mine.advance("1h")
    mine.plan_all(outcome="failed")
    mine.fail(503, on="list_jobs", times=1)
    mine.replies("Mine.")
    mine.name_next("file", "file-mine")
    assert (other.now, other.plan, other.faults) == (BORN, accounts.main.plan, [])

    app = accounts.asgi_app
    list_jobs = next(each for each in OPERATIONS if each.name == "list_jobs")
    with mine({"list_models": [{"data": []}]}):
        statuses = [call(app, f"/accounts/{name}", list_jobs, {"succeeded": ""}).status for name in "bab"]
        shown = [call_app(app, "GET", f"/accounts/{name}/v1/models".encode(), [KEY], b"").body for name in "ab"]
    assert statuses == [200, 503, 200]
    assert [len(json.loads(body)["data"]) > 0 for body in shown] == [False, True]
    assert ([entry.number for entry in mine.requests], len(other.requests), accounts.main.requests) == ([1, 2], 3, [])
    assert Http(other).file() != "file-mine"
    mine.reset()
    assert len(other.files) == 1


def test_webhooks_go_where_their_own_account_has_them() -> None:
    """The end of a job is announced to the targets of its own account, signed with their secret, and to no other's."""
    receivers = [Receiver(), Receiver()]
    accounts = FakeAccounts(pace="manual")
    with receiving(*receivers):
        for name, receiver in zip("ab", receivers, strict=True):
            fake = accounts.account(name)
            fake.add_webhook(receiver.url, secret=f"whsec_{name}{name}{name}=")
        for name in "ab":
            fake = accounts.account(name)
            job = fake.add_job(fake.add_file(ROWS)["id"], status="running", id=f"ftjob-{name}")
            fake.advance_to("succeeded", job["id"])
        for name, receiver in zip("ab", receivers, strict=True):
            assert receiver.next(f"whsec_{name}{name}{name}=").data.id == f"ftjob-{name}"
            assert receiver.got.empty()


def session(url: str) -> list[tuple[int, str | None, bytes]]:
    """Train a model by raw requests at the base URL; return what a client saw of each answer."""
    seen = []

    with httpx.Client(base_url=f"{url}/", headers={"authorization": "Bearer any"}, trust_env=False) as client:

        def ask(method: str, path: str, **body: Any) -> Any:
            answer = client.request(method, path, **body)
            seen.append((answer.status_code, answer.headers.get("x-request-id"), answer.content))
            return answer.json()

        files = {"purpose": (None, "fine-tune"), "file": ("t.jsonl", ROWS)}
        file = ask("POST", "files", files=files)["id"]
        job = ask("POST", "fine_tuning/jobs", json={"model": "gpt-4o-mini", "training_file": file})["id"]
        while ask("GET", f"fine_tuning/jobs/{job}")["status"] != "succeeded":
            ask("GET", f"fine_tuning/jobs/{job}/events?limit=5")
        ask("GET", f"fine_tuning/jobs/{job}/checkpoints")
        ask("DELETE", f"files/{file}")
    return seen


def test_parallel_sessions_see_what_a_lone_one_sees() -> None:
    """Sessions in threads against one server, each in an account of its own, get the bytes and the request ids that a
    lone one gets."""
    with FakeFineTuning(start=BORN, seed=5) as lone:
        expected = session(lone.base_url)

    with FakeAccounts(start=BORN, seed=5) as accounts, ThreadPoolExecutor(8) as pool:
        urls = [accounts.main.base_url.replace("/v1", f"/accounts/t{number}/v1") for number in range(12)]
        sessions = list(pool.map(session, [accounts.main.base_url, *urls]))

    assert all(seen == expected for seen in sessions)
    assert len(expected) > 8
