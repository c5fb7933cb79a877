"""The ways in which a dialect of the API can differ, and the translation of responses into it.

What a dialect leaves out is as recorded in 2025-09.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.row_rules import OPENAI_DATA, DataRules

from ...evidence import Evidence
from ..base_models import BaseModel
from ..ids import SHAPES, IdShape

ALL = ""
"""In a table by operation: every operation."""


@dataclass(frozen=True, slots=True)
class EventKind:
    """The meaning of a kind of event: the status from then on, and its text; without a text it is hidden."""

    status: str | None = None
    text: str | None = None
    level: str = "info"
    data: bool = True
    """Whether the event's ``data`` is ``{}``; otherwise it is null."""


# printed outputs of 2024-02 .. 2025-04 for the way to success, in that order; the rest is inferred, except that a
# cancelled job's newest event can still be the validation's (recording: GetJobEvents), so its own comes later.
EVENT_KINDS: dict[str, EventKind] = {
    "created": EventKind("validating_files", "Created fine-tuning job: {job}"),
    "validating": EventKind(None, "Validating training file: {files}"),
    "read": EventKind(),
    "validated": EventKind("queued", "Files validated, moving job to queued state"),
    "started": EventKind("running", "Fine-tuning job started", data=False),
    "trained": EventKind(),
    "checkpoint": EventKind(None, "Checkpoint created at step {step} with Snapshot ID: {checkpoint}"),
    "model": EventKind(None, "New fine-tuned model created: {model}"),
    "completed": EventKind("succeeded", "The job has successfully completed"),
    "failed": EventKind("failed", "{error}", "error"),
    "cancelled": EventKind("cancelled"),
    "stopping": EventKind(None, "Fine tuning process stopping due to job cancellation", "warn", data=False),
    "paused": EventKind("paused", "Fine-tuning job paused"),
    "resumed": EventKind("queued", "Fine-tuning job resumed, moving job to queued state"),
    "restarted": EventKind("running", "Fine-tuning job started", data=False),
}


@dataclass(frozen=True, slots=True, eq=False)
class ObjectStyle:
    """How a kind of object differs.

    Args:
        members: its members, in this order; empty: those recorded, in theirs.
        sources: by member, its recorded name, if that is another one.
        values: by member, what replaces a recorded value.
        empty_values: by member, what replaces null, ``{}`` and ``[]``.
        omitted_if_null: members that are left out if they are null.
        nested: members that are objects, or lists of them, with their styles; None: the style of their kind.
        integral_floats: whether floats without a fraction are written as integers.
        defaults: members that are there even if the recorded answer lacks them, with their values.
        hidden: members that are left out, of an object that shows those that `members` does not name after them.
        variants: by an object's ``type``, the style that it has instead.
        derived: by member that was not recorded, what makes it of the recorded object.
    """

    members: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    empty_values: Mapping[str, Any] = field(default_factory=dict)
    omitted_if_null: frozenset[str] = frozenset()
    nested: Mapping[str, ObjectStyle | None] = field(default_factory=dict)
    integral_floats: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    hidden: frozenset[str] | None = None
    variants: Mapping[str, ObjectStyle] = field(default_factory=dict)
    derived: Mapping[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class EventStyle:
    """How a job's events, its times and its models are shown.

    Args:
        kinds: the status and the event of each kind.
        followed_by: by kind, further events at the same time, in this order.
        before_training: events at the time of the first training step, before it.
        step_message: the message of a training step; empty: the method's own.
        step_interval: there is an event of every so many steps,
        first_step: beginning with that of this one; 0: with the last of so many.
        also_first_step: whether there is one of the first step besides.
        first_validation: the first step with a validation loss; every tenth after it has one, too.
        full_validation: whether the end of an epoch has a loss of all of the validation data.
        of_validation: kinds of events that only a job with a validation file has.
        all_checkpoint_metrics: whether a checkpoint shows everything that its step measured.
        finished_at_event: by status, the kind of the event that ``finished_at`` is the time of.
        estimated_seconds: by method, seconds from creation to ``estimated_finish``; empty: it is null.
        resolved_at_creation: hyperparameters that have their numbers from creation on.
        resolved_by: the kind of the event by which the others have theirs.
        results_from: the kind of the event from which a job shows its result file, and its eval; empty: its success
            for the one, its creation for the other.
        keeps_paused_steps: whether the step at which a job is paused has a checkpoint.
        timed_step_ids: whether ids of the events of training steps are made of their time.
        model_name: the name of a fine-tuned model, of ``base``, ``hex`` (the job's) and ``dashed`` (the suffix);
            empty: OpenAI's own.
    """

    kinds: Mapping[str, EventKind] = field(default_factory=lambda: EVENT_KINDS)
    followed_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    before_training: tuple[str, ...] = ()
    step_message: str = ""
    step_interval: int = 1
    first_step: int = 0
    also_first_step: bool = False
    first_validation: int = 10
    full_validation: bool = True
    of_validation: frozenset[str] = frozenset()
    all_checkpoint_metrics: bool = False
    finished_at_event: Mapping[str, str] = field(default_factory=lambda: {"succeeded": "trained"})
    estimated_seconds: Mapping[str, int] = field(default_factory=dict)
    resolved_at_creation: tuple[str, ...] = ()
    resolved_by: str = "read"
    results_from: str = ""
    keeps_paused_steps: bool = False
    timed_step_ids: bool = False
    model_name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class HttpStyle:
    """How requests come in and answers go out.

    Args:
        root: the path of the API for clients.
        base_url_variable: the environment variable for the base URL, and the path in it.
        key_variable: the variable for the key.
        requires_api_version: whether a path under ``/openai`` without a version needs an ``api-version``.
        key_header: a header that may bring the key, in lower case.
        created_operations: operations that are answered with 201 and a Location.
        trailing_newline: by operation, whether a body ends with one.
        removed_headers: recorded headers that are left out.
        added_headers: by operation, further headers.
        json_type: the media type of JSON.
        request_id: the header that names the request, and its form: ``req``, ``hex`` or ``uuid``.
        bare_errors: by status, the code and the message of the gateway's errors, which have no other members.
        error_codes: by status, the code of an error that has a message and no other members; empty: it has all four.
        refusals: by operation and the recorded status, the status, code and message instead.
        invalid_url_errors: whether an unknown path is called an invalid URL, as all were before 2024.
    """

    root: str = "/v1"
    base_url_variable: tuple[str, str] = ("OPENAI_BASE_URL", "/v1")
    key_variable: str = "OPENAI_API_KEY"
    requires_api_version: bool = False
    key_header: bytes = b""
    created_operations: frozenset[str] = frozenset()
    trailing_newline: Mapping[str, bool] = field(default_factory=dict)
    removed_headers: frozenset[bytes] = frozenset()
    added_headers: Mapping[str, tuple[tuple[bytes, bytes], ...]] = field(default_factory=dict)
    json_type: bytes = b"application/json"
    request_id: tuple[bytes, str] = (b"x-request-id", "req")
    bare_errors: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    error_codes: Mapping[int, str] = field(default_factory=dict)
    refusals: Mapping[tuple[str, int], tuple[int, str, str]] = field(default_factory=dict)
    invalid_url_errors: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class JobStyle:
    """How jobs differ of a service that trains open-weight models. Any name is taken as a base model: no list is known.

    Args:
        refused_fields: fields of a request that OpenAI knows and the service does not.
        own_fields: fields of a request that OpenAI does not know, with their types; they are not shown.
        hyperparameters: all those of supervised training, in the order in which they are shown, each with its value
            unless it is sent; empty: they are OpenAI's.
        unless_sent: members of a job, with their values unless they are sent.
        requires_wandb_key: whether the integration wandb must have an ``api_key``, which is not shown.
        lambda_graders: whether an AWS Lambda function can be a job's grader.
        counts_steps: whether a job shows ``trained_steps`` and ``total_steps``.
        has_checkpoint_files: whether a checkpoint shows ``result_files``.
        validation_errors: whether a field that does not fit is refused with 422 and its place.
    """

    refused_fields: tuple[str, ...] = ()
    own_fields: Mapping[str, type] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    unless_sent: Mapping[str, Any] = field(default_factory=dict)
    requires_wandb_key: bool = False
    lambda_graders: bool = False
    counts_steps: bool = False
    has_checkpoint_files: bool = False
    validation_errors: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """One form of the API.

    Args:
        name: its name in settings.
        objects: how objects differ, by kind or by operation, which goes first.
        ids: what ids look like.
        event_style: how a job's events are shown.
        http: how requests and answers travel.
        new_file_status: the status of a new file, and for how many seconds it has it.
        result_name: the filename of a result file.
        base64_results: whether its content is base64.
        any_filename: whether a file for fine-tuning may be called anything.
        doubles_file_errors: whether an error about files is repeated beside ``error``.
        batch_files_expire: whether files for batches expire, unless they are uploaded with another lifetime.
        extra_fields: fields of a request for a job that OpenAI does not know; they are echoed.
        silent_fields: fields of the same kind that are accepted and not echoed.
        flat_hyperparameters: whether a method's hyperparameters may stand beside those that have their place in it, or
            at the top of the request.
        echoed_hyperparameters: by method, hyperparameters that OpenAI does not know; they are echoed.
        multipliers: by the beginning of a base model's name, the automatic learning rate multiplier.
        null_unless_sent: members of a job that are null unless they were sent.
        models: additional base models.
        other_names: base models that are called otherwise, with their names.
        snapshots: by alias, the model that it stood for.
        max_suffix_length: how many characters a suffix may have; 0: as many as by the spec.
        error_texts: by kind of error, the text about a member of a job, if it does not quote the value.
        checks_count_at_creation: whether a job on a file with too few examples is refused at creation.
        data_rules: what may be in training files.
        graders_have_thresholds: whether a grader of any type takes ``pass_threshold``.
        endpoint_graders: whether a grader may be an endpoint that is called.
        unresolved_models: base models whose automatic hyperparameters stay unknown, as in ``trained_tokens``.
        own_operations: whether it has operations that OpenAI lacks: those of `web.azure_endpoints`.
        evidence: what backs each of the differences, for the ledger.
        jobs: how jobs differ of a service that trains open-weight models.
    """

    name: str
    objects: Mapping[str, ObjectStyle] = field(default_factory=dict)
    ids: Mapping[str, IdShape] = field(default_factory=lambda: SHAPES)
    event_style: EventStyle = field(default_factory=EventStyle)
    http: HttpStyle = field(default_factory=HttpStyle)
    new_file_status: tuple[str, float] = ("processed", 0.0)
    result_name: str = "step_metrics.csv"
    base64_results: bool = True
    any_filename: bool = False
    doubles_file_errors: bool = False
    batch_files_expire: bool = True
    extra_fields: tuple[str, ...] = ()
    silent_fields: tuple[str, ...] = ()
    flat_hyperparameters: bool = False
    echoed_hyperparameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    null_unless_sent: tuple[str, ...] = ()
    multipliers: Mapping[str, float] = field(default_factory=dict)
    models: tuple[BaseModel, ...] = ()
    other_names: Mapping[str, str] = field(default_factory=dict)
    snapshots: Mapping[str, str] = field(default_factory=dict)
    max_suffix_length: int = 0
    error_texts: Mapping[str, str] = field(default_factory=dict)
    checks_count_at_creation: bool = False
    data_rules: DataRules = OPENAI_DATA
    graders_have_thresholds: bool = False
    endpoint_graders: bool = False
    unresolved_models: frozenset[str] = frozenset()
    own_operations: bool = False
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    jobs: JobStyle | None = None

    def multiplier(self, base: str) -> float | None:
        """Return the automatic learning rate multiplier of a base model, where it is not OpenAI's."""
        return next((value for prefix, value in self.multipliers.items() if base.startswith(prefix)), None)


RECORDED = Dialect("openai-2025-09", doubles_file_errors=True)
"""The default: what the fake's own answers are, byte for byte. Nothing is looked up for it."""

_PLAIN = ObjectStyle()
_PAGE = ObjectStyle(nested={"data": None})


def to_dialect(dialect: Dialect, answer: Any, operation: str = "") -> Any:
    """Return a copy of *answer*, a recorded one, in the dialect.

    Only members that a style names as nested are changed: metadata, or a grader, are the client's own.
    """
    if not dialect.objects:
        return answer
    return _translate(dialect, answer, dialect.objects.get(operation))


def _translate(dialect: Dialect, value: Any, style: ObjectStyle | None) -> Any:
    if isinstance(value, list | tuple):
        return [_translate(dialect, item, style) for item in value]
    if not isinstance(value, dict):
        return value
    if style is None:  # a receipt for a deletion is a kind of its own
        kind = f"{value.get('object')} deleted" if "deleted" in value else str(value.get("object"))
        style = dialect.objects.get(kind, _PAGE if kind == "list" else _PLAIN)
    style = style.variants.get(str(value.get("type")), style)
    if style.derived:
        value = {**value, **{name: make(value) for name, make in style.derived.items()}}
    sources = {name: style.sources.get(name, name) for name in style.members or value}
    if style.hidden is not None:
        sources |= {name: name for name in value if name not in sources and name not in style.hidden}
    members = {
        name: _translate_member(dialect, name, value.get(source, style.defaults.get(name)), style)
        for name, source in sources.items()
        if source in value or name in style.defaults
    }
    return {name: member for name, member in members.items() if member is not None or name not in style.omitted_if_null}


def _translate_member(dialect: Dialect, name: str, value: Any, style: ObjectStyle) -> Any:
    if name in style.empty_values and value in (None, {}, []):
        return style.empty_values[name]
    if name in style.nested:
        return _translate(dialect, value, style.nested[name])
    if isinstance(value, str) and name in style.values:
        return style.values[name].get(value, value)
    return _without_fraction(value) if style.integral_floats else value


LARGEST_WHOLE = 2.0**63
"""From here on a float stays one: JSON of the service has integers of 64 bits."""


def _without_fraction(value: Any) -> Any:
    """Return a whole float as an integer, in a list, too."""
    if isinstance(value, list | tuple):
        return [_without_fraction(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE else value
