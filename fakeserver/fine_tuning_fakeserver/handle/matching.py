"""Whether a call is the one that was asked for, and where it differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ..calls import Call
from ..domain.usage import FakeUsageError
from ..edge.operations import check_operation

Predicate: TypeAlias = Callable[[Call], object]


@dataclass(frozen=True, slots=True)
class Question:
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

    def problems(self, call: Call) -> list[str]:
        """Why *call*, which is one of the operation, is not meant; one line each, and none where it is."""
        found = list(_differences(self.fields, {"status": call.status, **call.options, **call.ids}))
        if self.accepted and not call.accepted:
            found.append(f"it had no effect: status {call.status}")
        if not found and self.predicate and not _said(self.predicate, call):
            found.append("the predicate said no")
        return found

    def meant(self, calls: Iterable[Call]) -> list[Call]:
        """The calls that are meant.

        Raises:
            FakeUsageError: a body that has to be looked into was too long to be kept whole.
        """
        own = [call for call in calls if call.operation == self.operation]
        if self.fields or self.predicate:
            for call in own:
                _refuse_cut(call)
        return [call for call in own if not self.problems(call)]

    def nearest(self, calls: Sequence[Call]) -> tuple[Call, list[str]] | None:
        """Of the calls that are not meant the one with the fewest problems, the latest of them; with its problems."""
        missed = [(call, self.problems(call)) for call in reversed(calls) if call.operation == self.operation]
        return min((each for each in missed if each[1]), key=lambda each: len(each[1]), default=None)


def question_of(
    operation: str, predicate: Predicate | None, fields: Mapping[str, Any], accepted: bool = False
) -> Question:
    """The question after calls of *operation*.

    Raises:
        FakeUsageError: there is no such operation, or *predicate* is none.
    """
    if predicate is not None and not callable(predicate):
        raise FakeUsageError(
            f"predicate is {predicate!r}: a function that takes a Call is wanted; fields are named, as in model='…'"
        )
    return Question(check_operation(operation), fields, predicate, accepted)


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
