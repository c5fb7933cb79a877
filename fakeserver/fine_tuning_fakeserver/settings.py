"""The settings of an account, and of each account that a reset begins."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import field, fields, replace
from datetime import date
from typing import Annotated, Any, TypedDict

from fine_tuning_formats.lazy_dataclass import dataclass

from .clock import Pace, parse_pace
from .domain.base_models import BASE_MODELS, CLOSING_DATES, BaseModel, day_start, parse_day
from .domain.checks import (
    Requirement,
    boolean,
    check_fields,
    check_names,
    is_collection,
    number,
    one_of,
    optional,
    whole,
)
from .domain.dialects import check_dialect
from .domain.dialects.dialect import RECORDED
from .domain.plan import Plan, PlanFields, parse_plan
from .domain.webhook_events import WebhookConfig, check_webhook_url
from .usage_errors import FakeUsageError, wrong_value

LATEST = 1e11
"""The last Unix second at which an account can start, some 3000 years from now."""


def _parse_keys(value: Any, name: str) -> frozenset[str]:
    keys = tuple(value) if is_collection(value) else (None,)
    if not all(isinstance(key, str) for key in keys):
        raise wrong_value(name, "a collection of keys", value)
    return frozenset(keys)


WEBHOOKS_AT_MOST = 1000
"""How many webhooks an account can begin with: the end of a job makes a delivery to each."""


def _parse_webhooks(value: Any, name: str) -> tuple[WebhookConfig, ...]:
    if not is_collection(value):
        raise wrong_value(name, "a collection of URLs, or of mappings with url, secret, events", value)
    given = list(value)
    if len(given) > WEBHOOKS_AT_MOST:
        raise FakeUsageError(f"{name} must be at most {WEBHOOKS_AT_MOST}, got {len(given)}")
    return tuple(WebhookConfig.parse(webhook) for webhook in given)


_is_header_text = re.compile(r"[!-9;-~]*").fullmatch
_HeaderText = Annotated[
    str,
    Requirement(
        "printable ASCII without spaces and colons",
        lambda value: isinstance(value, str) and _is_header_text(value) is not None,
    ),
]
_Start = Annotated[float | None, number(0, LATEST, f"Unix seconds from 0 to {LATEST:.0f}").or_none("for now")]
_Models = Annotated[
    tuple[BaseModel, ...],
    Requirement(
        "a tuple of fine_tuning_fakeserver.domain.base_models.BaseModel",
        lambda value: isinstance(value, tuple) and all(isinstance(model, BaseModel) for model in value),
    ),
]


DIGEST_PREFIX = "sha256:"


def key_digest(key: str) -> str:
    """Return what stands for an API key where the key itself is not to be kept; of a digest, itself."""
    if is_digest(key):
        return key
    return DIGEST_PREFIX + hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def is_digest(key: str) -> bool:
    """Return whether *key* is what `key_digest` has returned, which nobody is accepted by."""
    return key.startswith(DIGEST_PREFIX)


def is_accepted_key(key: str, accepted: frozenset[str]) -> bool:
    """Return whether *key* is among the *accepted* keys and digests of keys; a digest is no key."""
    return not is_digest(key) and (key in accepted or key_digest(key) in accepted)


class SettingsFields(TypedDict, total=False):
    """The fields of `Settings` as keywords, each with all types that it accepts."""

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
    max_jobs_per_day: int | None
    other_jobs: int
    patience: int | None
    models: tuple[BaseModel, ...]
    base64_results: bool
    run_python_graders: bool
    as_of: str | date | None
    organization_class: str
    closed_status: int
    webhooks: Iterable[WebhookConfig | Mapping[str, Any] | str]
    allow_remote_webhooks: bool
    dialect: str
    tokens: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of an account. The same settings and the same requests give the same bytes.

    Args:
        seed: everything derived (ids, losses, request ids) depends on it.
        start: virtual Unix seconds at which the account begins; the default is the real time, cut to a whole second.
        pace: how virtual time passes: ``"polls"``, ``"manual"``, ``"instant"`` or virtual seconds a real second.
        plan: how jobs go that have no plan of their own.
        organization_id: a client that names another in ``OpenAI-Organization`` is refused with 401; the default is
            derived from the seed, and refuses none.
        organization: the name in fine-tuned models (``ft:base:NAME:suffix:id``) and in headers.
        owner: ``owned_by`` of fine-tuned models; the default is the organization.
        project: the ``openai-project`` header; what `organization_id` is to ``OpenAI-Organization``.
        api_keys: the keys that are accepted, or their digests (``sha256:…``); empty for any key.
        max_active_jobs: how many unfinished jobs a model may have; one more is refused with 429. None: no limit.
        max_jobs_per_day: how many jobs of a model can be created within 24 hours; one more is refused with 429.
        other_jobs: how many running jobs of each model other projects of the organization have, which count towards
            `max_active_jobs`.
        patience: at the paces at which time does not pass by itself: an unfinished job can be looked at so often, less
            one, while nothing moves time or changes; the next look is a usage error, as the loop would never end. None:
            any number of times.
        models: the base models.
        base64_results: whether a result file's content is base64, as the service has sent it since 2024.
        run_python_graders: whether the code of python graders is run; it can do what its user can, so only on request.
        as_of: a date (or its ISO text) on which the account begins, instead of `start`: from there on the end of the
            service takes its course, jobs are refused and models are shut down. None: it has no end.
        organization_class: what the organization is when the service ends: ``"new"`` (has never fine-tuned),
            ``"inactive"`` (no use of a fine-tuned model for 60 days) or ``"active"``. Nothing without `as_of`.
        closed_status: how creating a job is refused once the service has ended: 403, or 500 as one project saw it.
            Nothing without `as_of`.
        webhooks: where the end of jobs is announced: targets, mappings of their fields (``url``, ``secret``,
            ``events``), or URLs.
        allow_remote_webhooks: whether a webhook may go to another machine.
        tokens: how those of a training file are counted: ``"estimate"``, or ``"exact"`` with the extra ``[tokens]``.
        dialect: how the API speaks: as recorded by date, as documented, or as Azure's; see `domain.dialects`.

    Raises:
        FakeUsageError: a value does not fit.
    """

    seed: Annotated[int, whole()] = 0
    start: _Start = None
    pace: Annotated[Pace, parse_pace] = "polls"
    plan: Annotated[Plan, parse_plan] = field(default_factory=Plan)
    organization_id: _HeaderText = ""
    organization: _HeaderText = "personal"
    owner: _HeaderText = ""
    project: _HeaderText = ""
    api_keys: Annotated[frozenset[str], _parse_keys] = frozenset()
    max_active_jobs: Annotated[int | None, whole(0).or_none("for no limit")] = None
    max_jobs_per_day: Annotated[int | None, whole(0).or_none("for no limit")] = None
    other_jobs: Annotated[int, whole(0)] = 0
    patience: Annotated[int | None, whole(1).or_none("for any number of looks")] = 200
    models: _Models = BASE_MODELS
    base64_results: Annotated[bool, boolean] = True
    run_python_graders: Annotated[bool, boolean] = False
    as_of: Annotated[str | date | None, optional(parse_day)] = None
    organization_class: Annotated[str, one_of(CLOSING_DATES)] = "active"
    closed_status: Annotated[
        int,
        Requirement("403 or 500", lambda value: type(value) is int and value in (403, 500), (("enum", (403, 500)),)),
    ] = 403
    webhooks: Annotated[tuple[WebhookConfig, ...], _parse_webhooks] = ()
    allow_remote_webhooks: Annotated[bool, boolean] = False
    dialect: Annotated[str, check_dialect] = RECORDED.name
    tokens: Annotated[str, one_of(("estimate", "exact"))] = "estimate"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.organization_class != "active" and self.as_of is None:
            raise FakeUsageError(f"organization_class {self.organization_class!r} requires as_of, a date")
        if self.tokens == "exact":
            from fine_tuning_formats.exact_tokens import MISSING, can_count

            if not can_count():
                raise FakeUsageError(MISSING)
        for webhook in self.webhooks:
            check_webhook_url(webhook, remote_allowed=self.allow_remote_webhooks)

    @property
    def begins(self) -> float | None:
        """When the account begins, in Unix seconds; None for now."""
        if self.as_of is not None:
            return day_start(str(self.as_of))
        return None if self.start is None else float(self.start)

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return these settings with *changes*; a plan may be a mapping of its fields.

        Raises:
            FakeUsageError: a setting is unknown, or its value does not fit.
        """
        if not changes:
            return self
        check_names("setting", changes, FIELDS)
        return replace(self, **changes)


DEFAULT_SETTINGS = Settings()
"""What an account is born with unless it is told otherwise. They are checked once: a test often changes none."""

FIELDS = tuple(field.name for field in fields(Settings))
CONTROL_FIELDS = tuple(name for name in FIELDS if name not in ("models", "allow_remote_webhooks"))
"""The settings that the control API takes: a page in a browser can get at it."""
