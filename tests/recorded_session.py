"""A small session with the fake, written in every supported recording format."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fine_tuning_fakeserver import FakeFineTuning
from strategies import BORN, ROWS, Http, form, part_form

URL = "https://api.example.com"


@dataclass(frozen=True)
class Exchange:
    """A request with its response."""

    method: str
    path: str
    body: bytes
    kind: str
    status: int
    headers: list[tuple[str, str]]
    answer: bytes


class Recorder(Http):
    """Sends raw requests to a fake and records them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(FakeFineTuning(**{"start": BORN, **settings}))
        self.exchanges: list[Exchange] = []

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Send one request; return its response parsed, or as bytes."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        pairs = ((b"authorization", b"Bearer any"), (b"content-type", kind.encode()))
        reply = self.send(method, path, raw, pairs)
        headers = [(name.decode(), value.decode()) for name, value in reply.headers]
        self.exchanges.append(Exchange(method, f"/v1{path}", raw, kind, reply.status, headers, reply.body))
        try:
            return json.loads(reply.body)
        except ValueError:
            return reply.body


def session(**settings: Any) -> list[Exchange]:
    """A whole session: files, a trained job, a paused and cancelled one, and one whose file is deleted."""
    record = Recorder(**settings)
    job = _trained(record)
    _looked_at(record, job)
    _disturbed(record, job)
    _in_parts(record)
    return record.exchanges


def _upload(record: Recorder, content: str = ROWS) -> str:
    return str(record.call("POST", "/files", form(content.encode()), "multipart/form-data; boundary=B")["id"])


def _trained(record: Recorder) -> Any:
    body = {"model": "gpt-4o-mini", "training_file": _upload(record), "suffix": "s", "metadata": {"k": "v"}}
    job = record.call("POST", "/fine_tuning/jobs", body)
    while job["status"] != "succeeded":
        job = record.call("GET", f"/fine_tuning/jobs/{job['id']}")
    return job


def _looked_at(record: Recorder, job: Any) -> None:
    path = f"/fine_tuning/jobs/{job['id']}"
    newest = record.call("GET", f"{path}/events?limit=3")["data"]
    record.call("GET", f"{path}/events?limit=1000&after={newest[-1]['id']}")
    for each in ("/checkpoints", ""):
        record.call("GET", path + each)
    result = job["result_files"][0]
    for each in ("/fine_tuning/jobs", "/files", "/files?limit=1", f"/files/{result}", f"/files/{result}/content"):
        record.call("GET", each)
    for each in ("/models", f"/models/{job['fine_tuned_model']}", "/models/none", "/files/none"):
        record.call("GET", each)
    record.call("GET", "/no/route")


def _disturbed(record: Recorder, trained: Any) -> None:
    training = trained["training_file"]
    job = record.call("POST", "/fine_tuning/jobs", {"model": trained["fine_tuned_model"], "training_file": training})
    path = f"/fine_tuning/jobs/{job['id']}"
    record.call("GET", path)
    record.call("GET", path)
    for verb in ("pause", "resume", "cancel", "cancel"):
        record.call("POST", f"{path}/{verb}")
    record.call("GET", f"{path}/events")
    lost = record.call("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": training})
    record.call("DELETE", f"/files/{training}")
    record.call("GET", f"/fine_tuning/jobs/{lost['id']}")
    record.call("DELETE", f"/models/{trained['fine_tuned_model']}")


def _in_parts(record: Recorder) -> None:
    size = len(ROWS)
    body = {"filename": "a.jsonl", "purpose": "fine-tune", "bytes": size, "mime_type": "text/jsonl"}
    upload = record.call("POST", "/uploads", body)["id"]
    part = part_form(ROWS.encode())
    made = record.call("POST", f"/uploads/{upload}/parts", part, "multipart/form-data; boundary=B")
    record.call("POST", f"/uploads/{upload}/complete", {"part_ids": [made["id"]]})


def cassette(exchanges: Sequence[Exchange]) -> str:
    """A cassette in vcrpy's format."""
    return yaml.dump({"interactions": list(_interactions(exchanges)), "version": 1})


def ruby_cassette(exchanges: Sequence[Exchange]) -> str:
    """A cassette in the format of Ruby's VCR, which has its own tag for bytes."""
    text = yaml.dump({"http_interactions": list(_interactions(exchanges)), "recorded_with": "VCR 6.1.0"})
    return text.replace("!!binary", "!binary")


def _interactions(exchanges: Sequence[Exchange]) -> Iterator[dict[str, Any]]:
    for each in exchanges:
        request = {"method": each.method, "uri": URL + each.path, "headers": {"Content-Type": [each.kind]}}
        headers = {name.title(): [value] for name, value in each.headers}
        yield {
            "request": {**request, "body": {"encoding": "UTF-8", "string": each.body}},
            "response": {"status": {"code": each.status}, "headers": headers, "body": {"string": each.answer}},
        }


def proxy(exchanges: Sequence[Exchange]) -> str:
    """A recording in the Azure SDK test proxy's format: JSON parsed, forms missing, other content in base64."""
    return json.dumps({"Entries": [_entry(each) for each in exchanges], "Variables": {}}, ensure_ascii=False)


def _entry(each: Exchange) -> dict[str, Any]:
    is_json = dict(each.headers).get("content-type") == "application/json"
    body: Any = None
    if each.answer:
        body = json.loads(each.answer) if is_json else base64.b64encode(each.answer).decode()
    return {
        "RequestUri": URL + each.path,
        "RequestMethod": each.method,
        "RequestHeaders": {"Content-Type": each.kind, "Content-Length": str(len(each.body))},
        "RequestBody": json.loads(each.body) if each.body and "json" in each.kind else None,
        "StatusCode": each.status,
        "ResponseHeaders": {name: "Sanitized" if "organization" in name else value for name, value in each.headers},
        "ResponseBody": body,
    }


def har(exchanges: Sequence[Exchange]) -> str:
    """A HAR file: forms without their files, and binary content in base64."""
    return json.dumps({"log": {"version": "1.2", "entries": [_har_entry(each) for each in exchanges]}})


def _har_entry(each: Exchange) -> dict[str, Any]:
    posted: dict[str, Any] = {
        "mimeType": each.kind,
        **({"text": each.body.decode()} if "json" in each.kind else {"params": []}),
    }
    is_text = each.answer.isascii() and dict(each.headers).get("content-type") == "application/json"
    content = {"text": each.answer.decode()} if is_text else {"text": _base64(each.answer), "encoding": "base64"}
    return {
        "request": {
            "method": each.method,
            "url": URL + each.path,
            "headers": [{"name": "Content-Type", "value": each.kind}],
            **({"postData": posted} if each.body else {}),
        },
        "response": {
            "status": each.status,
            "headers": [{"name": name, "value": value} for name, value in each.headers],
            "content": content,
        },
    }


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


FORMATS = {
    "vcr.yaml": cassette,
    "ruby.yml": ruby_cassette,
    "proxy.json": proxy,
    "session.har": har,
}
"""How a session is written, by the name of a file of its kind."""


def write(folder: Path, name: str, exchanges: Sequence[Exchange]) -> Path:
    """Write a session to a file of *folder*."""
    path = folder / name
    path.write_text(FORMATS[name](exchanges), "utf-8")
    return path
