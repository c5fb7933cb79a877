"""Records as text: versioned JSON, tagged by kind, one record a line.

Dialects are stored by name, and contents as their digests: whoever stores records stores the bytes beside them, and
brings them back (`ContentWriter`, `ContentReader`). A released version stays readable: its reader is in `READERS` for
good.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Protocol, TypeAlias, Union, get_args, get_origin, get_type_hints

import orjson
from pydantic import ConfigDict, PlainValidator, TypeAdapter, ValidationError, create_model

from fine_tuning_formats.lazy_dataclass import dataclass

from ..clock import parse_pace
from ..domain.dialects import dialect_named
from ..domain.dialects.dialect import Dialect
from ..domain.fault_spec import FaultSpec
from ..domain.job import Job
from ..domain.timeline import Cancel, FileLost, Intervention, Pause, Replan, Resume
from ..usage_errors import FakeUsageError
from ..version import VERSION
from . import records
from .blobs import Blob
from .records import Record

RECORD_VERSION = 1
"""The version of the records that are written."""

KINDS: Mapping[str, type[Record]] = {
    "file_uploaded": records.FileUploaded,
    "file_deleted": records.FileDeleted,
    "job_created": records.JobCreated,
    "job_intervened": records.JobIntervened,
    "job_deleted": records.JobDeleted,
    "checkpoint_copied": records.CheckpointCopied,
    "model_deleted": records.ModelDeleted,
    "clock_advanced": records.ClockAdvanced,
    "pace_set": records.PaceSet,
    "dialect_set": records.DialectSet,
    "plan_set": records.PlanSet,
    "plan_rule_added": records.PlanRuleAdded,
    "next_id_reserved": records.NextIdReserved,
    "upload_changed": records.UploadChanged,
    "part_added": records.PartAdded,
    "permission_granted": records.PermissionGranted,
    "permission_revoked": records.PermissionRevoked,
    "replies_set": records.RepliesSet,
    "completion_given": records.CompletionGiven,
    "grader_scores_set": records.GraderScoresSet,
    "grader_score_used": records.GraderScoreUsed,
    "webhook_added": records.WebhookAdded,
    "webhook_removed": records.WebhookRemoved,
    "delivery_attempted": records.DeliveryAttempted,
    "list_seen": records.ListSeen,
    "fault_armed": records.FaultArmed,
    "faults_matched": records.FaultsMatched,
    "fault_hit": records.FaultHit,
    "faults_disarmed": records.FaultsDisarmed,
    "clock_anchored": records.ClockAnchored,
    "scripts_set": records.ScriptsSet,
}
"""The records by the kind that tags them. A kind keeps its name, whatever its class is called."""
ACTS: Mapping[str, type[Intervention]] = {
    "pause": Pause,
    "resume": Resume,
    "cancel": Cancel,
    "file_lost": FileLost,
    "replan": Replan,
}
"""The interventions by the name that tags them: most have the same members."""
_NAME_OF_ACT = {act: name for name, act in ACTS.items()}
_KIND_OF = {record: kind for kind, record in KINDS.items()}

Json: TypeAlias = dict[str, Any]


class ContentWriter(Protocol):
    """Keeps contents beside the records."""

    def put(self, content: Blob) -> str:
        """Keep the bytes; return their sha256 in hexadecimal digits."""
        ...


class ContentReader(Protocol):
    """Has the contents beside the records."""

    def get(self, digest: str, size: int) -> Blob:
        """Return the bytes, or what is left of them where only the digest was kept."""
        ...


_reader: ContextVar[ContentReader] = ContextVar("_reader")
"""Of the record that is being read."""


class RecordFormatError(FakeUsageError):
    """A stored record cannot be read."""


def write_record(record: Record, contents: ContentWriter) -> bytes:
    """Return *record* as one line of JSON without its end; its content is put into *contents*.

    Raises:
        FakeUsageError: it holds what JSON cannot.
    """
    kind = _KIND_OF[type(record)]

    def stored(value: Any) -> Any:
        if isinstance(value, Blob):
            return {"sha256": None if value.is_dropped else contents.put(value), "size": value.size}
        return _stored_value(value)

    try:
        return orjson.dumps({"version": RECORD_VERSION, "record": kind, **_members_of(record)}, stored, _OPTIONS)
    except (TypeError, ValueError) as error:
        if isinstance(cause := error.__cause__, FakeUsageError | OSError):  # of the contents
            raise cause from None
        raise FakeUsageError(f"a record {kind} cannot be stored: {error}") from None


def _stored_value(value: Any) -> Any:
    """Return the stored form of what is no JSON by itself."""
    if isinstance(value, Dialect):
        return value.name
    if name := _NAME_OF_ACT.get(type(value)):
        return {"act": name, **_members_of(value)}
    if is_dataclass(value):
        return _members_of(value)
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is no JSON")


def _members_of(value: Any) -> Json:
    return {name: getattr(value, name) for name in _field_names(value.__class__)}


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))


_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_NON_STR_KEYS


def read_record(line: bytes, contents: ContentReader) -> Record:
    """Return the record of a line, whatever released version has written it.

    Raises:
        RecordFormatError: it is not a record, or a newer version has written it.
    """
    try:
        members = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RecordFormatError(f"a record must be JSON: {error}") from None
    if not isinstance(members, dict):
        raise RecordFormatError("a record must be a JSON object")
    reader = READERS[check_version(members.pop("version", None), "a record", READERS)]
    token = _reader.set(contents)
    try:
        return reader(members)
    finally:
        _reader.reset(token)


def read_trusted_record(line: bytes, contents: ContentReader) -> Record:
    """Return the record of a line that a store of this program's has kept: of this version without a check of types.

    It takes a fourth of the time of `read_record`, which reads what anyone may have written.

    Raises:
        RecordFormatError: it is not a record, or a newer version has written it.
    """
    try:
        members = orjson.loads(line)
        if members.pop("version") != RECORD_VERSION:
            return read_record(line, contents)
        kind: Any = KINDS[members.pop("record")]
        build = _builder(kind)
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return read_record(line, contents)  # which tells what is wrong
    token = _reader.set(contents)
    try:
        record: Record = build(members)
        return record
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise RecordFormatError(f"a record cannot be read: {type(error).__name__}: {error}") from None
    finally:
        _reader.reset(token)


def check_version(version: Any, what: str, known: Mapping[int, object]) -> int:
    """Return *version* if it is among the *known* ones.

    Raises:
        RecordFormatError: it is not.
    """
    if isinstance(version, int) and version in known and version is not True:
        return version
    newer = isinstance(version, int) and version > max(known)
    remedy = f"; a newer fake-fine-tuning has written it, this is {VERSION}: upgrade it" if newer else ""
    versions = ", ".join(map(str, known))
    raise RecordFormatError(f"the version of {what} must be one of {versions}, got {version!r}{remedy}")


def _read_1(members: Json) -> Record:
    kind = members.pop("record", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise RecordFormatError(f"the kind of a record must be one of {', '.join(KINDS)}, got {kind!r}")
    try:
        record: Record = _adapter(KINDS[kind]).validate_python(members)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise RecordFormatError(f"a record {kind} cannot be read: {place}: {first['msg']}") from None
    return record


READERS: Mapping[int, Callable[[Json], Record]] = {1: _read_1}
"""By version, what makes a record of its members."""


# ---- what pydantic cannot know by itself


def _read_content(value: Any) -> Blob:
    stored = _CONTENT.validate_python(value)
    return Blob.dropped(stored.size) if stored.sha256 is None else _reader.get().get(stored.sha256, stored.size)


@dataclass
class _StoredContent:
    sha256: str | None
    size: int


_CONTENT = TypeAdapter(_StoredContent)


def _read_text(value: Any) -> Any:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


def _read_act(value: Any) -> Intervention:
    if isinstance(value, Mapping):
        members = dict(value)
        if (name := members.pop("act", None)) in ACTS:
            act: Intervention = _adapter(ACTS[name]).validate_python(members)
            return act
    raise ValueError(f"an intervention must have one of {', '.join(ACTS)} as its act")


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _read_dialect(value: Any) -> Dialect:
    return dialect_named(value)


def _adapter(record: Any) -> TypeAdapter[Any]:
    """Return what reads and writes records of a kind, or interventions; made once, as that takes milliseconds."""
    adapter: TypeAdapter[Any] = _made_adapter(record)
    return adapter


@cache
def _made_adapter(record: Any) -> TypeAdapter[Any]:
    return TypeAdapter(_stored_form(record))


@cache
def _stored_form(kind: Any) -> Any:
    """Return the type of a dataclass for pydantic, with the forms of `_FORMS` in place of some of its fields."""
    hints = get_type_hints(kind)
    members: Any = {
        each.name: (
            _FORMS_BY_FIELD.get((kind, each.name)) or _form(hints[each.name]),
            ... if each.default is MISSING and each.default_factory is MISSING else None,
        )
        for each in fields(kind)
    }
    model = create_model(kind.__name__, __config__=ConfigDict(extra="forbid", protected_namespaces=()), **members)

    def read(value: Any) -> Any:
        found = model.model_validate(value)
        return kind(**{name: getattr(found, name) for name in found.model_fields_set})

    return Annotated[Any, PlainValidator(read)]


def _form(hint: Any) -> Any:
    """Return the type for pydantic of a field's type, in which dataclasses have their stored forms."""
    if hint is float:
        return int | float  # an answer may show the one or the other
    if isinstance(hint, type) and hint in _FORMS:
        return _FORMS[hint]
    if is_dataclass(hint) and isinstance(hint, type):
        return _stored_form(hint)
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return Union[tuple(map(_form, get_args(hint)))]  # noqa: UP007  # of members that are only known now
    if (origin := get_origin(hint)) in (tuple, Sequence, Mapping):
        return origin[tuple(each if each is ... else _form(each) for each in get_args(hint))]
    return hint


@cache
def _builder(kind: Any) -> Callable[[Json], Any]:
    """Return what makes an object of a dataclass of its stored members; it changes these."""
    hints = get_type_hints(kind)
    found = {each.name: _BUILT_FIELDS.get((kind, each.name)) or _converter(hints[each.name]) for each in fields(kind)}
    converters = [(name, convert) for name, convert in found.items() if convert]

    def build(members: Json) -> Any:
        for name, convert in converters:
            if (value := members.get(name)) is not None:
                members[name] = convert(value)
        return kind(**members)

    return build


def _converter(hint: Any) -> Callable[[Any], Any] | None:
    """Return what makes a value of a type of its stored form; None where that is the same."""
    if isinstance(hint, type) and hint in _BUILT:
        return _BUILT[hint]
    if is_dataclass(hint) and isinstance(hint, type):
        return _builder(hint)
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        found = [convert for each in get_args(hint) if (convert := _converter(each))]
        if len(found) > 1:
            raise TypeError(f"what is stored as {hint} could be several things")
        return found[0] if found else None
    if (origin := get_origin(hint)) in (tuple, Sequence):
        item = next((convert for each in get_args(hint) if each is not ... and (convert := _converter(each))), None)
        if origin is Sequence and item is None:
            return None
        return (lambda values: tuple(map(item, values))) if item else tuple
    if origin is Mapping and get_args(hint)[0] is int:  # a key is a text in JSON
        return lambda members: {int(key): value for key, value in members.items()}
    return None


def _build_act(members: Json) -> Intervention:
    kind: Any = ACTS[members.pop("act")]
    act: Intervention = _builder(kind)(members)
    return act


_ACT = Annotated[Any, PlainValidator(_read_act)]
_FORMS: Mapping[type[Any], Any] = {
    Blob: Annotated[Any, PlainValidator(_read_content)],
    Dialect: Annotated[Any, PlainValidator(_read_dialect)],
}
_BUILT: Mapping[type[Any], Callable[[Any], Any]] = {Blob: _read_content, Dialect: _read_dialect}
_BUILT_FIELDS: Mapping[tuple[type[Any], str], Callable[[Any], Any]] = {
    (FaultSpec, "body"): _read_text,
    (records.JobIntervened, "act"): _build_act,
    (Job, "interventions"): lambda acts: tuple(map(_build_act, acts)),
    (records.PaceSet, "pace"): parse_pace,
    (records.ListSeen, "query"): _tuples,
}
_FORMS_BY_FIELD: Mapping[tuple[type[Any], str], Any] = {
    (FaultSpec, "body"): Annotated[Any, PlainValidator(_read_text)],
    (records.JobIntervened, "act"): _ACT,
    (Job, "interventions"): tuple[_ACT, ...],
    (records.PaceSet, "pace"): Annotated[Any, PlainValidator(lambda pace: parse_pace(pace))],
    (records.ListSeen, "query"): Annotated[Any, PlainValidator(_tuples)],
}
