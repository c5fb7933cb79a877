"""What one request walks through: calls, functions and files of this project that are entered, by four walks."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

import fine_tuning_cassettes
from fine_tuning_client import FineTuningClient
from fine_tuning_fakeserver import FakeFineTuning

PACKAGES = ("fine_tuning_", "pytest_fine_tuning")
ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
JOBS = "http://fake/v1/fine_tuning/jobs"
KEY = {"Authorization": "Bearer any"}


def walk(action: Callable[[], Any]) -> tuple[int, int, int]:
    """Return how many calls *action* makes in this project, of how many functions, in how many files."""
    entered: list[tuple[str, str, int]] = []

    def note(frame: Any, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and any(f"/{package}" in code.co_filename for package in PACKAGES):
            entered.append((code.co_filename, code.co_name, code.co_firstlineno))

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return len(entered), len(set(entered)), len({file for file, _, _ in entered})


def post_job() -> Callable[[], Any]:
    fake = FakeFineTuning(pace="manual")
    http = httpx.Client(transport=fake.transport())
    body = {"model": "gpt-4o-mini", "training_file": fake.add_file(ROW * 10)["id"]}
    http.post(JOBS, headers=KEY, json=body)
    return lambda: http.post(JOBS, headers=KEY, json=body)


def faulted_get() -> Callable[[], Any]:
    fake = FakeFineTuning(pace="manual")
    http = httpx.Client(transport=fake.transport())
    http.get(JOBS, headers=KEY)
    fake.fail(503, times=2)
    http.get(JOBS, headers=KEY)
    return lambda: http.get(JOBS, headers=KEY)


def client_create() -> Callable[[], Any]:
    fake = FakeFineTuning(pace="manual")
    answer = httpx.Client(transport=fake.transport()).post(
        JOBS, headers=KEY, json={"model": "gpt-4o-mini", "training_file": fake.add_file(ROW * 10)["id"]}
    )
    mock = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=answer.content)))
    client = FineTuningClient(api_key="any", base_url="http://fake/v1", http_client=mock)
    client.create_job("file-1", "gpt-4o-mini")
    return lambda: client.create_job("file-1", "gpt-4o-mini")


def replayed_upload() -> Callable[[], Any]:
    path = Path(tempfile.mkdtemp()) / "upload.yaml"

    def upload() -> Any:
        form = {"files": {"file": ("a.jsonl", ROW.encode() * 10)}, "data": {"purpose": "fine-tune"}}
        return httpx.post(f"{url}/files", headers=KEY, **form)

    def replay() -> None:
        with fine_tuning_cassettes.use_cassette(path, mode="none"):
            upload()

    with FakeFineTuning().serving() as url, fine_tuning_cassettes.use_cassette(path, mode="once"):
        upload()
    replay()
    return replay


def main() -> None:
    print(f"{'':18}{'calls':>8}{'functions':>11}{'files':>7}")
    for prepare in (post_job, faulted_get, client_create, replayed_upload):
        calls, functions, files = walk(prepare())
        print(f"{prepare.__name__:18}{calls:8}{functions:11}{files:7}")


if __name__ == "__main__":
    main()
