"""What a request and a test cost, counted in calls of Python functions, which no slow machine changes.

A bound is what was counted on Python 3.11 and a tenth. Who raises one says in the commit what the work is for.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import httpx
import pytest

from fine_tuning_client import FineTuningClient, check_training_file
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web.in_process import call_app
from pytest_fine_tuning.fixture import directed_clients
from pytest_fine_tuning.network_guard import PATCHES_BY_MODULE
from pytest_fine_tuning.options import DEFAULT_OPTIONS
from strategies import BORN

ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
HEADERS = [(b"authorization", b"Bearer any"), (b"content-type", b"application/json"), (b"host", b"localhost")]
JOB = "ftjob-work0000000000000000000"


def work_of(run: Callable[[], Any], warm_up: int = 5) -> tuple[int, int]:
    """How many Python functions *run* calls, once it has run so often before, and of how many files."""
    for _ in range(warm_up):
        run()
    files: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            files.append(frame.f_code.co_filename)

    before = sys.getprofile()
    gc.collect()
    gc.disable()  # it calls functions of others' objects, at any time
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
        gc.enable()
    return len(files), len(set(files))


def request(fake: FakeFineTuning, method: str, path: str, body: bytes = b"") -> Callable[[], None]:
    """Make one request in process, which is answered with 200."""

    def run() -> None:
        assert call_app(fake.asgi_app, method, f"/v1{path}".encode(), HEADERS, body).status == 200

    return run


@pytest.fixture
def fake() -> FakeFineTuning:
    """A fake with 20 jobs."""
    fake = FakeFineTuning(start=BORN, pace="manual", patience=None)
    file = fake.add_file(ROW * 10)["id"]
    for number in range(20):
        fake.add_job(file, id=JOB if not number else None)
    return fake


def test_the_work_of_retrieving_a_job(fake: FakeFineTuning) -> None:
    """A job that is retrieved again takes no more calls, in no more files, than was agreed."""
    calls, files = work_of(request(fake, "GET", f"/fine_tuning/jobs/{JOB}"))
    assert calls <= 96
    assert files <= 25


def test_the_work_of_listing_jobs(fake: FakeFineTuning) -> None:
    """A page of 20 jobs takes no more calls, in no more files, than was agreed."""
    calls, files = work_of(request(fake, "GET", "/fine_tuning/jobs"))
    assert calls <= 232
    assert files <= 25


def test_the_work_of_creating_a_job(fake: FakeFineTuning) -> None:
    """A job that is created takes no more calls, in no more files, than was agreed."""
    file = fake.files[0]["id"]
    body = f'{{"model": "gpt-4o-mini", "training_file": "{file}"}}'.encode()
    calls, files = work_of(request(fake, "POST", "/fine_tuning/jobs", body))
    assert calls <= 260
    assert files <= 40


def test_the_work_of_a_reset(fake: FakeFineTuning) -> None:
    """An account that is begun anew takes no more calls, in no more files, than was agreed."""
    calls, files = work_of(fake.reset)
    assert calls <= 60
    assert files <= 20


@pytest.mark.parametrize(("path", "call"), [("jobs/ftjob-1", "retrieve_job"), ("jobs", "list_jobs")])
def test_the_work_of_the_client(path: str, call: str) -> None:
    """An operation of the client takes no more calls beyond those of httpx for the same request than was agreed."""
    job = {"id": "ftjob-1", "status": "running", "model": "m", "training_file": "f", "created_at": 1}
    body = job if call == "retrieve_job" else {"object": "list", "data": [job], "has_more": False}
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=body)))
    client = FineTuningClient("openai", api_key="sk-1", base_url="http://localhost/v1", http_client=http)
    headers = {"Accept": "*/*", "User-Agent": "fine-tuning-client", "Authorization": "Bearer sk-1"}

    def ask() -> None:
        url = f"http://localhost/v1/fine_tuning/{path}"
        http.request("GET", url, headers=headers, timeout=60.0, follow_redirects=False).json()

    bare, _ = work_of(ask)
    ours, _ = work_of(lambda: getattr(client, call)(*path.split("/")[1:]))
    assert ours - bare <= {"retrieve_job": 67, "list_jobs": 79}[call]


def test_the_work_of_directing_clients(fake: FakeFineTuning) -> None:
    """Clients that are directed to a test's fake take no more calls, in no more files, than was agreed."""

    for name in PATCHES_BY_MODULE:  # the guard patches those that other tests have imported
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)

    def direct() -> None:
        with directed_clients(fake, DEFAULT_OPTIONS, None):
            pass

    with fake.reached_at("http://127.0.0.1:1/v1"):
        calls, files = work_of(direct)
    assert calls <= 288
    assert files <= 19


def account_of(jobs: int) -> FakeFineTuning:
    """A fake with jobs that have ended."""
    fake = FakeFineTuning(start=BORN, pace="manual", patience=None)
    file = fake.add_file(ROW * 10)["id"]
    for _ in range(jobs):
        fake.add_job(file, status="succeeded")
    return fake


@pytest.mark.parametrize(("path", "a_job"), [("/v1/files?limit=1", 0), ("/_fake", 13)])
def test_the_work_of_the_first_look_at_many_jobs(path: str, a_job: int) -> None:
    """The first page of files, or the first summary of an account, takes more calls for each job that has ended."""
    counts = []
    for jobs in (110, 110, 330):  # the first imports what it needs
        look = partial(call_app, account_of(jobs).asgi_app, "GET", path.encode(), HEADERS, b"")
        counts.append(work_of(look, warm_up=0)[0])
    assert counts[2] <= counts[1] + 220 * a_job


def test_the_work_of_rows(fake: FakeFineTuning) -> None:
    """An upload, and a check without tokens, of thousands of plain rows more takes no more calls by row."""

    def upload(rows: int) -> Callable[[], None]:
        content = (ROW * rows).encode()
        body = b'--b\r\ncontent-disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        form = body % (b"purpose", b"", b"fine-tune") + body % (b"file", b'; filename="a"', content) + b"--b--\r\n"
        headers = [*HEADERS[:1], (b"content-type", b"multipart/form-data; boundary=b"), *HEADERS[2:]]

        def run() -> None:
            assert call_app(fake.asgi_app, "POST", b"/v1/files", headers, form).status == 200

        return run

    def check(rows: int) -> Callable[[], None]:
        content = (ROW * rows).encode()
        return lambda: None if check_training_file(content, tokens="none").ok else pytest.fail("no sound file")

    for act in (upload, check):
        few, many = (work_of(act(rows))[0] for rows in (4000, 24_000))
        assert many - few <= 500  # some for each block of lines
