"""Virtual time: every way to wait, 200 polls of each kind of client over loopback, and what each costs in real time.

    python benchmarks/virtual_time.py            # beside a busy loop on another core
    python benchmarks/virtual_time.py --idle     # without it

Rows of libraries that are not installed (aiohttp, backoff, tenacity) are left out. A row whose virtual seconds are not
the sum of its waits is marked, and the exit code is 1.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import multiprocessing
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import openai
import trio

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.virtual_time import virtual_time

POLLS, PAUSE_S = 200, 30
ROWS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 10


@dataclass
class Bench:
    fake: FakeFineTuning
    job: str

    @property
    def url(self) -> str:
        return f"{self.fake.base_url}/fine_tuning/jobs/{self.job}"

    def client(self, **options: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.fake.base_url, api_key="any", **options)

    def async_client(self, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.fake.base_url, api_key="any", **options)

    def fail_thrice(self) -> openai.OpenAI:
        self.fake.fail(503, on="retrieve_job", times=3)
        return self.client(max_retries=0)


HEADERS = {"authorization": "Bearer any"}
Wait = Callable[[Bench], object]
CASES: dict[str, tuple[float, Wait]] = {}
"""The virtual seconds that each case must take, and the case."""


def case(name: str, seconds: float) -> Callable[[Wait], Wait]:
    def note(wait: Wait) -> Wait:
        CASES[name] = (seconds, wait)
        return wait

    return note


def on_asyncio(function: Callable[[Bench], Any]) -> Wait:
    return lambda bench: asyncio.run(function(bench))


def on_trio(function: Callable[[Bench], Any]) -> Wait:
    return lambda bench: trio.run(function, bench)


# ---- 200 polls of each kind ----------------------------------------------------------------------------------------


@case("time.sleep and a deadline by monotonic, openai", POLLS * PAUSE_S)
def sync_polls(bench: Bench) -> None:
    client, began = bench.client(max_retries=0), time.monotonic()
    while time.monotonic() - began < POLLS * PAUSE_S:
        client.fine_tuning.jobs.retrieve(bench.job)
        time.sleep(PAUSE_S)


@case("time.sleep, openai in process", POLLS * PAUSE_S)
def in_process_polls(bench: Bench) -> None:
    client = bench.fake.openai(max_retries=0)
    for _ in range(POLLS):
        client.fine_tuning.jobs.retrieve(bench.job)
        time.sleep(PAUSE_S)


async def async_polls(bench: Bench) -> None:
    async with bench.async_client(max_retries=0) as client:
        for _ in range(POLLS):
            with anyio.fail_after(20):
                await client.fine_tuning.jobs.retrieve(bench.job)
            await anyio.sleep(PAUSE_S)


async def raw_polls(bench: Bench) -> None:
    async with httpx.AsyncClient(headers=HEADERS) as client:
        for _ in range(POLLS):
            (await client.get(bench.url)).raise_for_status()
            await anyio.sleep(PAUSE_S)


case("asyncio, AsyncOpenAI", POLLS * PAUSE_S)(on_asyncio(async_polls))
case("asyncio, httpx", POLLS * PAUSE_S)(on_asyncio(raw_polls))
case("trio, AsyncOpenAI", POLLS * PAUSE_S)(on_trio(async_polls))
case("trio, httpx", POLLS * PAUSE_S)(on_trio(raw_polls))


@case("asyncio, aiohttp", POLLS * PAUSE_S)
@on_asyncio
async def aiohttp_polls(bench: Bench) -> None:
    aiohttp = importlib.import_module("aiohttp")
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        for _ in range(POLLS):
            async with session.get(bench.url) as answer:
                await answer.json()
            await asyncio.sleep(PAUSE_S)


@case("threads of a pool, 4 at once, 50 polls each", POLLS // 4 * PAUSE_S)
def pool_polls(bench: Bench) -> None:
    client = bench.client(max_retries=0)

    def work() -> None:
        for _ in range(POLLS // 4):
            client.fine_tuning.jobs.retrieve(bench.job)
            time.sleep(PAUSE_S)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work) for _ in range(4)]:
            future.result()


@case("to_thread of a blocking client that sleeps 5, beside sleeps of 30, 50 times", 50 * 35)
@on_asyncio
async def to_thread(bench: Bench) -> None:
    client = bench.client(max_retries=0)

    def work() -> None:
        time.sleep(5)
        client.fine_tuning.jobs.retrieve(bench.job)

    for _ in range(50):
        await asyncio.to_thread(work)
        await asyncio.sleep(30)


# ---- every way to wait ---------------------------------------------------------------------------------------------


@case("asyncio.timeout(3600), wait_for(60), call_later(45)", 3705)
@on_asyncio
async def timers(bench: Bench) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(3600):
            await asyncio.Event().wait()
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 60)
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(45, event.set)
    await event.wait()


@case("two tasks, 10 s and 30 s", 300)
@on_asyncio
async def two_tasks(bench: Bench) -> None:
    async def work(seconds: int) -> None:
        for _ in range(300 // seconds):
            await asyncio.sleep(seconds)

    await asyncio.gather(work(10), work(30))


async def move_on(bench: Bench) -> None:
    with anyio.move_on_after(100):
        await anyio.sleep(3600)
    await anyio.sleep(7)


case("anyio.move_on_after(100), sleep(7) on asyncio", 107)(on_asyncio(move_on))
case("the same on trio", 107)(on_trio(move_on))
case("Event.wait(30)", 30)(lambda bench: threading.Event().wait(30))


@case("Condition.wait(12), wait_for(18)", 30)
def condition(bench: Bench) -> None:
    one = threading.Condition()
    with one:
        one.wait(12)
        one.wait_for(lambda: False, 18)


@case("queue.Queue.get(timeout=30)", 30)
def queue_get(bench: Bench) -> None:
    with suppress(queue.Empty):
        queue.Queue[int]().get(timeout=30)


@case("threading.Timer(30)", 30)
def timer(bench: Bench) -> None:
    one = threading.Timer(30, lambda: None)
    one.start()
    one.join()


@case("Event.wait(30), set after 0.3 s of real work", 0)
def real_work(bench: Bench) -> None:
    event = threading.Event()

    def work() -> None:
        until = time.perf_counter() + 0.3
        while time.perf_counter() < until:
            pass
        event.set()

    threading.Thread(target=work).start()
    assert event.wait(30)


@case("openai's retries, Retry-After 40, twice", 80)
def openai_retries(bench: Bench) -> None:
    bench.fake.fail(503, on="retrieve_job", times=2, retry_after=40)
    bench.client().fine_tuning.jobs.retrieve(bench.job)


@case("urllib3's Retry, 0 + 20 + 40", 60)
def urllib3_retries(bench: Bench) -> None:
    requests, urllib3 = importlib.import_module("requests"), importlib.import_module("urllib3")
    bench.fake.fail(503, on="retrieve_job", times=3)
    session = requests.Session()
    retries = urllib3.Retry(5, backoff_factor=10, status_forcelist=[503])
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
    assert session.get(bench.url, headers=HEADERS).status_code == 200


@case("tenacity, 3 x 20 s", 60)
def tenacity_retries(bench: Bench) -> None:
    tenacity = importlib.import_module("tenacity")
    client = bench.fail_thrice()
    retrying = tenacity.Retrying(wait=tenacity.wait_fixed(20), stop=tenacity.stop_after_delay(600))
    retrying(lambda: client.fine_tuning.jobs.retrieve(bench.job))


@case("backoff, 3 x 20 s", 60)
def backoff_retries(bench: Bench) -> None:
    backoff = importlib.import_module("backoff")
    client = bench.fail_thrice()
    on_error = backoff.on_exception(backoff.constant, openai.APIError, interval=20, jitter=None, max_time=600)
    on_error(lambda: client.fine_tuning.jobs.retrieve(bench.job))()


def measure(fake: FakeFineTuning, wait: Wait) -> tuple[float, float, int]:
    """Return the real seconds that a case took, the virtual ones, and the jumps."""
    fake.reset()
    bench = Bench(fake, fake.add_job(fake.add_file(ROWS)["id"], status="queued")["id"])
    with virtual_time(fake) as virtual:
        began, real_began = fake.now, time.perf_counter()
        wait(bench)
        return time.perf_counter() - real_began, fake.now - began, virtual.jumps


def work_for_ever() -> None:
    while True:
        pass


def main() -> int:
    busy = multiprocessing.get_context("spawn").Process(target=work_for_ever, daemon=True)
    if "--idle" not in sys.argv:
        busy.start()
    wrong = 0
    print(f"{'waiting':<78} {'real s':>8} {'virtual s':>10} {'jumps':>6}")
    with FakeFineTuning(start=1_700_000_000, pace="manual", plan={"queued": "90d"}) as fake:
        for name, (expected, wait) in CASES.items():
            try:
                real_s, virtual_s, jumps = measure(fake, wait)
            except ModuleNotFoundError:
                continue
            is_exact = abs(virtual_s - expected) < 1e-3
            wrong += not is_exact
            note = "" if is_exact else f"  expected {expected:g}"
            print(f"{name:<78} {real_s:8.3f} {virtual_s:10.3f} {jumps:6}{note}", flush=True)
    if busy.pid:
        busy.kill()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
