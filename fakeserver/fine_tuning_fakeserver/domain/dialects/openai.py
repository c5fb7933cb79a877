"""OpenAI's dialects: as recorded in 2023 and 2024, and as documented. That of 2025 is the default, `RECORDED`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...evidence import inferred, recorded
from ..base_models import BASE_MODELS_2023
from ..ids import SHAPES, IdShape, derived_id
from .dialect import EVENT_KINDS, Dialect, EventKind, EventStyle, HttpStyle, ObjectStyle

_IDS_2024 = {**SHAPES, "file": replace(SHAPES["file"], width=24)}
_FILE = ("object", "id", "purpose", "filename", "bytes", "created_at", "status", "status_details")

# recording: ruby-openai finetunes_list (2023-11) has these 14 members, finetunes_create (2024-10) the four below, too.
_JOB_2023 = (
    *("object", "id", "model", "created_at", "finished_at", "fine_tuned_model", "organization_id", "result_files"),
    *("status", "validation_file", "training_file", "hyperparameters", "trained_tokens", "error"),
)
_JOB_2024 = (*_JOB_2023, "user_provided_suffix", "seed", "estimated_finish", "integrations")
_METRICS = (
    *("step", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy"),
    *("full_valid_loss", "full_valid_mean_token_accuracy"),
)
_CHECKPOINT = "fine_tuning.job.checkpoint"
# checkpoint metrics: a printed output of 2024-08 has no type
_UNTYPED = ObjectStyle(nested={"metrics": ObjectStyle(members=_METRICS)})
_DELETED = ObjectStyle(members=("object", "id", "deleted"))
_IN_UPLOAD = ObjectStyle(nested={"file": None})

_ANY_ORIGIN = ((b"access-control-allow-origin", b"*"),)
_MODELS = ("list_models", "retrieve_model")
# recording: models_retrieve (2024-04), models_list (2023-11), newline and headers; finetunes_create (2024-10) has
# nosniff, the other headers were not there before 2025.
_HTTP_2024 = HttpStyle(
    trailing_newline=dict.fromkeys(_MODELS, True),
    added_headers=dict.fromkeys(_MODELS, _ANY_ORIGIN),
    removed_headers=frozenset({b"openai-project", b"x-envoy-upstream-service-time", b"access-control-expose-headers"}),
)
OPENAI_2024 = Dialect(
    "openai-2024-10",
    objects={
        "fine_tuning.job": ObjectStyle(members=_JOB_2024),
        _CHECKPOINT: _UNTYPED,
        "file": ObjectStyle(members=_FILE),
        "upload": _IN_UPLOAD,
        # recording: files_delete (2023-11), dd-trace-py's model_delete (2023-10); when the order changed is not known
        "file deleted": _DELETED,
        "model deleted": _DELETED,
    },
    ids=_IDS_2024,
    http=_HTTP_2024,
    batch_files_expire=False,  # files had no ``expires_at``
    any_filename=True,  # recording: files_upload_stringio (2024-04), a fine-tune file called local.path
)

# recordings of 2023-11: error null, files "uploaded" for some seconds (files_retrieve at 0 s, files_delete_retrieve
# at 3 s), plain result files (the guides of then), request ids of 32 hex digits, no nosniff.
OPENAI_2023 = replace(
    OPENAI_2024,
    name="openai-2023-11",
    objects={
        **OPENAI_2024.objects,
        "fine_tuning.job": ObjectStyle(members=_JOB_2023, empty_values={"error": None}),
        "list_files": ObjectStyle(members=("object", "has_more", "data"), nested={"data": None}),
    },
    http=replace(
        _HTTP_2024,
        removed_headers=_HTTP_2024.removed_headers | {b"x-content-type-options"},
        request_id=(b"x-request-id", "hex"),
        invalid_url_errors=True,  # recording: GET /v1/files/ (2023-08), printed for others
    ),
    new_file_status=("uploaded", 3.0),
    base64_results=False,
    # printed output of 2023-11: steps 1, 11, 21 … 301 of 303, each with a validation loss, none of all the data, and
    # nothing of checkpoints; that the result file has them at the same steps is inferred
    event_style=EventStyle(
        kinds={**EVENT_KINDS, "checkpoint": EventKind()},
        step_interval=10,
        first_step=1,
        first_validation=1,
        full_validation=False,
    ),
    models=BASE_MODELS_2023,
    snapshots={"gpt-3.5-turbo": "gpt-3.5-turbo-0613"},  # recordings of 2023
    # printed outputs of 2023
    max_suffix_length=18,
    error_texts={"extra_forbidden": "extra fields not permitted"},
    checks_count_at_creation=True,
)

_RECORDINGS_2023_10 = recorded("dd-trace-py, tests of openai", "2023-10")
_PERMISSION = {"permission": IdShape("modelperm-", 24)}


def _model_permission(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the permissions of a model, as one base model had them; that others had the same is inferred."""
    return [
        {
            "id": derived_id("permission", model["id"], shapes=_PERMISSION),
            "object": "model_permission",
            "created": model["created"],
            "allow_create_engine": False,
            "allow_sampling": True,
            "allow_logprobs": True,
            "allow_search_indices": False,
            "allow_view": True,
            "allow_fine_tuning": False,
            "organization": "*",
            "group": None,
            "is_blocking": False,
        }
    ]


OPENAI_2023_10 = replace(
    OPENAI_2023,
    name="openai-2023-10",
    objects={
        **OPENAI_2023.objects,
        "fine_tuning.job": ObjectStyle(
            members=_JOB_2023,
            empty_values={"error": None},
            nested={"hyperparameters": ObjectStyle(members=("n_epochs",))},
        ),
        "model": ObjectStyle(
            members=("id", "object", "created", "owned_by", "permission", "root", "parent"),
            sources={"root": "id"},
            defaults={"parent": None},
            derived={"permission": _model_permission},
        ),
        "list_files": ObjectStyle(members=("object", "data"), nested={"data": None}),
    },
    evidence={
        "model.permission, root, parent": _RECORDINGS_2023_10,
        "model.permission of other models, root and parent of fine-tuned ones": inferred("the one base model recorded"),
        "lists of files without has_more": _RECORDINGS_2023_10,
        "hyperparameters: n_epochs only": recorded("ruby-openai, finetunes_create of then", "2023-10"),
        "everything else": inferred("openai-2023-11, weeks later"),
    },
)

# spec: the members of the schemas, in recorded order; what is typed as plain text or a number is left out, not null.
# The enum of a job's status has no "paused"; it stays, as the spec's own example of POST …/pause answers it.
OPENAI_SPEC = Dialect(
    "openai-spec",
    objects={
        "fine_tuning.job": ObjectStyle(
            members=(*_JOB_2023, "seed", "estimated_finish", "integrations", "metadata", "method"),
            empty_values={"error": None, "hyperparameters": {}},
            defaults={"hyperparameters": {}},
            nested={
                "integrations": ObjectStyle(
                    nested={"wandb": ObjectStyle(members=("project", "name", "entity", "tags"))}
                )
            },
        ),
        "fine_tuning.job.event": ObjectStyle(omitted_if_null=frozenset({"data"})),
        _CHECKPOINT: _UNTYPED,
        "file": ObjectStyle(omitted_if_null=frozenset({"expires_at", "status_details"})),
        "upload": _IN_UPLOAD,
    },
    event_style=EventStyle(all_checkpoint_metrics=True),
)
