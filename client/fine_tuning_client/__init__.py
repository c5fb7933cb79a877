"""A client of OpenAI's fine-tuning API, wherever it is offered."""

from fine_tuning_client.client import AsyncFineTuning, AsyncFineTuningClient, FineTuning, FineTuningClient
from fine_tuning_client.config import configure
from fine_tuning_client.console import JobDisplay
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
from fine_tuning_client.pages import (
    FileListResponse,
    FineTuningCheckpointListResponse,
    FineTuningEventListResponse,
    FineTuningJobListResponse,
    ModelListResponse,
)
from fine_tuning_client.providers import ProviderProfile
from fine_tuning_client.requests import NOT_GIVEN
from fine_tuning_client.responses import (
    DeletionResponse,
    FileResponse,
    FineTuningCheckpointResponse,
    FineTuningEventResponse,
    FineTuningJobResponse,
    ModelResponse,
)
from fine_tuning_client.training_file import check_training_file
from fine_tuning_client.training_file_report import TrainingFileProblem, TrainingFileReport

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
