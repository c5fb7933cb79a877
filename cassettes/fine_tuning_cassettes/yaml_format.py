"""Cassettes as text: a header and interactions in YAML, made to be read and compared by people.

Bodies are text as it was sent, in block style wherever YAML can hold it unchanged. The last line is ``...``: a file
that was cut short can be told.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import yaml

from .body_decoding import decode_body, decode_request_body
from .errors import CassetteError, CassetteFileError
from .forms import opened
from .messages import FormPart, Headers, Interaction, Request, Response


def interaction_in(each: Any, place: str) -> Interaction:
    """The interaction that *each* member of a cassette's list is.

    Raises:
        CassetteFileError: it is none; the message has *place*.
    """
    try:
        return Interaction(_read_request(each["request"]), _read_answer(each["response"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CassetteFileError(f"{place}: it is broken: {type(error).__name__}: {error}") from None


def _read_request(request: Mapping[str, Any]) -> Request:
    method = str(request["method"]).upper()
    form = None if request.get("form") is None else tuple(_read_part(part) for part in request["form"])
    uri = _text_of(request["uri"], "uri")
    _ = urlsplit(uri).port  # for its refusals
    meaning = _text_of(request.get("meaning", ""), "meaning")
    return Request(method, uri, _pairs(request), _bytes(request.get("body")), form, meaning)


def _read_answer(response: Mapping[str, Any]) -> Response:
    code, said = int(response["status"]["code"]), response["status"].get("message") or ""
    if not 100 <= code <= 599:
        raise ValueError(f"status is {code}, and must be one from 100 to 599")
    return Response(code, _text_of(said, "message"), _pairs(response), _bytes(response.get("body")))


def _text_of(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, and must be text")
    return value


def from_vcrpy(interaction: Interaction) -> Interaction:
    """An interaction as it would be recorded here; what nothing installed can undo is left to the client."""
    asked, answer = interaction.asked, interaction.answer
    with suppress(CassetteError):
        answer = decode_body(answer, asked.uri)
    return Interaction(opened(decode_request_body(asked)), answer)


def _read_part(part: Mapping[str, Any]) -> FormPart:
    kept, filename = part.get("content"), part.get("filename")
    return FormPart(
        str(part["name"]),
        None if filename is None else _text_of(filename, "filename"),
        None if kept is None else _bytes(kept),
        tuple(map(str, part.get("rows") or ())),
        str(part.get("digest", "")),
    )


def _pairs(message: Mapping[str, Any]) -> Headers:
    """Headers, of which a name may have a list of values."""
    listed = (
        (name, value if isinstance(value, list) else [value]) for name, value in (message.get("headers") or {}).items()
    )
    return tuple((str(name).lower(), str(value)) for name, values in listed for value in values)


def _bytes(body: Any) -> bytes:
    """A body as it is here, or as vcrpy has it."""
    if isinstance(body, dict):
        return (
            base64.b64decode(body["base64_string"], validate=True)
            if "base64_string" in body
            else _bytes(body.get("string"))
        )
    if isinstance(body, bytes):
        return body
    return b"" if body is None else cast(str, body).encode()


FORMAT = "fine_tuning_cassette"
VERSION = 1
END = "\n...\n"

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a cassette says of itself.

    Args:
        recorded_at: UTC, as ``2026-11-25T03:40:00Z``; empty in a cassette of plain vcrpy.
        recorded_from: the service, or what stood for it.
        recorded_by: the clients, as they name themselves.
        mode: how it was recorded last.
        training_data: whether rows and prompts are "scrubbed" or "kept".
        about: a line on what is recorded; empty for none.
        test: the test that recorded it; empty if none did.
    """

    recorded_at: str = ""
    recorded_from: str = ""
    recorded_by: tuple[str, ...] = ()
    mode: str = ""
    training_data: str = "scrubbed"
    about: str = ""
    test: str = ""


@dataclass(frozen=True, slots=True)
class CassetteFile:
    """The content of a cassette."""

    header: Metadata
    interactions: tuple[Interaction, ...]


def dump(stored: CassetteFile) -> str:
    """*stored* as text; `loaded` gives it back."""
    header = stored.header
    document = {
        FORMAT: VERSION,
        **({"about": header.about} if header.about else {}),
        **({"test": header.test} if header.test else {}),
        "recorded_at": header.recorded_at,
        "recorded_from": header.recorded_from,
        "recorded_by": list(header.recorded_by),
        "mode": header.mode,
        "training_data": header.training_data,
        "interactions": [_interaction(each) for each in stored.interactions],
    }
    # not the C dumper, which is not everywhere and writes other bytes
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31, explicit_end=True)
    return text


def load(text: str, name: str) -> CassetteFile:
    """The cassette in *text*; plain vcrpy's are read, too, their forms and compressed bodies as if they were ours.

    Raises:
        CassetteFileError: it is none; the message has *name*.
    """
    document = _document(text, name)
    version = document.get(FORMAT)
    if version is None and isinstance(document.get("version"), int):
        found = map(from_vcrpy, _interactions(document, name))
        return CassetteFile(Metadata(recorded_from="a cassette of plain vcrpy"), tuple(found))
    if version is None:
        raise CassetteFileError(f"{name}: no cassette: its first line must be `{FORMAT}: {VERSION}`")
    if version != VERSION:
        raise CassetteFileError(
            f"{name}: a cassette of version {version!r}, and this package reads version {VERSION}: "
            "install a later fake-fine-tuning, or record it anew"
        )
    if not text.endswith(END):
        raise CassetteFileError(f"{name}: it was cut short: the last line of a cassette is `...`. Record it anew")
    return CassetteFile(_header(document, name), _interactions(document, name))


def header_in(text: str, name: str) -> Metadata:
    """The header of the cassette in *text*, without reading the rest.

    Raises:
        CassetteFileError: there is none.
    """
    return _header(_document(text.partition("\ninteractions:")[0], name), name)


def _document(text: str, name: str) -> Mapping[str, Any]:
    if not text.strip():
        raise CassetteFileError(f"{name}: the file is empty: delete it, and record it anew")
    try:
        document = yaml.load(text, _Loader)  # a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise CassetteFileError(f"{name}: no YAML, or cut short: {said}. Record it anew") from None
    if not isinstance(document, dict):
        raise CassetteFileError(f"{name}: no cassette: its first line must be `{FORMAT}: {VERSION}`")
    return document


def _header(document: Mapping[str, Any], name: str) -> Metadata:
    names = ("recorded_at", "recorded_from", "mode", "training_data", "about", "test")
    by = document.get("recorded_by") or []
    if not isinstance(by, list):
        raise CassetteFileError(f"{name}: `recorded_by` is {by!r}, and must be a list")
    return Metadata(**{each: str(document.get(each, "")) for each in names}, recorded_by=tuple(map(str, by)))


def _interactions(document: Mapping[str, Any], name: str) -> tuple[Interaction, ...]:
    listed = document.get("interactions")
    if not isinstance(listed, list):
        raise CassetteFileError(f"{name}: `interactions` must be a list")
    return tuple(interaction_in(each, f"{name}: interaction {number}") for number, each in enumerate(listed, 1))


def _interaction(interaction: Interaction) -> dict[str, Any]:
    asked, answer = interaction.asked, interaction.answer
    request: dict[str, Any] = {"method": asked.method, "uri": asked.uri}
    if asked.meaning:
        request["meaning"] = asked.meaning
    if asked.headers:
        request["headers"] = _grouped(asked.headers)
    if asked.form is not None:
        request["form"] = [_written_part(part) for part in asked.form]
    elif asked.body:
        request["body"] = _text(asked.body)
    response = {
        "status": {"code": answer.status, "message": answer.reason},
        "headers": _grouped(answer.headers),
        "body": _text(answer.body),
    }
    return {"request": request, "response": response}


def _written_part(part: FormPart) -> dict[str, Any]:
    written: dict[str, Any] = {"name": part.name}
    if part.filename is not None:
        written["filename"] = part.filename
    if part.rows:
        written["rows"] = list(part.rows)
    elif part.digest:
        written["digest"] = part.digest
    else:
        written["content"] = _text(part.content or b"")
    return written


def _grouped(headers: Headers) -> dict[str, str | list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _text(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


_ROW = re.compile(r"sha256:[0-9a-f]{32}, [a-z ?\d]+, \d+ characters")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and lists as deep as what they are in."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    # Marks of rows are most of a cassette with an upload, and looked at letter by letter elsewhere.
    def analyze_scalar(self, scalar: str) -> yaml.emitter.ScalarAnalysis:
        if not _ROW.fullmatch(scalar):
            return super().analyze_scalar(scalar)
        return yaml.emitter.ScalarAnalysis(scalar, False, False, False, True, True, True, False)

    def write_plain(self, text: str, split: bool = True) -> None:
        if not _ROW.fullmatch(text):
            super().write_plain(text, split)
            return
        self.stream.write(text if self.whitespace else f" {text}")
        self.whitespace = self.indention = False


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str | None:
    """YAML takes some characters for the end of a line, which only quoted texts keep."""
    if any(each in text for each in "\r\x85\u2028\u2029\ufeff"):
        return '"'
    return "|" if "\n" in text else None


_Dumper.add_representer(str, _represent)


def check(text: str, stored: CassetteFile, name: str) -> None:
    """Make sure that *text* gives back what is to be stored.

    Raises:
        CassetteFileError: it does not: YAML has no way to write it.
    """
    if load(text, name) != stored:
        raise CassetteFileError(
            f"{name}: what was recorded cannot be written as YAML without changing it; nothing was written"
        )
