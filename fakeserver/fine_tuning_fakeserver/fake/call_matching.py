"""Whether a call is the one that was asked for, and where it differs."""

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
    """Which calls are meant.

    Args:
        operation: the operation they are calls of.
        fields: what their ids and options must be. Of a mapping only the members named count; everything else must be
            equal; None is null, or nothing.
        predicate: says True or False to a `Call`; asked only where the fields agree.
        accepted: whether only calls count that were answered with success.
    """

    operation: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    predicate: Predicate | None = None
    accepted: bool = False

    def mismatches(self, call: Call) -> list[str]:
        """Why *call*, which is one of the operation, is not meant; one line each, and none where it is."""
        found = list(_differences(self.fields, {"status": call.status, **call.options, **call.ids}))
        if self.accepted and not call.accepted:
            found.append(f"it had no effect: status {call.status}")
        if not found and self.predicate and not _said(self.predicate, call):
            found.append("the predicate said no")
        return found

    def matching(self, calls: Iterable[Call]) -> list[Call]:
        """The calls that are meant.

        Raises:
            FakeUsageError: a body that has to be looked into was too long to be kept whole.
        """
        own = [call for call in calls if call.operation == self.operation]
        if self.fields or self.predicate:
            for call in own:
                _refuse_cut(call)
        return [call for call in own if not self.mismatches(call)]

    def nearest(self, calls: Sequence[Call]) -> tuple[Call, list[str]] | None:
        """Of the calls that are not meant the one with the fewest problems, the latest of them; with its problems."""
        missed = [(call, self.mismatches(call)) for call in reversed(calls) if call.operation == self.operation]
        return min((each for each in missed if each[1]), key=lambda each: len(each[1]), default=None)


def parse_query(
    operation: str, predicate: Predicate | None, fields: Mapping[str, Any], accepted: bool = False
) -> CallQuery:
    """The question after calls of *operation*.

    Raises:
        FakeUsageError: there is no such operation, or *predicate* is none.
    """
    if predicate is not None and not callable(predicate):
        raise FakeUsageError(
            f"predicate is {predicate!r}: a function that takes a Call is wanted; fields are named, as in model='…'"
        )
    return CallQuery(check_operation(operation), fields, predicate, accepted)


def _differences(expected: Mapping[str, Any], actual: Mapping[str, Any], place: str = "") -> Iterator[str]:
    for name, wanted in expected.items():
        found = actual.get(name)
        if isinstance(wanted, Mapping) and isinstance(found, Mapping):
            yield from _differences(wanted, found, f"{place}{name}.")
        elif wanted != found:
            was = f"was {found!r}" if name in actual else "was not sent"
            yield f"{place}{name}: expected {wanted!r}, {was}"


def _said(predicate: Predicate, call: Call) -> bool:
    try:
        answer = predicate(call)
    except Exception as error:
        error.add_note(f"the predicate was looking at {call}")
        raise
    if answer is None:
        raise FakeUsageError("the predicate returned None: it has to say True or False to a call")
    return bool(answer)


def _refuse_cut(call: Call) -> None:
    if not call.whole:
        raise FakeUsageError(
            f"request {call.number} has a body of more than 64 KiB, of which the rest was not kept: "
            f"its fields cannot be told"
        )


def check_fields(operation: str, asked: Iterable[str], also: Iterable[str]) -> None:
    """Refuse a field that no call of *operation* could have, and that none had: *also* are those that were seen.

    Raises:
        FakeUsageError: there is no such field.
    """
    fields = BY_NAME[operation].fields
    if fields is None:
        return
    known = sorted({*fields, *also, "status"})
    for name in asked:
        if name not in known:
            raise FakeUsageError(
                f"{operation} has no field {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}"
            )


SHOWN_AT_MOST = 20


def failure_message(head: str, calls: Sequence[Call], missed: CallQuery | None = None) -> str:
    """The whole text: *head*, the call nearest to *missed*, and the newest calls, a line each."""
    lines = [head]
    if missed and (near := missed.nearest(calls)):
        call, problems = near
        lines += [f"nearest: request {call.number}", *(f"    {problem}" for problem in problems)]
    return "\n".join([*lines, *list_calls(calls)])


def list_calls(calls: Sequence[Call]) -> list[str]:
    """The newest calls, a line each, under a line that counts them."""
    shown = calls[-SHOWN_AT_MOST:]
    if not shown:
        return ["recorded: no request at all"]
    return [f"recorded{last_n_of(len(shown), count_text(calls))}:", *map(str, shown)]


def last_n_of(shown: int, there_are: int) -> str:
    """That of all there are only the last are shown, if so."""
    return f", the last {shown} of {there_are}" if shown < there_are else ""


def count_text(calls: Sequence[Call]) -> int:
    """How many calls there were: *calls* are the newest of them, and older ones may be forgotten."""
    return calls[-1].number if calls else 0


def describe_query(noun: str, fields: Mapping[str, Any], predicate: object) -> str:
    """*noun* with the fields asked for: ``job created with suffix='x'``."""
    pairs = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    asked = f" with {pairs}" if pairs else ""
    return f"{noun}{asked}{' that the predicate accepts' if predicate else ''}"


def times_text(times: int) -> str:
    """How often, in words."""
    return {0: "never", 1: "once", 2: "twice"}.get(times, f"{times} times")
