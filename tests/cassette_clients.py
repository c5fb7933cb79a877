"""Code under test for cassettes: the same few calls, by every client there is.

``python tests/cassette_clients.py PATH MODE BASE_URL`` makes them with whatever openai comes first on the path.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import openai
import requests

from fine_tuning_cassettes import use_cassette
from fine_tuning_client import FineTuningClient

MODEL = "gpt-4o-mini-2024-07-18"
ROW = {"messages": [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Go away."}]}
ROWS = "".join(json.dumps(ROW) + "\n" for _ in range(10)).encode()
OVER = ("succeeded", "failed", "cancelled")
KEY = "sk-any"


def by_openai(url: str) -> list[str]:
    """With the official SDK."""
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
        file = client.files.create(file=("train.jsonl", ROWS), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(model=MODEL, training_file=file.id)
        return _until_over(lambda: client.fine_tuning.jobs.retrieve(job.id).status)


def by_ours(url: str) -> list[str]:
    """With `FineTuningClient`."""
    with FineTuningClient(base_url=url, api_key=KEY, max_retries=0) as client:
        file = client.upload_file(ROWS, filename="train.jsonl")
        job = client.create_job(file.id, MODEL)
        return _until_over(lambda: client.retrieve_job(job.id).status)


def by_httpx(url: str) -> list[str]:
    """With plain httpx."""
    with httpx.Client(headers={"authorization": f"Bearer {KEY}"}) as client:
        return _by_http(url, lambda *call, **options: client.request(*call, **options).json())


def by_requests(url: str) -> list[str]:
    """With requests, which is urllib3 underneath."""
    with requests.Session() as session:
        session.headers["authorization"] = f"Bearer {KEY}"
        return _by_http(url, lambda *call, **options: session.request(*call, **options).json())


CALLERS: Mapping[str, Callable[[str], list[str]]] = {
    "openai": by_openai,
    "ours": by_ours,
    "httpx": by_httpx,
    "requests": by_requests,
}


def _by_http(url: str, send: Callable[..., Any]) -> list[str]:
    form = {"files": {"file": ("train.jsonl", ROWS)}, "data": {"purpose": "fine-tune"}}
    file = send("POST", f"{url}/files", **form)["id"]
    job = send("POST", f"{url}/fine_tuning/jobs", json={"training_file": file, "model": MODEL})["id"]
    return _until_over(lambda: str(send("GET", f"{url}/fine_tuning/jobs/{job}")["status"]))


def _until_over(look: Callable[[], str]) -> list[str]:
    seen: list[str] = []
    while not seen or seen[-1] not in OVER:
        seen.append(look())
    return seen


def main(path: str, mode: Any, url: str) -> None:
    """Call with openai, and print what was seen and how much was replayed."""
    with use_cassette(path, mode) as cassette:
        seen = by_openai(url)
    print(json.dumps({"version": openai.__version__, "seen": seen, "play_count": cassette.play_count}))


if __name__ == "__main__":
    main(*sys.argv[1:])
