"""Models: list, retrieve, delete; base models and those that jobs have made.

Checkpoint permissions say which projects may use a job's model. Source: spec; nothing recorded.
"""

from __future__ import annotations

from collections.abc import Sequence

from fine_tuning_formats.job_rules import is_fine_tuned

from ..account.account import Account, model_created
from ..account.records import ModelDeleted, Permission, PermissionGranted, PermissionRevoked
from ..account.service import Service, operation
from ..api_errors import owning_project, unknown_model, unknown_permission
from ..domain import ids
from ..domain.base_models import shutdown_date
from ..domain.job import Job, models_at
from .response_objects import (
    Json,
    model_list_object,
    model_object,
    page_object_after,
    page_object_with_ids,
    permission_object,
)


@operation
def list_models(service: Service, now: float) -> Json:
    """List all models, checkpoint models included (recording: ListModels).

    A base model that is shut down is left out, fine-tuned ones stay (inferred).
    """
    account = service.account
    base = [_base_model_object(account, each) for each in account.base_models if _is_available(account, each, now)]
    fine_tuned = [
        _fine_tuned_object(account, each, account.jobs[job_id])
        for each, job_id in account.models.items()
        if each not in account.base_models
    ]
    return model_list_object([*base, *fine_tuned])


@operation
def retrieve(service: Service, now: float, identifier: str) -> Json:
    """Return one model."""
    account = service.account
    if identifier in account.base_models and _is_available(account, identifier, now):
        return _base_model_object(account, identifier)
    if (job_id := account.job_of_model(identifier)) is not None:
        return _fine_tuned_object(account, identifier, account.jobs[job_id])
    raise unknown_model(identifier)


@operation
def delete(service: Service, now: float, identifier: str) -> Json:
    """Delete a fine-tuned model. A base model is not the account's: 404, as for foreign ones (inferred)."""
    account = service.account
    # A setting can list models that were fine-tuned before the account began among its base models.
    older = is_fine_tuned(identifier) and identifier in account.base_models and identifier not in account.deleted
    if identifier not in account.models and not older:
        raise unknown_model(identifier)
    service.commit(ModelDeleted(identifier))
    return {"object": "model", "id": identifier, "deleted": True}  # recording of 2023-10


def _is_available(account: Account, base_model: str, now: float) -> bool:
    shut_down = not base_model.startswith("ft:") and account.is_shut_down(base_model, now)
    return base_model not in account.deleted and not shut_down


def _base_model_object(account: Account, identifier: str) -> Json:
    model = account.base_models[identifier]
    return _with_shutdown_date(account, model_object(model.id, model.created, model.owned_by))


def _fine_tuned_object(account: Account, identifier: str, job: Job) -> Json:
    created = model_created(identifier, models_at(job, job.timeline()))
    return _with_shutdown_date(account, model_object(identifier, created, account.owner))


def _with_shutdown_date(account: Account, model: Json) -> Json:
    # spec: Model has a date or null; that it comes last is inferred
    return model if account.settings.as_of is None else {**model, "shutdown_date": shutdown_date(model["id"])}


@operation
def grant_permissions(service: Service, now: float, checkpoint: str, project_ids: Sequence[str]) -> Json:
    """Let projects use a model; a project that already may keeps its permission (inferred).

    Raises:
        ApiError: there is no such model, or one of the projects is its own.
    """
    account = service.account
    by_project = {permission.project_id: permission for permission in _permissions(account, checkpoint)}
    if account.project in project_ids:
        raise owning_project(account.project)
    new: list[Permission] = []
    for project in dict.fromkeys(project_ids):
        if project not in by_project:
            key = (account.settings.seed, checkpoint, project, account.permissions_made)
            by_project[project] = Permission(ids.derived_id("permission", *key), now, checkpoint, project)
            new.append(by_project[project])
    service.commit(*map(PermissionGranted, new))
    granted = [by_project[project] for project in dict.fromkeys(project_ids)]
    return page_object_with_ids([permission_object(permission) for permission in granted], has_more=False)


@operation
def list_permissions(
    service: Service,
    now: float,
    checkpoint: str,
    *,
    after: str | None,
    limit: int,
    project_id: str | None,
    oldest_first: bool,
) -> Json:
    """Return one page of a model's permissions, by default newest first."""
    permissions = _permissions(service.account, checkpoint)
    matching = [each for each in permissions if project_id in (None, each.project_id)]
    ordered = [permission_object(each) for each in (matching if oldest_first else reversed(matching))]
    return page_object_after(ordered, after, limit)


@operation
def revoke_permission(service: Service, now: float, checkpoint: str, identifier: str) -> Json:
    """Delete a permission."""
    if identifier not in {each.id for each in _permissions(service.account, checkpoint)}:
        raise unknown_permission(identifier)
    service.commit(PermissionRevoked(identifier))
    return {"id": identifier, "object": "checkpoint.permission", "deleted": True}


def _permissions(account: Account, checkpoint: str) -> list[Permission]:
    """Return the permissions of a checkpoint, oldest first; raise if the account has no such model."""
    if account.job_of_model(checkpoint) is None:
        raise unknown_model(checkpoint)
    return [each for each in account.permissions.values() if each.checkpoint == checkpoint]
