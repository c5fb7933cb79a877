"""What the page costs: how fast a job opens however many steps it has, and what an open page takes from the API.

    python benchmarks/page.py

Ratios, measured side by side and in turns; the first needs Playwright and a Chromium on PATH.
"""

from __future__ import annotations

import shutil
import statistics
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from fine_tuning_fakeserver import FakeFineTuning

ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
STEPS = (10, 10_000_000)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
TURNS = 15
REQUESTS, PAIRS = 3000, 10


def add_job(fake: FakeFineTuning, steps: int) -> str:
    file = fake.add_file(ROW * 10)["id"]
    job = fake.add_job(file, status="running", hyperparameters={"batch_size": 10, "n_epochs": min(steps, 10**6)})
    if steps > 10**6:
        file = fake.add_file(ROW * (steps // 10**6))["id"]
        job = fake.add_job(file, status="running", hyperparameters={"batch_size": 1, "n_epochs": 10**6})
    fake.advance_to(step=steps, job=job["id"])
    return str(job["id"])


def timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def open_in_browser(fake: FakeFineTuning, jobs: list[str]) -> list[list[float]]:
    """Return how long each job took to be shown with its curves, by job."""
    from playwright.sync_api import sync_playwright

    times: list[list[float]] = [[] for _ in jobs]
    root = fake.base_url.removesuffix("/v1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(TURNS):
            for place, job in enumerate(jobs):
                page = browser.new_page()

                def open_job(page: Any = page, job: str = job) -> None:
                    page.goto(f"{root}/_fake/ui/#/jobs/{job}")
                    page.wait_for_selector("canvas")

                times[place].append(timed(open_job))
                page.close()
        browser.close()
    return times


def poll(root: str, is_over: threading.Event) -> None:
    """Look at account and jobs once a second by one connection, as the page does."""
    connection = HTTPConnection(urlsplit(root).netloc)
    etags = {"account": "", "jobs": ""}
    while not is_over.wait(1.0):
        for name, etag in etags.items():
            connection.request("GET", f"/_fake/ui/data/{name}", headers={"if-none-match": etag} if etag else {})
            answer = connection.getresponse()
            answer.read()
            etags[name] = answer.headers["etag"]
    connection.close()


def throughput(fake: FakeFineTuning) -> tuple[float, float]:
    """Return requests a second without the page and with it, medians of pairs."""
    import httpx

    root = fake.base_url.removesuffix("/v1")
    rates: dict[bool, list[float]] = {False: [], True: []}
    with httpx.Client(base_url=fake.base_url, headers={"authorization": "Bearer any"}, trust_env=False) as client:
        for turn in range(2 * PAIRS):
            has_page = bool(turn % 2)
            is_over = threading.Event()
            thread = threading.Thread(target=poll, args=(root, is_over))
            if has_page:
                thread.start()
            seconds = timed(lambda: [client.get("/fine_tuning/jobs") for _ in range(REQUESTS)])
            rates[has_page].append(REQUESTS / seconds)
            is_over.set()
            if has_page:
                thread.join()
    return statistics.median(rates[False]), statistics.median(rates[True])


def main() -> None:
    with FakeFineTuning(pace="manual", patience=None) as fake:
        jobs = [add_job(fake, steps) for steps in STEPS]
        if CHROMIUM:
            few, many = map(statistics.median, open_in_browser(fake, jobs))
            print(
                f"a job opens: {STEPS[0]:,} steps {few * 1000:.0f} ms, {STEPS[1]:,} steps {many * 1000:.0f} ms;"
                f" ratio {many / few:.2f}"
            )
        else:
            print("there is no Chromium on PATH: how fast a job opens was not measured")
    with FakeFineTuning(pace=60.0) as fake:
        add_job(fake, 10)
        without, with_page = throughput(fake)
        print(
            f"requests a second: {without:.0f} without the page, {with_page:.0f} with it;"
            f" ratio {with_page / without:.2f}"
        )


if __name__ == "__main__":
    main()
