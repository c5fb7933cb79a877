"""Upload forms that are refused: broken, invalid and too large ones."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.blobs import BlobWriter
from fine_tuning_fakeserver.web.upload_form import FormReader
from fine_tuning_formats.training_file import MAX_LINE_BYTES
from strategies import BORN, FORM, KEY, ROWS, Http, everything, form, in_long_runs

MEGABYTE = 1 << 20
SOUND = form(ROWS.encode())
PURPOSE = b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
FILE = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n' + ROWS.encode() + b"\r\n"

UNREADABLE = "Could not parse multipart form"


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake."""
    return Http(FakeFineTuning(start=BORN))


def refused(http: Http, body: bytes, kind: bytes = FORM[1], status: int = 400) -> Any:
    """Send an upload that must be refused and change nothing; return its error."""
    before = everything(http.fake)
    reply = http.send("POST", "/files", body, (KEY, (b"content-type", kind)))
    assert reply.status == status, (reply.status, reply.body)
    assert everything(http.fake) == before
    answer = json.loads(reply.body)
    assert answer["detail"] == {"message": answer["error"]["message"], "code": None}
    assert answer["error"]["type"] == ("server_error" if status == 413 else "invalid_request_error")
    return answer["error"]


@pytest.mark.parametrize("cut", [0, 1, 10, 40, 60, 75, 200, len(SOUND) - 8, len(SOUND) - 5])
def test_a_form_that_is_cut_off(http: Http, cut: int) -> None:
    """A form that ends before its closing boundary is refused, wherever it is cut."""
    error = refused(http, SOUND[:cut])

    assert error["message"] == UNREADABLE


OTHER = "Invalid Content-Type header (%s), expected multipart/form-data. (HINT: If you're using curl, you can pass -H '"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (b"", OTHER % ""),
        (b"application/json", OTHER % "application/json"),
        (b"multipart/mixed; boundary=B", OTHER % "multipart/mixed; boundary=B"),
        (b"multipart/form-data; boundary=C", UNREADABLE),
        (b"multipart/form-data; boundary=" + b"B" * 257, UNREADABLE),
        (b"multipart/form-data; boundary=\xff", UNREADABLE),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_content_type_that_fits_no_form(http: Http, kind: bytes, message: str) -> None:
    """A file that is sent as something else than a form, or under another boundary, is refused as printed."""
    assert refused(http, SOUND, kind)["message"].startswith(message)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"no form at all",
        b"--B\r\nno header\r\n\r\nx\r\n--B--\r\n",
        b"--B\r\n: nameless\r\n\r\nx\r\n--B--\r\n",
        b"--B\r\n" + b"X-Many: y\r\n" * 1000 + b"\r\nx\r\n--B--\r\n",
        b"--B\r\nX-Long: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--B--\r\n",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_form_that_is_broken(http: Http, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A malformed form is refused as one that cannot be parsed, and nothing is logged."""
    assert refused(http, body)["message"] == UNREADABLE
    assert caplog.records == []


@pytest.mark.parametrize(
    ("body", "param"), [(PURPOSE + b"--B--\r\n", "file"), (FILE + b"--B--\r\n", "purpose"), (b"--B--\r\n", "file")]
)
def test_a_part_that_is_missing(http: Http, body: bytes, param: str) -> None:
    """A form without a file or a purpose is refused with the missing part's name."""
    error = refused(http, body)

    assert (error["message"], error["param"]) == (f"'{param}' is a required property", None)


@pytest.mark.parametrize(
    "kind", [b"multipart/form-data", b"multipart/form-data; boundary=", b"Multipart/Form-Data;x=B"]
)
def test_a_content_type_without_its_boundary(http: Http, kind: bytes) -> None:
    """A form whose Content-Type lacks the boundary is refused for a missing file."""
    error = refused(http, SOUND, kind)

    assert (error["message"], error["param"]) == ("'file' is a required property", None)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["expires_after"], "'expires_after' was"),
        (["expires_after.anchor", "expires_after.seconds"], "'expires_after.anchor', 'expires_after.seconds' were"),
        (["expires_after[anchor][x]"], "'expires_after[anchor][x]' was"),
        (["expires_after[seconds][]", "expires_after[]"], "'expires_after[]', 'expires_after[seconds][]' were"),
        (["Purpose"], "'Purpose' was"),
        (["data"], "'data' was"),
        (["file[]"], "'file[]' was"),
    ],
)
def test_a_field_that_there_is_not(http: Http, names: list[str], shown: str) -> None:
    """A form with unknown fields is refused with their names, even if they resemble an expiry."""
    fields = b"".join(
        b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n3600\r\n' % name.encode() for name in names
    )
    error = refused(http, fields + SOUND)

    assert error["message"] == f"Additional properties are not allowed ({shown} unexpected)"
    assert (error["param"], error["code"]) == (None, None)


@pytest.mark.parametrize("purpose", ["", "nonsense", "Fine-Tune", "fine-tune-results", "fine-tune ", "ф"])
def test_a_purpose_that_there_is_not(http: Http, purpose: str) -> None:
    """An unknown purpose is refused in the service's words."""
    error = refused(http, SOUND.replace(b"fine-tune", purpose.encode()))

    known = "['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals']"
    assert error["message"] == f"'{purpose}' is not one of {known} - 'purpose'"
    assert (error["param"], error["code"]) == ("purpose", None)


@pytest.mark.parametrize("purpose", ["fine-tune", "batch"])
def test_a_file_of_no_bytes(http: Http, purpose: str) -> None:
    """An empty file is refused for every purpose."""
    assert refused(http, form(b"", purpose=purpose))["message"] == "File is empty."


@pytest.mark.parametrize("name", ["train.json", "train.csv", "train.jsonl.gz", "train.", "."])
def test_a_name_that_is_not_jsonl(http: Http, name: str) -> None:
    """A fine-tune file whose name does not end in .jsonl is refused; other purposes accept any name."""
    message = refused(http, form(ROWS.encode(), name))["message"]

    assert message == "Invalid file format for Fine-Tuning API. Must be .jsonl"
    assert http.upload(filename=name, purpose="batch").status == 200


@pytest.mark.parametrize(
    ("lines", "number", "hint"),
    [
        (b"[1]\n", 1, "[1]"),
        (b"5\n", 1, "5"),
        (ROWS.encode() + b"\n\n" + b'"text"\n', 13, '"te'),
        (ROWS.encode() + b"{", 11, "{"),
        (b'{"p": NaN}\n', 1, '{"p'),
        (b'{"messages": "\xff"}\n', 1, '{"m'),
        (b"\xff\xfe{}\n", 1, "\ufffd\ufffd{"),
        (b"\xef\xbb\xbf{}\n", 1, "\ufeff"),
        (b"\x00\x00\x00", 1, "\0\0\0"),
        (b'{"a": ' + b"[" * 2000 + b"]" * 2000 + b"}\n", 1, '{"a'),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_line_that_is_no_json_object(http: Http, lines: bytes, number: int, hint: str) -> None:
    """The first line that is not a JSON object is named, with its first characters."""
    message = refused(http, form(lines))["message"]

    assert message == (
        "Expected file to have JSONL format, where every line is a (valid) JSON dictionary. "
        f'Line {number} is not a dictionary (HINT: line starts with: "{hint}...").'
    )


@pytest.mark.parametrize("where", ["role", "tool_calls", "content"])
def test_a_line_nested_deeper_than_python_prints(http: Http, where: str) -> None:
    """A deeply nested line is accepted or refused, and does not crash."""
    message = {"role": "assistant", "content": "x", where: "DEEP"}
    line = json.dumps({"messages": [message]}).replace('"DEEP"', "[" * 1000 + "]" * 1000)

    reply = http.upload((line + "\n") * 10)

    assert reply.status in (200, 400)
    assert reply.status == 200 or b"Line 1 is nested too deeply." in reply.body


def test_a_line_that_is_too_long(http: Http) -> None:
    """A line of 10 MB is refused by its number."""
    line = json.dumps({"messages": [{"role": "user", "content": "x" * (10 * MEGABYTE)}]})

    assert refused(http, form((ROWS + line).encode()))["message"] == f"Line 11 is longer than {MAX_LINE_BYTES} bytes."


def test_a_file_without_line_ends_is_not_read_to_its_end() -> None:
    """Reading a large file of one line takes no more memory than the longest accepted line."""
    writer = BlobWriter()
    for _ in range(64):
        writer.write(b"x" * MEGABYTE)
    content = writer.seal()

    tracemalloc.start()
    try:
        lines = list(content.lines(MAX_LINE_BYTES))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert [len(line) > MAX_LINE_BYTES for line in lines] == [True]
    assert peak < 4 * MAX_LINE_BYTES


@pytest.mark.parametrize(
    ("anchor", "seconds", "words"),
    [
        (b"", b"3600", "'' is not one of ['created_at'] - 'expires_after.anchor'"),
        (b"now", b"3600", "'now' is not one of ['created_at']"),
        (b"created_at", b"", " is not between 3600 and 2592000 - 'expires_after.seconds'"),
        *(
            (b"created_at", seconds, "is not between 3600 and 2592000")
            for seconds in (b"3599", b"2592001", b"-3600", b"1e4", b"3600.5", b"abc", b"9" * 5000)
        ),
    ],
    ids=lambda value: str(value)[:12],
)
def test_an_expiry_out_of_bounds(http: Http, anchor: bytes, seconds: bytes, words: str) -> None:
    """An expiry with an unknown anchor, or outside one hour to thirty days, is refused."""
    assert words in refused(http, _expiring(anchor, seconds))["message"]


def _expiring(anchor: bytes, seconds: bytes) -> bytes:
    parts = {b"expires_after[anchor]": anchor, b"expires_after[seconds]": seconds}
    fields = [
        b'--B\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + value + b"\r\n"
        for name, value in parts.items()
    ]
    return b"".join(fields) + SOUND


@pytest.mark.parametrize("seconds", [3600, 2_592_000])
def test_an_expiry_at_its_bounds(http: Http, seconds: int) -> None:
    """A file's expires_at is its creation plus the given seconds."""
    reply = http.send("POST", "/files", _expiring(b"created_at", b"%d" % seconds), (KEY, FORM))

    file = json.loads(reply.body)
    assert file["expires_at"] == file["created_at"] + seconds


def test_a_field_past_its_limit(http: Http) -> None:
    """A form field over 64 kB that is not a file is refused with 413."""
    body = SOUND.replace(b"fine-tune", b"f" * (64 * 1024 + 1))

    said = "Maximum content size limit (65536) exceeded (65537 bytes read)"
    assert refused(http, body, status=413)["message"] == said


def test_the_rest_after_a_refusal_is_dropped() -> None:
    """After the part that made a form too large, the rest is read and not kept in memory."""
    reader = FormReader("multipart/form-data; boundary=B", 1 << 30)
    reader.feed(b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\n')
    tracemalloc.start()
    try:
        for _ in range(64):
            reader.feed(b"x" * MEGABYTE)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < MEGABYTE


def _too_large() -> Iterator[bytes]:
    yield PURPOSE + FILE[: -len(ROWS) - 2]
    chunk = (ROWS * (4 * MEGABYTE // len(ROWS) + 1)).encode()[: 4 * MEGABYTE]
    for _ in range(129):
        yield chunk
    yield b"\r\n--B--\r\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("/files", "multipart/form-data; boundary=B", 413),
        pytest.param("/files", "a/b", 400, marks=in_long_runs),
        pytest.param("/nothing", "a/b", 404, marks=in_long_runs),
    ],
)
def test_a_body_of_513_megabytes_on_a_socket(path: str, kind: str, status: int) -> None:
    """A body over the limit is read to its end and refused with 413, without being held in memory."""
    fake = FakeFineTuning(start=BORN)
    tracemalloc.start()
    try:
        with fake.serving() as url, httpx.Client(timeout=60) as client:
            headers = {"authorization": "Bearer any", "content-type": kind}
            reply = client.post(url + path, content=_too_large(), headers=headers)
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert reply.status_code == status
    assert status != 413 or "content size limit (536870912) exceeded" in reply.json()["error"]["message"]
    assert peak < 64 * MEGABYTE
    assert fake.state()["counts"]["files"] == 0


def test_a_form_of_very_many_parts(http: Http) -> None:
    """A form of more than 64 parts is refused, and nothing is stored."""
    parts = b"".join(b'--B\r\nContent-Disposition: form-data; name="n%d"\r\n\r\nx\r\n' % number for number in range(65))
    reply = http.send("POST", "/files", parts + b"--B--\r\n", (KEY, FORM))

    assert reply.status == 400
    assert UNREADABLE.encode() in reply.body
    assert http.json("GET", "/files")["data"] == []
