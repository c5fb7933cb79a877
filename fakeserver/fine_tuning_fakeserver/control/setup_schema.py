"""The JSON Schema of setup files, by pydantic, from the declarations that settings, plans, seeds and faults have."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import timedelta
from functools import reduce
from operator import or_
from types import GenericAlias
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from fine_tuning_formats.text import Duration

from ..domain.checks import Requirement
from ..domain.fault_spec import KINDS, FaultSpec, FaultTarget
from ..domain.plan import JobError, JobFilter, Plan, PlanFields
from ..domain.webhook_events import EVENTS, WebhookConfig
from ..settings import Settings, SettingsFields
from .seeding import JobSeed
from .setup_file import LISTS, SCHEMA, SETTINGS, FileTable

WHEN = "Which new jobs the plan is for; without it, all that no other plan is for."
TITLE = "Setup of fake-fine-tuning"
_NOT_IN_A_FILE = (timedelta, JobError, bytes)
"""Types that Python code may give and a file cannot."""
_ARGUMENT = re.compile(r"^    (\w+): (.*?)(?=^    \w|^\S|\Z)", re.MULTILINE | re.DOTALL)


class _Generator(GenerateJsonSchema):
    """Writes no titles that repeat a name, and no defaults that say nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Leave titles of members out."""
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        """Write a default that is a value."""
        if schema.get("default") in (None, "", []):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def setup_schema() -> dict[str, Any]:
    """Return the JSON Schema of setup files."""
    faults = {**get_type_hints(FaultTarget), "seconds": Duration, "duration": Duration | None}
    kinds: dict[str, Any] = {"enum": [*KINDS]}
    tables: dict[str, type[BaseModel]] = {
        "plan": _table(
            "Plan",
            Plan,
            get_type_hints(PlanFields),
            when=(_table("When", JobFilter, {}), Field(None, description=WHEN)),
        ),
        "file": FileTable,
        "job": JobSeed,
        "fault": _table("Fault", FaultSpec, faults, kind=(str, Field("fail", json_schema_extra=kinds))),
        "webhook": _table("Webhook", WebhookConfig, {}, events=(list[str], Field([*EVENTS]))),
    }
    settings = _table("Settings", Settings, get_type_hints(SettingsFields), SETTINGS)
    members: dict[str, Any] = {
        "schema_": (str, Field("", alias=SCHEMA, description="Where this schema is; for editors.")),
        "settings": (settings, Field(None, description="What the account is born with.")),
        **{name: (GenericAlias(list, (tables[name],)), Field([])) for name in LISTS},
    }
    model = create_model("Setup", __config__=ConfigDict(extra="forbid", title=TITLE), **members)
    return {
        SCHEMA: "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(schema_generator=_Generator),
    }


def schema_text() -> str:
    """Return the schema as the documentation has it."""
    return json.dumps(setup_schema(), indent=2) + "\n"


def _table(
    name: str, declared: type, given: Mapping[str, Any], only: Iterable[str] = (), **others: Any
) -> type[BaseModel]:
    """Return a model with the fields of a dataclass.

    Args:
        name: the model's name.
        declared: the dataclass, with checks in the types of its fields and a docstring that describes them.
        given: the types that may be given for the fields, where they differ from those that the dataclass stores.
        only: the fields, if not all of them.
        others: fields that have another type here, or are not the dataclass's.
    """
    types = {**get_type_hints(declared), **given}
    checks = get_type_hints(declared, include_extras=True)
    words = {each: " ".join(text.split()) for each, text in _ARGUMENT.findall(inspect.getdoc(declared) or "")}
    members: dict[str, Any] = {}
    for field in fields(declared):
        if only and field.name not in only:
            continue
        default = field.default if isinstance(field.default, str | int | float) and field.default != "" else None
        info = Field(default, description=words.get(field.name), json_schema_extra=_keywords(checks[field.name]))
        members[field.name] = (_type_in_a_file(types[field.name]), info)
    return create_model(name, __config__=ConfigDict(extra="forbid"), **{**members, **others})


def _type_in_a_file(declared: Any) -> Any:
    parts = [part for part in get_args(declared) if part not in _NOT_IN_A_FILE]
    return reduce(or_, parts) if len(parts) < len(get_args(declared)) else declared


def _keywords(declared: Any) -> dict[str, Any]:
    """Return what a field's check can say in JSON Schema."""
    check = declared.__metadata__[-1] if get_origin(declared) is Annotated else None
    found: Mapping[str, Any] = dict(check.keywords) if isinstance(check, Requirement) else {}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
