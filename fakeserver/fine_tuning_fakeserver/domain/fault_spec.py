"""The spec of a fault: what goes wrong on the wire, and for which requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Annotated, Any, TypeAlias, TypedDict

from fine_tuning_formats.lazy_dataclass import dataclass

from ..usage_errors import FakeUsageError, unknown_name, wrong_value
from .checks import (
    LONGEST,
    Requirement,
    boolean,
    check_fields,
    check_names,
    is_number,
    is_printable_ascii,
    is_text,
    number,
    optional,
    parse_seconds,
    text,
    whole,
)

Raw: TypeAlias = bytes  # a fault has a field that is called so

KINDS: Mapping[str, Mapping[str, Any]] = {
    "fail": {"status": 500, "code": None, "message": None, "retry_after": None},
    "rate_limit": {"status": 429, "code": None, "message": None, "retry_after": 1.0},
    "delay": {"seconds": ...},
    "disconnect": {},
    "refuse": {},
    "truncate": {"bytes": None},
    "malformed": {"status": 200, "body": None},
    "outage": {"duration": ..., "status": 503, "code": None, "message": None, "retry_after": None},
}
"""The fields of its own that each kind has, with their defaults; ``...`` for one that is required."""


class FaultTarget(TypedDict, total=False):
    """Which calls a fault is for, as keywords: the fields of `FaultSpec` that every kind has.

    Args:
        on: the name of an operation as in the request log (``"create_job"``), or several; None for all.
        job: the id of the job that calls are about.
        nth: which of the calls that match, from 1; that one only, and not a later one if an older fault has it.
        times: how many calls are hit; None for no end. 1 where it is left out, but no end for an outage and with
            a probability.
        probability: how likely a call is to be hit, from 0 to 1: a function of the seed and of how many calls
            matched before, so the same seed gives the same failures.
        seed: the seed of the probability; the default is derived from the account's seed and the fault's number.
        applied: True to let the call take effect, so that only its answer is lost or late.
    """

    on: str | Iterable[str] | None
    job: str | None
    nth: int | None
    times: int | None
    probability: float | None
    seed: int | None
    applied: bool


SELECTORS = tuple(FaultTarget.__annotations__)
"""Fields that every kind has: which calls it is for, and whether they take effect all the same."""


def _parse_operations(value: Any, name: str) -> tuple[str, ...] | None:
    if value is None or isinstance(value, str):
        return None if value is None else (value,)
    names = tuple(value) if isinstance(value, Iterable) else ()
    if not names or not all(isinstance(operation, str) for operation in names):
        raise wrong_value(name, "the name of an operation or a list of names, or None for all", value)
    return names


_Text = Annotated[str | None, text.or_none()]
_RetryAfter = Requirement(
    "seconds, or the header's text in printable ASCII",
    lambda value: is_printable_ascii(value) if isinstance(value, str) else is_number(value, 0, LONGEST),
).or_none()
_Job = Requirement("a job's id", lambda value: is_text(value) and bool(value)).or_none("for any")
_Body = Requirement("a string or bytes", lambda value: isinstance(value, bytes) or is_text(value)).or_none()
_check_error_status = whole(400, 599)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """A fault and the calls that it hits.

    Args:
        kind: one of `KINDS`.
        on: names of operations, as in the request log; None for all of them.
        job: the id of the job that calls are about; None for any, and for calls about none.
        nth: which of the calls that match it is for, from 1; None for each of them.
        times: how many calls it hits at most; None for no end.
        probability: how likely it is to hit a call, from 0 to 1; None for always.
        seed: the seed of the probability; None for the account's.
        applied: whether the call takes effect, and only its answer suffers.
        status: what is answered with.
        code: the error's ``code``.
        message: the error's ``message``.
        retry_after: seconds, or a text that is sent as it is; None for no such header.
        seconds: how late the answer comes.
        bytes: how much of the body comes; None for half of it.
        body: what comes instead of JSON; None for a page of HTML.
        duration: virtual seconds from when the fault is armed.
    """

    kind: str
    on: Annotated[tuple[str, ...] | None, _parse_operations] = None
    job: Annotated[str | None, _Job] = None
    nth: Annotated[int | None, whole(1).or_none("for each")] = None
    times: Annotated[int | None, whole(1).or_none("for no end")] = 1
    probability: Annotated[float | None, number(0, 1).or_none("for always")] = None
    seed: Annotated[int | None, whole().or_none()] = None
    applied: Annotated[bool, boolean] = False
    status: Annotated[int, whole(200, 599)] = 500
    code: _Text = None
    message: _Text = None
    retry_after: Annotated[float | str | None, _RetryAfter] = None
    seconds: Annotated[float, parse_seconds] = 0.0
    bytes: Annotated[int | None, whole(0).or_none("for half of them")] = None
    body: Annotated[str | Raw | None, _Body] = None
    duration: Annotated[float | None, optional(parse_seconds)] = None

    def __post_init__(self) -> None:
        if self.kind != "malformed":
            _check_error_status(self.status, "fault 'status'")
        check_fields(self, "fault")
        if self.nth is not None and self.times != 1:
            raise wrong_value("fault 'times'", "left out with 'nth', which is one call", self.times)
        if self.kind == "refuse" and self.applied:
            raise FakeUsageError("a fault that refuses the connection is never applied; use 'disconnect'")

    @classmethod
    def parse(cls, value: object, operations: Mapping[str, str]) -> FaultSpec:
        """Return the fault of a mapping, ``kind`` and fields; without a kind it is ``"fail"``.

        Left out, ``times`` is 1, but None for an outage and with a ``probability``.

        Args:
            value: the mapping.
            operations: the paths of all operations, by name.

        Raises:
            FakeUsageError: it is not a mapping, or a field is unknown for its kind, or a value does not fit.
        """
        if not isinstance(value, Mapping):
            raise wrong_value("a fault", "a mapping, as in {'status': 500, 'on': 'list_jobs'}", value)
        fields = dict(value)
        kind = fields.pop("kind", "fail")
        if not isinstance(kind, str) or kind not in KINDS:
            raise unknown_name("fault kind", kind, KINDS)
        check_names(f"{kind} fault field", fields, (*_own_fields(kind), *SELECTORS))
        for name, default in KINDS[kind].items():
            if default is ... and fields.get(name) is None:
                raise FakeUsageError(f"the fault {kind!r} requires {name!r}, as in {{{name!r}: 5}}")
        is_endless = (kind == "outage" or fields.get("probability") is not None) and fields.get("nth") is None
        spec = cls(kind=kind, **{**KINDS[kind], "times": None if is_endless else 1, **fields})
        for operation in spec.on or ():
            if operation not in operations:
                raise unknown_name("operation", operation, operations)
        if spec.job and spec.on and not any("{job_id}" in operations[name] for name in spec.on):
            raise FakeUsageError(f"fault 'job' is {spec.job!r}, but no call of {', '.join(spec.on)} is about a job")
        return spec

    def matches(self, operation: str, job: str | None) -> bool:
        """Return whether this is for a call of *operation*, about *job*."""
        return (self.on is None or operation in self.on) and self.job in (None, job)

    def fires_at(self, ordinal: int, seed: object) -> bool:
        """Return whether it hits the *ordinal*-th call that matches, from 1; the probability is seeded by *seed*."""
        if self.nth not in (None, ordinal):
            return False
        if self.probability is None:
            return True
        digest = blake2b(f"{seed if self.seed is None else self.seed}:{ordinal}".encode(), digest_size=6).digest()
        return int.from_bytes(digest) / 2**48 < self.probability

    def as_json(self) -> dict[str, Any]:
        """Return the mapping that gives this fault."""
        own = {name: getattr(self, name) for name in _own_fields(self.kind)}
        selectors = {name: getattr(self, name) for name in SELECTORS}
        target = {name: value for name, value in selectors.items() if value is not None and value is not False}
        members = {"kind": self.kind, **own, **target, "times": self.times}
        return {
            name: value.decode(errors="replace") if isinstance(value, bytes) else value
            for name, value in members.items()
        }


def _own_fields(kind: str) -> list[str]:
    """Return the fields that a kind accepts: the status of a rate limit is fixed."""
    return [name for name in KINDS[kind] if (kind, name) != ("rate_limit", "status")]
