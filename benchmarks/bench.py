"""What the fake costs, as ratios: two things measured side by side in one run, in interleaved rounds, by their medians.

Ratios are what one machine and the next agree on; absolute times are shown and never judged. All of it takes less than
a minute; ``scripts/bench in_process`` measures that figure alone.
"""

from __future__ import annotations

import asyncio
import gc
import io
import multiprocessing
import random
import socket
import statistics
import string
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx
import httpx2
import openai
import orjson
import uvicorn
import vcr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fine_tuning_cassettes import use_cassette
from fine_tuning_client import FineTuningClient, check_training_file
from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.web.in_process import call_app
from fine_tuning_fakeserver.web.server import bind, config

ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
KEY = [(b"authorization", b"Bearer sk-bench")]
JOB = "ftjob-bench0000000000000000000"
ROLES = ("system", "user", "assistant")
JOB_PATH = f"/v1/fine_tuning/jobs/{JOB}"
ROUNDS = 15
CONNECTIONS = 8

Call = Callable[[], object]


def main(names: list[str]) -> None:
    figures = {figure.__name__: figure for figure in FIGURES}
    for name in names or figures:
        print(figures[name](), flush=True)


# ---- measuring


def medians(first: Call, second: Call, calls: int, rounds: int = ROUNDS) -> tuple[float, float]:
    """Microseconds a call of each, in rounds that take turns, so that a busy machine troubles both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(-1, rounds):  # the first round warms up
        for call, measured in zip((first, second), times, strict=True):
            spent = _timed(call, calls)
            if turn >= 0:
                measured.append(spent / calls * 1e6)
    return statistics.median(times[0]), statistics.median(times[1])


def _timed(call: Call, calls: int) -> float:
    gc.collect()
    gc.disable()
    begun = time.perf_counter()
    for _ in range(calls):
        call()
    spent = time.perf_counter() - begun
    gc.enable()
    return spent


def line(what: str, ratio: float, aim: str, detail: str) -> str:
    return f"{what:<52} {ratio:6.2f}   aim {aim:<8} {detail}"


# ---- one job over a socket, beside a bare route


def account(**settings: Any) -> FakeFineTuning:
    """A fake with one finished job."""
    fake = FakeFineTuning(start=1_760_000_000, **settings)
    fake.add_job(fake.add_file(ROW * 10)["id"], id=JOB)
    return fake


def bare_route(body: bytes) -> Starlette:
    """What Starlette does at the least: route a request, and answer with these bytes."""

    async def endpoint(_: Request) -> Response:
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/v1/fine_tuning/jobs/{job_id}", endpoint)])


def _serve_bare(pipe: Connection, is_fast: bool) -> None:
    app = bare_route(call_app(account().asgi_app, "GET", JOB_PATH.encode(), KEY, b"").body)
    listener = bind()
    pipe.send(listener.getsockname())
    settings = config(app, is_fast=is_fast)
    settings.http = HttpToolsProtocol if is_fast else H11Protocol  # uvicorn's own
    uvicorn.Server(settings).run(sockets=[listener])


@contextmanager
def bare(is_fast: bool) -> Iterator[tuple[str, int]]:
    """A bare route on uvicorn's own protocol, in a process of its own; gives its address."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve_bare, args=(there, is_fast), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.terminate()
        process.join()


def command(*words: str, is_fast: bool = True) -> list[str]:
    """The command line, with the extra ``[fast]`` or as if that were not installed."""
    missing = {} if is_fast else {"httptools": None, "uvloop": None}
    code = f"import sys; sys.modules |= {missing}; from fine_tuning_fakeserver.cli import main; sys.exit(main())"
    return [sys.executable, "-c", code, *words]


@contextmanager
def serve(*options: str, is_fast: bool) -> Iterator[tuple[str, int]]:
    """The command `serve`, whose log goes to a file; gives its address."""
    with TemporaryDirectory() as folder:
        saved = Path(folder, "account.zip")
        account(pace=60).save(saved)  # the server's default
        words = command("serve", "--port=0", f"--load={saved}", *options, is_fast=is_fast)
        with Path(folder, "log").open("w") as log, subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log) as one:
            assert one.stdout
            parts = urlsplit(one.stdout.readline().decode().strip())
            try:
                yield str(parts.hostname), int(parts.port or 0)
            finally:
                one.terminate()


@contextmanager
def asked(address: tuple[str, int], method: str = "GET", path: str = JOB_PATH, body: bytes = b"") -> Iterator[Call]:
    """Gives a call that sends a request on each of several connections, and waits for the responses."""
    connections = [socket.create_connection(address) for _ in range(CONNECTIONS)]
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sk-bench\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body if body else f"{head}\r\n".encode()
    try:
        yield lambda: _ask_all(connections, request)
    finally:
        for connection in connections:
            connection.close()


def _ask_all(connections: list[socket.socket], request: bytes) -> None:
    for connection in connections:
        connection.sendall(request)
    for connection in connections:
        answer = b""
        while not answer.endswith((b"\n}", b"\n}\n")):  # the end of a job, and of nothing before it
            chunk = connection.recv(65536)
            assert chunk, f"the server hung up after {answer!r}"
            answer += chunk
        assert answer.startswith(b"HTTP/1.1 200"), answer


def _beside_bare(what: str, aim: str, *options: str, is_fast: bool = False) -> str:
    addresses = serve(*options, is_fast=is_fast), bare(is_fast)
    with addresses[0] as here, addresses[1] as there, asked(here) as fake, asked(there) as plain:
        ours, theirs = medians(fake, plain, calls=60)
    ours, theirs = ours / CONNECTIONS, theirs / CONNECTIONS
    return line(what, theirs / ours, aim, f"{1e6 / ours:.0f} and {1e6 / theirs:.0f} requests/s")


def get_vs_starlette() -> str:
    return _beside_bare("GET job by serve --quiet: rate to a bare route's", ">= 0.9", "--quiet")


def get_vs_fast_starlette() -> str:
    return _beside_bare("the same with [fast], both by httptools and uvloop", "none", "--quiet", is_fast=True)


def get_logged() -> str:
    return _beside_bare("GET job by serve, which logs it: rate to a bare route's", ">= 0.85")


# ---- starting and stopping the server, beside uvicorn's own


def start_and_stop() -> str:
    fake = account()

    def ours() -> None:
        with fake.serving() as url:
            _ask_health(url.removesuffix("/v1"))

    def plain() -> None:
        listener = bind()
        server = uvicorn.Server(config(fake.asgi_app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        _ask_health("http://{}:{}".format(*listener.getsockname()))
        server.should_exit = True
        thread.join()

    first, second = medians(ours, plain, calls=1)
    detail = f"{first / 1e3:.1f} and {second / 1e3:.1f} ms"
    return line("server started, asked, stopped: time to uvicorn's", first / second, "<= 0.05", detail)


def _ask_health(url: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert connection.recv(65536)


# ---- one call of the SDK in this process, beside a canned answer


class Canned(httpx2.BaseTransport):
    """Answers everything with the same bytes."""

    def __init__(self, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._headers, self._body = headers, body

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        return httpx2.Response(200, headers=self._headers, stream=httpx2.ByteStream(self._body))


def in_process() -> str:
    fake = account(pace="polls")  # the fixture's default
    reply = call_app(fake.asgi_app, "GET", JOB_PATH.encode(), KEY, b"")
    transport: Any = fake.transport(httpx2)
    ours, theirs = medians(_retrieve(transport), _retrieve(Canned(reply.headers, reply.body)), calls=100)
    detail = f"{ours:.0f} and {theirs:.0f} µs"
    return line("SDK retrieve in process: time to a canned answer's", ours / theirs, "<= 1.15", detail)


def _retrieve(transport: httpx2.BaseTransport) -> Call:
    http_client = httpx2.Client(transport=transport)
    client = openai.OpenAI(base_url="http://fake/v1", api_key="sk-bench", http_client=http_client)
    return lambda: client.fine_tuning.jobs.retrieve(JOB)


def client() -> str:
    reply = call_app(account().asgi_app, "GET", JOB_PATH.encode(), KEY, b"")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=reply.headers, content=reply.body))
    http = httpx.Client(transport=transport)
    own = FineTuningClient("openai", api_key="sk-bench", base_url="http://fake/v1", http_client=http)
    headers = {"Accept": "*/*", "User-Agent": "fine-tuning-client", "Authorization": "Bearer sk-bench"}

    def bare() -> object:
        return http.request("GET", f"http://fake{JOB_PATH}", headers=headers, timeout=60, follow_redirects=False).json()

    ours, theirs = medians(lambda: own.retrieve_job(JOB), bare, calls=200)
    detail = f"{ours:.0f} and {theirs:.0f} µs"
    return line("client's retrieve on a mock: time to httpx's", ours / theirs, "<= 1.3", detail)


# ---- one account of many on a server


def server(accounts: int) -> FakeAccounts:
    """A server with a job in `main` and in as many other accounts."""
    many = FakeAccounts(start=1_760_000_000, pace=60)  # the server's default
    for fake in (many.main, *(many.account(f"a{number}") for number in range(accounts))):
        fake.add_job(fake.add_file(ROW * 10)["id"], id=JOB)
    return many


def _get_job(app: Any, root: str = "") -> Call:
    target = f"{root}{JOB_PATH}".encode()
    assert call_app(app, "GET", target, KEY, b"").status == 200
    return lambda: call_app(app, "GET", target, KEY, b"")


def main_account() -> str:
    lone, main = medians(_get_job(account(pace=60).asgi_app), _get_job(server(1).asgi_app), calls=1000)
    return line(
        "GET job: rate of a server's main account to a lone", lone / main, ">= 0.95", f"{lone:.0f} and {main:.0f} µs"
    )


def many_accounts() -> str:
    one, many = server(1).asgi_app, server(1000).asgi_app
    few, of_many = medians(_get_job(one, "/accounts/a0"), _get_job(many, "/accounts/a500"), calls=1000)
    return line(
        "GET job: rate of one account of 1,000 to one of one",
        few / of_many,
        ">= 0.95",
        f"{few:.0f} and {of_many:.0f} µs",
    )


# ---- lists of many jobs, pages of long jobs


def get(fake: FakeFineTuning, path: str) -> Call:
    target = f"/v1/fine_tuning/jobs{path}".encode()
    assert call_app(fake.asgi_app, "GET", target, KEY, b"").status == 200
    return lambda: call_app(fake.asgi_app, "GET", target, KEY, b"")


def with_jobs(number: int) -> FakeFineTuning:
    fake = FakeFineTuning(start=1_760_000_000, pace="manual", patience=None)
    training = fake.add_file(ROW * 10)["id"]
    body = b'{"model": "gpt-4o-mini", "training_file": "%s"}' % training.encode()
    for _ in range(number):
        call_app(fake.asgi_app, "POST", b"/v1/fine_tuning/jobs", KEY, body)
    return fake


def long_list() -> str:
    few, many = medians(get(with_jobs(100), ""), get(with_jobs(100_000), ""), calls=30)
    return line("list of 20 jobs: rate of 100,000 jobs to 100", few / many, ">= 0.9", f"{few:.0f} and {many:.0f} µs")


def with_steps(rows: int, n_epochs: int) -> tuple[FakeFineTuning, dict[str, Any]]:
    """A fake, and what to add a job of so many steps with."""
    fake = FakeFineTuning(start=1_760_000_000, pace="manual", patience=None)
    training = fake.add_file(ROW * rows)["id"]
    return fake, {"training_file": training, "hyperparameters": {"n_epochs": n_epochs, "batch_size": 1}}


SHORT, LONG = (10, 1), (200_000, 50)
"""Rows and epochs of a job of ten steps, and of one of ten million."""


def long_page() -> str:
    pages = []
    for rows, n_epochs in (SHORT, LONG):
        fake, seed = with_steps(rows, n_epochs)
        job = fake.add_job(**seed, status="validating_files")
        fake.advance_to(step=rows * n_epochs)
        pages.append(get(fake, f"/{job['id']}/events?limit=10"))
    short, long = medians(pages[0], pages[1], calls=100)
    detail = f"{long:.0f} and {short:.0f} µs"
    return line("page of events: time of 10,000,000 steps to 10", long / short, "<= 1.1", detail)


def job_bytes() -> str:
    short, long = (_bytes_a_job(*size) for size in (SHORT, LONG))
    detail = f"{long:.0f} and {short:.0f} bytes"
    return line("bytes of a job: 10,000,000 steps to 10", long / short, "<= 1.1", detail)


def _bytes_a_job(rows: int, n_epochs: int, jobs: int = 2000) -> float:
    fake, seed = with_steps(rows, n_epochs)
    for _ in range(1000):  # what is kept for the jobs last looked at is full by now
        fake.add_job(**seed, status="validating_files")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(jobs):
        fake.add_job(**seed, status="validating_files")
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / jobs


# ---- training files, beside what a form and its rows cost at the least


def training_file(megabytes: int) -> bytes:
    """Chats of three messages, 470 bytes a row, of words that differ."""
    draw = random.Random(1)
    words = ["".join(draw.choices(string.ascii_lowercase, k=draw.randint(2, 8))) for _ in range(5000)]

    def row() -> bytes:
        texts = [" ".join(draw.choices(words, k=count)) for count in (15, 25, 40)]
        chat = [{"role": role, "content": f"{text}\n"} for role, text in zip(ROLES, texts, strict=True)]
        return orjson.dumps({"messages": chat}) + b"\n"

    some = b"".join(row() for _ in range(2000))
    return some * (megabytes * 2**20 // len(some))


def upload_vs_form() -> str:
    content = training_file(32)
    part = b'--b\r\ncontent-disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = part % (b"purpose", b"", b"fine-tune") + part % (b"file", b'; filename="a.jsonl"', content) + b"--b--\r\n"
    chunks = [body[at : at + 65536] for at in range(0, len(body), 65536)]  # as a socket brings them

    async def read(request: Request) -> Response:
        async with request.form() as form:
            return Response(str(form["file"].size))  # type: ignore[union-attr]  # it is a file

    def send_to(new_app: Callable[[], Any]) -> Call:
        return lambda: asyncio.run(_post(new_app(), "/v1/files", chunks))

    bare = Starlette(routes=[Route("/v1/files", read, methods=["POST"])])
    ours, theirs = medians(send_to(lambda: account(pace=60).asgi_app), send_to(lambda: bare), calls=1, rounds=5)
    detail = f"{ours / 1e3:.0f} and {theirs / 1e3:.0f} ms for {len(content) >> 20} MB"
    return line("upload: rate to reading a bare form", theirs / ours, ">= 0.6", detail)


async def _post(app: Any, path: str, chunks: list[bytes]) -> None:
    """Send a form to an app, as a server does."""
    left = iter(chunks)
    headers = [*KEY, (b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=b")]
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"", "headers": headers, "scheme": "http", "root_path": "", "client": ("127.0.0.1", 1)}

    async def receive() -> dict[str, Any]:
        if (chunk := next(left, None)) is None:
            await asyncio.Event().wait()  # the client stays
        return {"type": "http.request", "body": chunk, "more_body": chunk is not chunks[-1]}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    await app(scope, receive, send)


def check_file_vs_orjson() -> str:
    content = training_file(16)

    def parse() -> None:
        for row in io.BytesIO(content):
            orjson.loads(row)

    lines = []
    for tokens, aim in (("none", ">= 0.35"), ("estimate", ">= 0.06")):
        check = partial(check_training_file, content, tokens=tokens)  # type: ignore[arg-type]  # one of its names
        ours, theirs = medians(check, parse, calls=1, rounds=5)
        detail = f"{ours / 1e3:.0f} and {theirs / 1e3:.0f} ms for {len(content) >> 20} MB"
        lines.append(line(f"file checked, tokens={tokens}: rate to orjson's", theirs / ours, aim, detail))
    return "\n".join(lines)


def _saved_in(open_cassette: Callable[[Path], Any], creates: bool) -> float:
    """Return the milliseconds that a cassette of 1,000 calls takes to save: polls of a job, or also 333 new jobs."""
    with TemporaryDirectory() as folder, account(pace=1).serving() as url, ExitStack() as recording:
        recording.enter_context(open_cassette(Path(folder) / "session.yaml"))
        with httpx.Client(base_url=url, headers={"authorization": "Bearer sk-bench-0123456789"}) as http:
            upload = http.post("/files", data={"purpose": "fine-tune"}, files={"file": ("a.jsonl", ROW * 100)}).json()
            body = {"model": "gpt-4o-mini", "training_file": upload["id"]}
            job = f"/fine_tuning/jobs/{http.post('/fine_tuning/jobs', json=body).json()['id']}"
            for number in range(333):
                if creates:
                    http.post("/fine_tuning/jobs", json={**body, "suffix": str(number)})
                else:
                    http.get(job)
                http.get(f"{job}/events", params={"limit": 10})
                http.get("/fine_tuning/jobs", params={"limit": 1})
        begun = time.perf_counter()
        recording.close()
        return (time.perf_counter() - begun) * 1e3


def save_cassette() -> str:
    def ours(path: Path) -> Any:
        return use_cassette(path, mode="rewrite")

    def theirs(path: Path) -> Any:
        return vcr.use_cassette(str(path), record_mode="all", filter_headers=["authorization"])

    lines = []
    for what, creates in (("polls", False), ("polls and new jobs", True)):
        times = [(_saved_in(ours, creates), _saved_in(theirs, creates)) for _ in range(3)]
        one, other = (statistics.median(column) for column in zip(*times, strict=True))
        lines.append(
            line(f"1,000 calls saved ({what}) to vcrpy's", one / other, "<= 1.5", f"{one:.0f} and {other:.0f} ms")
        )
    return "\n".join(lines)


FIGURES = (
    get_vs_starlette,
    get_vs_fast_starlette,
    get_logged,
    start_and_stop,
    in_process,
    client,
    main_account,
    many_accounts,
    long_list,
    long_page,
    job_bytes,
    upload_vs_form,
    check_file_vs_orjson,
    save_cassette,
)

if __name__ == "__main__":
    main(sys.argv[1:])
