"""Recordings of each format are read as the same exchanges, and other files are refused."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fine_tuning_fakeserver.verify.readers import find_files, read_recording
from fine_tuning_fakeserver.verify.recording import NotARecordingError, RecordedExchange, RecordingError
from fine_tuning_fakeserver.verify.replay import unsupported_reason
from recorded_session import FORMATS, Exchange, session, write

SMALL = [
    Exchange(
        "GET",
        "/v1/models/m?a=b",
        b"",
        "application/json",
        200,
        [("content-type", "application/json")],
        b'{\n  "id": "m"\n}',
    ),
    Exchange(
        "POST",
        "/v1/fine_tuning/jobs",
        b'{"model":"m"}',
        "application/json",
        400,
        [("content-type", "application/json")],
        b'{\n  "error": {}\n}',
    ),
]


def entry(**changes: Any) -> str:
    """A test-proxy recording with one entry."""
    whole = {
        "RequestUri": "https://x/v1/models",
        "RequestMethod": "GET",
        "RequestHeaders": {},
        "RequestBody": None,
        "StatusCode": 200,
        "ResponseHeaders": {"Content-Type": "application/json"},
        "ResponseBody": {"a": 1},
    }
    return json.dumps({"Entries": [{**whole, **changes}]}, ensure_ascii=False)


def only(folder: Path, text: str, name: str = "one.json") -> RecordedExchange:
    """The one exchange of a recording with this text."""
    path = folder / name
    path.write_text(text, "utf-8")
    return read_recording(path).exchanges[0]


@pytest.mark.parametrize("name", FORMATS)
def test_all_formats_tell_the_same(tmp_path: Path, name: str) -> None:
    """Method, address, status, headers and bodies are read from every format unchanged."""
    found = read_recording(write(tmp_path, name, SMALL)).exchanges

    assert [each.method for each in found] == ["GET", "POST"]
    assert [each.target for each in found] == ["/v1/models/m?a=b", "/v1/fine_tuning/jobs"]
    assert [each.status for each in found] == [200, 400]
    assert [each.body for each in found] == [each.answer for each in SMALL]
    assert [each.json for each in found] == [{"id": "m"}, {"error": {}}]
    assert found[1].request_members == {"model": "m"}
    assert found[0].query == {"a": "b"}
    assert found[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_told_by_what_is_in_them(tmp_path: Path, name: str) -> None:
    """The format is detected from the content."""
    formats = {"vcr.yaml": "vcr", "ruby.yml": "vcr", "proxy.json": "test-proxy", "session.har": "har"}

    assert formats[name] == read_recording(write(tmp_path, name, SMALL)).format


def test_numbers_of_the_proxy_keep_their_spelling(tmp_path: Path) -> None:
    """A float keeps its spelling in the recording."""
    text = entry().replace('{"a": 1}', '{"a": 4.7e-6, "b": 0.00001, "c": 1.0, "d": []}')

    assert only(tmp_path, text).body == b'{\n  "a": 4.7e-6,\n  "b": 0.00001,\n  "c": 1.0,\n  "d": []\n}'


@pytest.mark.parametrize(("length", "end"), [("13", b"\n"), ("12", b""), ("99", b""), (None, b"")])
def test_content_length_tells_the_last_newline(tmp_path: Path, length: str | None, end: bytes) -> None:
    """A parsed body's last newline is derived from Content-Length, if it has one."""
    headers = {"Content-Type": "application/json", **({"Content-Length": length} if length else {})}
    exchange = only(tmp_path, entry(ResponseHeaders=headers))

    assert exchange.body == b'{\n  "a": 1\n}' + end
    assert exchange.end_is_known == (length in ("12", "13"))


def test_bodies_that_the_proxy_keeps_otherwise(tmp_path: Path) -> None:
    """Text bodies are strings or lines, other content is base64, and an empty body is null."""
    text, raw = {"Content-Type": "text/plain"}, {"Content-Type": "application/octet-stream"}

    assert only(tmp_path, entry(ResponseBody="é", ResponseHeaders=text)).body == "é".encode()
    assert only(tmp_path, entry(ResponseBody=["a\n", "b"], ResponseHeaders=text)).body == b"a\nb"
    assert only(tmp_path, entry(ResponseBody="AP8=", ResponseHeaders=raw)).body == b"\x00\xff"
    assert only(tmp_path, entry(ResponseBody="no base64", ResponseHeaders=raw)).body == b"no base64"
    assert only(tmp_path, entry(ResponseBody=None)).body == b""


def test_lost_request_bodies_are_told_from_empty_ones(tmp_path: Path) -> None:
    """A request with a Content-Length but no body in the recording has lost it."""
    assert only(tmp_path, entry(RequestHeaders={"Content-Length": "3"})).request_body is None
    assert only(tmp_path, entry(RequestHeaders={"Content-Length": "0"})).request_body == b""
    assert only(tmp_path, entry(RequestBody="YWI=")).request_body == b"ab"


def interaction(response: dict[str, Any], name: str = "interactions") -> str:
    """A cassette with one exchange."""
    request = {"method": "get", "uri": "https://x/v1/models", "headers": None, "body": None}
    return yaml.dump({name: [{"request": request, "response": response}]})


def test_cassettes_of_other_versions(tmp_path: Path) -> None:
    """Old vcrpy's responses, base64 bytes and compressed bodies are read."""
    packed = {
        "status": {"code": 200},
        "headers": {"Content-Encoding": ["gzip"]},
        "body": {"string": gzip.compress(b"[]")},
    }
    unpacked = {"status": {"code": 200}, "headers": {"Content-Encoding": ["gzip"]}, "body": {"string": b"[]"}}
    exact = {"status": {"code": 200}, "headers": {}, "body": {"base64_string": base64.b64encode(b"[]").decode()}}

    for response in ({"status_code": 200, "content": "[]", "headers": {}}, packed, unpacked, exact):
        assert only(tmp_path, interaction(response), "one.yaml").body == b"[]"
    assert only(tmp_path, json.dumps(yaml.safe_load(interaction(exact)))).body == b"[]"


def test_parsed_bodies(tmp_path: Path) -> None:
    """A body that its recorder kept parsed is read as JSON, or as text, and is told from one that was kept as sent."""
    headers = {"content-type": "application/json"}
    parsed = {"status": {"code": 200}, "headers": {**headers}, "parsed_body": {"b": 1, "a": "é"}}
    text = {"status": {"code": 200}, "headers": {"content-type": ["text/plain"]}, "parsed_body": "a"}
    request = {"method": "POST", "uri": "https://x/v1/files", "headers": headers, "parsed_body": {"purpose": "x"}}
    whole = {"interactions": [{"request": request, "response": parsed}]}

    read = only(tmp_path, yaml.dump(whole), "one.yaml")
    assert (read.json, read.is_reparsed, read.request_members) == ({"a": "é", "b": 1}, True, {"purpose": "x"})
    assert only(tmp_path, interaction(text), "one.yaml").body == b"a"


@pytest.mark.parametrize(
    ("body", "json_text"),
    [("é\U0001f600", '"\\u00e9\\ud83d\\ude00"'), ("\ufffd", '"\\ufffd"')],
)
@pytest.mark.parametrize("name", ["one.json", "one.yaml"])
def test_vcrpys_json(tmp_path: Path, name: str, body: str, json_text: str) -> None:
    """vcrpy's JSON is read whatever the file is called, with characters that it spells as pairs of surrogates."""
    text = interaction_json(json_text)

    assert only(tmp_path, text, name).body == body.encode()


def interaction_json(body: str) -> str:
    """A cassette in JSON with one exchange, whose answer's body is spelt so."""
    return (
        '{"version": 1, "interactions": [{"request": {"method": "GET", "uri": "https://x/v1/models", "body": null, '
        '"headers": {}}, "response": {"status": {"code": 200}, "headers": {}, "body": {"string": ' + body + "}}}]}"
    )


def compressed(body: Any, coding: str) -> dict[str, Any]:
    """A cassette's answer with a compressed body."""
    return {"status": {"code": 200}, "headers": {"Content-Encoding": [coding]}, "body": {"string": body}}


def har(**content: Any) -> str:
    """A HAR file with one answer of this content."""
    request = {"method": "GET", "url": "https://x/v1/models", "headers": []}
    return json.dumps({"log": {"entries": [{"request": request, "response": {"status": 200, "content": content}}]}})


UNKNOWN = {
    "file.yaml": (
        interaction({"status": {"code": 200}, "body": {"file": "a.bin"}}),
        "string or base64_string, got file",
    ),
    "sse.yaml": (
        interaction({"status": {"code": 200}, "events": []}),
        "none of body, content, parsed_body, got events",
    ),
    "list.yaml": (interaction({"status": {"code": 200}, "body": {"string": [1]}}), "must be text, got list"),
    "coding.yaml": (interaction(compressed(b"\xff\x00", "rot13")), "cannot undo content-encoding 'rot13'"),
    "broken.yaml": (interaction(compressed(b"\x1f\x8b\xff", "gzip")), "cannot undo content-encoding 'gzip'"),
    "proxy.json": (entry(ResponseHeaders={"Content-Type": "image/png"}, ResponseBody={"a": 1}), "is image/png"),
    "left.har": (har(size=7), "leaves out a body of 7 bytes"),
    "base.har": (har(text="!", encoding="base64"), "must be base64"),
    "quoted.har": (har(text="a", encoding="quoted-printable"), "got quoted-printable"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_forms_are_not_empty_bodies(tmp_path: Path, name: str) -> None:
    """A body in an unknown form is not applicable, with the reason, and its recording is read all the same."""
    text, expected = UNKNOWN[name]
    exchange = only(tmp_path, text, name)

    assert expected in exchange.unreadable
    assert unsupported_reason(exchange) == exchange.unreadable


def test_no_body_is_none(tmp_path: Path) -> None:
    """An answer that has no body, by its status or its length, is not unreadable."""
    for response in ({"status": {"code": 204}}, {"status": {"code": 200}, "headers": {"Content-Length": "0"}}):
        assert only(tmp_path, interaction({**response, "odd": 1}), "one.yaml").unreadable == ""


def test_forms_of_the_proxy(tmp_path: Path) -> None:
    """A form is kept as its lines, what is no text among them in base64."""
    lines = ["--B\r\n", "\r\n", "b64:AP8=", "\r\n--B--\r\n"]
    headers = {"Content-Type": "multipart/form-data; boundary=B"}

    assert (
        only(tmp_path, entry(RequestHeaders=headers, RequestBody=lines)).request_body
        == b"--B\r\n\r\n\x00\xff\r\n--B--\r\n"
    )


def test_unanswered_requests_of_a_browser_are_left_out(tmp_path: Path) -> None:
    """A HAR entry with status 0 has no response and is left out."""
    request = {"method": "GET", "url": "https://x/v1/models", "headers": []}
    entries = [{"request": request, "response": {"status": status, "headers": []}} for status in (0, 204)]

    exchange = only(tmp_path, json.dumps({"log": {"entries": entries}}), "one.har")

    assert (exchange.number, exchange.status, exchange.body) == (0, 204, b"")


BROKEN = {
    "empty.json": ("", "not JSON"),
    "cut.json": ('{"Entries": [', "not JSON"),
    "cut.yaml": ("a: [", "not YAML"),
    "tag.yaml": ("interactions: [!ruby/object:Set {}]", "not YAML"),
    "python.yaml": ("interactions: [!!python/object:os.system {}]", "not YAML"),
    "laughs.yaml": ("a: &a [x]\nb: &b [*a, *a]\ninteractions: [*b, *b]", "not YAML: aliases are not read"),
    "itself.yml": ("http_interactions: &all [*all]", "not YAML: aliases are not read"),
    "number.yaml": (f"interactions: [{'1:' * 40}1]", "not YAML: a number must have at most 64 characters, got 81"),
    "far.yaml": (f"a: {'1:' * 400}1.5", "not YAML: a number must have"),
    "time.yaml": ("a: !!timestamp x", "not YAML: AttributeError"),
    "deep.json": ("[" * 100_000, "not JSON"),
    "entry.json": ('{"Entries": [{}]}', "broken test-proxy recording: KeyError"),
    "kind.json": ('{"Entries": [7]}', "broken test-proxy recording"),
    "status.json": (entry(StatusCode="soon"), "broken test-proxy recording: ValueError"),
    "method.json": (entry(RequestMethod="GET /"), "method must be a word, got 'GET /'"),
    "address.json": (entry(RequestUri="http://["), "broken test-proxy recording: ValueError"),
    "blank.json": (entry(RequestUri="https://x/v1/\a"), "broken test-proxy recording"),
    "vcr.yaml": ("interactions: [{request: {}}]", "broken vcr recording"),
    "log.har": ('{"log": {"entries": [{"response": {}}]}}', "broken har recording"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_recordings_are_refused(tmp_path: Path, name: str) -> None:
    """A broken recording is refused with its path and the reason in one line."""
    text, expected = BROKEN[name]
    path = tmp_path / name
    path.write_text(text, "utf-8")

    with pytest.raises(RecordingError, match=r"(?s)^" + str(path)) as caught:
        read_recording(path)

    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "{}", "null", '{"Entries": {}}', '{"log": []}', "7"])
def test_other_documents_are_no_recordings(tmp_path: Path, text: str) -> None:
    """JSON that is not a recording is refused as such, with the expected formats."""
    path = tmp_path / "other.json"
    path.write_text(text, "utf-8")

    with pytest.raises(NotARecordingError, match="Entries"):
        read_recording(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A binary file is refused."""
    path = tmp_path / "binary.json"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(RecordingError, match="cannot be read as text"):
        read_recording(path)


def test_folders_are_gone_through(tmp_path: Path) -> None:
    """A folder stands for the files in it with a recording's extension, in order."""
    (tmp_path / "inner").mkdir()
    for name in ("b.json", "inner/a.yml", "c.HAR", "notes.txt"):
        (tmp_path / name).write_text("{}")

    found = [path.name for path, is_named in find_files([tmp_path]) if not is_named]

    assert sorted(found) == ["a.yml", "b.json", "c.HAR"]
    assert list(find_files([tmp_path / "notes.txt"])) == [(tmp_path / "notes.txt", True)]


@pytest.mark.parametrize("name", ["", "none"])
def test_missing_paths_are_refused(tmp_path: Path, name: str) -> None:
    """A missing path, and a folder without recordings, are refused."""
    path = tmp_path / name

    with pytest.raises(RecordingError, match=r"no such file or folder|has no recording"):
        list(find_files([path]))


def test_a_whole_session_is_read(tmp_path: Path) -> None:
    """Every exchange of a session is read in order."""
    exchanges = session()

    assert len(exchanges) == len(read_recording(write(tmp_path, "vcr.yaml", exchanges)).exchanges)


def test_an_endless_status_is_reported(tmp_path: Path) -> None:
    """A recording whose status is infinite is refused as broken."""
    path = tmp_path / "endless.json"
    path.write_text(entry(StatusCode=float("inf")))

    with pytest.raises(RecordingError, match="broken test-proxy recording"):
        read_recording(path)


def test_a_cassette_with_an_endless_status_is_reported(tmp_path: Path) -> None:
    """A cassette whose status is infinite is refused as broken."""
    path = tmp_path / "endless.yaml"
    request = {"method": "GET", "uri": "https://x/v1/models", "headers": {}, "body": ""}
    response = {"status": {"code": float("inf")}, "headers": {}, "body": {"string": ""}}
    path.write_text(yaml.safe_dump({"interactions": [{"request": request, "response": response}], "version": 1}))

    with pytest.raises(RecordingError, match="broken vcr recording"):
        read_recording(path)
