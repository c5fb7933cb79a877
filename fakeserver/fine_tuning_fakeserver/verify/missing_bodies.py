"""Bodies that a recording lacks: requests written again from their answers, and contents of files."""

from __future__ import annotations

import json
import os
import re
import tempfile
import weakref
from collections.abc import Sequence
from typing import Any

from fine_tuning_formats.bodies import MultipartPart, multipart_boundary, write_multipart
from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.row_rules import CHAT, COMPLETION, PREFERENCE, REINFORCEMENT

from ..account.blobs import IN_MEMORY_AT_MOST, Blob
from ..domain.job_spec import Dataset
from .inferred_state import DatasetShape, InferredState
from .observed_objects import UPLOAD, created_object, observed_objects
from .recording import Json, RecordedExchange

_BAD_PURPOSE = re.compile(r"'(.*)' is not one of ")

JOB_FIELDS = ("model", "training_file", "validation_file", "method", "integrations", "metadata", "seed")
INVENTED_AT_MOST = 64 * 1024 * 1024
"""Bytes of a form whose content nobody kept; it is made in memory."""

FALLBACK: dict[str, Any] = {"filename": "recorded.jsonl", "purpose": "fine-tune", "bytes": 1000}

TOKENS = 500
_ROWS = {
    CHAT: b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n',
    PREFERENCE: b'{"input":{"messages":[{"role":"user","content":"a"}]},"preferred_output":'
    b'[{"role":"assistant","content":"b"}],"non_preferred_output":[{"role":"assistant","content":"c"}]}\n',
    REINFORCEMENT: b'{"messages":[{"role":"user","content":"a"}]}\n',
    COMPLETION: b'{"prompt":"a","completion":"b"}\n',
}
_BLANK = b" " * 65_535 + b"\n"


def placeholder_rows(size: int, shape: DatasetShape) -> bytes:
    """Return exactly *size* bytes of JSONL with as many examples as fit, padded with blank lines."""
    row = _ROWS[shape.format]
    text = row * min(shape.examples, size // len(row)) or b"{}\n"
    text = text[:size] if size >= 2 else b"\n" * size
    missing = size - len(text)
    return text + (_BLANK * (missing // len(_BLANK) + 1))[:missing]


def placeholder_blob(size: int, shape: DatasetShape) -> Blob:
    """Return *size* bytes for a file that existed before; many are a hole on disk, which takes no room."""
    if size <= IN_MEMORY_AT_MOST:
        return Blob.of(placeholder_rows(size, shape))
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        descriptor = os.dup(file.fileno())
    hole = Blob(b"", descriptor, size)
    weakref.finalize(hole, os.close, descriptor)
    return hole


def placeholder_dataset(purpose: str, shape: DatasetShape) -> Dataset | None:
    """Return what such a file holds, as far as a job needs it."""
    row_format = CHAT if shape.format == REINFORCEMENT else shape.format  # judged by the first row, which has messages
    return Dataset(shape.examples, TOKENS, row_format) if purpose == "fine-tune" else None


@dataclass(frozen=True, slots=True)
class BodyReconstructor:
    """Writes bodies for the exchanges of one recording."""

    exchanges: Sequence[RecordedExchange]
    state: InferredState

    def reconstruct(self, exchange: RecordedExchange) -> bytes:
        """Return what was sent, as far as the answer shows it; empty for a request that has no body anyway."""
        answer = created_object(exchange) or {}
        value: Json
        match exchange.operation:
            case "upload_file":
                return self._upload(exchange, {**FALLBACK, **answer})
            case "add_upload_part":
                return _write_form(exchange, ("data", "part", self._part(exchange)))
            case "create_upload":
                value = {name: {**FALLBACK, **answer}[name] for name in FALLBACK} | {"mime_type": "text/jsonl"}
            case "complete_upload":
                value = {"part_ids": self._part_ids(exchange.path.split("/")[-2])}
            case "create_job":
                value = {name: answer[name] for name in JOB_FIELDS if answer.get(name) is not None}
                if suffix := answer.get("user_provided_suffix"):
                    value["suffix"] = suffix
            case _:
                return b""
        return json.dumps(value, ensure_ascii=False).encode()

    def _upload(self, exchange: RecordedExchange, file: Json) -> bytes:
        refused = _BAD_PURPOSE.match(str(exchange.error.get("message")))
        purpose = refused[1] if refused else str(file["purpose"])
        shape = self.state.dataset_of(str(file.get("id")))
        content = placeholder_rows(min(file["bytes"], INVENTED_AT_MOST), shape)
        parts: list[tuple[str, str | None, bytes]] = [("purpose", None, purpose.encode())]
        parts.append(("file", str(file["filename"]), content))
        if isinstance(until := file.get("expires_at"), int):
            seconds = str(until - file["created_at"]).encode()
            parts += [("expires_after[anchor]", None, b"created_at"), ("expires_after[seconds]", None, seconds)]
        return _write_form(exchange, *parts)

    def _part_ids(self, upload_id: str) -> list[str]:
        parts = (created_object(each) for each in self.exchanges if each.path.endswith(f"/{upload_id}/parts"))
        return [part["id"] for part in parts if part is not None]

    def _part(self, exchange: RecordedExchange) -> bytes:
        """Return an even share of the upload's bytes; the last part has what is left over."""
        upload_id = exchange.path.split("/")[-2]
        completed = (created_object(each) for each in self.exchanges if each.path.endswith(f"/{upload_id}/complete"))
        file = next(filter(None, completed), None)
        shape = self.state.dataset_of(file["id"]) if file else DatasetShape()
        upload = observed_objects(self.exchanges, UPLOAD).get(upload_id, [FALLBACK])[0]
        whole = placeholder_rows(min(upload["bytes"], INVENTED_AT_MOST), shape)
        ids = self._part_ids(upload_id)
        share = -(-len(whole) // max(len(ids), 1))
        index = ids.index(exchange.members["id"]) if exchange.members.get("id") in ids else 0
        return whole[index * share : (index + 1) * share]


def _write_form(exchange: RecordedExchange, *parts: tuple[str, str | None, bytes]) -> bytes:
    """Write the form of (name, file name, content), with the recorded boundary."""
    boundary = multipart_boundary(exchange.request_headers.get("content-type", ""))
    return write_multipart((MultipartPart(*part) for part in parts), boundary or "recorded")
