"""Azure's dialect, as its SDKs' public test recordings of 2025-04 to 2026-02 and printed outputs show it.

What neither shows is marked as inferred. A paused job has no result file here (DIVERGES: Azure's has one), and its
resumption makes no checkpoint of the first step.
"""

from __future__ import annotations

from ..ids import HEX, SHAPES, IdShape
from .dialect import ALL, EVENT_KINDS, Dialect, EventKind, EventStyle, HttpStyle, ObjectStyle

_HEX_IDS = {
    **SHAPES,
    "job": IdShape("ftjob-", 32, HEX),
    "event": IdShape("ftevent-", 32, HEX, masked=10),
    "checkpoint": IdShape("ftchkpt-", 32, HEX),
    "file": IdShape("file-", 32, HEX),
}

# recording: what is null with OpenAI is absent here, numbers that are not known yet are -1, whole floats are integers.
_NUMBERS = ObjectStyle(
    values={name: {"auto": -1} for name in ("n_epochs", "batch_size", "beta", "eval_interval", "eval_samples")},
    integral_floats=True,
)
_OF_METHOD = ObjectStyle(nested={"hyperparameters": _NUMBERS})
_JOB = (
    *("hyperparameters", "suffix", "seed", "method", "trainingType", "error", "status", "model", "fine_tuned_model"),
    *("training_file", "validation_file", "result_files", "finished_at", "trained_tokens", "estimated_finish"),
    *("id", "created_at", "object"),
)
_ABSENT = frozenset({*_JOB, "data", "expires_at"})
_STATUSES = {"validating_files": "pending", "queued": "pending"}
_METRICS = (
    *("step", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy"),
    *("full_valid_loss", "full_valid_mean_token_accuracy"),
)


def _job(statuses: dict[str, str]) -> ObjectStyle:
    return ObjectStyle(
        members=_JOB,
        sources={"suffix": "user_provided_suffix"},
        values={"status": statuses},
        empty_values={"result_files": None, "error": None},
        omitted_if_null=_ABSENT,
        nested={
            "hyperparameters": _NUMBERS,
            "method": ObjectStyle(nested={"supervised": _OF_METHOD, "dpo": _OF_METHOD, "reinforcement": _OF_METHOD}),
        },
    )


_PAGE = ObjectStyle(members=("has_more", "data", "object"), nested={"data": None})
_OBJECTS = {
    "fine_tuning.job": _job(_STATUSES),
    # recording: a pause is answered with "pausing", a resumption with "resuming"; that the next look finds a job
    # paused, or pending, is inferred
    "pause_job": _job({"paused": "pausing"}),
    "resume_job": _job({"queued": "resuming"}),
    "fine_tuning.job.event": ObjectStyle(
        members=("id", "created_at", "level", "message", "data", "type", "object"),  # where data stands is inferred
        empty_values={"data": None},
        omitted_if_null=_ABSENT,
        nested={"data": ObjectStyle(members=_METRICS, integral_floats=True)},
    ),
    "fine_tuning.job.checkpoint": ObjectStyle(
        members=(
            *("id", "created_at", "fine_tuned_model_checkpoint", "step_number", "metrics", "fine_tuning_job_id"),
            "object",
        ),
        nested={"metrics": ObjectStyle(members=_METRICS, integral_floats=True)},
    ),
    "file": ObjectStyle(
        members=("status", "bytes", "purpose", "filename", "id", "created_at", "expires_at", "object"),
        omitted_if_null=_ABSENT,
    ),
    "upload": ObjectStyle(nested={"file": None}),
    **dict.fromkeys(("list_jobs", "list_job_events", "list_job_checkpoints", "list_files"), _PAGE),
}

_EVENTS = EventStyle(
    # printed: "Job enqueued …", "Job succeeded.", "Model Evaluation Passed.", "Completed results file: …", "Training
    # tokens billed: …", in this order; "Job started." and "Job canceled." by the older route. The rest is inferred.
    kinds={
        **EVENT_KINDS,
        "created": EventKind("validating_files", "Job enqueued. Waiting for jobs ahead to complete.", data=False),
        "validating": EventKind(),
        "validated": EventKind("queued"),
        "started": EventKind("running", "Job started.", data=False),
        "trained": EventKind(None, "Job succeeded.", data=False),
        "checkpoint": EventKind(),
        "model": EventKind(None, "Model Evaluation Passed.", data=False),
        "completed": EventKind("succeeded", "Completed results file: {result}", data=False),
        "billed": EventKind(None, "Training tokens billed: {billed}", data=False),
        "failed": EventKind("failed", "{error}", "error", data=False),
        "stopping": EventKind(None, "Job canceled.", data=False),
        "paused": EventKind("paused", "Job paused.", data=False),
        "resumed": EventKind("queued", "Job resumed.", data=False),
    },
    followed_by={"completed": ("billed",)},
    step_message="Step {step}: training loss={train_loss}",
    step_interval=10,
    all_checkpoint_metrics=True,
    # recording: succeeded (the time of the last event) and cancelled; failed is inferred
    finished_at_event={"succeeded": "completed", "cancelled": "cancelled", "failed": "failed"},
    estimated_seconds=900,  # recording: of new jobs; that it stays so is inferred
    resolved_at_creation=("learning_rate_multiplier",),
    model_name="{base}.ft-{hex}{dashed}",
)

_HTTP = HttpStyle(
    root="/openai/v1",
    base_url_variable=("AZURE_OPENAI_ENDPOINT", ""),
    key_variable="AZURE_OPENAI_API_KEY",
    requires_api_version=True,
    key_header=b"api-key",
    created_operations=frozenset({"create_job", "upload_file"}),
    removed_headers=frozenset(
        {
            *(b"openai-organization", b"openai-project", b"openai-processing-ms", b"openai-version"),
            *(b"access-control-allow-origin", b"access-control-expose-headers"),
        }
    ),
    added_headers={ALL: ((b"x-ms-region", b"East US 2"),)},
    json_type=b"application/json; charset=utf-8",
    request_id=(b"apim-request-id", "uuid"),
    # inferred: texts that users print; that a path without a version is refused like an unknown path, too
    bare_errors={
        401: (
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key "
            "for an active subscription and use a correct regional API endpoint for your resource.",
        ),
        404: ("404", "Resource not found"),
    },
)

AZURE_2025 = Dialect(
    "azure-2025",
    objects=_OBJECTS,
    ids=_HEX_IDS,
    event_style=_EVENTS,
    http=_HTTP,
    new_file_status=("pending", 5.0),  # recording: pending at 0 s, processed at 5 s
    result_name="results.csv",  # printed
    base64_results=False,  # inferred
    batch_files_expire=False,  # inferred: the default is OpenAI's
    extra_fields=("trainingType",),
    null_unless_sent=("method",),
)
