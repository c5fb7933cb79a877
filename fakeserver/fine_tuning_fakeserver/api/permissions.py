"""Checkpoint permissions: which projects may use a checkpoint's model. Source: spec; nothing recorded."""

from __future__ import annotations

from collections.abc import Sequence

from ..account.account import Account
from ..account.records import Permission, PermissionGranted, PermissionRevoked
from ..account.service import Service, operation
from ..api_errors import unknown_cursor, unknown_model, unknown_permission
from ..domain import ids
from . import response_objects


@operation
def grant(service: Service, now: float, checkpoint: str, project_ids: Sequence[str]) -> response_objects.Json:
    """Let projects use a model; a project that may already keeps the permission it has (inferred)."""
    account = service.account
    _known(account, checkpoint)
    granted = [_granted(account, checkpoint, project, now) for project in dict.fromkeys(project_ids)]
    new = [permission for permission in granted if permission.id not in account.permissions]
    service.commit(*(PermissionGranted(permission) for permission in new))
    return response_objects.page_object_with_ids([_shown(permission) for permission in granted], has_more=False)


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
) -> response_objects.Json:
    """One page of a model's permissions, newest first unless told otherwise."""
    account = service.account
    _known(account, checkpoint)
    found = [each for each in _of(account, checkpoint) if project_id in (None, each.project_id)]
    ordered = found if oldest_first else found[::-1]
    known = [each.id for each in ordered]
    if after is not None and after not in known:
        raise unknown_cursor()
    first = 0 if after is None else known.index(after) + 1
    page = [_shown(each) for each in ordered[first : first + limit]]
    return response_objects.page_object_with_ids(page, first + limit < len(ordered))


@operation
def revoke(service: Service, now: float, checkpoint: str, identifier: str) -> response_objects.Json:
    """Delete a permission."""
    account = service.account
    _known(account, checkpoint)
    if identifier not in {each.id for each in _of(account, checkpoint)}:
        raise unknown_permission(identifier)
    service.commit(PermissionRevoked(identifier))
    return {"id": identifier, "object": "checkpoint.permission", "deleted": True}


def _known(account: Account, checkpoint: str) -> None:
    if checkpoint not in account.models:
        raise unknown_model(checkpoint)


def _of(account: Account, checkpoint: str) -> list[Permission]:
    return [each for each in account.permissions.values() if each.checkpoint == checkpoint]


def _granted(account: Account, checkpoint: str, project: str, now: float) -> Permission:
    had = next((each for each in _of(account, checkpoint) if each.project_id == project), None)
    identifier = ids.derived_id("permission", account.settings.seed, checkpoint, project, account.permissions_made)
    return had or Permission(identifier, now, checkpoint, project)


def _shown(permission: Permission) -> response_objects.Json:
    return response_objects.permission_object(permission.id, permission.created_at, permission.project_id)
