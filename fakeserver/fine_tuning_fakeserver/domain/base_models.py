"""Base models: what can be fine-tuned, by which methods, and under which dated name."""

from __future__ import annotations

from datetime import UTC, date, datetime

from fine_tuning_formats.job_rules import base_model
from fine_tuning_formats.lazy_dataclass import dataclass

from ..usage_errors import wrong_value


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model of the service; `methods` is empty if it cannot be fine-tuned."""

    id: str
    created: int
    owned_by: str = "system"
    methods: tuple[str, ...] = ()


# recording: id, created and owned_by from ModelsTests/ListModels (2025-09).
# methods: vendor text.
_S, _SD = ("supervised",), ("supervised", "dpo")
BASE_MODELS = (
    BaseModel("gpt-4-0613", 1686588896, "openai", _S),
    BaseModel("gpt-3.5-turbo", 1677610602, "openai", _S),
    BaseModel("davinci-002", 1692634301, "system", _S),
    BaseModel("babbage-002", 1692634615, "system", _S),
    BaseModel("gpt-3.5-turbo-1106", 1698959748, "system", _S),
    BaseModel("gpt-3.5-turbo-0125", 1706048358, "system", _S),
    BaseModel("gpt-4o", 1715367049, "system", _SD),
    BaseModel("gpt-4o-mini-2024-07-18", 1721172717, "system", _SD),
    BaseModel("gpt-4o-mini", 1721172741, "system", _SD),
    BaseModel("gpt-4o-2024-08-06", 1722814719, "system", _SD),
    BaseModel("o4-mini-2025-04-16", 1744133506, "system", ("reinforcement",)),
    BaseModel("o4-mini", 1744225351, "system", ("reinforcement",)),
    BaseModel("gpt-4.1-2025-04-14", 1744315746, "system", _SD),
    BaseModel("gpt-4.1", 1744316542, "system", _SD),
    BaseModel("gpt-4.1-mini-2025-04-14", 1744317547, "system", _SD),
    BaseModel("gpt-4.1-mini", 1744318173, "system", _SD),
    BaseModel("gpt-4.1-nano-2025-04-14", 1744321025, "system", _SD),
    BaseModel("gpt-4.1-nano", 1744321707, "system", _SD),
)
# recording: models_list (2023-11).
BASE_MODELS_2023 = (BaseModel("gpt-3.5-turbo-0613", 1686587434, "openai", _S),)
MODELS_BY_ID = {model.id: model for model in (*BASE_MODELS, *BASE_MODELS_2023)}

# recording: gpt-3.5-turbo (FineTuningClientTests/MinimalRequiredParams); the others are inferred from it.
SNAPSHOTS = {
    "gpt-3.5-turbo": "gpt-3.5-turbo-0125",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "o4-mini": "o4-mini-2025-04-16",
}

# vendor: the deprecations page of 2026-10 (announced on 2026-04-22 and 2026-10-14); fine-tuned models go with their
# base. No day is known to us for the models that are left out.
SHUTDOWN_DATES = {
    "gpt-3.5-turbo-0125": "2026-10-23",
    "gpt-4-0613": "2026-10-23",
    "gpt-4.1-nano-2025-04-14": "2026-10-23",
    "o4-mini-2025-04-16": "2026-10-23",
    "gpt-4.1-2025-04-14": "2027-01-14",
    "gpt-4.1-mini-2025-04-14": "2027-01-14",
    "gpt-4o-2024-08-06": "2027-01-14",
    "gpt-4o-mini-2024-07-18": "2027-01-14",
}


def snapshot_name(model: str) -> str:
    """Return the name under which the service answers for *model*: an alias becomes its snapshot."""
    return SNAPSHOTS.get(model, model)


def shutdown_date(model: str) -> str | None:
    """Return the day from which a model, or its base model, is gone; None if no day is known."""
    return SHUTDOWN_DATES.get(snapshot_name(base_model(model)))


# vendor: the deprecations page of 2026-05. That a day begins at midnight UTC is inferred.
CLOSING_DATES = {
    "new": "2026-05-07",  # has never fine-tuned
    "inactive": "2026-07-02",  # has not used a fine-tuned model for 60 days
    "active": "2027-01-06",
}
"""From which day on an organization of a class can create no more jobs."""


def parse_day(value: object, name: str = "as_of") -> str:
    """Return *value*, a date or its text, as ``YYYY-MM-DD``.

    Raises:
        FakeUsageError: it is not a date, or it is before 1970.
    """
    try:
        day = date.fromisoformat(str(value))
    except ValueError:
        day = date.min
    if day.isoformat() != str(value) or day.year < 1970:  # Python takes other spellings, too
        raise wrong_value(name, "a date from 1970 on, as in '2026-07-02'", value)
    return day.isoformat()


def day_start(day: str) -> float:
    """Return when a day begins, in Unix seconds."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def is_closed(organization_class: str, now: float) -> bool:
    """Return whether organizations of this class can create no more jobs."""
    return now >= day_start(CLOSING_DATES[organization_class])


def is_shut_down(model: str, now: float) -> bool:
    """Return whether a model, or its base model, is shut down."""
    day = shutdown_date(model)
    return day is not None and now >= day_start(day)
