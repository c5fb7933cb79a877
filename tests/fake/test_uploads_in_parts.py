"""Uploads in parts, and checkpoint permissions."""

from __future__ import annotations

import hashlib
import json
import re
import tracemalloc
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.blobs import Blob
from fine_tuning_fakeserver.api import uploads
from strategies import BORN, FORM, KEY, ROWS, Http

DATA = ROWS.encode()
HALVES = (DATA[:300], DATA[300:])


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(pace="manual", start=BORN))


def begin(http: Http, **fields: Any) -> Any:
    """Begin an upload of the shared rows."""
    body = {"filename": "train.jsonl", "purpose": "fine-tune", "bytes": len(DATA), "mime_type": "text/jsonl"}
    return http.json("POST", "/uploads", {**body, **fields})


def part(http: Http, upload: str, data: bytes, status: int = 200, name: str = "data") -> Any:
    """Send a part; return the response."""
    body = (
        f'--B\r\nContent-Disposition: form-data; name="{name}"; filename="blob"\r\n\r\n'.encode()
        + data
        + b"\r\n--B--\r\n"
    )
    reply = http.send("POST", f"/uploads/{upload}/parts", body, (KEY, FORM))
    assert reply.status == status, reply.body
    return json.loads(reply.body)


def test_a_file_uploaded_in_parts_feeds_a_job(http: Http) -> None:
    """The file has its parts in the order of the completion, and a job can train on it."""
    upload = begin(http)
    second, first = part(http, upload["id"], HALVES[1]), part(http, upload["id"], HALVES[0])
    body = {"part_ids": [first["id"], second["id"]], "md5": hashlib.md5(DATA).hexdigest()}
    done = http.json("POST", f"/uploads/{upload['id']}/complete", body)

    assert list(upload.items())[1:] == [
        ("object", "upload"),
        ("bytes", len(DATA)),
        ("created_at", int(BORN)),
        ("filename", "train.jsonl"),
        ("purpose", "fine-tune"),
        ("status", "pending"),
        ("expires_at", int(BORN) + 3600),
    ]
    assert done["status"] == "completed"
    assert done["file"]["created_at"] == upload["created_at"]
    assert http.send("GET", f"/files/{done['file']['id']}/content").body == DATA
    assert http.job(training_file=done["file"]["id"])["status"] == "validating_files"


def test_upload_ids_carry_their_time(http: Http) -> None:
    """The ids of uploads and parts are hex digits that begin with the Unix time."""
    upload = begin(http)
    http.fake.advance(5)
    piece = part(http, upload["id"], HALVES[0])

    assert re.fullmatch(f"upload_{int(BORN):08x}[0-9a-f]{{4}}819[0-9a-f]{{17}}", upload["id"])
    assert re.fullmatch(f"part_{int(BORN) + 5:08x}[0-9a-f]{{24}}", piece["id"])
    assert piece == {
        "id": piece["id"],
        "object": "upload.part",
        "created_at": int(BORN) + 5,
        "upload_id": upload["id"],
    }


def test_content_that_is_no_jsonl_fails_the_job_not_the_upload(http: Http) -> None:
    """A completed upload that is not JSONL (recording: 8 bytes) fails the job, not the upload."""
    upload = begin(http, bytes=8)
    piece = part(http, upload["id"], b"no jsonl")
    done = http.json("POST", f"/uploads/{upload['id']}/complete", {"part_ids": [piece["id"]]})
    job = http.job(training_file=done["file"]["id"])
    http.fake.advance("1h")

    assert http.json("GET", f"/fine_tuning/jobs/{job['id']}")["status"] == "failed"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"part_ids": ["part_1"]}, "part_ids"),
        ({"part_ids": []}, "part_ids"),
        ({"part_ids": ["FIRST"]}, "part_ids"),
        ({"part_ids": ["FIRST", "FIRST"]}, "part_ids"),
        ({"part_ids": ["FIRST", "SECOND"], "md5": "0" * 32}, "md5"),
        ({"part_ids": ["FIRST", "SECOND"], "sha1": "0"}, "sha1"),
        ({}, "part_ids"),
    ],
)
def test_a_completion_that_does_not_add_up_is_refused(http: Http, body: dict[str, Any], param: str) -> None:
    """A completion with wrong parts, size or checksum is refused with the field's name, and can be repeated."""
    upload = begin(http)
    ids = {"FIRST": part(http, upload["id"], HALVES[0])["id"], "SECOND": part(http, upload["id"], HALVES[1])["id"]}
    named = {**body, "part_ids": [ids.get(each, each) for each in body["part_ids"]]} if "part_ids" in body else body
    refused = http.json("POST", f"/uploads/{upload['id']}/complete", named, status=400)

    assert refused["error"]["param"] == param
    http.json("POST", f"/uploads/{upload['id']}/complete", {"part_ids": list(ids.values())})


def test_a_part_that_comes_again_is_no_error(http: Http) -> None:
    """Extra parts are ignored if the completion does not name them."""
    upload = begin(http)
    lost, first, second = (part(http, upload["id"], data) for data in (HALVES[0], *HALVES))
    part(http, upload["id"], b"more than the whole " * len(DATA))
    completion = f"/uploads/{upload['id']}/complete"

    every = {"part_ids": [each["id"] for each in (lost, first, second)]}
    assert http.json("POST", completion, every, status=400)["error"]["param"] == "part_ids"
    done = http.json("POST", completion, {"part_ids": [first["id"], second["id"]]})
    assert http.send("GET", f"/files/{done['file']['id']}/content").body == DATA


def test_parts_take_no_more_memory_for_those_before_them(http: Http) -> None:
    """The memory for an upload's parts is linear in their number."""
    service, upload = http.fake._world.service, begin(http)["id"]
    tracemalloc.start()
    try:
        for _ in range(3000):
            uploads.add_part(service, upload, Blob.of(b"x"))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 3000 * 2000


@pytest.mark.parametrize("ending", ["completed", "cancelled", "expired"])
def test_an_upload_that_is_over_takes_nothing_more(http: Http, ending: str) -> None:
    """A completed, cancelled or expired upload refuses parts, completion and cancellation."""
    upload = begin(http)["id"]
    piece = part(http, upload, DATA)["id"]
    if ending == "expired":
        http.fake.advance("1h")
    else:
        verb, body = ("complete", {"part_ids": [piece]}) if ending == "completed" else ("cancel", None)
        assert http.json("POST", f"/uploads/{upload}/{verb}", body)["status"] == ending

    assert ending in part(http, upload, b"x", status=400)["error"]["message"]
    http.json("POST", f"/uploads/{upload}/complete", {"part_ids": [piece]}, status=400)
    http.json("POST", f"/uploads/{upload}/cancel", status=400)


def test_parts_and_uploads_that_make_no_sense_are_refused(http: Http) -> None:
    """An invalid part or upload is refused with 4xx."""
    upload = begin(http, bytes=10)["id"]

    assert part(http, upload, b"x", status=400, name="file")["error"]["message"] == "'data' is a required property"
    part(http, "upload_none", b"x", status=404)
    good = {"filename": "a.jsonl", "purpose": "fine-tune", "bytes": 1, "mime_type": "text/jsonl"}
    for field, value in [("purpose", "fun"), ("bytes", -1), ("bytes", 8 * 1024**3 + 1), ("filename", ""), ("x", 1)]:
        refused = http.json("POST", "/uploads", {**good, field: value}, status=400)
        assert refused["error"]["param"] == field


def test_an_upload_of_nothing_begins_and_never_completes(http: Http) -> None:
    """An upload of no bytes, which the document allows, is refused at its beginning, or is completed."""
    upload = begin(http, bytes=0)
    assert (upload["status"], upload["bytes"]) == ("pending", 0)
    piece = part(http, upload["id"], b"x")["id"]
    for parts in ([], [piece]):
        http.json("POST", f"/uploads/{upload['id']}/complete", {"part_ids": parts}, status=400)


def succeeded_model(http: Http) -> str:
    """The model of a succeeded job."""
    http.fake.add_job(http.file(), status="succeeded")
    return str(http.fake.jobs[0]["fine_tuned_model"])


def test_permissions_are_granted_listed_and_revoked(http: Http) -> None:
    """Permissions are granted once per project, listed in pages in either order, and can be revoked."""
    base = f"/fine_tuning/checkpoints/{succeeded_model(http)}/permissions"
    made = http.json("POST", base, {"project_ids": ["proj_a", "proj_b", "proj_a"]})
    again = http.json("POST", base, {"project_ids": ["proj_a"]})
    page = http.json("GET", base + "?limit=1")
    rest = http.json("GET", f"{base}?limit=1&after={page['last_id']}")
    first, second = made["data"]

    assert [each["project_id"] for each in made["data"]] == ["proj_a", "proj_b"]
    assert again["data"] == [first]
    assert (page["data"], page["has_more"]) == ([second], True)
    assert (rest["data"], rest["has_more"]) == ([first], False)
    assert http.json("GET", base + "?order=ascending")["data"] == [first, second]
    assert http.json("GET", base + "?project_id=proj_b")["data"] == [second]
    deleted = http.json("DELETE", f"{base}/{first['id']}")
    assert deleted == {"id": first["id"], "object": "checkpoint.permission", "deleted": True}
    http.json("DELETE", f"{base}/{first['id']}", status=404)
    assert http.json("GET", base)["data"] == [second]


def test_a_permission_that_is_given_again_is_a_new_one(http: Http) -> None:
    """A permission that is granted again has a new id, even in the same instant."""
    base = f"/fine_tuning/checkpoints/{succeeded_model(http)}/permissions"
    (first,) = http.json("POST", base, {"project_ids": ["proj_a"]})["data"]
    http.json("DELETE", f"{base}/{first['id']}")
    (second,) = http.json("POST", base, {"project_ids": ["proj_a"]})["data"]

    assert first["id"] != second["id"]


def test_the_project_of_a_model_gets_no_permission(http: Http) -> None:
    """A grant to the project that the model belongs to is refused as a whole."""
    base = f"/fine_tuning/checkpoints/{succeeded_model(http)}/permissions"
    own = http.fake.state()["account"]["project"]

    error = http.json("POST", base, {"project_ids": ["proj_other", own]}, status=400)["error"]

    assert error["message"] == f"Cannot modify checkpoint permissions for the owning project: {own}"
    assert http.json("GET", base)["data"] == []


def test_permissions_of_an_unknown_model_are_refused(http: Http) -> None:
    """Permissions of an unknown model get 404."""
    base = "/fine_tuning/checkpoints/ft:gpt-4o:none::12345678/permissions"

    http.json("GET", base, status=404)
    http.json("POST", base, {"project_ids": ["proj_a"]}, status=404)
    http.json("DELETE", base + "/cp_1", status=404)
