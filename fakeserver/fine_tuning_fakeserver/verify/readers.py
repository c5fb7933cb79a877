"""Readers of recordings in several formats: the Azure SDK's test proxy, VCR cassettes and HAR files."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from fine_tuning_formats.bodies import ContentEncodingError, MultipartPart, decompress, write_multipart

from .recording import Json, NotARecordingError, RecordedExchange, Recording, RecordingError, parse_answer

if TYPE_CHECKING:
    from fine_tuning_cassettes.messages import FormPart

FORMATS = "test-proxy JSON (Entries), a VCR cassette (interactions, http_interactions) or a HAR file (log.entries)"
SUFFIXES = (".json", ".yaml", ".yml", ".har")
VCR_LISTS = ("interactions", "http_interactions")
BOUNDARY = "cassette"
"""What our own cassettes say of each form."""

_MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError)


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
    kind = "YAML" if path.suffix.lower() in (".yaml", ".yml") else "JSON"
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read as text: {error}") from None
    try:
        document = _parse_yaml(text) if kind == "YAML" else json.loads(text)
    except (RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RecordingError(f"{path}: not {kind}: {reason}; expected {FORMATS}") from None

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
    return (text or "").encode("utf-8", "surrogatepass")


def read_test_proxy(document: Json, text: str) -> Iterator[RecordedExchange]:
    """Read a recording of the Azure SDK's test proxy, which keeps JSON parsed, in wire order."""
    # Numbers are read a second time, as text: the recording keeps their spelling, and parsing loses it.
    spelt = json.loads(text, parse_float=orjson.Fragment, parse_int=orjson.Fragment)
    for number, (entry, literal) in enumerate(zip(document["Entries"], spelt["Entries"], strict=True)):
        request_headers = _headers(entry["RequestHeaders"].items())
        headers = _headers(entry["ResponseHeaders"].items())
        request_body: bytes | None
        if (value := entry.get("RequestBody")) is None:
            request_body = None if request_headers.get("content-length", "0") != "0" else b""
        elif isinstance(value, str):
            request_body = _proxy_text(value, request_headers)
        else:  # as that SDK writes JSON
            request_body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        length = headers.get("content-length")
        body = _proxy_answer(literal.get("ResponseBody"), headers)
        if length == str(len(body) + 1):
            body += b"\n"
        yield RecordedExchange(
            number=number,
            method=entry["RequestMethod"].upper(),
            url=entry["RequestUri"],
            request_headers=request_headers,
            request_body=request_body,
            status=int(entry["StatusCode"]),
            headers=headers,
            body=body,
            json=parse_answer(body, headers),
            end_is_known=length == str(len(body)),
        )


def _proxy_answer(value: Any, headers: dict[str, str]) -> bytes:
    """Return the answer's body; one that was kept parsed is written as the service writes it."""
    if value is None:
        return b""
    if isinstance(value, str):
        return _proxy_text(value, headers)
    if isinstance(value, list) and "json" not in headers.get("content-type", "json"):
        return "".join(value).encode()  # text is kept as its lines
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def _proxy_text(value: str, headers: dict[str, str]) -> bytes:
    """Return text as it is; other content is kept in base64."""
    kind = headers.get("content-type", "")
    if kind.startswith("text/") or "json" in kind:
        return value.encode()
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return value.encode()


def read_vcr(document: Json, text: str) -> Iterator[RecordedExchange]:
    """Read a cassette of vcrpy, of this package (`interactions`) or of Ruby's VCR (`http_interactions`)."""
    from fine_tuning_cassettes.errors import CassetteFileError
    from fine_tuning_cassettes.yaml_format import parse_interaction

    interactions = next(document[name] for name in VCR_LISTS if name in document)
    for number, each in enumerate(interactions):
        response = each["response"]
        if "status" not in response:  # vcrpy kept httpx's answers under names of their own until version 6
            response = {"body": response.get("content"), **response, "status": {"code": response["status_code"]}}
        try:
            interaction = parse_interaction({**each, "response": response}, f"interaction {number + 1}")
        except CassetteFileError as error:
            raise ValueError(error) from None
        request, answer = interaction.request, interaction.response
        headers, body = dict(answer.headers), answer.body
        with suppress(ContentEncodingError):  # the recorder had decompressed it already, or nothing here can
            body = decompress(body, headers.get("content-encoding", ""))
        yield RecordedExchange(
            number=number,
            method=request.method,
            url=request.uri,
            request_headers=dict(request.headers),
            request_body=request.body if request.form is None else _write_form(request.form),
            status=answer.status,
            headers=headers,
            body=body,
            json=parse_answer(body, headers),
        )


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
        content = response.get("content") or {}
        value = content.get("text") or ""
        body = base64.b64decode(value) if content.get("encoding") == "base64" else _encode(value)
        posted = request.get("postData") or {}
        request_body: bytes | None = _encode(posted.get("text"))
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
            body=body,
            json=parse_answer(body, headers),
        )


READERS: dict[str, Callable[[Any, str], Iterator[RecordedExchange]]] = {
    "test-proxy": read_test_proxy,
    "vcr": read_vcr,
    "har": read_har,
}
