"""Readers of recordings in several formats: the Azure SDK's test proxy, VCR cassettes and HAR files."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from fine_tuning_formats.bodies import MEDIA_TYPE, ContentEncodingError, MultipartPart, decompress, write_multipart
from fine_tuning_formats.lazy_dataclass import dataclass

from .recording import Json, NotARecordingError, RecordedExchange, Recording, RecordingError, parse_answer

if TYPE_CHECKING:
    from fine_tuning_cassettes.messages import FormPart

FORMATS = "test-proxy JSON (Entries), a VCR cassette (interactions, http_interactions) or a HAR file (log.entries)"
SUFFIXES = (".json", ".yaml", ".yml", ".har")
VCR_LISTS = ("interactions", "http_interactions")
VCR_BODIES = ("body", "content", "parsed_body")
"""Where a cassette keeps a body: vcrpy and Ruby's VCR; vcrpy before version 6, of httpx; recorders that parse JSON."""
VCR_MEMBERS = frozenset(
    {
        *("method", "uri", "headers", "meaning", "form", "status", "status_code", "http_version", "url", "protocol"),
        *("adapter_metadata", "recorded_at"),
    }
)
"""Other members of a cassette's requests and responses."""
BASE64_LINE = "b64:"
"""How the test proxy marks a part of a form that is no text."""
BOUNDARY = "cassette"
"""What our own cassettes say of each form."""

_MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)


def find_files(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Return the files at *paths*, folders searched through, each with whether it was named itself.

    Raises:
        RecordingError: a path does not exist, or a folder has no file of a known kind.
    """
    for path in paths:
        if path.is_file():
            yield path, True
            continue
        if not path.is_dir():
            raise RecordingError(f"{path}: no such file or folder")
        files = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        if not files:
            raise RecordingError(f"{path}: the folder has no recording, a file that ends in {', '.join(SUFFIXES)}")
        yield from ((each, False) for each in files)


def read_recording(path: Path) -> Recording:
    """Read the recording in a file, whose format is known by its content.

    Raises:
        NotARecordingError: the file is sound, and no recording.
        RecordingError: the file cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read as text: {error}") from None
    # vcrpy names its cassettes .yaml whatever its serializer writes
    is_yaml = path.suffix.lower() in (".yaml", ".yml") and not text.lstrip().startswith("{")
    try:
        document = _parse_yaml(text) if is_yaml else json.loads(text)
    except (RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RecordingError(f"{path}: not {'YAML' if is_yaml else 'JSON'}: {reason}; expected {FORMATS}") from None

    name = _detect_format(document)
    if name is None:
        raise NotARecordingError(f"{path}: not a recording; expected {FORMATS}")
    try:
        exchanges = tuple(READERS[name](document, text))
        for exchange in exchanges:
            if not (exchange.method.isascii() and exchange.method.isalpha()):
                raise ValueError(f"method must be a word, got {exchange.method!r}")
            if not exchange.target.isprintable():
                raise ValueError(f"url must be printable, got {exchange.url!r}")
    except _MALFORMED as error:
        raise RecordingError(f"{path}: broken {name} recording: {type(error).__name__}: {error}") from None
    return Recording(path, name, exchanges)


def _parse_yaml(text: str) -> Any:
    from fine_tuning_cassettes.yaml_format import parse_yaml  # takes longer to import than to read the other formats

    return parse_yaml(text)


def _detect_format(document: Any) -> str | None:
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("Entries"), list):
        return "test-proxy"
    if any(isinstance(document.get(name), list) for name in VCR_LISTS):
        return "vcr"
    log = document.get("log")
    return "har" if isinstance(log, dict) and isinstance(log.get("entries"), list) else None


def _headers(pairs: Iterable[tuple[object, object]]) -> dict[str, str]:
    """Return headers with their names in lower case; of several values the last counts."""
    single = ((name, value[-1] if isinstance(value, list) and value else value) for name, value in pairs)
    return {str(name).lower(): str(value) for name, value in single}


def _encode(text: str | None) -> bytes:
    """Encode text as UTF-8; a character that JSON spelt as a pair of surrogates is one again."""
    try:
        return (text or "").encode()
    except UnicodeEncodeError:
        joined = (text or "").encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        return joined.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class _Body:
    """A recorded body: its bytes, whether the recorder kept it parsed, and why it is not known, if it is not."""

    content: bytes = b""
    is_reparsed: bool = False
    unreadable: str = ""


def _decompress(body: _Body, headers: Mapping[str, str]) -> _Body:
    """Undo a body's compression, unless the recorder has done so already, which leaves text."""
    if body.unreadable:
        return body
    try:
        return replace(body, content=decompress(body.content, headers.get("content-encoding", "")))
    except ContentEncodingError as error:
        is_text = _is_text(body.content)
        return body if is_text else _Body(unreadable=f"the body of the answer: {error}")


def _is_text(body: bytes) -> bool:
    try:
        return body.decode()[:1000].translate(dict.fromkeys(map(ord, "\t\r\n"))).isprintable()
    except UnicodeDecodeError:
        return False


def read_test_proxy(document: Json, text: str) -> Iterator[RecordedExchange]:
    """Read a recording of the Azure SDK's test proxy, which keeps JSON parsed, in wire order."""
    # Numbers are read a second time, as text: the recording keeps their spelling, and parsing loses it.
    spelt = json.loads(text, parse_float=orjson.Fragment, parse_int=orjson.Fragment)
    for number, (entry, literal) in enumerate(zip(document["Entries"], spelt["Entries"], strict=True)):
        request_headers = _headers(entry["RequestHeaders"].items())
        headers = _headers(entry["ResponseHeaders"].items())
        length = headers.get("content-length")
        answer = _decompress(_proxy_answer(literal.get("ResponseBody"), headers), headers)
        body = answer.content
        if length == str(len(body) + 1):
            body += b"\n"
        yield RecordedExchange(
            number=number,
            method=entry["RequestMethod"].upper(),
            url=entry["RequestUri"],
            request_headers=request_headers,
            request_body=_proxy_request(entry.get("RequestBody"), request_headers),
            status=int(entry["StatusCode"]),
            headers=headers,
            body=body,
            json=parse_answer(body, headers),
            end_is_known=length == str(len(body)),
            unreadable=answer.unreadable,
        )


def _proxy_request(value: Any, headers: dict[str, str]) -> bytes | None:
    """Return the request's body; None if the recording has lost it."""
    if value is None:
        return None if headers.get("content-length", "0") != "0" else b""
    if isinstance(value, str):
        return _proxy_text(value, headers)
    if isinstance(value, list) and headers.get("content-type", "").startswith(MEDIA_TYPE):
        return _proxy_lines(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()  # as that SDK writes JSON


def _proxy_answer(value: Any, headers: dict[str, str]) -> _Body:
    """Return the answer's body; one that was kept parsed is written as the service writes it."""
    if value is None:
        return _Body()
    if isinstance(value, str):
        return _Body(_proxy_text(value, headers))
    if "json" in headers.get("content-type", "json"):
        return _Body(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return _Body(_proxy_lines(value))
    kind = headers["content-type"]
    return _Body(unreadable=f"the body of the answer is neither text nor lines, but its content-type is {kind}")


def _proxy_lines(lines: list[str]) -> bytes:
    """Return text that is kept as its lines; what is no text among them is in base64, and marked so."""
    encoded = (
        base64.b64decode(line.removeprefix(BASE64_LINE), validate=True)
        if line.startswith(BASE64_LINE)
        else _encode(line)
        for line in lines
    )
    return b"".join(encoded)


def _proxy_text(value: str, headers: dict[str, str]) -> bytes:
    """Return text as it is; other content is kept in base64."""
    kind = headers.get("content-type", "")
    if kind.startswith("text/") or "json" in kind:
        return _encode(value)
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:  # it is no base64
        return _encode(value)


def read_vcr(document: Json, text: str) -> Iterator[RecordedExchange]:
    """Read a cassette of vcrpy, of this package (`interactions`) or of Ruby's VCR (`http_interactions`)."""
    from fine_tuning_cassettes.errors import CassetteFileError
    from fine_tuning_cassettes.yaml_format import parse_interaction

    interactions = next(document[name] for name in VCR_LISTS if name in document)
    for number, each in enumerate(interactions):
        response, sent = each["response"], each["request"]
        if "status" not in response:  # vcrpy kept httpx's answers under names of their own until version 6
            response = {**response, "status": {"code": response["status_code"]}}
        kept, asked = _vcr_body(response), _vcr_body(sent)
        try:
            interaction = parse_interaction(
                {"request": {**sent, "body": asked.content}, "response": {**response, "body": kept.content}},
                f"interaction {number + 1}",
            )
        except CassetteFileError as error:
            raise ValueError(error) from None
        request, headers = interaction.request, dict(interaction.response.headers)
        answer = _decompress(kept, headers)
        yield RecordedExchange(
            number=number,
            method=request.method,
            url=request.uri,
            request_headers=dict(request.headers),
            request_body=_vcr_request(asked, request.form),
            status=interaction.response.status,
            headers=headers,
            body=answer.content,
            json=parse_answer(answer.content, headers),
            is_reparsed=answer.is_reparsed,
            unreadable="" if _has_no_body(sent, interaction.response.status, headers) else answer.unreadable,
        )


def _vcr_body(message: Json) -> _Body:
    """Return the body of a cassette's request or response, under whichever name it is kept."""
    name = next((name for name in VCR_BODIES if message.get(name) is not None), None)
    if name is None:
        is_empty = any(name in message for name in VCR_BODIES) or not message.keys() - VCR_MEMBERS
        others = ", ".join(sorted(map(str, message.keys() - VCR_MEMBERS)))
        return _Body(unreadable="" if is_empty else f"its body is under none of {', '.join(VCR_BODIES)}, got {others}")
    value = message[name]
    if name == "parsed_body":
        is_text = isinstance(value, str) and "json" not in str(message.get("headers")).lower()
        return _Body(_encode(value) if is_text else _write_parsed(value), is_reparsed=not is_text)
    if isinstance(value, dict):
        if (encoded := value.get("base64_string")) is not None:
            return _Body(base64.b64decode(encoded, validate=True))
        if "string" not in value:
            return _Body(unreadable=f"its body must have string or base64_string, got {', '.join(map(str, value))}")
        value = value["string"]
    if isinstance(value, bytes):
        return _Body(value)
    if value is None or isinstance(value, str):
        return _Body(_encode(value))
    return _Body(unreadable=f"its body must be text, got {type(value).__name__}")


def _write_parsed(value: Any) -> bytes:
    """Write what the recorder has parsed as the service writes JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")


def _vcr_request(body: _Body, form: tuple[FormPart, ...] | None) -> bytes | None:
    """Return what was sent; None if the cassette has lost it."""
    if form is not None:
        return _write_form(form)
    return None if body.unreadable else body.content


def _has_no_body(request: Json, status: int, headers: Mapping[str, str]) -> bool:
    """Return whether an answer has none, however it is recorded."""
    method = str(request.get("method")).upper()
    return method == "HEAD" or status in (204, 304) or headers.get("content-length") == "0"


def _write_form(parts: Iterable[FormPart]) -> bytes | None:
    """Write a form of our own cassettes again; return None if digests stand for a file's content."""
    written: list[MultipartPart] = []
    for part in parts:
        if part.content is None:
            return None
        written.append(MultipartPart(part.name, part.filename, part.content))
    return write_multipart(written, BOUNDARY)


def read_har(document: Json, text: str) -> Iterator[RecordedExchange]:
    """Read a HAR file (version 1.2); a request without an answer (status 0) is left out."""
    answered = [entry for entry in document["log"]["entries"] if entry["response"]["status"]]
    for number, entry in enumerate(answered):
        request, response = entry["request"], entry["response"]
        request_headers, headers = (
            _headers((each["name"], each["value"]) for each in message.get("headers") or ())
            for message in (request, response)
        )
        answer = _decompress(_har_body(response.get("content") or {}), headers)
        if _has_no_body(request, int(response["status"]), headers):
            answer = _Body()
        posted = request.get("postData") or {}
        request_body: bytes | None = _har_body(posted).content
        if "multipart" in posted.get("mimeType", "") and (not request_body or posted.get("params")):
            request_body = None  # a browser does not write down a form's file
        yield RecordedExchange(
            number=number,
            method=request["method"].upper(),
            url=request["url"],
            request_headers=request_headers,
            request_body=request_body,
            status=int(response["status"]),
            headers=headers,
            body=answer.content,
            json=parse_answer(answer.content, headers),
            unreadable=answer.unreadable,
        )


def _har_body(content: Json) -> _Body:
    """Return the body of a HAR's request or response, as text or in base64."""
    encoding, text, size = content.get("encoding"), content.get("text"), content.get("size")
    if text is None:
        is_left_out = isinstance(size, int) and size > 0
        return _Body(unreadable=f"the HAR file leaves out a body of {size} bytes" if is_left_out else "")
    if encoding == "base64":
        try:
            return _Body(base64.b64decode(text, validate=True))
        except ValueError as error:
            return _Body(unreadable=f"its body must be base64: {error}")
    return (
        _Body(unreadable=f"the encoding of its body must be base64, got {encoding}")
        if encoding
        else _Body(_encode(text))
    )


READERS: dict[str, Callable[[Any, str], Iterator[RecordedExchange]]] = {
    "test-proxy": read_test_proxy,
    "vcr": read_vcr,
    "har": read_har,
}
