"""Memory, disk and descriptors of file contents are released as soon as the content is not needed."""

from __future__ import annotations

import gc
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.blobs import IN_MEMORY_AT_MOST, Blob
from fine_tuning_fakeserver.account.records import Record
from fine_tuning_fakeserver.account.service import Service
from fine_tuning_fakeserver.api import files
from strategies import BORN, FORM, KEY, Http, form, part_form

LARGE = b"no json\n" * (IN_MEMORY_AT_MOST // 8 + 1)
OPEN = "/dev/fd"

pytestmark = pytest.mark.skipif(not os.path.isdir(OPEN), reason=f"open descriptors are counted in {OPEN}")


@pytest.fixture
def http() -> Iterator[Http]:
    """Raw requests to a fake, with Python's garbage collector disabled."""
    gc.disable()
    try:
        yield Http(FakeFineTuning(start=BORN, pace="manual"))
    finally:
        gc.enable()


def open_files() -> int:
    """The number of this process's open descriptors."""
    return len(os.listdir(OPEN))


def delete(http: Http) -> None:
    """Upload and delete a file."""
    identifier = json.loads(http.upload(LARGE, purpose="batch").body)["id"]
    http.json("DELETE", f"/files/{identifier}")


def expire(http: Http) -> None:
    """Upload a file and let it expire."""
    http.upload(LARGE, purpose="batch")
    http.fake.advance("31d")
    assert http.json("GET", "/files")["data"] == []


def begin(http: Http) -> tuple[str, str]:
    """Begin an upload and send its only part; return both ids."""
    told = {"filename": "a", "purpose": "batch", "bytes": len(LARGE), "mime_type": "text/jsonl"}
    upload = http.json("POST", "/uploads", told)["id"]
    sent = http.send("POST", f"/uploads/{upload}/parts", part_form(LARGE), (KEY, FORM))
    return upload, json.loads(sent.body)["id"]


def complete(http: Http) -> None:
    """Complete an upload and delete its file."""
    upload, part = begin(http)
    file = http.json("POST", f"/uploads/{upload}/complete", {"part_ids": [part]})["file"]["id"]
    http.json("DELETE", f"/files/{file}")


def cancel(http: Http) -> None:
    """Cancel an upload."""
    http.json("POST", f"/uploads/{begin(http)[0]}/cancel")


def leave(http: Http) -> None:
    """Let an upload expire."""
    begin(http)
    http.fake.advance("1h")
    http.json("GET", "/files")


def reset(http: Http) -> None:
    """Upload a file and reset the account."""
    http.upload(LARGE, purpose="batch")
    http.fake.reset()


def refuse_content(http: Http) -> None:
    """Upload an invalid training file."""
    assert http.upload(LARGE).status == 400


def refuse_purpose(http: Http) -> None:
    """Upload a file with an unknown purpose."""
    assert http.upload(LARGE, purpose="nonsense").status == 400


def refuse_field(http: Http) -> None:
    """Upload a file followed by a field that is too large."""
    body = form(LARGE)[:-7] + b"--B\r\n" + form(b"", purpose="x" * 70_000).split(b"--B\r\n")[1] + b"--B--\r\n"
    assert http.send("POST", "/files", body, (KEY, FORM)).status == 413


def break_off(http: Http) -> None:
    """Upload a form that ends in the middle of its file."""
    assert http.send("POST", "/files", form(LARGE)[:-8], (KEY, FORM)).status == 400


def refuse_part(http: Http) -> None:
    """Send a part to an unknown upload."""
    assert http.send("POST", "/uploads/upload_none/parts", part_form(LARGE), (KEY, FORM)).status == 404


def refuse_completion(http: Http) -> None:
    """Complete an upload with a wrong checksum, and cancel it."""
    upload, part = begin(http)
    http.json("POST", f"/uploads/{upload}/complete", {"part_ids": [part], "md5": "0" * 32}, status=400)
    http.json("POST", f"/uploads/{upload}/cancel")


ENDINGS = (delete, expire, complete, cancel, leave, reset)
REFUSALS = (refuse_content, refuse_purpose, refuse_field, break_off, refuse_part, refuse_completion)


@pytest.mark.parametrize("use", [*ENDINGS, *REFUSALS], ids=lambda use: use.__name__)
def test_a_large_content_is_let_go_at_once(http: Http, use: Callable[[Http], None]) -> None:
    """A removed or refused content keeps neither descriptor nor disk, even without garbage collection."""
    before = open_files()

    use(http)
    use(http)

    assert open_files() <= before


def test_an_upload_that_the_client_breaks_off_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload whose client disconnects is released once the server notices."""
    fake = FakeFineTuning(start=BORN)
    body = form(LARGE * 2)
    on_disk, temporary_file = threading.Event(), tempfile.TemporaryFile

    def note() -> Any:
        on_disk.set()
        return temporary_file()

    monkeypatch.setattr(tempfile, "TemporaryFile", note)
    head = f"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer any\r\nContent-Length: {len(body)}\r\n"
    gc.disable()
    try:
        before = open_files()
        with fake.serving() as url:
            place = urlsplit(url)
            with socket.create_connection((place.hostname, place.port), 10) as connection:
                connection.sendall(f"{head}Content-Type: {FORM[1].decode()}\r\n\r\n".encode() + body[:-8])
                assert on_disk.wait(10)
        assert open_files() <= before
    finally:
        gc.enable()


def test_a_download_under_way_is_whole_though_the_file_is_deleted(http: Http) -> None:
    """A running download is complete even if its file is deleted."""
    identifier = json.loads(http.upload(LARGE, purpose="batch").body)["id"]
    chunks = files.download(http.fake._world.service, identifier).chunks
    first = next(chunks)
    http.json("DELETE", f"/files/{identifier}")

    assert first + b"".join(chunks) == LARGE


def test_a_deletion_that_crashes_takes_no_content(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose deletion is rolled back keeps its content."""
    identifier = json.loads(http.upload(LARGE, purpose="batch").body)["id"]
    commit = Service.commit

    def crash(service: Service, *records: Record) -> None:
        commit(service, *records)
        raise ZeroDivisionError("boom")

    with monkeypatch.context() as patched:
        patched.setattr(Service, "commit", crash)
        http.json("DELETE", f"/files/{identifier}", status=500)

    assert http.send("GET", f"/files/{identifier}/content").body == LARGE


def test_another_account_of_the_same_records_keeps_its_content(http: Http) -> None:
    """Deleting a file in one account does not affect an account that replayed the same records."""
    identifier = json.loads(http.upload(LARGE, purpose="batch").body)["id"]
    twin = Http(FakeFineTuning(start=BORN, pace="manual"))
    twin.fake._world.service.replay(http.fake._world.service.journal)
    http.json("DELETE", f"/files/{identifier}")

    assert twin.send("GET", f"/files/{identifier}/content").body == LARGE


def test_an_account_of_fewer_records_says_that_it_lacks_the_bytes(http: Http) -> None:
    """Reading a file whose bytes were dropped after its deletion says so."""
    identifier = json.loads(http.upload(LARGE, purpose="batch").body)["id"]
    listed = http.json("GET", "/files")
    http.json("DELETE", f"/files/{identifier}")
    twin = Http(FakeFineTuning(start=BORN, pace="manual"))
    twin.fake._world.service.replay(list(http.fake._world.service.journal)[:1])

    assert twin.json("GET", "/files") == listed
    with pytest.raises(LookupError, match=f"the {len(LARGE)} bytes were dropped"):
        twin.fake._world.service.account.files[identifier].content.read()
    assert Blob.dropped(0).read() == b""
