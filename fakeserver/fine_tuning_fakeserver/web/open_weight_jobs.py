"""Requests for jobs as services that train open-weight models take them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..api.json_bodies import field_error
from ..api_errors import ApiError, invalid_field
from ..domain.dialects.dialect import JobStyle
from .operation import GATEWAY
from .response import ApiResponse, json_response

NOT_PERMITTED = "extra inputs are not permitted"
TYPE_NAMES = {str: "string", dict: "object", bool: "boolean", int: "number", float: "number"}
TRAINED = ("n_epochs", "batch_size")
"""The hyperparameters that shape the training here."""


def take_own_members(style: JobStyle, body: Any) -> dict[str, Any]:
    """Remove from a job's request what only the service has; return what the job shows of it.

    Raises:
        ApiError: a field is not the service's, or does not fit.
    """
    if not isinstance(body, dict):
        return {}
    for name in style.refused_fields:
        if body.get(name) is not None:
            raise field_error(name, "extra_forbidden", NOT_PERMITTED, body[name])
    for name, kind in style.own_fields.items():
        if (value := body.pop(name, None)) is not None:
            _require_type(name, value, kind)
    if style.requires_wandb_key:
        _take_wandb_keys(body.get("integrations"))
    shown = {name: value for name, value in style.unless_sent.items() if body.get(name) is None}
    return {**shown, **_take_hyperparameters(style.hyperparameters, body)} if style.hyperparameters else shown


def _require_type(name: str, value: Any, kind: type) -> None:
    fits = isinstance(value, int | float) if kind in (int, float) else isinstance(value, kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise field_error(name, "type", f"input should be a valid {TYPE_NAMES[kind]}", value)


def _take_wandb_keys(integrations: Any) -> None:
    for place, integration in enumerate(integrations if isinstance(integrations, list) else ()):
        wandb = integration.get("wandb") if isinstance(integration, dict) else None
        if not isinstance(wandb, dict):
            continue
        name = f"integrations.{place}.wandb.api_key"
        if "api_key" not in wandb:
            raise invalid_field(name, ", field required")
        _require_type(name, wandb.pop("api_key"), str)


def _take_hyperparameters(known: Mapping[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Take the hyperparameters of supervised training, at the top or in the method; return where they are shown."""
    method = body.get("method")
    if isinstance(method, dict) and method.get("type") not in (None, "supervised"):
        return {}
    part = method.get("supervised") if isinstance(method, dict) else None
    sent: dict[str, Any] = {}
    for path, holder in (("hyperparameters", body), ("method.supervised.hyperparameters", part)):
        if not isinstance(holder, dict) or not isinstance(numbers := holder.get("hyperparameters"), dict):
            continue  # refused later, if it is anything
        for name, value in numbers.items():
            if name not in known:
                raise field_error(f"{path}.{name}", "extra_forbidden", NOT_PERMITTED, value)
            _require_type(f"{path}.{name}", value, type(known[name]))
        sent |= numbers
        holder["hyperparameters"] = {name: numbers[name] for name in TRAINED if name in numbers}
    every = {**known, **sent}
    trained = {name: every[name] for name in TRAINED}
    for holder in (body, part):
        if isinstance(holder, dict) and isinstance(holder.get("hyperparameters", {}), dict):
            holder["hyperparameters"] = dict(trained)
    own = {name: value for name, value in every.items() if name not in TRAINED}
    return {"hyperparameters": own, "method": {"supervised": {"hyperparameters": own}}}


def validation_error_response(error: ApiError) -> ApiResponse | None:
    """Return the response for a field that does not fit; None for another error."""
    if error.status != 400 or not error.param:
        return None
    steps = re.findall(r"[^.\[\]]+", error.param)
    place = [int(step) if step.isdecimal() else step for step in steps]
    is_missing = error.code == "missing_required_parameter" or error.message.endswith("field required")
    kind = "missing" if is_missing else "value_error"
    detail = {"loc": ["body", *place], "msg": error.message, "type": kind}
    return json_response({"detail": [detail]}, GATEWAY, 422)
