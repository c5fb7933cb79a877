"""The file format: a header and interactions in YAML, made to be read and compared by people.

Bodies are text as it was sent, in block style wherever YAML can hold it unchanged. The last line is ``...``, so that a
file that was cut short is recognized. Cassettes of plain vcrpy are read as well.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

import yaml

from fine_tuning_formats.lazy_dataclass import dataclass

from .errors import CassetteError, CassetteFileError
from .messages import (
    FormPart,
    Headers,
    Interaction,
    RecordedRequest,
    RecordedResponse,
    decode_request,
    decode_response,
)

FORMAT = "fine_tuning_cassette"
VERSION = 1
END = "\n...\n"
INTERACTIONS = "interactions"
TEXTS = ("recorded_at", "recorded_from", "mode", "training_data", "about", "test", "source")
Source: TypeAlias = Literal["openai", "azure", "fake"]
SOURCES: tuple[str, ...] = get_args(Source)

MAX_NUMBER = 64
"""The longest number that is read, in characters: those of base 60 take square time."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{32}, [a-z ?\d]+, \d+ characters")

_LINES = re.compile(r"(?:(?:[ -~]*[!-~])?\n)*(?:[ -~]*[!-~])?")
"""ASCII without blanks at the ends of lines: YAML can hold it as a block."""

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]  # the C loader if there is one: twenty times as fast
    """The safe loader without aliases, and with the one tag more that Ruby's VCR writes."""

    def get_single_node(self) -> yaml.Node | None:
        """Return the root of the document, all of which has been checked.

        Aliases are refused: a few lines of them can expand to more values than memory holds, or to a value that
        contains itself, which no traversal would end.
        """
        root: yaml.Node | None = super().get_single_node()
        seen: set[yaml.Node] = set()
        found = [] if root is None else [root]
        while found:
            node = found.pop()
            if node in seen:
                raise _document_error("aliases are not read, got one for the value", node)
            seen.add(node)
            if isinstance(node, yaml.MappingNode):
                found += [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                found += node.value
            elif node.tag in _NUMBERS and len(node.value) > MAX_NUMBER:
                raise _document_error(
                    f"a number must have at most {MAX_NUMBER} characters, got {len(node.value)}", node
                )
        return root


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_Loader.add_constructor("!binary", lambda loader, node: base64.b64decode(loader.construct_scalar(node)))


def _document_error(problem: str, node: yaml.Node) -> ValueError:
    return ValueError(f"{problem} in line {node.start_mark.line + 1}")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The header of a cassette.

    Args:
        recorded_at: UTC, as ``2026-11-25T03:40:00Z``; empty in a cassette of plain vcrpy.
        recorded_from: the service, or what stood for it.
        recorded_by: the clients, by their user agents.
        mode: the mode of the last recording.
        training_data: whether rows and prompts are "scrubbed" or "kept".
        about: a line on what is recorded; empty for none.
        test: the test that recorded it; empty if none did.
        source: the provider it was recorded from, and is to be recorded from again; empty if that is not known.
    """

    recorded_at: str = ""
    recorded_from: str = ""
    recorded_by: tuple[str, ...] = ()
    mode: str = ""
    training_data: str = "scrubbed"
    about: str = ""
    test: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class CassetteFile:
    """The content of a cassette."""

    header: Metadata
    interactions: tuple[Interaction, ...]


def parse_yaml(text: str) -> Any:
    """Parse a YAML document of plain values.

    Raises:
        ValueError: it is not YAML, has aliases, or a value that its tag does not allow; the message is one line.
    """
    try:
        return yaml.load(text, _Loader)  # a safe loader
    except Exception as error:  # PyYAML has errors of its own, and lets those of its conversions through
        reason = " ".join(str(error).split())
        is_explained = isinstance(error, yaml.YAMLError | ValueError)
        raise ValueError(reason if is_explained else f"{type(error).__name__}: {reason}") from None


def load(text: str, name: str) -> CassetteFile:
    """Parse a cassette, or a cassette of plain vcrpy, whose forms and compressed bodies are decoded.

    Raises:
        CassetteFileError: *text* is not a cassette; the message has *name*.
    """
    document = _load_document(text, name)
    version = document.get(FORMAT)
    if version is None and isinstance(document.get("version"), int):
        interactions = _parse_interactions(document, name)
        for index, interaction in enumerate(interactions):
            request, response = decode_request(interaction.request), interaction.response
            with suppress(CassetteError):  # what nothing installed can decompress is left to the client
                response = decode_response(response, request.uri)
            interactions[index] = Interaction(request, response)
        return CassetteFile(Metadata(recorded_from="a cassette of plain vcrpy"), tuple(interactions))
    if version is None:
        raise CassetteFileError(f"{name}: the first line of a cassette must be `{FORMAT}: {VERSION}`")
    if version != VERSION:
        raise CassetteFileError(
            f"{name}: the version must be {VERSION}, which this package reads, got {version!r}; install a later "
            "fake-fine-tuning, or record it anew"
        )
    if not text.endswith(END):
        raise CassetteFileError(f"{name}: the last line must be `...`, so this file was cut short; record it anew")
    return CassetteFile(_parse_metadata(document, name), tuple(_parse_interactions(document, name)))


def load_metadata(text: str, name: str) -> Metadata:
    """Parse the header of a cassette without its interactions.

    Raises:
        CassetteFileError: the header is missing; the message has *name*.
    """
    return _parse_metadata(_load_document(text.partition(f"\n{INTERACTIONS}:")[0], name), name)


def parse_interaction(item: Any, place: str) -> Interaction:
    """Parse one member of a cassette's list.

    Raises:
        CassetteFileError: it is not an interaction; the message has *place*.
    """
    try:
        request, response = item["request"], item["response"]
        uri, form = _require_text(request["uri"], "uri"), request.get("form")
        _ = urlsplit(uri).port  # raises for an invalid one
        status = int(response["status"]["code"])
        if not 100 <= status <= 599:
            raise ValueError(f"status must be from 100 to 599, got {status}")
        return Interaction(
            RecordedRequest(
                str(request["method"]).upper(),
                uri,
                _parse_headers(request),
                _parse_body(request.get("body")),
                None if form is None else tuple(_parse_part(part) for part in form),
                _require_text(request.get("meaning", ""), "meaning"),
            ),
            RecordedResponse(
                status,
                _require_text(response["status"].get("message") or "", "message"),
                _parse_headers(response),
                _parse_body(response.get("body")),
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CassetteFileError(f"{place} is broken: {type(error).__name__}: {error}") from None


def dump(file: CassetteFile) -> str:
    """Return the text of a cassette; `load` gives it back."""
    header = file.header
    document = {
        FORMAT: VERSION,
        **({"about": header.about} if header.about else {}),
        **({"test": header.test} if header.test else {}),
        "recorded_at": header.recorded_at,
        "recorded_from": header.recorded_from,
        **({"source": header.source} if header.source else {}),
        "recorded_by": list(header.recorded_by),
        "mode": header.mode,
        "training_data": header.training_data,
    }
    blocks: dict[Interaction, str] = {}  # a job that is polled gives many that are equal
    for interaction in file.interactions:
        if interaction not in blocks:
            text = _dump({INTERACTIONS: [_render_interaction(interaction)]})
            blocks[interaction] = text.removeprefix(f"{INTERACTIONS}:\n")
    items = "".join(map(blocks.__getitem__, file.interactions))
    interactions = f"{INTERACTIONS}:\n{items}" if items else f"{INTERACTIONS}: []\n"
    return f"{_dump(document)}{interactions}...\n"


def _dump(document: object) -> str:
    # the C dumper is not available everywhere, and writes other bytes
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31)
    # PyYAML ends the document after a text that ends in several line feeds
    return f"{text.removesuffix(END)}\n" if text.endswith(END) else text


def check_round_trip(text: str, file: CassetteFile, name: str) -> None:
    """Raise unless *text* gives back the cassette to write.

    Raises:
        CassetteFileError: it does not: YAML cannot hold something in it.
    """
    if load(text, name) != file:
        raise CassetteFileError(f"{name}: YAML cannot hold what was recorded without a change; nothing was written")


def _load_document(text: str, name: str) -> Mapping[str, Any]:
    if not text.strip():
        raise CassetteFileError(f"{name}: the file is empty; delete it, and record it anew")
    try:
        document = parse_yaml(text)
    except ValueError as error:
        raise CassetteFileError(f"{name}: not YAML, or cut short: {error}; record it anew") from None
    if not isinstance(document, dict):
        raise CassetteFileError(f"{name}: the first line of a cassette must be `{FORMAT}: {VERSION}`")
    return document


def _parse_metadata(document: Mapping[str, Any], name: str) -> Metadata:
    agents = document.get("recorded_by") or []
    if not isinstance(agents, list):
        raise CassetteFileError(f"{name}: `recorded_by` must be a list, got {agents!r}")
    metadata = Metadata(**{text: str(document.get(text, "")) for text in TEXTS}, recorded_by=tuple(map(str, agents)))
    if metadata.source not in ("", *SOURCES):
        raise CassetteFileError(f"{name}: `source` must be one of {', '.join(SOURCES)}, got {metadata.source!r}")
    return metadata


def _parse_interactions(document: Mapping[str, Any], name: str) -> list[Interaction]:
    items = document.get(INTERACTIONS)
    if not isinstance(items, list):
        raise CassetteFileError(f"{name}: `interactions` must be a list, got {items!r}")
    return [parse_interaction(item, f"{name}: interaction {number}") for number, item in enumerate(items, 1)]


def _require_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {value!r}")
    return value


def _parse_headers(message: Mapping[str, Any]) -> Headers:
    """Parse headers, each with a value or a list of values."""
    return tuple(
        (str(name).lower(), str(value))
        for name, values in (message.get("headers") or {}).items()
        for value in (values if isinstance(values, list) else [values])
    )


def _parse_body(body: Any) -> bytes:
    """Parse a body as it is here, or in either form of vcrpy's."""
    if isinstance(body, dict):
        if (encoded := body.get("base64_string")) is not None:
            return base64.b64decode(encoded, validate=True)
        body = body.get("string")
    if body is None or isinstance(body, bytes):
        return body or b""
    if not isinstance(body, str):
        raise TypeError(f"body must be a string, got {body!r}")
    return body.encode()


def _parse_part(part: Mapping[str, Any]) -> FormPart:
    return FormPart(
        str(part["name"]),
        None if part.get("filename") is None else _require_text(part["filename"], "filename"),
        None if part.get("content") is None else _parse_body(part["content"]),
        tuple(map(str, part.get("rows") or ())),
        str(part.get("digest", "")),
    )


def _render_interaction(interaction: Interaction) -> dict[str, Any]:
    request, response = interaction.request, interaction.response
    rendered: dict[str, Any] = {"method": request.method, "uri": request.uri}
    if request.original_key:
        rendered["meaning"] = request.original_key
    if request.headers:
        rendered["headers"] = _render_headers(request.headers)
    if request.form is not None:
        rendered["form"] = [_render_part(part) for part in request.form]
    elif request.body:
        rendered["body"] = _render_body(request.body)
    return {
        "request": rendered,
        "response": {
            "status": {"code": response.status, "message": response.reason},
            "headers": _render_headers(response.headers),
            "body": _render_body(response.body),
        },
    }


def _render_part(part: FormPart) -> dict[str, Any]:
    filename = {} if part.filename is None else {"filename": part.filename}
    if part.rows:
        return {"name": part.name, **filename, "rows": list(part.rows)}
    if part.digest:
        return {"name": part.name, **filename, "digest": part.digest}
    return {"name": part.name, **filename, "content": _render_body(part.content or b"")}


def _render_headers(headers: Headers) -> dict[str, str | list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in headers:
        grouped.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}


def _render_body(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and indents lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    # Digests of rows are most of a cassette with an upload, bodies most of any other, and PyYAML analyzes texts
    # character by character.
    def analyze_scalar(self, scalar: str) -> yaml.emitter.ScalarAnalysis:
        if "\n" in scalar and _LINES.fullmatch(scalar):
            return yaml.emitter.ScalarAnalysis(scalar, False, True, False, False, True, True, True)
        if not _DIGEST.fullmatch(scalar):
            return super().analyze_scalar(scalar)
        return yaml.emitter.ScalarAnalysis(scalar, False, False, False, True, True, True, False)

    def write_plain(self, text: str, split: bool = True) -> None:
        if not _DIGEST.fullmatch(text):
            super().write_plain(text, split)
            return
        self.stream.write(text if self.whitespace else f" {text}")
        self.whitespace = self.indention = False

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        if any(character in text for character in "\r\x85\u2028\u2029\ufeff"):
            style = '"'  # YAML takes these for line ends, which only quoted texts keep
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)
