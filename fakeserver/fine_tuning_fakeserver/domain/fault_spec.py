"""What is to go wrong on the wire, and at which calls, as the fake's own user gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeAlias

from ..usage_errors import FakeUsageError, did_you_mean
from . import durations

Raw: TypeAlias = bytes  # a fault has a field that is called so

SELECTORS = ("on", "job", "nth", "times", "probability", "seed", "applied")
"""Fields that every kind has: which calls it is for, and whether they take effect all the same."""

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
"""The fields of its own that each kind has, with their defaults; ``...`` where one must be given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """What goes wrong, and when.

    Args:
        kind: one of `KINDS`.
        on: names of operations, as in the request log; empty for all of them.
        job: the id of the job that calls are about; None for any, and for calls about none.
        nth: which of the calls that match it is for, from 1; None for each of them.
        times: how many calls it hits at most; None for no end.
        probability: how likely it is to hit a call, from 0 to 1; None for always.
        seed: what chance goes by; None for the account's.
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
    on: tuple[str, ...] = ()
    job: str | None = None
    nth: int | None = None
    times: int | None = 1
    probability: float | None = None
    seed: int | None = None
    applied: bool = False
    status: int = 500
    code: str | None = None
    message: str | None = None
    retry_after: float | str | None = None
    seconds: float = 0.0
    bytes: int | None = None
    body: str | Raw | None = None
    duration: float | None = None

    @classmethod
    def of(cls, given: object, operations: Mapping[str, str]) -> FaultSpec:
        """A fault from a mapping, ``kind`` and fields; without a kind it is ``"fail"``.

        Left out, ``times`` is 1, but None for an outage and where there is a ``probability``.

        Args:
            given: the mapping.
            operations: the paths of the operations there are, by name.

        Raises:
            FakeUsageError: it is no mapping, has a field that its kind has not, or a value that is no good.
        """
        if not isinstance(given, Mapping):
            raise FakeUsageError(
                f"a fault is {given!r}: a mapping is wanted, as in {{'status': 500, 'on': 'list_jobs'}}"
            )
        kind = _one_of("a fault's kind", given.get("kind", "fail"), KINDS)
        fields = _fields(kind, {name: value for name, value in given.items() if name != "kind"})
        endless = kind == "outage" or fields.get("probability") is not None
        spec = cls(kind=kind, **{"times": None if endless and fields.get("nth") is None else 1, **fields})
        _check_aim(spec, fields, operations)
        return spec

    def matches(self, operation: str, job: str | None) -> bool:
        """Whether a call of *operation*, about *job*, is one that this is for."""
        return (not self.on or operation in self.on) and self.job in (None, job)

    def fires_at(self, ordinal: int, seed: object) -> bool:
        """Whether it is to hit the call that matches as the *ordinal*-th, from 1; chance goes by *seed*."""
        if self.nth not in (None, ordinal):
            return False
        return self.probability is None or _chance(seed if self.seed is None else self.seed, ordinal) < self.probability

    def as_json(self) -> dict[str, Any]:
        """The mapping that gives this fault."""
        own = {name: getattr(self, name) for name in _own_fields(self.kind)}
        given = {name: getattr(self, name) for name in SELECTORS}
        aim = {name: value for name, value in given.items() if value is not None and value is not False and value != ()}
        whole = {"kind": self.kind, **own, **aim, "times": self.times}
        return {
            name: value.decode(errors="replace") if isinstance(value, bytes) else value for name, value in whole.items()
        }


def _chance(seed: object, ordinal: int) -> float:
    """A number from 0 to 1, 1 excluded; the same for the same seed and ordinal."""
    return int.from_bytes(blake2b(f"{seed}:{ordinal}".encode(), digest_size=6).digest()) / 2**48


def _one_of(what: str, value: object, known: Iterable[str]) -> str:
    names = list(known)
    if isinstance(value, str) and value in names:
        return value
    raise FakeUsageError(f"{what} is {value!r}{did_you_mean(value, names) or ':'} there are {', '.join(names)}")


def _fields(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    own = KINDS[kind]
    for name in given:
        _one_of(f"a field of the fault {kind!r}", name, (*_own_fields(kind), *SELECTORS))
    if missing := [name for name, default in own.items() if default is ... and name not in given]:
        raise FakeUsageError(f"the fault {kind!r} has no {missing[0]!r}: give it, as in {{'{missing[0]}': 5}}")
    return {**{name: value for name, value in own.items() if value is not ...}, **_checked(kind, given)}


def _own_fields(kind: str) -> list[str]:
    """The fields that a kind can be given: of a rate limit the status is no choice."""
    return [name for name in KINDS[kind] if (kind, name) != ("rate_limit", "status")]


def _checked(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(given)
    if isinstance(on := given.get("on"), Iterator):
        values["on"] = list(on)  # it can be gone through once only
    for name, value in list(values.items()):
        if name in ("seconds", "duration"):
            values[name] = durations.parse_seconds(value, f"a fault's {name}")
            continue
        fits, wanted = _CHECKS["page_status" if (kind, name) == ("malformed", "status") else name]
        if not fits(value):
            raise FakeUsageError(f"a fault's {name} is {value!r}: {wanted}")
    if "on" in values:
        on = values["on"]
        values["on"] = () if on is None else (on,) if isinstance(on, str) else tuple(on)
        if on is not None and not values["on"]:
            raise FakeUsageError(f"a fault's on is {given['on']!r}, which is no operation; None is for all of them")
    return values


def _check_aim(spec: FaultSpec, given: Mapping[str, Any], operations: Mapping[str, str]) -> None:
    for name in spec.on:
        _one_of("a fault is for an operation, and on", name, operations)
    if spec.nth is not None and given.get("times", 1) != 1:
        raise FakeUsageError(f"a fault's nth is {spec.nth}, times {spec.times}: nth is one call, so leave out times")
    if spec.kind == "refuse" and spec.applied:
        raise FakeUsageError("a fault that refuses the connection is never applied: 'disconnect' can be")
    if spec.job is not None and spec.on and not any("{job_id}" in operations[name] for name in spec.on):
        raise FakeUsageError(f"a fault's job is {spec.job!r}: no call of {', '.join(spec.on)} is about a job")


def _is_whole(least: int, most: int = 2**63) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value < most


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value == value.encode(errors="replace").decode()


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _are_names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, Iterable) and all(isinstance(name, str) for name in value))


def _is_wait(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value) and value.isascii() and value.isprintable()
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= durations.LONGEST


_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "on": (_or_none(_are_names), "the name of an operation is wanted, or a list of names"),
    "job": (_or_none(lambda value: _is_text(value) and bool(value)), "a job's id is wanted"),
    "nth": (_or_none(_is_whole(1)), "a whole number from 1 is wanted"),
    "times": (_or_none(_is_whole(1)), "a whole number from 1 is wanted, or None for no end"),
    "probability": (_or_none(_is_share), "a number from 0 to 1 is wanted"),
    "seed": (_or_none(_is_whole(-(2**63))), "a whole number of at most 64 bits is wanted"),
    "applied": (lambda value: isinstance(value, bool), "True or False is wanted"),
    "status": (_is_whole(400, 600), "a status from 400 to 599 is wanted"),
    "page_status": (_is_whole(200, 600), "a status from 200 to 599 is wanted"),
    "code": (_or_none(_is_text), "a text is wanted"),
    "message": (_or_none(_is_text), "a text is wanted"),
    "retry_after": (_or_none(_is_wait), "seconds are wanted, or the header's text in printable ASCII"),
    "bytes": (_or_none(_is_whole(0)), "a number of bytes is wanted, or None for half of them"),
    "body": (_or_none(lambda value: isinstance(value, bytes) or _is_text(value)), "a text is wanted, or bytes"),
}
"""What each field must be, and how that is said."""
