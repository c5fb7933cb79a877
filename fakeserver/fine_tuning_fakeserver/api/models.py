"""Models: list, retrieve, delete; base models and those that jobs have made."""

from __future__ import annotations

from ..account.account import Account, model_created
from ..account.records import ModelDeleted
from ..account.service import Service, operation
from ..api_errors import fine_tuning_closed, unknown_model
from ..domain import base_models
from ..domain.base_models import shutdown_date
from ..domain.jobs import models_at
from . import response_objects
from .response_objects import Json


def require_fine_tuning_open(account: Account, now: float) -> None:
    """Refuse a new job to an organization for which fine-tuning has ended.

    Raises:
        ApiError: it has.
    """
    settings = account.settings
    if settings.as_of is not None and base_models.is_closed(settings.organization_class, now):
        raise fine_tuning_closed()


def is_shut_down(account: Account, model: str, now: float) -> bool:
    """Whether a model, or the base model under it, is shut down for the account."""
    return account.settings.as_of is not None and base_models.is_shut_down(model, now)


def with_shutdown_date(account: Account, model: Json) -> Json:
    """*model* as shown by the account. Source: spec Model (a date or null); that it comes last is inferred."""
    if account.settings.as_of is None:
        return model
    return {**model, "shutdown_date": shutdown_date(model["id"])}


@operation
def list_models(service: Service, now: float) -> response_objects.Json:
    """All models, checkpoint models included (recording: ListModels).

    A base model that is shut down is not among them, fine-tuned ones stay (inferred).
    """
    account = service.account
    there = (identifier for identifier in account.base_models if _is_there(account, identifier, now))
    base = (_base(account, identifier) for identifier in there)
    made = (identifier for identifier in account.models if identifier not in account.base_models)
    return response_objects.model_list_object([*base, *(_tuned(account, identifier) for identifier in made)])


@operation
def retrieve(service: Service, now: float, identifier: str) -> response_objects.Json:
    """One model."""
    account = service.account
    if identifier in account.base_models and _is_there(account, identifier, now):
        return _base(account, identifier)
    if identifier in account.models:
        return _tuned(account, identifier)
    raise unknown_model(identifier)


@operation
def delete(service: Service, now: float, identifier: str) -> response_objects.Json:
    """Delete a fine-tuned model. A base model is not the account's: 404, as for foreign ones (inferred)."""
    account = service.account
    # A model that another job has made long ago stands among the base models of an account.
    foreign = identifier.startswith("ft:") and identifier in account.base_models and identifier not in account.deleted
    if identifier not in account.models and not foreign:
        raise unknown_model(identifier)
    service.commit(ModelDeleted(identifier))
    return {"id": identifier, "object": "model", "deleted": True}


def _is_there(account: Account, base_model: str, now: float) -> bool:
    shut_down = not base_model.startswith("ft:") and is_shut_down(account, base_model, now)
    return base_model not in account.deleted and not shut_down


def _base(account: Account, identifier: str) -> response_objects.Json:
    model = account.base_models[identifier]
    return with_shutdown_date(account, response_objects.model_object(model.id, model.created, model.owned_by))


def _tuned(account: Account, identifier: str) -> response_objects.Json:
    job = account.jobs[account.models[identifier]]
    made = model_created(identifier, models_at(job, job.timeline()))
    return with_shutdown_date(account, response_objects.model_object(identifier, made, account.owner))
