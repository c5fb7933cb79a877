"""Assertions about calls, and about what they brought about; findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from fine_tuning_formats.lazy_dataclass import dataclass

from ..account.recorded_calls import Call, recorded_call
from ..account.request_log import ENTRIES_AT_MOST, FailedAssertion
from ..account.world import World
from ..control import steering
from ..domain.checks import is_collection, require_id
from ..usage_errors import HIDDEN, FakeUsageError, did_you_mean, unknown_name, wrong_value
from ..web.operations import check_operation, operation_named

if TYPE_CHECKING:
    from ..findings import Finding

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
        FakeUsageError: the operation is unknown, or *predicate* is not a function.
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
    fields = operation_named(operation).fields
    if fields is None:
        return
    known = sorted({*fields, *also, "status"})
    for name in names:
        if name not in known:
            raise FakeUsageError(
                f"{operation} has no field {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}"
            )


SHOWN_AT_MOST = 20


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


__tracebackhide__ = HIDDEN


class CallAssertions:
    """Assertions on the request log. They return the fake, raise plain `AssertionError`, and need no pytest.

    Those that are named after a call count every request, however it was answered.

    All of them raise `FakeUsageError` where the outcome would mean nothing: no client could have reached the fake; an
    operation or field is unknown; or the requests that count may be among those that the log, which keeps the last
    1000, has forgotten.
    """

    _world: World

    @property
    def calls(self) -> list[Call]:
        """The requests so far, parsed, newest last: operation, ids, options, status; no control requests."""
        return [recorded_call(entry) for entry in self._world.requests.find()]

    def calls_to(self, operation: str) -> list[Call]:
        """Return the calls of one operation, such as ``create_job``, newest last; accepted or not."""
        name = check_operation(operation)
        return [call for call in self.calls if call.operation == name]

    def assert_called(
        self, operation: str, predicate: Predicate | None = None, /, *, times: int | None = None, **fields: Any
    ) -> Self:
        """Fail unless *operation* was called: at least once, or *times*; however it was answered.

        Args:
            operation: such as ``"list_jobs"``.
            predicate: takes a `Call`, returns True or False.
            times: the exact number of calls.
            fields: ids and options by name, and ``status``. A mapping need only be part of what was sent; None is
                null, or left out.
        """
        return self._assert_some(f"{operation} called", parse_query(operation, predicate, fields), times)

    def assert_not_called(self, operation: str, predicate: Predicate | None = None, /, **fields: Any) -> Self:
        """Fail if *operation* was called (with these fields), however it was answered."""
        return self._assert_none(f"{operation} called", parse_query(operation, predicate, fields))

    def assert_called_in_order(self, *operations: str) -> Self:
        """Fail unless these were called in this order; others may have been called in between."""
        names = [check_operation(name) for name in operations]
        if not names:
            raise FakeUsageError("assert_called_in_order needs the names of operations, got none")
        calls = self._require_assertable()
        position = 0
        for call in calls:
            position += position < len(names) and call.operation == names[position]
        if position == len(names):
            return self
        self._require_complete_log()
        done = f"after {' → '.join(names[:position])} there was" if position else "there was"
        raise self._failure(f"expected {' → '.join(names)}: {done} no {names[position]}", calls)

    def assert_nothing_called(self) -> Self:
        """Fail if there was any request at all."""
        if calls := self._require_assertable():
            raise self._failure(f"expected no request: there were {total_calls(calls)}", calls)
        return self

    def _outcome(self) -> Mapping[str, Any]:
        """Return the account's `steering.account_outcome`; this moves no time but at the pace "instant"."""
        return steering.account_outcome(self._world.service)

    def _assert_some(self, noun: str, query: CallQuery, times: int | None = None) -> Self:
        """Fail unless a call matches: at least one, or exactly *times*."""
        if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 0):
            raise FakeUsageError(f"times must be a whole number from 0, got {times!r}")
        calls = self._require_assertable(query)
        count = len(query.matching(calls))
        if count == times or (times is None and count):
            if times is not None:
                self._require_complete_log()
            if not count:
                self._require_known_id(query, calls)
            return self
        if times is None or count < times:
            self._require_complete_log()
        wanted = "at least once" if times is None else times_text(times)
        happened = f"{'at least ' if self._world.requests.forgotten else ''}{times_text(count)}"
        head = f"{describe_query(noun, query.fields, query.predicate)}: expected {wanted}, happened {happened}"
        raise self._failure(head, calls, query if times is None or count < times else None)

    def _assert_none(self, noun: str, query: CallQuery) -> Self:
        """Fail if a call matches."""
        calls = self._require_assertable(query)
        if not (matches := query.matching(calls)):
            self._require_complete_log()
            self._require_known_id(query, calls)
            return self
        numbers = ", ".join(str(call.number) for call in matches)
        noun = describe_query(noun, query.fields, query.predicate)
        head = f"{noun}: expected never, happened in request {numbers}"
        raise self._failure(head, calls)

    def _failure(self, head: str, calls: Sequence[Call], missed: CallQuery | None = None) -> AssertionError:
        """Return what an assertion raises, with the call nearest to the query *missed*; keep it beside the requests."""
        lines, failed = [head], FailedAssertion(head)
        if missed and (near := missed.nearest(calls)):
            call, problems = near
            lines += [f"nearest: request {call.number}", *(f"    {problem}" for problem in problems)]
            failed = FailedAssertion(head, call.number, tuple(problems))
        self._world.requests.add_failed_assertion(failed)
        return AssertionError("\n".join([*lines, *list_calls(calls)]))

    def _require_assertable(self, query: CallQuery | None = None) -> list[Call]:
        """Return all calls in the log; reject an assertion that would mean nothing."""
        calls = self.calls
        if self._world.is_finished:
            raise FakeUsageError(
                "the test that this fake was for is over: assert within it, or `reset()` before another"
            )
        if not self._world.is_reachable:
            raise FakeUsageError(
                "nobody could have reached this fake: use `serving()`, `transport()` or `asgi_app`, or the fixture "
                "`fake_fine_tuning`, before asserting what was asked of it"
            )
        if query:
            own = (name for call in calls if call.operation == query.operation for name in call.options)
            check_fields(query.operation, query.fields, [*own, *self._world.account.dialect.extra_fields])
        return calls

    def _require_known_id(self, query: CallQuery, calls: list[Call]) -> None:
        """Reject an id that never existed: a negative assertion about it would pass vacuously."""
        outcome = self._outcome()
        known: dict[str, list[str]] = {"job_id": outcome["jobs"], "file_id": [*outcome["files"], *outcome["results"]]}
        for name, value in query.fields.items():
            seen = (call.ids.get(name) for call in calls)
            if name not in known or value in known[name] or value in outcome["deleted"] or value in seen:
                continue
            kind, newest = name.removesuffix("_id"), ", ".join(known[name][-3:]) or "none"
            raise FakeUsageError(
                f"there is no {kind} {value!r}{did_you_mean(value, known[name])}; the newest are: {newest}"
            )

    def _require_complete_log(self) -> None:
        """Reject an assertion whose outcome forgotten requests could change."""
        if lost := self._world.requests.forgotten:
            raise FakeUsageError(
                f"cannot tell: the log keeps the last {ENTRIES_AT_MOST} requests, and has forgotten {lost}; "
                f"assert earlier, or `reset()` in between"
            )


class Assertions(CallAssertions):
    """Assertions on what the code under test brought about, and what it did wrong.

    Those that are named after an outcome (a job created, a file uploaded) count what the fake accepted: a create that
    was refused with 400 has created no job. For attempts there is `assert_called`. What a test puts into the account
    itself (`add_job`, `add_file`) does not count.
    """

    def assert_job_created(
        self, predicate: Predicate | None = None, /, *, times: int | None = None, **fields: Any
    ) -> Self:
        """Fail unless a job was created: at least once, or *times*.

        Args:
            predicate: takes a `Call`, returns True or False.
            times: the exact number of calls.
            fields: members of the body, such as ``training_file``, ``model``, ``suffix``, ``metadata``. A mapping
                need only be part of what was sent; None is null, or left out.
        """
        return self._assert_some("job created", parse_query("create_job", predicate, fields, accepted=True), times)

    def assert_job_not_created(self, predicate: Predicate | None = None, /, **fields: Any) -> Self:
        """Fail if a job was created (with these fields). For attempts there is `assert_not_called`."""
        return self._assert_none("job created", parse_query("create_job", predicate, fields, accepted=True))

    def assert_no_jobs_created(self) -> Self:
        """Fail if any job was created."""
        return self.assert_job_not_created()

    def assert_job_cancelled(self, job_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this job, or any, was cancelled by a call."""
        return self._assert_some("job cancelled", _about("cancel_job", job_id=job_id), times)

    def assert_job_not_cancelled(self, job_id: str | None = None) -> Self:
        """Fail if this job, or any, was cancelled by a call."""
        return self._assert_none("job cancelled", _about("cancel_job", job_id=job_id))

    def assert_job_paused(self, job_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this job, or any, was paused by a call."""
        return self._assert_some("job paused", _about("pause_job", job_id=job_id), times)

    def assert_job_resumed(self, job_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this job, or any, was resumed by a call."""
        return self._assert_some("job resumed", _about("resume_job", job_id=job_id), times)

    def assert_job_retrieved(self, job_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this job, or any, was retrieved: at least once, or *times*."""
        return self._assert_some("job retrieved", _about("retrieve_job", job_id=job_id), times)

    def assert_file_uploaded(
        self, predicate: Predicate | None = None, /, *, times: int | None = None, **fields: Any
    ) -> Self:
        """Fail unless a file was uploaded in one piece: at least once, or *times*.

        Args:
            predicate: takes a `Call`, returns True or False.
            times: the exact number of calls.
            fields: ``filename``, ``purpose``, ``bytes`` (its size), ``file_id``.
        """
        return self._assert_some("file uploaded", parse_query("upload_file", predicate, fields, accepted=True), times)

    def assert_file_deleted(self, file_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this file, or any, was deleted."""
        return self._assert_some("file deleted", _about("delete_file", file_id=file_id), times)

    def assert_model_deleted(self, model_id: str | None = None, *, times: int | None = None) -> Self:
        """Fail unless this model, or any, was deleted."""
        return self._assert_some("model deleted", _about("delete_model", model_id=model_id), times)

    @property
    def findings(self) -> list[Finding]:
        """The flaws of the code under test that a passing test hides, by request number; see `CODES`.

        They are found when this is read, in the requests that the log has kept. The docstring of each rule says what is
        wrong, and what the rule cannot see; in doubt nothing is found.

        Raises:
            FakeUsageError: no client could have reached the fake.
        """
        from ..findings import FinalState, find

        return find(self._require_assertable(), FinalState.of(self._outcome()))

    def assert_no_findings(self, ignore: Iterable[str] = ()) -> Self:
        """Fail if there are findings of other codes than those to *ignore*.

        Raises:
            FakeUsageError: a code is unknown; or nothing was found, in a log that has forgotten requests.
        """
        from ..findings import CODES, render_findings

        codes = [ignore] if isinstance(ignore, str) else list(ignore) if is_collection(ignore) else None
        if codes is None:
            raise wrong_value("ignore", "a collection of codes of findings", ignore)
        for code in codes:
            if code not in tuple(CODES):  # it may be unhashable
                raise unknown_name("finding", code, CODES)
        if findings := [finding for finding in self.findings if finding.code not in codes]:
            count = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
            raise AssertionError("\n".join([f"{count}:", *render_findings(findings)]))
        self._require_complete_log()
        return self


def _about(operation: str, **identifier: str | None) -> CallQuery:
    """Return the query for accepted calls of *operation*, with one id or with any."""
    for name, value in identifier.items():
        if value is not None:
            require_id(value, name)
    return CallQuery(operation, {name: value for name, value in identifier.items() if value is not None}, None, True)
