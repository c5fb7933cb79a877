"""Requests whose bodies a recording has lost, written again from what their answers tell."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from . import placeholder_content
from .inferred_state import InferredState
from .observed_objects import UPLOAD, created_object, observed_objects
from .recording import Json, RecordedExchange
from .route_of import operation_of

_BAD_PURPOSE = re.compile(r"'(.*)' is not one of ")
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')

JOB_FIELDS = ("model", "training_file", "validation_file", "method", "integrations", "metadata", "seed")
INVENTED_AT_MOST = 64 * 1024 * 1024
"""Bytes of a form whose content nobody kept; it is made in memory."""

FALLBACK: dict[str, Any] = {"filename": "recorded.jsonl", "purpose": "fine-tune", "bytes": 1000}


@dataclass(frozen=True, slots=True)
class BodyReconstructor:
    """Writes bodies for the exchanges of one recording."""

    exchanges: Sequence[RecordedExchange]
    facts: InferredState

    def body(self, exchange: RecordedExchange) -> bytes:
        """What was asked, as far as the answer tells; empty where a request has no body anyway."""
        operation = operation_of(exchange)
        name = operation.name if operation else ""
        if name == "upload_file":
            return self._file(exchange)
        if name == "add_upload_part":
            return _form(exchange, [("data", "part", self._part(exchange))])
        value = self._value(name, exchange)
        return b"" if value is None else json.dumps(value, ensure_ascii=False).encode()

    def _value(self, name: str, exchange: RecordedExchange) -> Json | None:
        answer = created_object(exchange) or {}
        if name == "create_upload":
            told = {**FALLBACK, **answer}
            return {member: told[member] for member in FALLBACK} | {"mime_type": "text/jsonl"}
        if name == "complete_upload":
            return {"part_ids": [part["id"] for part in self._parts(exchange.path.split("/")[-2])]}
        if name != "create_job":
            return None
        told = {member: answer[member] for member in JOB_FIELDS if answer.get(member) is not None}
        return told | ({"suffix": answer["user_provided_suffix"]} if answer.get("user_provided_suffix") else {})

    def _file(self, exchange: RecordedExchange) -> bytes:
        told: dict[str, Any] = {**FALLBACK, **(created_object(exchange) or {})}
        refused = _BAD_PURPOSE.match(str(exchange.error.get("message")))
        purpose = refused[1] if refused else str(told["purpose"])
        data = self.facts.data_of(str(told.get("id")))
        content = placeholder_content.rows(min(told["bytes"], INVENTED_AT_MOST), data)
        parts = [("purpose", "", purpose.encode()), ("file", str(told["filename"]), content)]
        if isinstance(until := told.get("expires_at"), int):
            after = str(until - told["created_at"]).encode()
            parts += [("expires_after[anchor]", "", b"created_at"), ("expires_after[seconds]", "", after)]
        return _form(exchange, parts)

    def _parts(self, upload_id: str) -> list[Json]:
        parts = (created_object(each) for each in self.exchanges if each.path.endswith(f"/{upload_id}/parts"))
        return [part for part in parts if part is not None]

    def _part(self, exchange: RecordedExchange) -> bytes:
        """An even share of the upload's bytes; the last part has what is left over."""
        upload_id = exchange.path.split("/")[-2]
        upload = observed_objects(self.exchanges, UPLOAD).get(upload_id, [{"bytes": FALLBACK["bytes"]}])[0]
        whole = placeholder_content.rows(min(upload["bytes"], INVENTED_AT_MOST), self._data_of(upload_id))
        ids = [part["id"] for part in self._parts(upload_id)]
        share = -(-len(whole) // max(len(ids), 1))
        place = ids.index(exchange.members["id"]) if exchange.members.get("id") in ids else 0
        return whole[place * share : (place + 1) * share]

    def _data_of(self, upload_id: str) -> placeholder_content.DatasetShape:
        """What the file held that an upload became."""
        files = (created_object(each) for each in self.exchanges if each.path.endswith(f"/{upload_id}/complete"))
        file = next(filter(None, files), None)
        return self.facts.data_of(file["id"]) if file else placeholder_content.DatasetShape()


def _form(exchange: RecordedExchange, parts: Sequence[tuple[str, str, bytes]]) -> bytes:
    """The form of (name, file name or "", content), with the recorded boundary."""
    found = _BOUNDARY.search(exchange.request_headers.get("content-type", ""))
    boundary = found[1].encode() if found else b"recorded"
    lines: list[bytes] = []
    for name, filename, content in parts:
        named = f"; filename*=utf-8''{quote(filename)}" if filename else ""
        lines += [b"--" + boundary, f'Content-Disposition: form-data; name="{name}"{named}'.encode(), b"", content]
    return b"\r\n".join([*lines, b"--" + boundary + b"--", b""])
