"""What a dialect of the API can have of its own; what is left out is as recorded in 2025-09."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..base_models import BaseModel
from ..ids import SHAPES, IdShape
from ..timeline import KINDS, EventKind

ALL = ""
"""In a table by operation: every operation."""


@dataclass(frozen=True, slots=True, eq=False)
class ObjectStyle:
    """How a kind of object differs.

    Args:
        members: the members it has, in this order; none given: those recorded, in theirs.
        sources: the recorded names of members that are called otherwise.
        words: by member, what is said in place of a recorded value.
        empties: by member, what is said in place of null, ``{}`` and ``[]``.
        absent: members that are left out where they would be null.
        within: members that are objects, or lists of them, with their own shapes; None: the shape of their kind.
        whole: whether floats without a fraction are written as integers.
    """

    members: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    empties: Mapping[str, Any] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    within: Mapping[str, ObjectStyle | None] = field(default_factory=dict)
    whole: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class EventStyle:
    """How a job's life is told, and under which names.

    Args:
        kinds: the status and the event of each moment.
        also: by moment, further ones at the same time, in this order.
        step: the message of a training step; empty: the method's own.
        every: there is an event of every so many steps,
        after: beginning with that of this one; 0: with the last of so many.
        all_metrics: whether a checkpoint shows whatever its step measured.
        finished: by status, the moment that ``finished_at`` tells.
        estimate_s: seconds from creation to ``estimated_finish``; 0: it is null.
        at_once: hyperparameters that have their numbers from creation on.
        model: the name of a fine-tuned model, of ``base``, ``hex`` (the job's) and ``dashed`` (the suffix); empty:
            OpenAI's own.
    """

    kinds: Mapping[str, EventKind] = field(default_factory=lambda: KINDS)
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    step: str = ""
    every: int = 1
    after: int = 0
    all_metrics: bool = False
    finished: Mapping[str, str] = field(default_factory=lambda: {"succeeded": "trained"})
    estimate_s: int = 0
    at_once: tuple[str, ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class HttpStyle:
    """How requests come in and answers go out.

    Args:
        root: the path of the API that clients are told.
        place: what is told to them besides a key: the name of a variable, and the path in it.
        key_variable: the variable for the key.
        version_wanted: whether a path under ``/openai`` that says no version needs an ``api-version``.
        key_header: a header that may bring the key, in lower case.
        made: operations that are answered with 201 and a Location.
        newline: by operation, whether a body ends with one.
        without: headers that there are not.
        headers: by operation, further headers.
        json_type: the media type of JSON.
        request_id: the header that names the request, and how: as ``req``, ``hex`` or ``uuid``.
        refusals: by status, code and message of a refusal that has no other members.
        invalid_urls: whether an unknown path is told that it is invalid, as all were before 2024.
    """

    root: str = "/v1"
    place: tuple[str, str] = ("OPENAI_BASE_URL", "/v1")
    key_variable: str = "OPENAI_API_KEY"
    version_wanted: bool = False
    key_header: bytes = b""
    made: frozenset[str] = frozenset()
    newline: Mapping[str, bool] = field(default_factory=dict)
    without: frozenset[bytes] = frozenset()
    headers: Mapping[str, tuple[tuple[bytes, bytes], ...]] = field(default_factory=dict)
    json_type: bytes = b"application/json"
    request_id: tuple[bytes, str] = (b"x-request-id", "req")
    refusals: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    invalid_urls: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """One way to speak the API.

    Args:
        name: what settings call it.
        shapes: by kind of object, or by operation, which goes first, how it differs.
        ids: what ids look like.
        course: how a job's life is told.
        manner: how requests and answers travel.
        unready: the status of a new file, and for how many seconds it has it.
        result_name: what a result file is called.
        base64_results: whether its content is base64.
        any_name: whether a file for fine-tuning may be called anything.
        twins: whether a refusal about files has a twin beside ``error``.
        batch_files_end: whether files for batches are gone after a while, unless they were to be kept otherwise.
        own_fields: what a job may be asked for that OpenAI does not know; it is echoed.
        as_sent: members of a job that are null unless they were sent.
        models: base models that there are besides.
        dated: by alias, the model that it stood for.
        suffix_at_most: how many characters a suffix may have; 0: as many as by the spec.
        complaints: by kind, what is wrong with a member of a job, where it was said without its value.
        counts_at_once: whether a file with too few examples is refused at creation.
    """

    name: str
    shapes: Mapping[str, ObjectStyle] = field(default_factory=dict)
    ids: Mapping[str, IdShape] = field(default_factory=lambda: SHAPES)
    event_style: EventStyle = field(default_factory=EventStyle)
    http: HttpStyle = field(default_factory=HttpStyle)
    unready: tuple[str, float] = ("processed", 0.0)
    result_name: str = "step_metrics.csv"
    base64_results: bool = True
    any_name: bool = False
    twins: bool = False
    batch_files_end: bool = True
    own_fields: tuple[str, ...] = ()
    as_sent: tuple[str, ...] = ()
    models: tuple[BaseModel, ...] = ()
    dated: Mapping[str, str] = field(default_factory=dict)
    suffix_at_most: int = 0
    complaints: Mapping[str, str] = field(default_factory=dict)
    counts_at_once: bool = False


RECORDED = Dialect("openai-2025-09", twins=True)
"""The default: what the fake's own answers are, byte for byte. Nothing is looked up for it."""
