"""All operations of the API that the fake implements, in the order of `fine_tuning_formats.api_paths`."""

from __future__ import annotations

from fine_tuning_formats.api_paths import API_PATHS, AZURE_PATHS

from ..evidence import inferred, printed
from ..usage_errors import FakeUsageError, did_you_mean
from .file_endpoints import FILE_OPERATIONS
from .fine_tuning_endpoints import FINE_TUNING_OPERATIONS
from .model_endpoints import MODEL_OPERATIONS
from .operation import Operation

OPERATIONS: tuple[Operation, ...] = (*FINE_TUNING_OPERATIONS, *FILE_OPERATIONS, *MODEL_OPERATIONS)
BY_NAME = {operation.name: operation for operation in OPERATIONS}
PATHS = {each.operation: f"/v1{each.path}" for each in (*API_PATHS, *AZURE_PATHS)}
"""The paths of all operations by name, those that only Azure has last."""
SHARED_EVIDENCE = {
    "401 no key": printed("an answer without a key", "2023, 2026"),
    "401 another organization": printed("an answer to a client that names another organization", "2024, 2025"),
    "413 body too large": printed("an upload of a sound", "2023-06"),
    "500 bug of the fake": inferred("what the service says of a bug of its own is not imitated"),
    # refusals by a fault, which can have any status from 400 to 599
    "429 rate limit, fault": printed("chats that were one too many, and without quota", "2023 to 2026"),
    "500 fault": printed("completions that failed", "2023"),
    "503 fault": printed("chats while a model was overloaded", "2023-02"),
}
"""What backs the refusals that every operation can answer with, as `Operation.evidence`."""


def own_operations() -> tuple[Operation, ...]:
    """Return the operations of `AZURE_PATHS`; they are imported when they are asked for."""
    from .azure_endpoints import AZURE_OPERATIONS

    return AZURE_OPERATIONS


def operation_named(name: str) -> Operation:
    """Return the operation of a name that `check_operation` has accepted."""
    return BY_NAME.get(name) or next(each for each in own_operations() if each.name == name)


def check_operation(name: object) -> str:
    """Return *name* if it is that of an operation.

    Raises:
        FakeUsageError: no operation is called so.
    """
    if isinstance(name, str) and name in PATHS:
        return name
    near, names = did_you_mean(name, PATHS), ", ".join(PATHS)
    raise FakeUsageError(f"unknown operation {name!r}{near}; expected one of: {names}")
