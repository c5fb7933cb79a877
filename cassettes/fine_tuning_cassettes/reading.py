"""Interactions out of the YAML of cassettes, ours and plain vcrpy's; what is broken is refused by its place."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

from .errors import CassetteError, CassetteFileError
from .exchanges import Answer, Asked, Headers, Interaction, Part
from .forms import opened
from .unpacking import unpacked, unpacked_request


def interaction_in(each: Any, place: str) -> Interaction:
    """The interaction that *each* member of a cassette's list is.

    Raises:
        CassetteFileError: it is none; the message has *place*.
    """
    try:
        return Interaction(_read_request(each["request"]), _read_answer(each["response"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CassetteFileError(f"{place}: it is broken: {type(error).__name__}: {error}") from None


def _read_request(request: Mapping[str, Any]) -> Asked:
    method = str(request["method"]).upper()
    form = None if request.get("form") is None else tuple(_read_part(part) for part in request["form"])
    uri = _text_of(request["uri"], "uri")
    _ = urlsplit(uri).port  # for its refusals
    meaning = _text_of(request.get("meaning", ""), "meaning")
    return Asked(method, uri, _pairs(request), _bytes(request.get("body")), form, meaning)


def _read_answer(response: Mapping[str, Any]) -> Answer:
    code, said = int(response["status"]["code"]), response["status"].get("message") or ""
    if not 100 <= code <= 599:
        raise ValueError(f"status is {code}, and must be one from 100 to 599")
    return Answer(code, _text_of(said, "message"), _pairs(response), _bytes(response.get("body")))


def _text_of(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, and must be text")
    return value


def from_vcrpy(interaction: Interaction) -> Interaction:
    """An interaction as it would be recorded here; what nothing installed can undo is left to the client."""
    asked, answer = interaction.asked, interaction.answer
    with suppress(CassetteError):
        answer = unpacked(answer, asked.uri)
    return Interaction(opened(unpacked_request(asked)), answer)


def _read_part(part: Mapping[str, Any]) -> Part:
    kept, filename = part.get("content"), part.get("filename")
    return Part(
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
