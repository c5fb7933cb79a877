"""Dialects of services that train open-weight models: Bedrock's and Nebius's.

Nothing of either was recorded: vendor text has the differences below, and all else is OpenAI's default, inferred.
"""

from __future__ import annotations

from dataclasses import replace

from ...evidence import inferred, vendor
from .dialect import RECORDED, JobStyle, ObjectStyle

_BEDROCK_GUIDE = vendor("Amazon's guide to fine-tuning by OpenAI's API", "2026")
_NO_MODELS = inferred("no list of base models is known: any name is taken")
_ALL_ELSE = inferred("OpenAI's default")

BEDROCK_2026 = replace(
    RECORDED,
    name="bedrock-2026",
    jobs=JobStyle(refused_fields=("suffix",), lambda_graders=True),
    evidence={
        "base URL https://bedrock-mantle.{region}.api.aws/v1": _BEDROCK_GUIDE,
        "no suffix": _BEDROCK_GUIDE,
        "400 suffix": inferred("the refusal of an unknown field"),
        "grader lambda": _BEDROCK_GUIDE,
        "models answer at once": _BEDROCK_GUIDE,
        "base models": _NO_MODELS,
        "all else": _ALL_ELSE,
    },
)

_NEBIUS_DOCUMENT = vendor("Nebius's OpenAPI document", "2026-05")

# vendor: the examples of the document, which say what a hyperparameter is unless it is sent
_HYPERPARAMETERS = {
    "batch_size": 8,
    "learning_rate": 0.00001,
    "n_epochs": 3,
    "warmup_ratio": 0.0,
    "weight_decay": 0.0,
    "packing": True,
    "max_grad_norm": 1.0,
    "context_length": 8192,
    "lora": False,
    "lora_r": 8,
    "lora_alpha": 8,
    "lora_dropout": 0.0,
}
_NUMBERS = ObjectStyle(members=tuple(_HYPERPARAMETERS))
_JOB = (
    *("id", "created_at", "error", "finished_at", "hyperparameters", "method", "integrations", "model", "object"),
    *("organization_id", "result_files", "seed", "suffix", "status", "trained_tokens", "training_file"),
    *("validation_file", "estimated_finish", "trained_steps", "total_steps"),
)
# "fine_tuned_model" is not in the document; clients that ask a trained model need it (inferred)
_MEMBERS = (*_JOB[:4], "fine_tuned_model", *_JOB[4:])

NEBIUS_2026 = replace(
    RECORDED,
    name="nebius-2026-05",
    objects={
        "fine_tuning.job": ObjectStyle(
            members=_MEMBERS,
            sources={"suffix": "user_provided_suffix"},
            empty_values={"error": None},
            nested={
                "hyperparameters": _NUMBERS,
                "method": ObjectStyle(nested={"supervised": ObjectStyle(nested={"hyperparameters": _NUMBERS})}),
            },
        )
    },
    jobs=JobStyle(
        own_fields={"from_checkpoint": dict, "tags": str, "extra_body": dict},
        hyperparameters=_HYPERPARAMETERS,
        unless_sent={"organization_id": "", "seed": 0},
        requires_wandb_key=True,
        counts_steps=True,
        has_checkpoint_files=True,
        validation_errors=True,
    ),
    evidence={
        "base URL https://api.tokenfactory.nebius.com/v1": _NEBIUS_DOCUMENT,
        "members of a job": _NEBIUS_DOCUMENT,
        "fine_tuned_model": inferred("the document lacks it"),
        "hyperparameters": _NEBIUS_DOCUMENT,
        "from_checkpoint": _NEBIUS_DOCUMENT,
        "trained_steps, total_steps": _NEBIUS_DOCUMENT,
        "result_files of a checkpoint": _NEBIUS_DOCUMENT,
        "which file a checkpoint has": inferred("the job's own; the service's has the weights"),
        "422 HTTPValidationError": _NEBIUS_DOCUMENT,
        "422 messages": inferred("the texts are OpenAI's"),
        "wandb api_key": _NEBIUS_DOCUMENT,
        "base models": _NO_MODELS,
        "all else": _ALL_ELSE,
    },
)
