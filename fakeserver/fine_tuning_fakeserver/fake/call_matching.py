"""Compare calls with a query, and describe where they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..account.recorded_calls import Call
from ..usage_errors import FakeUsageError, did_you_mean
from ..web.operations import BY_NAME, check_operation

Predicate: TypeAlias = Callable[[Call], object]


@dataclass(frozen=True, slots=True)
class CallQuery:
    """Which calls an assertion is about.

    Args:
        operation: the operation that is called.
        fields: what ids and options must be. Of a mapping only the members named count; everything else must be equal;
            None is null, or left out.
        predicate: takes a `Call`, returns whether it matches; called only where the fields agree.
        accepted: whether only accepted calls match.
    """

    operation: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    predicate: Predicate | None = None
    accepted: bool = False

    def mismatches(self, call: Call) -> list[str]:
        """Return why *call*, which is one of the operation, does not match, a line each; nothing where it does."""
        problems = list(_differences(self.fields, {"status": call.status, **call.options, **call.ids}))
        if self.accepted and not call.accepted:
            problems.append(f"it had no effect: status {call.status}")
        if not problems and self.predicate and not _is_accepted(self.predicate, call):
            problems.append("the predicate said no")
        return problems

    def matching(self, calls: Iterable[Call]) -> list[Call]:
        """Return the calls that match.

        Raises:
            FakeUsageError: a body that has to be compared was too long to be kept whole.
        """
        own = [call for call in calls if call.operation == self.operation]
        for call in own if self.fields or self.predicate else ():
            if not call.whole:
                raise FakeUsageError(
                    f"request {call.number} has a body of more than 64 KiB, of which the rest was not kept: "
                    f"its fields cannot be told"
                )
        return [call for call in own if not self.mismatches(call)]

    def nearest(self, calls: Sequence[Call]) -> tuple[Call, list[str]] | None:
        """Return the call that fails to match by the fewest problems, the latest of these, and its problems."""
        missed = [(call, self.mismatches(call)) for call in reversed(calls) if call.operation == self.operation]
        return min((miss for miss in missed if miss[1]), key=lambda miss: len(miss[1]), default=None)


def parse_query(
    operation: str, predicate: Predicate | None, fields: Mapping[str, Any], accepted: bool = False
) -> CallQuery:
    """Return the query for calls of *operation*.

    Raises:
        FakeUsageError: the operation is unknown, or *predicate* is no function.
    """
    if predicate is not None and not callable(predicate):
        raise FakeUsageError(
            f"predicate must be a function that takes a Call, got {predicate!r}; name fields, as in model='…'"
        )
    return CallQuery(check_operation(operation), fields, predicate, accepted)


def _differences(expected: Mapping[str, Any], actual: Mapping[str, Any], place: str = "") -> Iterator[str]:
    for name, expected_value in expected.items():
        value = actual.get(name)
        if isinstance(expected_value, Mapping) and isinstance(value, Mapping):
            yield from _differences(expected_value, value, f"{place}{name}.")
        elif expected_value != value:
            was = f"was {value!r}" if name in actual else "was not sent"
            yield f"{place}{name}: expected {expected_value!r}, {was}"


def _is_accepted(predicate: Predicate, call: Call) -> bool:
    try:
        answer = predicate(call)
    except Exception as error:
        error.add_note(f"the predicate was looking at {call}")
        raise
    if answer is None:
        raise FakeUsageError("the predicate returned None: it has to say True or False to a call")
    return bool(answer)


def check_fields(operation: str, names: Iterable[str], also: Iterable[str]) -> None:
    """Reject a field that no call of *operation* could have; *also* are fields that were seen in one.

    Raises:
        FakeUsageError: a field is unknown.
    """
    fields = BY_NAME[operation].fields
    if fields is None:
        return
    known = sorted({*fields, *also, "status"})
    for name in names:
        if name not in known:
            raise FakeUsageError(
                f"{operation} has no field {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}"
            )


SHOWN_AT_MOST = 20


def failure_message(head: str, calls: Sequence[Call], missed: CallQuery | None = None) -> str:
    """Return *head*, the call nearest to the query *missed*, and the newest calls, a line each."""
    lines = [head]
    if missed and (near := missed.nearest(calls)):
        call, problems = near
        lines += [f"nearest: request {call.number}", *(f"    {problem}" for problem in problems)]
    return "\n".join([*lines, *list_calls(calls)])


def list_calls(calls: Sequence[Call]) -> list[str]:
    """Return the newest calls, a line each, under a line that counts them."""
    shown = calls[-SHOWN_AT_MOST:]
    if not shown:
        return ["recorded: no request at all"]
    return [f"recorded{last_n_of(len(shown), total_calls(calls))}:", *map(str, shown)]


def last_n_of(shown: int, total: int) -> str:
    """Return ", the last N of M" if the list is truncated."""
    return f", the last {shown} of {total}" if shown < total else ""


def total_calls(calls: Sequence[Call]) -> int:
    """Return how many calls there were; *calls* are the newest, and older ones may be forgotten."""
    return calls[-1].number if calls else 0


def describe_query(noun: str, fields: Mapping[str, Any], predicate: object) -> str:
    """Return *noun* with its fields: ``job created with suffix='x'``."""
    pairs = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    fields_text = f" with {pairs}" if pairs else ""
    return f"{noun}{fields_text}{' that the predicate accepts' if predicate else ''}"


def times_text(times: int) -> str:
    """Return a count in words."""
    return {0: "never", 1: "once", 2: "twice"}.get(times, f"{times} times")
