"""A machine without disk space, descriptors or memory: the refusals name it, and nothing else is lost."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.blobs import IN_MEMORY_AT_MOST
from fine_tuning_fakeserver.api import jobs
from strategies import BORN, FORM, KEY, Http, everything, form, part_form

resource = pytest.importorskip("resource", reason="limits are set by the module resource, which Windows lacks")

LARGE = b"{}\n" * (IN_MEMORY_AT_MOST // 2)


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake."""
    return Http(FakeFineTuning(start=BORN, pace="manual"), is_described=False)  # of the service, not of the machine


@contextlib.contextmanager
def limited(kind: int, soft: int) -> Iterator[None]:
    """Lower a limit of this process during the block."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


@contextlib.contextmanager
def file_size_limited() -> Iterator[None]:
    """Limit file sizes to 1 MiB, like ``ulimit -f``."""
    with limited(resource.RLIMIT_FSIZE, 1 << 20):
        yield


@contextlib.contextmanager
def descriptors_used_up() -> Iterator[None]:
    """Leave no descriptor for files, like ``ulimit -n``."""
    with limited(resource.RLIMIT_NOFILE, 1):
        yield


@contextlib.contextmanager
def disk_full() -> Iterator[None]:
    """Let every temporary file be on a full disk."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "TemporaryFile", partial(open, "/dev/full", "wb", buffering=0))
        yield


@contextlib.contextmanager
def no_folder() -> Iterator[None]:
    """Let there be no folder for temporary files."""

    def missing() -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "TemporaryFile", missing)
        yield


def send(http: Http, way: str) -> tuple[int, Any]:
    """The response to a large file or part."""
    path, body = "/files", form(LARGE, purpose="batch")
    if way == "part":
        told = {"filename": "a", "purpose": "batch", "bytes": len(LARGE), "mime_type": "text/jsonl"}
        path = f"/uploads/{http.json('POST', '/uploads', told)['id']}/parts"
        body = part_form(LARGE)
    reply = http.send("POST", path, body, (KEY, FORM))
    return reply.status, json.loads(reply.body)


@pytest.mark.parametrize("way", ["file", "part"])
@pytest.mark.parametrize(
    ("state", "status", "says"),
    [
        (file_size_limited, 507, "File too large"),
        (descriptors_used_up, 503, "Too many open files"),
        (disk_full, 507, "No space left on device"),
        (no_folder, 507, "No usable temporary directory found"),
    ],
)
def test_a_machine_that_cannot_take_a_file_has_no_bug(
    http: Http,
    way: str,
    state: Callable[[], contextlib.AbstractContextManager[None]],
    status: int,
    says: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If a file cannot be stored, the refusal names the cause and TMPDIR, and the account is unchanged."""
    if state is disk_full and not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    send(http, way)
    before = everything(http.fake)

    with state():
        answered, body = send(http, way)

    error = body["error"]
    assert answered == status
    assert (error["type"], error["param"], error["code"]) == ("server_error", None, None)
    assert all(word in error["message"] for word in (says, "TMPDIR", tempfile.gettempdir()))
    assert "bug" not in error["message"]
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.ERROR, None)]
    assert way == "part" or everything(http.fake) == before
    assert send(http, way)[0] == 200


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Cannot allocate memory"),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), "Resource temporarily unavailable"),
    ],
    ids=repr,
)
def test_an_operation_that_the_machine_cannot_do(
    http: Http, error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the system lacks resources, an operation is refused with 503 and rolled back, and not called a bug."""
    body = {"model": "gpt-4o-mini", "training_file": http.file()}
    before = everything(http.fake)

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "job_object", fail)
        message = http.json("POST", "/fine_tuning/jobs", body, status=503)["error"]["message"]

    assert says in message
    assert "bug" not in message
    assert [record.exc_info for record in caplog.records] == [None]
    assert everything(http.fake) == before


def test_a_missing_file_is_a_bug_where_none_is_stored(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system error that no lack of resources explains is reported as a bug."""

    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "part_of_the_package")

    monkeypatch.setattr(jobs, "job_object", fail)
    body = {"model": "gpt-4o-mini", "training_file": http.file()}

    assert "bug" in http.json("POST", "/fine_tuning/jobs", body, status=500)["error"]["message"]
