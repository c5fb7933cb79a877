"""Settings as JSON: models by name, API keys as digests, and no secrets of webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..domain.base_models import BASE_MODELS, MODELS_BY_ID, BaseModel
from ..settings import FIELDS, Settings, key_digest
from ..usage_errors import FakeUsageError

_LEFT_OUT = ("allow_remote_webhooks",)
"""What whoever loads an account decides."""


def write_settings(settings: Settings) -> dict[str, Any]:
    """Return *settings* as JSON."""
    members = {name: getattr(settings, name) for name in FIELDS if name not in _LEFT_OUT}
    models = None if settings.models == BASE_MODELS else [_write_model(model) for model in settings.models]
    return {
        **members,
        "plan": settings.plan.as_json(),
        "as_of": None if settings.as_of is None else str(settings.as_of),
        "api_keys": sorted(map(key_digest, settings.api_keys)),
        "models": models,
        "webhooks": [{"url": each.url, "events": list(each.events)} for each in settings.webhooks],
    }


def read_settings(members: Any, *, allow_remote_webhooks: bool = False) -> Settings:
    """Return the settings of what `write_settings` has returned.

    Args:
        members: that.
        allow_remote_webhooks: whether a webhook may go to another machine.

    Raises:
        FakeUsageError: a setting is unknown, or its value does not fit.
    """
    if not isinstance(members, Mapping):
        raise FakeUsageError("the settings of an account must be a JSON object")
    if unknown := [name for name in members if name not in FIELDS or name in _LEFT_OUT]:
        raise FakeUsageError(f"unknown setting {unknown[0]!r} of an account")
    changes = {name: value for name, value in members.items() if name != "models"}
    if members.get("models") is not None:
        changes["models"] = tuple(_read_model(model) for model in members["models"])
    return Settings(allow_remote_webhooks=allow_remote_webhooks).changed(changes)


def _write_model(model: BaseModel) -> Any:
    return model.id if MODELS_BY_ID.get(model.id) == model else asdict(model)


def _read_model(model: Any) -> BaseModel:
    if isinstance(model, str):
        if model not in MODELS_BY_ID:
            raise FakeUsageError(f"unknown model {model!r} in the settings of an account")
        return MODELS_BY_ID[model]
    return BaseModel(**{**model, "methods": tuple(model["methods"])})
