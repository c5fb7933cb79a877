"""The operations of the fine-tuning API, and of what belongs to it: name, method and path of each."""

from __future__ import annotations

import re
from typing import NamedTuple


class ApiPath(NamedTuple):
    """One operation.

    Args:
        operation: its name, such as ``create_job``.
        method: its HTTP method.
        path: its path below the API's base (``/v1``), with parameters in braces.
    """

    operation: str
    method: str
    path: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the path's parameters, in order."""
        return path_parameters(self.path)


API_PATHS = (
    ApiPath("create_job", "POST", "/fine_tuning/jobs"),
    ApiPath("list_jobs", "GET", "/fine_tuning/jobs"),
    ApiPath("retrieve_job", "GET", "/fine_tuning/jobs/{job_id}"),
    ApiPath("cancel_job", "POST", "/fine_tuning/jobs/{job_id}/cancel"),
    ApiPath("pause_job", "POST", "/fine_tuning/jobs/{job_id}/pause"),
    ApiPath("resume_job", "POST", "/fine_tuning/jobs/{job_id}/resume"),
    ApiPath("list_job_events", "GET", "/fine_tuning/jobs/{job_id}/events"),
    ApiPath("list_job_checkpoints", "GET", "/fine_tuning/jobs/{job_id}/checkpoints"),
    ApiPath("grant_permissions", "POST", "/fine_tuning/checkpoints/{checkpoint}/permissions"),
    ApiPath("list_permissions", "GET", "/fine_tuning/checkpoints/{checkpoint}/permissions"),
    ApiPath("revoke_permission", "DELETE", "/fine_tuning/checkpoints/{checkpoint}/permissions/{permission_id}"),
    ApiPath("model_limits", "GET", "/fine_tuning/model_limits"),
    ApiPath("run_grader", "POST", "/fine_tuning/alpha/graders/run"),
    ApiPath("validate_grader", "POST", "/fine_tuning/alpha/graders/validate"),
    ApiPath("upload_file", "POST", "/files"),
    ApiPath("list_files", "GET", "/files"),
    ApiPath("retrieve_file", "GET", "/files/{file_id}"),
    ApiPath("delete_file", "DELETE", "/files/{file_id}"),
    ApiPath("download_file", "GET", "/files/{file_id}/content"),
    ApiPath("create_upload", "POST", "/uploads"),
    ApiPath("add_upload_part", "POST", "/uploads/{upload_id}/parts"),
    ApiPath("complete_upload", "POST", "/uploads/{upload_id}/complete"),
    ApiPath("cancel_upload", "POST", "/uploads/{upload_id}/cancel"),
    ApiPath("list_models", "GET", "/models"),
    ApiPath("retrieve_model", "GET", "/models/{model}"),
    ApiPath("delete_model", "DELETE", "/models/{model}"),
    ApiPath("create_chat_completion", "POST", "/chat/completions"),
    ApiPath("create_completion", "POST", "/completions"),
)

_COPY = "/fine_tuning/jobs/{job_id}/checkpoints/{checkpoint}/copy"
AZURE_PATHS = (
    ApiPath("delete_job", "DELETE", "/fine_tuning/jobs/{job_id}"),
    ApiPath("import_file", "POST", "/files/import"),
    ApiPath("copy_checkpoint", "POST", _COPY),
    ApiPath("list_checkpoint_copies", "GET", _COPY),
)
"""Operations that only Azure has (Microsoft's REST reference and guides)."""


def path_parameters(path: str) -> tuple[str, ...]:
    """Return the names of a path's parameters, in order."""
    return tuple(re.findall(r"\{(\w+)\}", path))
