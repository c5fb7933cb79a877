"""While a large file is read, the server answers other requests."""

from __future__ import annotations

import asyncio
import json
import threading
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.account import blobs
from fine_tuning_fakeserver.account.blobs import MUCH_BYTES
from fine_tuning_fakeserver.api import files
from fine_tuning_fakeserver.domain.job_spec import JobSpec, count_tokens, read_dataset
from fine_tuning_fakeserver.domain.metrics import result_csv
from fine_tuning_fakeserver.stores import open_store
from fine_tuning_fakeserver.web.request import Connection
from strategies import BORN, ROWS, Http

pytestmark = pytest.mark.slow

MANY = (ROWS * (MUCH_BYTES // len(ROWS) + 1)).encode()
HEADERS = {"authorization": "Bearer any"}


class Reading:
    """A slow reader of files, which waits for the test."""

    def __init__(self, read: Callable[..., Any] = read_dataset) -> None:
        self.read = read
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, *arguments: Any) -> Any:
        """Read the file once the test allows it."""
        self.begun.set()
        assert self.may_end.wait(10)
        return self.read(*arguments)


@contextmanager
def during(slow: Reading, send: Callable[[], httpx.Response], answers: list[httpx.Response]) -> Iterator[None]:
    """Run the block while the file sent by *send* is being read; put the response into *answers*."""
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send)
        try:
            assert slow.begun.wait(10)
            yield
        finally:
            slow.may_end.set()
        answers.append(sent.result(10))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Reading:
    """Replace the reading of files by one that waits for the test."""
    reading = Reading()
    monkeypatch.setattr(blobs, "read_dataset", reading)
    return reading


def in_parts(client: httpx.Client, *parts: bytes) -> tuple[str, dict[str, Any]]:
    """Upload all parts of a file; return the upload's path and the body that completes it."""
    told = {"filename": "a.jsonl", "purpose": "fine-tune", "mime_type": "text/jsonl", "bytes": sum(map(len, parts))}
    path = f"/uploads/{client.post('/uploads', json=told).json()['id']}"
    sent = [client.post(f"{path}/parts", files={"data": ("x", part)}).json()["id"] for part in parts]
    return path, {"part_ids": sent}


@pytest.mark.parametrize("way", ["at once", "in parts"])
def test_others_are_answered_while_a_large_file_is_read(way: str, slow: Reading) -> None:
    """On a socket a large file that is being read delays no other request, and is accepted."""
    answers: list[httpx.Response] = []
    with FakeFineTuning(start=BORN).serving() as url, httpx.Client(base_url=url, headers=HEADERS) as client:
        path, body = in_parts(client, MANY[:1000], MANY[1000:])

        def send() -> httpx.Response:
            if way == "in parts":
                return client.post(f"{path}/complete", json=body)
            return client.post("/files", data={"purpose": "fine-tune"}, files={"file": ("a.jsonl", MANY)})

        with during(slow, send, answers):
            assert client.get("/fine_tuning/jobs", timeout=5).json()["data"] == []
            assert not answers
        assert [answer.status_code for answer in answers] == [200]
        assert [file["bytes"] for file in client.get("/files").json()["data"]] == [len(MANY)]


@pytest.mark.parametrize("is_stored", [False, True])
def test_others_are_answered_while_the_tokens_of_a_large_file_are_counted(
    is_stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a socket the tokens of a large file are counted for the first job with it, which delays no other request."""
    counting = Reading(count_tokens)
    monkeypatch.setattr(blobs, "count_tokens", counting)
    store = open_store(f"sqlite:///{tmp_path / 'accounts.db'}") if is_stored else None
    fake = FakeAccounts.around(FakeFineTuning(start=BORN), store=store)
    answers: list[httpx.Response] = []
    with fake.serving() as url, httpx.Client(base_url=url, headers=HEADERS) as client:
        file = client.post("/files", data={"purpose": "fine-tune"}, files={"file": ("a.jsonl", MANY)}).json()["id"]
        assert not counting.begun.is_set()

        def send() -> httpx.Response:
            return client.post("/fine_tuning/jobs", json={"model": "gpt-4o-mini", "training_file": file})

        with during(counting, send, answers):
            assert client.get("/fine_tuning/jobs", timeout=5).json()["data"] == []
            assert not answers
        monkeypatch.delattr(blobs, "count_tokens")  # no job counts them again
        answers.append(send())
    assert [answer.status_code for answer in answers] == [200, 200]


def test_a_large_file_has_the_tokens_of_its_rows() -> None:
    """The tokens of a large file are those of a small one with the same rows, times their number."""
    http = Http(FakeFineTuning(start=BORN, pace="instant"))

    trained = [
        http.json("GET", f"/fine_tuning/jobs/{job['id']}")["trained_tokens"]
        for rows in (ROWS, MANY)
        for job in [http.job(training_file=http.file(rows), hyperparameters={"n_epochs": 1})]
    ]

    assert trained[1] == trained[0] * (len(MANY) // len(ROWS))


def test_a_byte_order_mark_is_no_matter_once_the_file_is_accepted() -> None:
    """A large file with a byte order mark trains a job in a dialect that would not have accepted it, too."""
    http = Http(FakeFineTuning(start=BORN, dialect="azure-2025"))
    file = http.fake.add_file(BOM_UTF8 + MANY)["id"]
    http.fake.dialect = "openai-2025-09"

    assert http.job(training_file=file)["status"] == "validating_files"


@pytest.mark.parametrize(("meanwhile", "status"), [("cancel", 400), ("parts", 200)])
def test_an_upload_changes_while_its_parts_are_read(meanwhile: str, status: int, slow: Reading) -> None:
    """An upload cancelled while its parts are read cannot be completed."""
    answers: list[httpx.Response] = []
    with FakeFineTuning(start=BORN).serving() as url, httpx.Client(base_url=url, headers=HEADERS) as client:
        path, body = in_parts(client, MANY)
        with during(slow, lambda: client.post(f"{path}/complete", json=body), answers):
            files = {"data": ("x", b"")} if meanwhile == "parts" else None
            assert client.post(f"{path}/{meanwhile}", files=files).status_code == 200
        assert [answer.status_code for answer in answers] == [status]
        assert len(client.get("/files").json()["data"]) == (status == 200)


@pytest.mark.parametrize("body", [{"part_ids": []}, {"part_ids": ["part_x"]}, {}, {"md5": "0"}])
def test_a_completion_of_large_parts_that_does_not_add_up(body: dict[str, Any]) -> None:
    """An inconsistent completion is refused with the same text for large and small parts."""
    refusals = []
    for rows in (ROWS.encode(), MANY):
        with httpx.Client(
            base_url="http://x/v1", headers=HEADERS, transport=FakeFineTuning(start=BORN).transport()
        ) as client:
            path, whole = in_parts(client, rows)
            sent = {**whole, **body} if "md5" in body else body
            refusals.append(client.post(f"{path}/complete", json=sent))
    small, large = refusals

    assert (large.status_code, small.status_code) == (400, 400)
    assert large.text.replace(str(len(MANY)), str(len(ROWS))) == small.text


@pytest.mark.parametrize("pace", ["manual", "instant"])
@pytest.mark.parametrize("path", ["/v1/files", "/v1/files/{file}", "/v1/files/{file}/content"])
def test_others_use_the_account_while_a_long_result_file_is_written(
    path: str, pace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long result file is written once, and without locking the account."""
    http = Http(FakeFineTuning(start=BORN, pace=pace))
    job = http.job(training_file=http.file(ROWS * 20), hyperparameters={"n_epochs": 50, "batch_size": 1})
    if pace == "manual" or "{file}" in path:
        http.fake.advance("10d")
        (file,) = http.json("GET", f"/fine_tuning/jobs/{job['id']}")["result_files"]
        path = path.format(file=file)
    lock, free = http.fake._world.service.lock, list[bool]()

    def take() -> None:
        if lock.acquire(timeout=1):
            free.append(True)
            lock.release()

    def write(spec: JobSpec) -> Iterator[str]:
        other = threading.Thread(target=take)
        other.start()
        other.join()
        return result_csv(spec)

    monkeypatch.setattr(files, "result_csv", write)
    files.result_bytes.cache_clear()

    assert http.send("GET", path).status == http.send("GET", path).status == 200
    assert free == [True]


@pytest.mark.parametrize(("content", "status"), [(MANY, 200), (MANY + b"[]", 400)])
def test_by_hand_nothing_is_waited_for(content: bytes, status: int) -> None:
    """A large file sent in process is read at once, and refused if it is invalid."""
    http = Http(FakeFineTuning(start=BORN))

    reply = http.upload(content)

    assert reply.status == status
    assert status == 200 or "is not a dictionary" in json.loads(reply.body)["error"]["message"]


def test_a_server_of_another_make_reads_aside_where_it_can() -> None:
    """Work is done in another thread inside an event loop, and in the same thread without one."""

    async def receive() -> dict[str, Any]:
        raise AssertionError("only the fake's own server watches the client")

    async def aside() -> str:
        return await Connection().run_in_thread(lambda: threading.current_thread().name, receive, receive)

    with pytest.raises(StopIteration) as done:
        aside().send(None)

    assert done.value.value == threading.current_thread().name
    assert asyncio.run(aside()) != threading.current_thread().name


def test_another_servers_large_file() -> None:
    """A large file can be uploaded to the ASGI app behind any server."""

    async def upload() -> httpx.Response:
        transport = httpx.ASGITransport(FakeFineTuning(start=BORN).asgi_app)
        async with httpx.AsyncClient(base_url="http://x/v1", headers=HEADERS, transport=transport) as client:
            return await client.post("/files", data={"purpose": "fine-tune"}, files={"file": ("a.jsonl", MANY)})

    assert asyncio.run(upload()).json()["bytes"] == len(MANY)
