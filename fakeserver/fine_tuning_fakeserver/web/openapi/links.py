"""What an answer is good for: which operations take an id that another has given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ...fidelity.schema import Schema

ID = "$response.body#/id"


@dataclass(frozen=True, slots=True)
class Link:
    """The operation that goes on from an answer: its parameters, and a body, as OpenAPI's runtime expressions."""

    operation: str
    parameters: Mapping[str, str]
    body: Mapping[str, Any] | None = None

    def schema(self) -> Schema:
        """The link as the document has it."""
        link: Schema = {"operationId": self.operation, "parameters": dict(self.parameters)}
        return link if self.body is None else {**link, "requestBody": dict(self.body)}


def _with(parameter: str, expression: str, operations: Iterable[str]) -> tuple[Link, ...]:
    return tuple(Link(operation, {parameter: expression}) for operation in operations)


_OF_JOBS = ("retrieve_job", "cancel_job", "pause_job", "resume_job", "list_job_events", "list_job_checkpoints")
_OF_FILES = ("retrieve_file", "delete_file", "download_file")
_OF_UPLOADS = ("add_upload_part", "complete_upload", "cancel_upload")
_OF_GRANTS = ("grant_permissions", "list_permissions")

LINKS: dict[str, tuple[Link, ...]] = {
    "upload_file": (
        *_with("file_id", ID, _OF_FILES),
        Link("create_job", {}, {"model": "gpt-4o-mini", "training_file": ID}),
    ),
    "create_job": _with("job_id", ID, _OF_JOBS),
    "retrieve_job": (
        *_with("job_id", ID, _OF_JOBS),
        *_with("model", "$response.body#/fine_tuned_model", ("retrieve_model", "delete_model")),
        *_with("checkpoint", "$response.body#/fine_tuned_model", _OF_GRANTS),
        *_with("file_id", "$response.body#/result_files/0", _OF_FILES),
    ),
    "list_jobs": _with("after", "$response.body#/data/0/id", ("list_jobs",)),
    "list_job_events": (
        Link("list_job_events", {"job_id": "$request.path.job_id", "after": "$response.body#/data/0/id"}),
    ),
    "list_job_checkpoints": _with("checkpoint", "$response.body#/data/0/fine_tuned_model_checkpoint", _OF_GRANTS),
    "grant_permissions": (
        Link(
            "revoke_permission",
            {"checkpoint": "$request.path.checkpoint", "permission_id": "$response.body#/data/0/id"},
        ),
        Link("list_permissions", {"checkpoint": "$request.path.checkpoint"}),
    ),
    "list_files": _with("after", "$response.body#/data/0/id", ("list_files",)),
    "create_upload": _with("upload_id", ID, _OF_UPLOADS),
    "add_upload_part": (
        Link("complete_upload", {"upload_id": "$response.body#/upload_id"}, {"part_ids": [ID]}),
        *_with("upload_id", "$response.body#/upload_id", ("add_upload_part", "cancel_upload")),
    ),
    "complete_upload": _with("file_id", "$response.body#/file/id", _OF_FILES),
}


def links(operation: str) -> Schema:
    """The links of an operation's success, by name."""
    return {
        f"{link.operation} by {', '.join(link.parameters) or 'body'}": link.schema()
        for link in LINKS.get(operation, ())
    }
