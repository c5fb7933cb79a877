"""What backs each route: its successes, and every status that it refuses with."""

from __future__ import annotations

from dataclasses import dataclass

from ..evidence import Evidence, inferred, printed, recorded, spec, vendor


@dataclass(frozen=True, slots=True)
class RouteEvidence:
    """One thing that a route answers: its status, which of several it is, and what backs it."""

    status: int
    what: str
    evidence: Evidence


def _ok(evidence: Evidence, what: str = "") -> RouteEvidence:
    return RouteEvidence(200, what, evidence)


def _no(status: int, evidence: Evidence, what: str = "") -> RouteEvidence:
    return RouteEvidence(status, what, evidence)


_PAGED = inferred("the family of creation's refusals")
_UNSEEN = inferred("no refusal by this route was ever seen")

_UNKNOWN_JOB = recorded("retrieve, cancel and events of an unknown job", "2023-11")
_SAME_JOB = inferred("the answer of the job's other routes")
_OTHER_STATE = inferred("the old route's text")
_PAGE = _no(400, _PAGED, "limit, after")

_UNKNOWN_FILE = recorded("FilesTests", "2026-05")
_FILE_PURPOSE = recorded("UploadFileCanParseServiceError", "2026-05")
_UPLOADS = recorded("UploadsTests", "2025-09")
_AS_FILES = inferred("the answer for an unknown file")
_UNKNOWN_MODEL = recorded("ModelsTests", "2025-09")
_UNKNOWN_TO_ASK = printed("a chat with an unknown model", "2024")
_GRANTS = spec("the reference of checkpoint permissions")
_OF_MODEL = inferred("the answer for an unknown model")
_GRADED = printed("an answer of this route", "2025-12")

ROUTES: dict[str, tuple[RouteEvidence, ...]] = {
    "create_job": (
        _ok(recorded("MinimalRequiredParams, AllParameters", "2025-09"), "supervised"),
        _ok(printed("jobs by preference", "2024-12"), "dpo"),
        _ok(spec("the example of a reinforcement job"), "reinforcement"),
        _no(400, recorded("ExceptionThrownOnInvalidFileName", "2025-09"), "unknown file or model"),
        _no(400, printed("creation refusing a field", "2024-09"), "unknown field"),
        _no(400, inferred("the text for an unknown field"), "other fields"),
        _no(403, inferred("a permission error, reported without its body in 2026-05"), "fine-tuning has ended"),
        _no(429, recorded("creation of one job too many", "2023-08, 2023-10")),
    ),
    "list_jobs": (
        _ok(recorded("GetJobs, GetJobsWithAfter", "2025-09")),
        _ok(spec("the parameter metadata"), "by metadata"),
        _PAGE,
    ),
    "retrieve_job": (_ok(recorded("GetJobs, as an item of the list", "2025-09")), _no(404, _UNKNOWN_JOB)),
    "cancel_job": (
        _ok(recorded("MinimalRequiredParams, AllParameters", "2025-09")),
        _no(400, _OTHER_STATE, "wrong state"),
        _no(404, _UNKNOWN_JOB),
    ),
    "pause_job": (
        _ok(spec("the example of pause")),
        _ok(vendor("the guide to reinforcement, Azure's sample", "2025"), "only while running"),
        _no(400, _OTHER_STATE, "wrong state"),
        _no(404, _SAME_JOB),
    ),
    "resume_job": (
        _ok(spec("the example of resume")),
        _no(400, _OTHER_STATE, "wrong state"),
        _no(404, _SAME_JOB),
    ),
    "list_job_events": (
        _ok(recorded("GetJobEvents", "2025-09")),
        _ok(printed("events of supervised jobs", "2024-08 to 2025-04"), "supervised metrics"),
        _ok(vendor("the guide to reinforcement", "2025-05"), "reinforcement metrics"),
        _ok(inferred("supervised jobs"), "dpo metrics"),
        _PAGE,
        _no(404, _UNKNOWN_JOB),
    ),
    "list_job_checkpoints": (
        _ok(recorded("GetCheckpoints", "2025-09"), "supervised"),
        _ok(inferred("supervised jobs"), "other methods"),
        _PAGE,
        _no(404, _SAME_JOB),
    ),
    "grant_permissions": (_ok(_GRANTS), _no(400, _PAGED, "fields"), _no(404, _OF_MODEL)),
    "list_permissions": (_ok(_GRANTS), _no(400, _PAGED, "limit, after, order"), _no(404, _OF_MODEL)),
    "revoke_permission": (_ok(_GRANTS), _no(404, _OF_MODEL)),
    "run_grader": (
        _ok(_GRADED, "members"),
        _ok(vendor("the guide to graders", "2025"), "grading"),
        _no(400, _UNSEEN),
    ),
    "validate_grader": (_ok(_GRADED), _no(400, _UNSEEN)),
    "upload_file": (
        _ok(recorded("UploadFile", "2026-05")),
        _no(400, _FILE_PURPOSE, "purpose"),
        _no(400, printed("uploads of what is no JSONL", "2023-12, 2024"), "name, JSONL"),
        _no(400, inferred("the texts for other faults"), "emptiness, form, expiry"),
    ),
    "list_files": (_ok(recorded("ListFiles", "2026-05")), _no(400, _PAGED, "limit, after, order")),
    "retrieve_file": (_ok(recorded("GetFile", "2026-05")), _no(404, _UNKNOWN_FILE)),
    "delete_file": (_ok(recorded("DeleteFile", "2026-05")), _no(404, _UNKNOWN_FILE)),
    "download_file": (
        _ok(recorded("files_content", "2023-11")),
        _ok(printed("notebooks that decode result files", "2024-06"), "base64 of result files"),
        _no(400, printed("answers to downloads", "2024, 2025"), "purpose"),
        _no(404, _UNKNOWN_FILE),
    ),
    "create_upload": (
        _ok(_UPLOADS),
        _no(400, inferred("the answer of the files' route"), "purpose"),
        _no(400, _PAGED, "other fields"),
    ),
    "add_upload_part": (_ok(_UPLOADS), _no(400, _UNSEEN), _no(404, _AS_FILES)),
    "complete_upload": (_ok(_UPLOADS), _no(400, _UNSEEN), _no(404, _AS_FILES)),
    "cancel_upload": (_ok(_UPLOADS), _no(400, _UNSEEN), _no(404, _AS_FILES)),
    "list_models": (_ok(recorded("ListModels", "2025-09")),),
    "retrieve_model": (_ok(recorded("GetModelInfo", "2025-09")), _no(404, _UNKNOWN_MODEL)),
    "delete_model": (_ok(spec("DeleteModelResponse")), _no(404, _UNKNOWN_MODEL)),
    "create_chat_completion": (
        _ok(printed("an answer of a fine-tuned model", "2024-02")),
        _ok(spec("CreateChatCompletionStreamResponse"), "streamed"),
        _no(400, _PAGED),
        _no(404, _UNKNOWN_TO_ASK),
    ),
    "create_completion": (
        _ok(spec("CreateCompletionResponse")),
        _no(400, _PAGED),
        _no(404, _UNKNOWN_TO_ASK),
    ),
}
"""By the operation's name. What any route may answer besides is in `EVERYWHERE`."""

_ON_DEMAND = (
    _no(429, printed("chats that were one too many, and without quota", "2023 to 2026"), "rate limit, fault"),
    _no(500, inferred("the guide to error codes has how it begins"), "fault"),
    _no(503, inferred("the guide to error codes has the text"), "fault"),
)
"""What a route answers where the fake was told to fail. It can be told any status from 400 to 599."""

EVERYWHERE: tuple[RouteEvidence, ...] = (
    _no(401, printed("an answer without a key", "2023, 2026"), "no key"),
    _no(413, inferred("the service's text for files is unknown"), "body too large"),
    _no(500, inferred("what the service says of a bug of its own is not imitated"), "bug of the fake"),
    *_ON_DEMAND,
)


def statuses(operation: str) -> list[int]:
    """Every status that an operation can answer with, rising."""
    return sorted({claim.status for claim in (*ROUTES[operation], *EVERYWHERE)})
