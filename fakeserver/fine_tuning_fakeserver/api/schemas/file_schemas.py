"""Schemas of files, uploads, models and permissions, and of lists."""

from __future__ import annotations

from ...evidence import Evidence, inferred, recorded, spec
from ..files import PURPOSES
from .job_schemas import CHECKPOINT, EVENT, JOB
from .object_schema import (
    BOOLEAN,
    INTEGER,
    NULL,
    STRING,
    UNIX,
    ObjectSchema,
    Schema,
    array,
    const,
    one_of,
    or_null,
    ref,
)

FILES = recorded("FilesTests", "2026-05")
UPLOADS = recorded("UploadsTests", "2025-09")
MODELS = recorded("GetModelInfo", "2025-09")
PERMISSIONS = spec("FineTuningCheckpointPermission")

FILE = ObjectSchema(
    "File",
    (
        (
            FILES,
            {
                "object": const("file"),
                "id": STRING,
                "purpose": one_of(*PURPOSES, "fine-tune-results"),
                "filename": STRING,
                "bytes": INTEGER,
                "created_at": UNIX,
                "expires_at": or_null(UNIX),
                "status": const("processed"),
                "status_details": NULL,
            },
        ),
    ),
)
FILE_DELETED = ObjectSchema(
    "FileDeleted",
    ((recorded("DeleteFile", "2026-05"), {"object": const("file"), "deleted": const(True), "id": STRING}),),
)

UPLOAD = ObjectSchema(
    "Upload",
    (
        (
            UPLOADS,
            {
                "id": STRING,
                "object": const("upload"),
                "bytes": INTEGER,
                "created_at": UNIX,
                "filename": STRING,
                "purpose": one_of(*PURPOSES),
                "status": one_of("pending", "completed", "cancelled"),
                "expires_at": UNIX,
            },
        ),
        (recorded("CompleteUploadWorks", "2025-09"), {"file": ref(FILE)}),
    ),
    frozenset({"file"}),
)
UPLOAD_PART = ObjectSchema(
    "UploadPart",
    (
        (
            recorded("AddUploadPartWorks", "2025-09"),
            {"id": STRING, "object": const("upload.part"), "created_at": UNIX, "upload_id": STRING},
        ),
    ),
)

MODEL = ObjectSchema(
    "Model",
    (
        (MODELS, {"id": STRING, "object": const("model"), "created": UNIX, "owned_by": STRING}),
        (spec("Model"), {"shutdown_date": or_null({"type": "string", "format": "date"})}),
    ),
    frozenset({"shutdown_date"}),  # there when the end of the service is played, see `Settings.as_of`
)
MODEL_DELETED = ObjectSchema(
    "ModelDeleted",
    (
        (
            recorded("an answer of 2023-10, in the recordings of dd-trace-py", "2023-10"),
            {"object": const("model"), "id": STRING, "deleted": const(True)},
        ),
    ),
)
MODEL_LIST = ObjectSchema(
    "ModelList",
    ((recorded("ListModels", "2025-09"), {"object": const("list"), "data": array(ref(MODEL))}),),
    items=MODEL,
)

MODEL_LIMIT = ObjectSchema(
    "ModelLimit",
    (
        (
            inferred("the types of one client; no answer was seen"),
            {
                "max_total_jobs": or_null(INTEGER),
                "max_concurrent_jobs": or_null(INTEGER),
                "active_jobs": INTEGER,
            },
        ),
    ),
)
MODEL_LIMITS = ObjectSchema("ModelLimits", (), values=MODEL_LIMIT)

PERMISSION = ObjectSchema(
    "CheckpointPermission",
    (
        (
            PERMISSIONS,
            {"object": const("checkpoint.permission"), "id": STRING, "created_at": UNIX, "project_id": STRING},
        ),
    ),
)
PERMISSION_DELETED = ObjectSchema(
    "CheckpointPermissionDeleted",
    (
        (
            spec("DeleteFineTuningCheckpointPermissionResponse"),
            {"id": STRING, "object": const("checkpoint.permission"), "deleted": const(True)},
        ),
    ),
)

_CURSORS: dict[str, Schema] = {"first_id": or_null(STRING), "last_id": or_null(STRING)}


def _page(name: str, of: ObjectSchema, evidence: Evidence, cursors: dict[str, Schema]) -> ObjectSchema:
    members = {"object": const("list"), "data": array(ref(of)), "has_more": BOOLEAN, **cursors}
    return ObjectSchema(name, ((evidence, members),), items=of)


JOB_PAGE = _page("JobPage", JOB, recorded("GetJobs", "2025-09"), {})
EVENT_PAGE = _page("EventPage", EVENT, recorded("GetJobEvents", "2025-09"), {})
CHECKPOINT_PAGE = _page("CheckpointPage", CHECKPOINT, recorded("GetCheckpoints", "2025-09"), _CURSORS)
FILE_PAGE = _page("FilePage", FILE, recorded("ListFiles", "2026-05"), _CURSORS)
PERMISSION_PAGE = _page("PermissionPage", PERMISSION, spec("ListFineTuningCheckpointPermissionResponse"), _CURSORS)

SCHEMAS = (
    *(JOB_PAGE, EVENT_PAGE, CHECKPOINT_PAGE, PERMISSION_PAGE, PERMISSION, PERMISSION_DELETED),
    *(FILE, FILE_PAGE, FILE_DELETED, UPLOAD, UPLOAD_PART, MODEL, MODEL_LIST, MODEL_DELETED),
    *(MODEL_LIMIT, MODEL_LIMITS),
)
