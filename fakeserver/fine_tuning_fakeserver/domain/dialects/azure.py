"""Azure's dialects, as its SDKs' public test recordings of 2025-04 to 2026-03 and printed outputs show them.

Every difference has its source in `EVIDENCE`, which the ledger lists.
"""

from __future__ import annotations

from dataclasses import replace

from fine_tuning_formats.row_rules import AZURE_DATA

from ...evidence import inferred, printed, recorded, vendor
from ..base_models import BaseModel
from ..ids import HEX, SHAPES, IdShape
from .dialect import ALL, EVENT_KINDS, Dialect, EventKind, EventStyle, HttpStyle, ObjectStyle

_HEX_IDS = {
    **SHAPES,
    "job": IdShape("ftjob-", 32, HEX),
    "event": IdShape("ftevent-", 32, HEX, masked=10),
    "checkpoint": IdShape("ftchkpt-", 32, HEX),
    "file": IdShape("file-", 32, HEX),
}

_UNKNOWN = {
    name: {"auto": -1}
    for name in ("n_epochs", "batch_size", "learning_rate_multiplier", "beta", "eval_interval", "eval_samples")
}
_THREE = ("n_epochs", "batch_size", "learning_rate_multiplier")
_NUMBERS = ObjectStyle(members=_THREE, values=_UNKNOWN, integral_floats=True)
_PREFERENCES = replace(_NUMBERS, members=("beta", "l2_multiplier", *_THREE), defaults={"l2_multiplier": 0})
_REWARDS = replace(
    _NUMBERS, members=("eval_interval", "eval_samples", "compute_multiplier", "reasoning_effort", *_THREE)
)
_ANY_GRADER = ObjectStyle(integral_floats=True)
_INPUT = ObjectStyle(members=("role", "content"), hidden=frozenset({"type"}))
_GRADER = replace(
    _ANY_GRADER,
    variants={
        "score_model": ObjectStyle(
            members=("type", "name", "input", "pass_threshold", "range", "model"),
            hidden=frozenset(),
            defaults={"pass_threshold": 0},
            nested={"input": _INPUT},
            integral_floats=True,
        )
    },
)
_METHOD = ObjectStyle(
    nested={
        "supervised": ObjectStyle(nested={"hyperparameters": _NUMBERS}),
        "dpo": ObjectStyle(nested={"hyperparameters": _PREFERENCES}),
        "reinforcement": ObjectStyle(
            members=("hyperparameters", "grader", "response_format"),
            omitted_if_null=frozenset({"response_format"}),
            nested={"hyperparameters": _REWARDS, "grader": _GRADER},
        ),
    }
)
_JOB = (
    *("hyperparameters", "additionalParameters", "suffix", "seed", "method", "trainingType", "eval", "error"),
    *("status", "model", "fine_tuned_model", "training_file", "validation_file", "result_files", "finished_at"),
    *("trained_tokens", "estimated_finish", "id", "created_at", "object"),
)
_ABSENT = frozenset({*_JOB, "data", "expires_at"})
_METRICS = (
    *("step", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy"),
    *("full_valid_loss", "full_valid_mean_token_accuracy"),
)
_MEASURED = ObjectStyle(members=_METRICS, hidden=frozenset({"total_steps", "type"}), integral_floats=True)


def _job(statuses: dict[str, str]) -> ObjectStyle:
    return ObjectStyle(
        members=_JOB,
        sources={"suffix": "user_provided_suffix", "eval": "eval_id"},
        values={"status": {"validating_files": "pending", "queued": "pending", **statuses}},
        empty_values={"result_files": None, "error": None},
        omitted_if_null=_ABSENT,
        defaults={"additionalParameters": {"completionOverride": "True"}},
        nested={
            "hyperparameters": _NUMBERS,
            "additionalParameters": ObjectStyle(),
            "method": _METHOD,
            "error": ObjectStyle(members=("code", "message", "param"), omitted_if_null=frozenset({"param"})),
        },
    )


_PAGE = ObjectStyle(members=("has_more", "data", "object"), nested={"data": None})
_OBJECTS = {
    "fine_tuning.job": _job({}),
    "pause_job": _job({"paused": "pausing"}),
    "resume_job": _job({"queued": "resuming"}),
    "fine_tuning.job.event": ObjectStyle(
        members=("id", "created_at", "level", "message", "data", "type", "object"),
        empty_values={"data": None},
        omitted_if_null=_ABSENT,
        nested={"data": _MEASURED},
    ),
    "fine_tuning.job.checkpoint": ObjectStyle(
        members=(
            *("id", "created_at", "fine_tuned_model_checkpoint", "step_number", "metrics", "fine_tuning_job_id"),
            "object",
        ),
        nested={"metrics": _MEASURED},
    ),
    "file": ObjectStyle(
        members=("status", "bytes", "purpose", "filename", "id", "created_at", "expires_at", "object"),
        omitted_if_null=_ABSENT,
    ),
    "upload": ObjectStyle(nested={"file": None}),
    **dict.fromkeys(("list_jobs", "list_job_events", "list_job_checkpoints", "list_files"), _PAGE),
}

_EVENTS = EventStyle(
    kinds={
        **EVENT_KINDS,
        "created": EventKind("validating_files", "Job enqueued. Waiting for jobs ahead to complete.", data=False),
        "validating": EventKind(),
        "read": EventKind(None, "Preprocessing running for file training file.", data=False),
        "validated": EventKind("queued", "Preprocessing completed for file training file.", data=False),
        "validation_read": EventKind(None, "Preprocessing completed for file validation file.", data=False),
        "started": EventKind("running", "Job started.", data=False),
        "importing": EventKind(None, "Data Import started.", data=False),
        "finetuning": EventKind(None, "Finetuning started.", data=False),
        "waiting": EventKind(None, "Job queued, waiting for GPUs.", data=False),
        "training": EventKind(None, "Training started.", data=False),
        "results": EventKind(None, "Created results file: {result}", data=False),
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
    followed_by={
        "validated": ("validation_read",),
        "started": ("importing", "finetuning", "waiting"),
        "completed": ("billed",),
    },
    before_training=("training", "results"),
    of_validation=frozenset({"validation_read"}),
    step_message="Step {step}: training loss={train_loss}",
    step_interval=10,
    also_first_step=True,
    all_checkpoint_metrics=True,
    finished_at_event={"succeeded": "completed", "cancelled": "cancelled", "failed": "failed"},
    estimated_seconds={"supervised": 900, "dpo": 900, "reinforcement": 2760},
    resolved_at_creation=("learning_rate_multiplier", "beta", "compute_multiplier"),
    resolved_by="training",
    results_from="results",
    keeps_paused_steps=True,
    timed_step_ids=True,
    model_name="{base}.ft-{hex}{dashed}",
)

_NOT_NOW = "This item cannot be {} at this moment. please try again."
_HTTP = HttpStyle(
    root="/openai/v1",
    base_url_variable=("AZURE_OPENAI_ENDPOINT", ""),
    key_variable="AZURE_OPENAI_API_KEY",
    requires_api_version=True,
    key_header=b"api-key",
    created_operations=frozenset({"create_job", "upload_file", "import_file"}),
    removed_headers=frozenset(
        {
            *(b"openai-organization", b"openai-project", b"openai-processing-ms", b"openai-version"),
            *(b"access-control-allow-origin", b"access-control-expose-headers"),
        }
    ),
    added_headers={ALL: ((b"x-ms-region", b"East US 2"), (b"x-ms-response-type", b"standard"))},
    json_type=b"application/json; charset=utf-8",
    request_id=(b"apim-request-id", "uuid"),
    bare_errors={
        401: (
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key "
            "for an active subscription and use a correct regional API endpoint for your resource.",
        ),
        404: ("404", "Resource not found"),
    },
    error_codes={
        400: "invalidPayload",
        403: "forbidden",
        404: "notFound",
        409: "conflict",
        413: "invalidPayload",
        429: "tooManyRequests",
        500: "internalFailure",
        503: "serviceUnavailable",
    },
    refusals={
        ("cancel_job", 400): (409, "unexpectedEntityState", _NOT_NOW.format("canceled")),
        ("pause_job", 400): (409, "unexpectedEntityState", _NOT_NOW.format("paused")),
        ("resume_job", 400): (409, "unexpectedEntityState", _NOT_NOW.format("resumed")),
        ("delete_job", 400): (409, "unexpectedEntityState", _NOT_NOW.format("deleted")),
    },
)

_OTHER_NAMES = {
    "gpt-3.5-turbo-0613": "gpt-35-turbo-0613",
    "gpt-3.5-turbo-1106": "gpt-35-turbo-1106",
    "gpt-3.5-turbo-0125": "gpt-35-turbo-0125",
    "gpt-3.5-turbo": "",
}

_RECORDINGS = "azure-ai-projects, tests of fine-tuning"
_DEMO = "events of a preference job on Foundry"
EVIDENCE = {
    "paths /openai, /openai/v1, /api/projects/…/openai": recorded(_RECORDINGS, "2025-12 to 2026-03"),
    "path /v1": inferred("a further path, so that clients of OpenAI reach it"),
    "paths /openai/deployments/…/chat/completions": vendor("the REST reference", "2024-10"),
    "headers apim-request-id, x-ms-region, x-ms-response-type": recorded(_RECORDINGS, "2025-12 to 2026-03"),
    "201 and Location for a new job, a new file": recorded(_RECORDINGS, "2025-12"),
    "ids: 32 hexadecimal digits": recorded("the .NET SDK's and Python's tests", "2025-04 to 2025-12"),
    "ids of events of training steps: their time, twice": printed(_DEMO, "2026-02"),
    "order of members": recorded(_RECORDINGS, "2025-12"),
    "place of data in an event": inferred("the order of the other members"),
    "null members are left out": recorded(_RECORDINGS, "2025-12"),
    "job.additionalParameters": recorded(_RECORDINGS, "2025-12 to 2026-03"),
    "job.trainingType": recorded(_RECORDINGS, "2025-12"),
    "job.estimated_finish, 900 s after creation": recorded(_RECORDINGS, "2025-12"),
    "job.estimated_finish of reinforcement, 2760 s after creation": recorded(_RECORDINGS, "2026-02"),
    "job.estimated_finish does not move": inferred("new jobs; it was seen to move"),
    "job.finished_at of a cancelled job": recorded(_RECORDINGS, "2025-12"),
    "job.finished_at of a failed job": inferred("cancelled jobs"),
    "job.result_files of jobs that have begun": recorded(_RECORDINGS, "2026-03"),
    "job.eval of reinforcement jobs that have begun": recorded(_RECORDINGS, "2025-12"),
    "job.error: code and message": recorded(_RECORDINGS, "2026-02"),
    "job.error.param": inferred("OpenAI's, where it is not null"),
    "hyperparameters not chosen yet are -1": recorded(_RECORDINGS, "2025-12"),
    "hyperparameters are chosen by the first step": inferred("a running job that showed -1"),
    "dpo: beta 0.1, l2_multiplier 0": recorded(_RECORDINGS, "2026-02"),
    "dpo: beta, l2_multiplier beside hyperparameters": vendor("the guide to preference training", "2025"),
    "reinforcement: compute_multiplier 1, no response_format": recorded(_RECORDINGS, "2026-02"),
    "reinforcement: hyperparameters at the top": vendor("a body in the developers' blog", "2026-04"),
    "grader.pass_threshold of any grader": vendor("the guide to reinforcement", "2026"),
    "a grader of type endpoint; its members but for the type and the URL are taken as they are": vendor(
        "the guide to reinforcement (preview)", "2026"
    ),
    "trainingType, prompt_loss_weight, output_expires_after: what is refused": inferred("the REST reference's types"),
    "grader.pass_threshold 0": recorded(_RECORDINGS, "2026-02"),
    "prompt_loss_weight, output_expires_after": vendor("the REST reference", "2025"),
    "learning_rate_multiplier of gpt-4.1, gpt-4.1-mini, gpt-4o-mini": recorded(_RECORDINGS, "2025-12"),
    "Ministral-3B: automatic numbers stay -1, trained_tokens is minus an epoch's": recorded(_RECORDINGS, "2025-12"),
    "model Ministral-3B": recorded(_RECORDINGS, "2025-12"),
    "models gpt-35-turbo-0613, -1106, -0125": printed("a job and a tutorial", "2024"),
    "fine-tuned model BASE.ft-HEX": recorded(_RECORDINGS, "2025-12"),
    "status pending": recorded(_RECORDINGS, "2025-12"),
    "status pausing, resuming": recorded(_RECORDINGS, "2025-12"),
    "status after pausing, resuming": inferred("that the next look finds the job paused, pending"),
    "a checkpoint of the step of a pause": recorded(_RECORDINGS, "2025-12"),
    "a file is pending for 5 s": recorded(_RECORDINGS, "2025-12"),
    "events of a job to its success": printed(_DEMO, "2026-02"),
    "event of a cancellation": printed("the older route's", "2024"),
    "events of failure, pause, resumption": inferred("nothing was seen"),
    "event of steps 1, 10, 20 …": printed(_DEMO, "2026-02"),
    "spelling of small losses": printed(_DEMO, "2026-02"),
    "tokens billed: whole thousands": printed("events of a supervised job", "2025-05"),
    "metrics of reinforcement": vendor("the guide to reinforcement", "2026"),
    "result file results.csv, plain": printed("a supervised job", "2025-05"),
    "files for batches do not expire": inferred("the default is OpenAI's"),
    "errors: code and message only": vendor("the REST reference: Error", "2024-10"),
    "409 unexpectedEntityState": recorded(_RECORDINGS, "2025-12"),
    "409 for a job that is over, and for pause and resumption": inferred("the refusal of a cancellation at once"),
    "404 unknown job or file: notFound": vendor("the REST reference: ErrorCode", "2024-10"),
    "400, 403, 413, 429, 500, 503: codes": vendor("the REST reference: ErrorCode", "2024-10"),
    "400, 404, 429: messages": inferred("the texts are OpenAI's"),
    "401 wrong key": printed("answers to users", "2023 to 2026"),
    "404 unknown path": printed("answers to users", "2023 to 2026"),
    "a byte order mark before training data": vendor("the guide to fine-tuning", "2023 to 2026"),
    "DELETE a job: 204": vendor("the REST reference; the .NET SDK's DeleteJob", "2024-10"),
    "DELETE a job that is not over: 409": inferred("the refusal of a cancellation"),
    "POST files/import: 201, pending": vendor("the REST reference", "2024-10"),
    "an import that fails becomes an error": inferred("the statuses of files"),
    "POST, GET checkpoints/…/copy": vendor("the REST reference and the guide", "2025"),
    "dpo rows: answers of several messages": vendor("the guide to preference training", "2025"),
}

AZURE_2025 = Dialect(
    "azure-2025",
    objects=_OBJECTS,
    ids=_HEX_IDS,
    event_style=_EVENTS,
    http=_HTTP,
    new_file_status=("pending", 5.0),
    result_name="results.csv",
    base64_results=False,
    batch_files_expire=False,
    extra_fields=("trainingType",),
    silent_fields=("prompt_loss_weight", "output_expires_after"),
    flat_hyperparameters=True,
    echoed_hyperparameters={"dpo": ("l2_multiplier",)},
    null_unless_sent=("method",),
    multipliers={"gpt-4.1-nano": 1, "gpt-4.1": 2, "gpt-4o-mini": 1},
    models=(
        BaseModel("Ministral-3B", 1729555200, "system", ("supervised",)),
        *(BaseModel(name, 1706048358, "system", ("supervised",)) for name in _OTHER_NAMES.values() if name),
    ),
    other_names=_OTHER_NAMES,
    graders_have_thresholds=True,
    endpoint_graders=True,
    unresolved_models=frozenset({"Ministral-3B"}),
    data_rules=AZURE_DATA,
    own_operations=True,
    evidence=EVIDENCE,
)

AZURE_2026 = replace(
    AZURE_2025,
    name="azure-2026-02",
    evidence={
        "paths /openai/v1 without an api-version": recorded(_RECORDINGS, "2026-03"),
        "everything else: as in azure-2025, of which nothing that was recorded has moved": recorded(
            _RECORDINGS, "2026-02 to 2026-03"
        ),
    },
)
