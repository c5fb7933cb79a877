"""What an account is born with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any, TypedDict

from .clock import Pace, parse_pace
from .domain.base_models import BASE_MODELS, BaseModel, checked_class, checked_day, start_of
from .domain.dialects.dialect import RECORDED
from .domain.dialects.registry import dialect_named
from .domain.plan import Plan, PlanFields
from .domain.webhook_events import WebhookConfig, check_webhook_url
from .usage_errors import FakeUsageError

LATEST = 1e11
"""The last Unix second at which an account can start, some 3000 years from now."""

_NAME = re.compile(r"[!-9;-~]*")
"""What may stand in a header, and between the colons of a model's name."""


def _is_whole(value: Any, most: float = 2**63) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < most


def _is_start(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LATEST)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(_NAME.fullmatch(value))


def _are_several(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)


def _are_keys(value: Any) -> bool:
    return _are_several(value) and all(isinstance(key, str) for key in value)


def _are_models(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(model, BaseModel) for model in value)


_CHECKS: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (("seed",), _is_whole, "a whole number of at most 64 bits is wanted"),
    (("start",), _is_start, f"Unix seconds from 0 to {LATEST:.0f} are wanted"),
    (
        ("max_active_jobs",),
        lambda value: value is None or (_is_whole(value) and value >= 0),
        "a whole number from 0 is wanted, or None for no limit",
    ),
    (
        ("base64_results", "run_python_graders", "allow_remote_webhooks"),
        lambda value: isinstance(value, bool),
        "True or False is wanted",
    ),
    (
        ("organization_id", "organization", "owner", "project"),
        _is_name,
        "printable ASCII without spaces and colons is wanted",
    ),
    (("api_keys",), _are_keys, "a collection of keys is wanted"),
    (("webhooks",), _are_several, "a collection of URLs, or of mappings with url, secret, events, is wanted"),
    (("models",), _are_models, "a tuple of BaseModel is wanted"),
    (("plan",), lambda value: isinstance(value, Plan), "a Plan, or a mapping of its fields, is wanted"),
)
"""What the settings that are easily given wrong must be."""


class SettingsFields(TypedDict, total=False):
    """The fields of `Settings` as keywords, each with all that it may be given as."""

    seed: int
    start: float | None
    pace: Pace
    plan: Plan | PlanFields
    organization_id: str
    organization: str
    owner: str
    project: str
    api_keys: Iterable[str]
    max_active_jobs: int | None
    models: tuple[BaseModel, ...]
    base64_results: bool
    run_python_graders: bool
    as_of: str | date | None
    organization_class: str
    webhooks: Iterable[WebhookConfig | Mapping[str, Any] | str]
    allow_remote_webhooks: bool
    dialect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An account's birth certificate. The same settings and the same requests give the same bytes.

    Args:
        seed: everything derived (ids, losses, request ids) depends on it.
        start: virtual Unix seconds at birth; the default is the real time, cut to a whole second.
        pace: how virtual time passes: ``"polls"``, ``"manual"``, ``"instant"`` or virtual seconds a real second.
        plan: how jobs go that have no plan of their own.
        organization_id: the default is derived from the seed.
        organization: the name in fine-tuned models (``ft:base:NAME:suffix:id``) and in headers.
        owner: ``owned_by`` of fine-tuned models; the default is the organization.
        project: the ``openai-project`` header; the default is derived from the seed.
        api_keys: the keys that are accepted; empty for any key.
        max_active_jobs: how many unfinished jobs a model may have; one more is refused with 429. None: no limit.
        models: the base models there are.
        base64_results: whether a result file's content is base64, as the service has sent it since 2024.
        run_python_graders: whether the code of python graders is run; it can do what its user can, so only on request.
        as_of: a date (or its ISO text) on which the account begins, instead of `start`: from there on the end of the
            service takes its course, jobs are refused and models are shut down. None: it has no end.
        organization_class: what the organization is when the service ends: ``"new"`` (has never fine-tuned),
            ``"inactive"`` (no use of a fine-tuned model for 60 days) or ``"active"``. Nothing without `as_of`.
        webhooks: who is told of jobs that are over: targets, mappings of their fields (``url``, ``secret``,
            ``events``), or URLs.
        allow_remote_webhooks: whether a webhook may go to another machine.
        dialect: how the API speaks: as recorded by date, as documented, or as Azure's; see `domain.dialects`.

    Raises:
        FakeUsageError: a value is no good.
    """

    seed: int = 0
    start: float | None = None
    pace: Pace = "polls"
    plan: Plan = field(default_factory=Plan)
    organization_id: str = ""
    organization: str = "personal"
    owner: str = ""
    project: str = ""
    api_keys: frozenset[str] = frozenset()
    max_active_jobs: int | None = None
    models: tuple[BaseModel, ...] = BASE_MODELS
    base64_results: bool = True
    run_python_graders: bool = False
    as_of: str | date | None = None
    organization_class: str = "active"
    webhooks: tuple[WebhookConfig, ...] = ()
    allow_remote_webhooks: bool = False
    dialect: str = RECORDED.name

    def __post_init__(self) -> None:
        for names, fits, wanted in _CHECKS:
            for name in names:
                if not fits(getattr(self, name)):
                    raise FakeUsageError(f"{name} is {getattr(self, name)!r}: {wanted}")
        set_ = object.__setattr__
        dialect_named(self.dialect)
        set_(self, "pace", parse_pace(self.pace))
        set_(self, "api_keys", frozenset(self.api_keys))
        if checked_class(self.organization_class) != "active" and self.as_of is None:
            raise FakeUsageError(f"organization_class {self.organization_class!r} means nothing without as_of, a date")
        set_(self, "webhooks", tuple(WebhookConfig.of(each) for each in self.webhooks))
        for target in self.webhooks:
            check_webhook_url(target, remote_allowed=self.allow_remote_webhooks)
        set_(self, "as_of", None if self.as_of is None else checked_day(self.as_of))

    @property
    def begins(self) -> float | None:
        """When the account begins, in Unix seconds; None for now."""
        return self.start if self.as_of is None else start_of(str(self.as_of))

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with *changes*; a plan may be a mapping of its fields.

        Raises:
            FakeUsageError: there is no such setting, or its value is no good.
        """
        if unknown := sorted(set(changes) - set(FIELDS)):
            raise FakeUsageError(f"there is no setting {unknown[0]!r}: there are {', '.join(FIELDS)}")
        plan = changes.get("plan", self.plan)
        return replace(self, **{**changes, "plan": Plan().changed(plan) if isinstance(plan, Mapping) else plan})


FIELDS = tuple(field.name for field in fields(Settings))
