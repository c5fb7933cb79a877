"""Code under test for cassettes: the same calls, made with each client.

``python tests/cassette_clients.py PATH MODE BASE_URL`` makes them with the openai that comes first on the path.
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
FINISHED = ("succeeded", "failed", "cancelled")
KEY = "sk-any"


def call_with_openai(url: str) -> list[str]:
    """Upload a file, create a job and poll it, with the official SDK; return its statuses."""
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
        file = client.files.create(file=("train.jsonl", ROWS), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(model=MODEL, training_file=file.id)
        return _poll(lambda: client.fine_tuning.jobs.retrieve(job.id).status)


def call_with_ours(url: str) -> list[str]:
    """Make the same calls with `FineTuningClient`."""
    with FineTuningClient(base_url=url, api_key=KEY, max_retries=0) as client:
        file = client.upload_file(ROWS, filename="train.jsonl")
        job = client.create_job(file.id, MODEL)
        return _poll(lambda: client.retrieve_job(job.id).status)


def call_with_httpx(url: str) -> list[str]:
    """Make the same calls with plain httpx."""
    with httpx.Client(headers={"authorization": f"Bearer {KEY}"}) as client:
        return _call_over_http(url, lambda *call, **options: client.request(*call, **options).json())


def call_with_requests(url: str) -> list[str]:
    """Make the same calls with requests, which uses urllib3."""
    with requests.Session() as session:
        session.headers["authorization"] = f"Bearer {KEY}"
        return _call_over_http(url, lambda *call, **options: session.request(*call, **options).json())


CALLERS: Mapping[str, Callable[[str], list[str]]] = {
    "openai": call_with_openai,
    "ours": call_with_ours,
    "httpx": call_with_httpx,
    "requests": call_with_requests,
}


def _call_over_http(url: str, send: Callable[..., Any]) -> list[str]:
    form = {"files": {"file": ("train.jsonl", ROWS)}, "data": {"purpose": "fine-tune"}}
    file = send("POST", f"{url}/files", **form)["id"]
    job = send("POST", f"{url}/fine_tuning/jobs", json={"training_file": file, "model": MODEL})["id"]
    return _poll(lambda: str(send("GET", f"{url}/fine_tuning/jobs/{job}")["status"]))


def _poll(poll: Callable[[], str]) -> list[str]:
    statuses: list[str] = []
    while not statuses or statuses[-1] not in FINISHED:
        statuses.append(poll())
    return statuses


def main(path: str, mode: Any, url: str) -> None:
    """Call with openai, and print the statuses and the number of replayed responses."""
    with use_cassette(path, mode) as cassette:
        statuses = call_with_openai(url)
    print(json.dumps({"version": openai.__version__, "seen": statuses, "play_count": cassette.play_count}))


if __name__ == "__main__":
    main(*sys.argv[1:])
