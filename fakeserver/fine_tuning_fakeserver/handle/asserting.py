"""Assertions about calls, however they were answered; and how any assertion is made."""

from __future__ import annotations

from typing import Any, Self

from ..calls import Call, call_of
from ..domain.usage import FakeUsageError, nearest
from ..edge.operations import check_operation
from .core import HIDDEN, Core
from .fields import check_fields
from .matching import Predicate, Question, question_of
from .telling import count, failure, often, what

__tracebackhide__ = HIDDEN


class Asserting(Core):
    """Assertions on the requests log. They return the fake, raise plain `AssertionError`, and need no pytest.

    Those that are named after a call count every request, whatever it was answered.

    All of them raise `FakeUsageError` where an answer would mean nothing: nobody could have reached the fake; there
    is no operation or field of that name; or the requests that count may be among those that the log, which keeps
    the last 1000, has forgotten.
    """

    @property
    def calls(self) -> list[Call]:
        """The requests so far, newest last, read: operation, ids, options, status. Control calls are not among them."""
        return [call_of(exchange) for exchange in self.requests_log.find()]

    def calls_to(self, operation: str) -> list[Call]:
        """The calls of one operation, such as ``create_job``, newest last; accepted or not."""
        name = check_operation(operation)
        return [call for call in self.calls if call.operation == name]

    def assert_called(
        self, operation: str, predicate: Predicate | None = None, /, *, times: int | None = None, **fields: Any
    ) -> Self:
        """Fail unless *operation* was asked for: at least once, or *times*; however it was answered.

        Args:
            operation: such as ``"list_jobs"``.
            predicate: takes a `Call`, says True or False.
            times: exactly how often.
            fields: ids and options by name, and ``status``. A mapping need only be part of what was sent; None is
                null, or nothing.
        """
        return self._expect(f"{operation} called", question_of(operation, predicate, fields), times)

    def assert_not_called(self, operation: str, predicate: Predicate | None = None, /, **fields: Any) -> Self:
        """Fail if *operation* was asked for (with these fields), however it was answered."""
        return self._exclude(f"{operation} called", question_of(operation, predicate, fields))

    def assert_called_in_order(self, *operations: str) -> Self:
        """Fail unless these were asked for in this order; others may have been asked for in between."""
        names = [check_operation(name) for name in operations]
        if not names:
            raise FakeUsageError("assert_called_in_order wants the names of operations: there was none")
        calls = self._look()
        position = 0
        for call in calls:
            position += position < len(names) and call.operation == names[position]
        if position == len(names):
            return self
        self._refuse_guess(calls)
        done = f"after {' → '.join(names[:position])} there was" if position else "there was"
        raise AssertionError(failure(f"expected {' → '.join(names)}: {done} no {names[position]}", calls))

    def assert_nothing_called(self) -> Self:
        """Fail if there was any request at all."""
        if calls := self._look():
            raise AssertionError(failure(f"expected no request: there were {count(calls)}", calls))
        return self

    def _expect(self, noun: str, question: Question, times: int | None = None) -> Self:
        """Fail unless what is asked for happened: at least once, or exactly *times*."""
        calls = self._look(question)
        found = len(question.meant(calls))
        if found == _checked(times) if times is not None else found:
            if times is not None:
                self._refuse_guess(calls)
            if not found:
                self._refuse_unknown(question, calls)
            return self
        if times is None or found < times:
            self._refuse_guess(calls)
        wanted = "at least once" if times is None else often(times)
        happened = f"{'at least ' if self.requests_log.forgotten else ''}{often(found)}"
        head = f"{what(noun, question.fields, question.predicate)}: expected {wanted}, happened {happened}"
        raise AssertionError(failure(head, calls, question if times is None or found < times else None))

    def _exclude(self, noun: str, question: Question) -> Self:
        """Fail if what is asked for happened."""
        calls = self._look(question)
        if not (found := question.meant(calls)):
            self._refuse_guess(calls)
            self._refuse_unknown(question, calls)
            return self
        numbers = ", ".join(str(call.number) for call in found)
        head = f"{what(noun, question.fields, question.predicate)}: expected never, happened in request {numbers}"
        raise AssertionError(failure(head, calls))

    def _look(self, question: Question | None = None) -> list[Call]:
        """All calls that are known, once it is certain that the question makes sense."""
        calls = self.calls
        if self._retired:
            raise FakeUsageError(
                "the test that this fake was for is over: assert within it, or `reset()` before another"
            )
        if not self._reachable:
            raise FakeUsageError(
                "nobody could have reached this fake: use `serving()`, `transport()` or `asgi_app`, or the fixture "
                "`fake_fine_tuning`, before asserting what was asked of it"
            )
        if question:
            own = (name for call in calls if call.operation == question.operation for name in call.options)
            check_fields(question.operation, question.fields, [*own, *self._service.account.dialect.own_fields])
        return calls

    def _refuse_unknown(self, question: Question, calls: list[Call]) -> None:
        """Raise where nothing happened to a thing that there never was: that says nothing."""
        account = self._service.account
        there: dict[str, list[str]] = {"job_id": [*account.jobs], "file_id": [*account.files, *account.results]}
        for name, value in question.fields.items():
            seen = (call.ids.get(name) for call in calls)
            if name not in there or value in there[name] or value in account.deleted or value in seen:
                continue
            kind, newest = name.removesuffix("_id"), ", ".join(there[name][-3:]) or "none"
            raise FakeUsageError(f"there is no {kind} {value!r}{nearest(value, there[name])}; the newest are: {newest}")

    def _refuse_guess(self, calls: list[Call]) -> None:
        """Raise where requests that were forgotten could change the answer."""
        if lost := self.requests_log.forgotten:
            raise FakeUsageError(
                f"cannot tell: the log keeps the last {len(calls)} requests, and has forgotten {lost}; "
                f"assert earlier, or `reset()` in between"
            )


def _checked(times: Any) -> int:
    if isinstance(times, int) and not isinstance(times, bool) and times >= 0:
        return times
    raise FakeUsageError(f"times is {times!r}: a whole number from 0 is wanted")
