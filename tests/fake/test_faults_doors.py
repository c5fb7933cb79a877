"""Every kind of fault as clients see it, in process and on a socket."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from types import ModuleType
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx
import httpx2
import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.domain.fault_spec import KINDS
from fine_tuning_fakeserver.web.request import Connection
from strategies import BORN, ROWS, everything

pytestmark = pytest.mark.slow

HEADERS = {"authorization": "Bearer any"}
LIBRARIES = {"httpx": httpx, "httpx2": httpx2}
Ask: TypeAlias = Callable[[FakeFineTuning, str, float], Any]
"""Sends a GET to a path, once, and waits for so many seconds; gives the response, or raises."""


@pytest.fixture(scope="module")
def serving() -> Generator[FakeFineTuning, None, None]:
    """A fake on a socket for the whole module."""
    fake = FakeFineTuning()
    with fake.serving():
        yield fake


@pytest.fixture
def fake(serving: FakeFineTuning, caplog: pytest.LogCaptureFixture) -> Iterator[FakeFineTuning]:
    """The fake with a fresh account, which must log no warning."""
    serving.reset(start=BORN, pace="manual")
    yield serving
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def in_process(library: ModuleType) -> Ask:
    """A blocking client on the fake's transport."""

    def ask(fake: FakeFineTuning, path: str, timeout: float) -> Any:
        with library.Client(transport=fake.transport(library), base_url="http://fake/v1", headers=HEADERS) as client:
            return client.get(path, timeout=timeout)

    return ask


def in_process_async(library: ModuleType) -> Ask:
    """An async client on the fake's transport."""

    async def ask(fake: FakeFineTuning, path: str, timeout: float) -> Any:
        transport = fake.transport(library)
        async with library.AsyncClient(transport=transport, base_url="http://fake/v1", headers=HEADERS) as client:
            return await client.get(path, timeout=timeout)

    return lambda fake, path, timeout: asyncio.run(ask(fake, path, timeout))


def on_a_socket(library: ModuleType) -> Ask:
    """A blocking client on a socket."""

    def ask(fake: FakeFineTuning, path: str, timeout: float) -> Any:
        with library.Client(base_url=fake.base_url, headers=HEADERS) as client:
            return client.get(path, timeout=timeout)

    return ask


def on_a_socket_async(library: ModuleType) -> Ask:
    """An async client on a socket."""

    async def ask(fake: FakeFineTuning, path: str, timeout: float) -> Any:
        async with library.AsyncClient(base_url=fake.base_url, headers=HEADERS) as client:
            return await client.get(path, timeout=timeout)

    return lambda fake, path, timeout: asyncio.run(ask(fake, path, timeout))


SHORT_S, LONG_S = 0.25, 10.0


def patience(kind: str) -> float:
    """The timeout of a client: long, or short for a delay."""
    return SHORT_S if kind == "delay" else LONG_S


DOORS: dict[str, Ask] = {
    f"{way.__name__}-{name}": way(library)
    for way in (in_process, in_process_async, on_a_socket, on_a_socket_async)
    for name, library in LIBRARIES.items()
}
OWN = {"delay": {"seconds": 60}, "outage": {"duration": 60}, "rate_limit": {"retry_after": 3}}
SEEN: dict[str, int | str] = {
    "fail": 500,
    "rate_limit": 429,
    "delay": "ReadTimeout",
    "disconnect": "RemoteProtocolError",
    "refuse": "ConnectError",
    "truncate": "RemoteProtocolError",
    "malformed": 200,
    "outage": 503,
}
"""What a client sees of each kind: a status, or an error."""

NO_ANSWER = {"delay", "disconnect", "refuse"}


def arm(fake: FakeFineTuning, kind: str, **aim: Any) -> Any:
    """Arm a fault of this kind."""
    return getattr(fake, kind)(**OWN.get(kind, {}), **aim)


def test_every_kind_is_seen() -> None:
    """The table `SEEN` has every kind of fault."""
    assert list(SEEN) == list(KINDS)


@pytest.mark.parametrize("kind", SEEN)
@pytest.mark.parametrize("door", DOORS)
def test_what_clients_see(fake: FakeFineTuning, door: str, kind: str) -> None:
    """A fault is a status or the HTTP library's own error; it is logged, and the next request succeeds."""
    fault = arm(fake, kind)
    wanted = SEEN[kind] if (kind, "socket" in door) != ("refuse", True) else "ReadError"
    before = everything(fake)[0]

    try:
        seen: int | str = DOORS[door](fake, "models", patience(kind)).status_code
    except (httpx.HTTPError, httpx2.HTTPError) as error:
        seen = type(error).__name__
        raised: Any = error
    else:
        raised = None

    assert seen == wanted
    assert not raised or (type(raised).__module__, raised.request.method) == (door.rpartition("-")[2], "GET")
    [exchange] = fake.requests
    answered = 0 if kind in NO_ANSWER else 200 if kind == "truncate" else wanted
    assert (exchange.operation, exchange.status, exchange.fault) == ("list_models", answered, kind)
    assert (fault.fired, fault.requests) == (1, [1])
    if kind != "delay":
        assert everything(fake)[0] == before
    fake.clear_faults()
    assert DOORS[door](fake, "models", LONG_S).json()["object"] == "list"


SDK_SEES = {
    "fail": openai.InternalServerError,
    "rate_limit": openai.RateLimitError,
    "delay": openai.APITimeoutError,
    "disconnect": openai.APIConnectionError,
    "refuse": openai.APIConnectionError,
    "truncate": openai.APIConnectionError,
    "outage": openai.InternalServerError,
}


@pytest.mark.parametrize("kind", SDK_SEES)
def test_what_the_official_sdk_sees(fake: FakeFineTuning, kind: str) -> None:
    """The SDK raises its own error for each fault, blocking and async, and succeeds after it."""
    file = fake.add_file(ROWS)["id"]
    wanted: dict[str, Any] = {"model": "gpt-4o-mini", "training_file": file}
    made: dict[str, Any] = {"base_url": fake.base_url, "api_key": "any", "timeout": patience(kind), "max_retries": 0}

    async def create_async() -> Any:
        async with openai.AsyncOpenAI(**made) as client:
            return await client.fine_tuning.jobs.create(**wanted)

    def create() -> Any:
        with openai.OpenAI(**made) as client:
            return client.fine_tuning.jobs.create(**wanted)

    for ask in (create, lambda: asyncio.run(create_async())):
        jobs = len(fake.jobs)
        arm(fake, kind, on="create_job")
        with pytest.raises(openai.APIError) as caught:
            ask()
        assert type(caught.value) is SDK_SEES[kind]
        assert len(fake.jobs) == jobs
        fake.clear_faults()
        made["timeout"] = LONG_S
        assert ask().id == fake.jobs[0]["id"]
        made["timeout"] = patience(kind)


@pytest.mark.parametrize("kind", ["fail", "disconnect", "truncate", "malformed", "delay"])
@pytest.mark.parametrize("place", ["in process", "socket"])
def test_a_job_is_made_and_nobody_is_told(fake: FakeFineTuning, place: str, kind: str) -> None:
    """With `applied` the client sees the failure and the job is created once."""
    body = {"model": "gpt-4o-mini", "training_file": fake.add_file(ROWS)["id"]}
    arm(fake, kind, applied=True)
    transport = fake.transport() if place == "in process" else None

    with httpx.Client(base_url=fake.base_url, transport=transport, headers=HEADERS, timeout=patience(kind)) as client:
        try:
            answer = client.post("fine_tuning/jobs", json=body)
        except httpx.RequestError:
            pass
        else:
            assert answer.status_code == 500 or not answer.text.startswith("{")

    assert [job["training_file"] for job in fake.jobs] == [body["training_file"]]


@pytest.mark.parametrize("door", [name for name in DOORS if "process" in name])
@pytest.mark.parametrize(
    ("late", "moved", "answered"),
    [(SHORT_S / 2, SHORT_S / 2, True), (SHORT_S, SHORT_S, True), (3600, SHORT_S, False)],
)
def test_nobody_waits_in_process(fake: FakeFineTuning, door: str, late: float, moved: float, answered: bool) -> None:
    """In process a delay moves virtual time by the delay, or by the client's timeout."""
    fake.delay(late)

    try:
        assert DOORS[door](fake, "models", SHORT_S).status_code == 200
    except (httpx.ReadTimeout, httpx2.ReadTimeout):
        assert not answered
    else:
        assert answered

    assert fake.now - BORN == pytest.approx(moved, abs=1e-6)
    assert fake.requests[0].status == (200 if answered else 0)


def test_a_client_that_waits_for_ever(fake: FakeFineTuning) -> None:
    """In process a client without a timeout gets its response after a virtual day."""
    fake.delay("1d")

    with httpx.Client(transport=fake.transport(), base_url="http://fake/v1", headers=HEADERS, timeout=None) as client:
        assert client.get("models").status_code == 200
    assert fake.now == BORN + 86400


def test_a_delay_on_a_socket_is_real(fake: FakeFineTuning) -> None:
    """On a socket a delayed response takes real time, other requests do not wait, and virtual time stands still."""
    fake.delay(0.2, on="list_models")

    async def both() -> list[str]:
        came: list[str] = []
        async with httpx.AsyncClient(base_url=fake.base_url, headers=HEADERS, timeout=5) as client:

            async def get(path: str) -> None:
                assert (await client.get(path)).status_code == 200
                came.append(path)

            slow = asyncio.create_task(get("models"))
            while not fake.requests:
                await asyncio.sleep(0)
            await get("files")
            await slow
        return came

    assert asyncio.run(both()) == ["files", "models"]
    assert fake.now == BORN
    assert [(each.number, each.operation, each.status) for each in fake.requests] == [
        (1, "list_models", 200),
        (2, "list_files", 200),
    ]


def test_a_client_that_has_gone_has_called_for_nothing(fake: FakeFineTuning) -> None:
    """A call whose client times out during a delay has no effect and is logged without a response."""
    fake.delay(60)
    body = {"model": "gpt-4o-mini", "training_file": fake.add_file(ROWS)["id"]}

    with httpx.Client(base_url=fake.base_url, headers=HEADERS) as client, pytest.raises(httpx.ReadTimeout):
        client.post("fine_tuning/jobs", json=body, timeout=SHORT_S)

    assert [(each.operation, each.status) for each in fake.requests] == [("create_job", 0)]
    assert fake.jobs == []


def test_a_server_that_stops_during_a_delay(caplog: pytest.LogCaptureFixture) -> None:
    """A server stops at once during a delayed request, disconnects the client, and logs no warning."""
    fake = FakeFineTuning()
    seen: list[type[Exception]] = []

    def ask() -> None:
        try:
            httpx.get(f"{url}/models", headers=HEADERS, timeout=30)
        except httpx.HTTPError as error:
            seen.append(type(error))

    fake.delay(30)
    with fake.serving() as url:
        client = threading.Thread(target=ask)
        client.start()
        while not fake.requests:
            pass
    client.join(5)

    assert seen == [httpx.RemoteProtocolError]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_server_that_stops_while_nobody_waits() -> None:
    """An idle connection is closed when the server stops."""
    fake = FakeFineTuning()
    with httpx.Client(headers=HEADERS) as client:
        with fake.serving() as url:
            assert client.get(f"{url}/models").status_code == 200
        with pytest.raises(httpx.HTTPError):
            client.get(f"{url}/models")


@pytest.mark.parametrize(("stays", "stayed"), [(True, True), (False, False)])
def test_a_line_is_held_whatever_a_server_says_meanwhile(stays: bool, stayed: bool) -> None:
    """A delay ends early only if the server reports that the client has disconnected."""
    said = [{"type": "http.request"}, *([] if stays else [{"type": "http.disconnect"}])]

    async def receive() -> dict[str, Any]:
        if not said:
            await asyncio.Event().wait()
        return said.pop(0)

    assert asyncio.run(Connection().delay(0.01 if stays else LONG_S, receive, abs)) is stayed


def raw(fake: FakeFineTuning, method: str = "GET") -> bytes:
    """Everything that the server sends on a raw socket until it is closed.

    Raises:
        ConnectionResetError: it was reset.
    """
    parts = urlsplit(fake.base_url)
    with socket.create_connection((parts.hostname, parts.port), 5) as connection:
        connection.sendall(
            f"{method} /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer any\r\n\r\n".encode()
        )
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_bytes_on_the_wire(fake: FakeFineTuning) -> None:
    """On the wire disconnect sends nothing, refuse resets the connection, and truncate sends half of the body."""
    fake.disconnect()
    assert raw(fake) == b""

    fake.refuse()
    with pytest.raises(ConnectionResetError):
        raw(fake)

    fake.truncate(applied=True)
    head, _, body = raw(fake).partition(b"\r\n\r\n")
    length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split()[1])
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(body) == length // 2

    fake.truncate()
    head, _, body = raw(fake, "HEAD").partition(b"\r\n\r\n")
    assert (head[:12], body) == (b"HTTP/1.1 200", b"")


@pytest.mark.parametrize("kind", SEEN)
def test_a_head_request_in_process(fake: FakeFineTuning, kind: str) -> None:
    """A HEAD request meets the same faults as a GET, without a body."""
    arm(fake, kind)

    with httpx.Client(transport=fake.transport(), headers=HEADERS, timeout=patience(kind)) as client:
        if kind in NO_ANSWER:
            with pytest.raises(httpx.RequestError) as caught:
                client.head("http://fake/v1/models")
            assert type(caught.value).__name__ == SEEN[kind]
        else:
            answer = client.head("http://fake/v1/models")
            assert (answer.status_code, answer.content) == (200 if kind == "truncate" else SEEN[kind], b"")


@pytest.mark.parametrize("kind", SEEN)
def test_a_server_of_another_make(fake: FakeFineTuning, kind: str) -> None:
    """Behind another ASGI server, faults that close the connection become a 502 that says so, and others work."""
    file = fake.add_file(ROWS)["id"]
    if kind == "delay":
        fake.delay(0.02)
    else:
        arm(fake, kind)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=fake.asgi_app)
        async with httpx.AsyncClient(transport=transport, base_url="http://fake/v1", headers=HEADERS) as client:
            return await client.get(f"files/{file}")

    answer = asyncio.run(ask())

    wanted = 502 if kind in ("disconnect", "refuse", "truncate") else 200 if kind == "delay" else SEEN[kind]
    assert (answer.status_code, fake.requests[0].status) == (wanted, wanted)
    if wanted == 502:
        error = json.loads(answer.text)["fake_error"]
        assert f"cannot close a client's connection, as the fault '{kind}' would" in error
