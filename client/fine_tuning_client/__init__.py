"""A client of OpenAI's fine-tuning API, wherever it is offered."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fine_tuning_client.arguments import NOT_GIVEN
    from fine_tuning_client.client import AsyncFineTuning, AsyncFineTuningClient, FineTuning, FineTuningClient
    from fine_tuning_client.config import ProviderProfile, configure
    from fine_tuning_client.errors import (
        APIConnectionError,
        APIError,
        APIResponseError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        ConflictError,
        FineTuningError,
        InternalServerError,
        JobCancelled,
        JobFailed,
        NotFoundError,
        PermissionDeniedError,
        RateLimitError,
        UnprocessableEntityError,
        UnsupportedOperationError,
        WaitTimeout,
    )
    from fine_tuning_client.job_display import JobDisplay
    from fine_tuning_client.models import (
        DeletionResponse,
        FileListResponse,
        FileResponse,
        FineTuningCheckpointListResponse,
        FineTuningCheckpointResponse,
        FineTuningEventListResponse,
        FineTuningEventResponse,
        FineTuningJobListResponse,
        FineTuningJobResponse,
        ModelListResponse,
        ModelResponse,
    )
    from fine_tuning_client.training_file_check import TrainingFileProblem, TrainingFileReport, check_training_file

__all__ = [
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncFineTuning",
    "AsyncFineTuningClient",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "DeletionResponse",
    "FileListResponse",
    "FileResponse",
    "FineTuning",
    "FineTuningCheckpointListResponse",
    "FineTuningCheckpointResponse",
    "FineTuningClient",
    "FineTuningError",
    "FineTuningEventListResponse",
    "FineTuningEventResponse",
    "FineTuningJobListResponse",
    "FineTuningJobResponse",
    "InternalServerError",
    "JobCancelled",
    "JobDisplay",
    "JobFailed",
    "ModelListResponse",
    "ModelResponse",
    "NotFoundError",
    "PermissionDeniedError",
    "ProviderProfile",
    "RateLimitError",
    "TrainingFileProblem",
    "TrainingFileReport",
    "UnprocessableEntityError",
    "UnsupportedOperationError",
    "WaitTimeout",
    "check_training_file",
    "configure",
]

_HOMES = {
    name: module
    for module, names in {
        "arguments": ("NOT_GIVEN",),
        "client": ("AsyncFineTuning", "AsyncFineTuningClient", "FineTuning", "FineTuningClient"),
        "config": ("ProviderProfile", "configure"),
        "errors": (
            "APIConnectionError",
            "APIError",
            "APIResponseError",
            "APIStatusError",
            "APITimeoutError",
            "AuthenticationError",
            "BadRequestError",
            "ConfigurationError",
            "ConflictError",
            "FineTuningError",
            "InternalServerError",
            "JobCancelled",
            "JobFailed",
            "NotFoundError",
            "PermissionDeniedError",
            "RateLimitError",
            "UnprocessableEntityError",
            "UnsupportedOperationError",
            "WaitTimeout",
        ),
        "job_display": ("JobDisplay",),
        "models": (
            "DeletionResponse",
            "FileListResponse",
            "FileResponse",
            "FineTuningCheckpointListResponse",
            "FineTuningCheckpointResponse",
            "FineTuningEventListResponse",
            "FineTuningEventResponse",
            "FineTuningJobListResponse",
            "FineTuningJobResponse",
            "ModelListResponse",
            "ModelResponse",
        ),
        "training_file_check": ("TrainingFileProblem", "TrainingFileReport", "check_training_file"),
    }.items()
    for name in names
}


if not TYPE_CHECKING:  # a type checker knows the names

    def __getattr__(name: str) -> object:
        """Import a public name when it is first asked for: the package itself costs nothing to import."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        return value


def __dir__() -> list[str]:
    """List the public names, imported or not: editors and notebooks complete them."""
    return sorted({*globals(), *__all__})
