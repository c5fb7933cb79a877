"""A move to another provider, rehearsed: each test once a dialect, and what broke where.

What broke is found by comparing what a test was answered in one dialect with what it was answered in another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple, TypedDict

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.domain.dialects import DIALECTS

from .markers import CASSETTE_MARK, DIALECT_PARAMETER, FAKE_MARK, MODULE_FIXTURE, REHEARSAL_ATTRIBUTE, SESSION_FIXTURE

CASSETTE_FIXTURES = frozenset({CASSETTE_MARK, "fine_tuning_service"})
ANSWER_AT_MOST = 40_000
ERROR_AT_MOST = 2_000
EXCHANGES_AT_MOST = 200
ASSUMPTIONS_AT_MOST = 12
BESIDES_AT_MOST = 4
"""Assumptions that are shown beside those that the failing line or its error mentions."""
TESTS_AT_MOST = 8
NO_COMPARISON = "  it passed in no dialect, so that there is nothing to compare with"
CELL, WORD = 44, 32
ABSENT = "(absent)"
WORDS = frozenset({"status", "object", "type", "code", "param", "level", "purpose", "content"})
"""Members whose values are words of the contract; those of others are a job's own."""
TEXTS = frozenset({"message"})
"""Members whose values are texts of the service, with values of a job's own in them."""
ANOTHER_ORDER = "has its members in another order"
OPERATIONS_AT_MOST = 2
HEX_ID = re.compile(r"[a-z]+[-_][0-9a-f]{32}")


class Exchange(TypedDict):
    """A request of a test, and its answer."""

    operation: str
    status: int
    answer: str


class Run(TypedDict):
    """What became of a test in one dialect; plain, for pytest-xdist.

    `statements` are the lines of the test's own file that the error went through, the last at the end.
    """

    test: str
    dialect: str
    outcome: str
    error: str
    statements: str
    exchanges: list[Exchange]


class Difference(NamedTuple):
    """An assumption that holds in one dialect and not in the other, with both answers.

    `operations` are those whose answers differ so, the newest first; the values are the newest's.
    """

    operations: tuple[str, ...]
    assumption: str
    first: str
    second: str


def fixed_reason(definition: pytest.Item) -> str | None:
    """Return why a test runs in one dialect only; None where it can run in any, or has no fake."""
    fixtures = set(getattr(definition, "fixturenames", ()))
    if any("dialect" in mark.kwargs for mark in definition.iter_markers(FAKE_MARK)):
        return "its mark names a dialect"
    if definition.get_closest_marker(CASSETTE_MARK) or fixtures & CASSETTE_FIXTURES:
        return "it uses a cassette"
    if fixtures & {MODULE_FIXTURE, SESSION_FIXTURE}:
        return "its fake outlives it"
    if FAKE_MARK not in fixtures and not definition.get_closest_marker(FAKE_MARK):
        return None
    code = getattr(getattr(definition, "function", None), "__code__", None)
    if code and (named := next((text for text in _texts(code) if text in DIALECTS), None)):
        return f"its code names {named}"
    return None


def _texts(code: CodeType) -> Iterator[str]:
    for value in code.co_consts:
        for each in value if isinstance(value, tuple | frozenset) else (value,):
            if isinstance(each, CodeType):
                yield from _texts(each)
            elif isinstance(each, str):
                yield each


def dialect_of(node: object) -> str | None:
    """Return the dialect that a test is rehearsed in."""
    callspec = getattr(node, "callspec", None)
    return callspec.params.get(DIALECT_PARAMETER) if callspec else None


def note_run(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, fake: FakeFineTuning | None
) -> None:
    """Put what became of *item* into the report of its call, or of its setup if that has failed."""
    if report.when == "teardown" and not report.failed:
        return
    if report.when == "setup" and report.passed:
        return
    if (dialect := dialect_of(item)) is None:
        if reason := fixed_reason(item):
            fixed = Run(test=item.nodeid, dialect="", outcome=report.outcome, error=reason, statements="", exchanges=[])
            setattr(report, REHEARSAL_ATTRIBUTE, fixed)
        return
    exchanges = _exchanges(fake) if fake else []
    crash: Any = getattr(report.longrepr, "reprcrash", None)
    error = str(crash.message if crash else report.longrepr or "").strip()[:ERROR_AT_MOST]
    test = re.sub(rf"(?:-?{re.escape(dialect)}-?)(?=[^\[]*\]$)", "", item.nodeid).removesuffix("[]")
    run = Run(
        test=test,
        dialect=dialect,
        outcome=report.outcome,
        error=error,
        statements=_statements(call, item),
        exchanges=exchanges,
    )
    setattr(report, REHEARSAL_ATTRIBUTE, run)


def _exchanges(fake: FakeFineTuning) -> list[Exchange]:
    exchanges: list[Exchange] = []
    for entry in fake.requests[:EXCHANGES_AT_MOST]:
        answer = entry.answer[:ANSWER_AT_MOST].decode("utf-8", "replace")
        if entry.operation == "download_file" and entry.status == 200:  # content is in no log; its form is known
            answer = json.dumps({"content": _content_form(fake, entry.ids["file_id"])})
        operation = entry.operation or f"{entry.method} {entry.path}"
        exchanges.append(Exchange(operation=operation, status=entry.status, answer=answer))
    return exchanges


def _content_form(fake: FakeFineTuning, file_id: str) -> str:
    is_result = any(file["id"] == file_id and file["purpose"] == "fine-tune-results" for file in fake.files)
    is_base64 = is_result and fake.settings.base64_results and DIALECTS[fake.dialect].base64_results
    return "base64" if is_base64 else "plain"


def _statements(call: pytest.CallInfo[None], item: pytest.Item) -> str:
    if call.excinfo is None:
        return ""
    own = (entry for entry in call.excinfo.traceback if Path(entry.path).name == item.path.name)
    return "\n".join(str(entry.statement) for entry in own)


def table_lines(runs: list[Run], dialects: list[str]) -> Iterator[str]:
    """Yield the table of tests and dialects, and below it what broke in each failure."""
    by_test: dict[str, dict[str, Run]] = {}
    fixed = {run["test"]: run["error"] for run in runs if not run["dialect"]}
    for run in runs:
        if not run["dialect"]:
            continue
        known = by_test.setdefault(run["test"], {})
        if known.get(run["dialect"]) is None or run["outcome"] == "failed":  # a teardown fails after a call
            known[run["dialect"]] = run
    width = max([len("test"), *map(len, by_test), *map(len, fixed)])
    yield "  ".join([f"{'test':{width}}", *dialects])
    for test, each in by_test.items():
        cells = (f"{each[name]['outcome'] if name in each else '–':{len(name)}}" for name in dialects)
        yield "  ".join([f"{test:{width}}", *cells]).rstrip()
    for test, reason in fixed.items():
        yield f"{test:{width}}  fixed: {reason}"
    yield from _failure_lines(by_test, dialects)


def _failure_lines(by_test: dict[str, dict[str, Run]], dialects: list[str]) -> Iterator[str]:
    """Yield what broke, once for the tests that failed alike in a dialect; those that passed in none are the last."""
    alike: dict[tuple[str, ...], list[str]] = {}
    nowhere: list[str] = []
    for test, each in by_test.items():
        failed = [run for run in each.values() if run["outcome"] == "failed"]
        passed = next((each[name] for name in dialects if name in each and each[name]["outcome"] == "passed"), None)
        if passed:
            for run in failed:
                block = (run["dialect"], _first_line(run["error"]), *_broken_lines(passed, run))
                alike.setdefault(block, []).append(test)
        elif failed:
            names = ", ".join(run["dialect"] for run in failed)
            nowhere += ["", f"{test} [{names}]: {_first_line(failed[0]['error'])}", NO_COMPARISON]
    for (dialect, error, *lines), tests in alike.items():
        yield ""
        yield f"{tests[0] if len(tests) == 1 else f'{len(tests)} tests'} [{dialect}]: {error}"
        if len(tests) > 1:
            yield from (f"  in {test}" for test in tests[:TESTS_AT_MOST])
        if len(tests) > TESTS_AT_MOST:
            yield f"  and {len(tests) - TESTS_AT_MOST} more"
        yield from lines
    yield from nowhere


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _broken_lines(passed: Run, failed: Run) -> Iterator[str]:
    clue = f"{failed['statements']}\n{_first_line(failed['error'])}"
    differing = differences(passed["exchanges"], failed["exchanges"])
    found = sorted(differing, key=lambda each: (-_mentions(clue, each), not _is_of_words(each)))
    if not found:
        yield f"  it was answered as in {passed['dialect']}, but for ids, times and numbers"
        return
    mentioned = sum(_mentions(clue, each) > 0 for each in found)
    at_most = min(mentioned + BESIDES_AT_MOST, ASSUMPTIONS_AT_MOST) if mentioned else ASSUMPTIONS_AT_MOST
    shown = [(_of_operations(each), each.first, each.second) for each in found[:at_most]]
    width = max(21, *(len(assumption) for assumption, _, _ in shown))
    yield f"  {'assumption that broke':{width}}  {passed['dialect']:{CELL}}  {failed['dialect']}".rstrip()
    for assumption, first, second in shown:
        yield f"  {assumption:{width}}  {_cut(first, CELL):{CELL}}  {_cut(second, CELL)}".rstrip()
    if len(found) > at_most:
        yield f"  and {len(found) - at_most} more"


def _of_operations(difference: Difference) -> str:
    *names, last = difference.operations[:OPERATIONS_AT_MOST]
    more = len(difference.operations) - OPERATIONS_AT_MOST
    return f"{', '.join([*names, last])}{f' and {more} more' if more > 0 else ''}: {difference.assumption}"


def differences(first: list[Exchange], second: list[Exchange]) -> Iterator[Difference]:
    """Yield, once each, in what the answers to the same requests differ, the newest first: a failure is near."""
    found: dict[str, Difference] = {}
    for one, other in reversed(_same_requests(first, second)):
        for each in _between(one, other):
            known = found.setdefault(each.assumption, each)
            if one["operation"] not in known.operations:
                found[each.assumption] = known._replace(operations=(*known.operations, one["operation"]))
    yield from found.values()


def _same_requests(first: list[Exchange], second: list[Exchange]) -> list[tuple[Exchange, Exchange]]:
    """Return the exchanges of two runs that are for the same operation, side by side."""
    ours, theirs = ([each["operation"] for each in exchanges] for exchanges in (first, second))
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    return [(first[block.a + place], second[block.b + place]) for block in blocks for place in range(block.size)]


def _mentions(clue: str, difference: Difference) -> int:
    """Return how many of a difference's two values and its member's name the test's statement and error have.

    Few tests go by the order of members: it is the last unless the statement makes a list of them.
    """
    if difference.assumption.endswith(ANOTHER_ORDER):
        return 1 if re.search(r"\blist\(|keys\(\)", clue) else -1
    member = difference.assumption.partition(" ")[0].rpartition(".")[2].removesuffix("[]").rstrip(",")
    words = [member, *(text.strip('"') for text in (difference.first, difference.second))]
    return sum(bool(re.search(rf"(?<![\w-]){re.escape(word)}(?!\w)", clue)) for word in words if word)


def _is_of_words(difference: Difference) -> bool:
    """Return whether the two answers have other words, for which code is written, and not only another form."""
    return bool(re.search(r"\d{3}, not \d{3}$| is '.*', not '| begins with", difference.assumption))


def _between(one: Exchange, other: Exchange) -> Iterator[Difference]:
    operation, statuses = (one["operation"],), (one["status"], other["status"])
    was, now = map(str, statuses)
    if one["status"] != other["status"]:
        messages = [_message(each) for each in (one, other)] if (statuses[0] < 400) != (statuses[1] < 400) else ["", ""]
        shown = [f"{status} {message}".rstrip() for status, message in zip((was, now), messages, strict=True)]
        yield Difference(operation, f"{now}, not {was}", *shown)
        if any(messages):
            return  # what an error lacks of an object says nothing
    try:
        bodies = json.loads(one["answer"]), json.loads(other["answer"])
    except ValueError:
        return  # not JSON, or cut
    texts: set[str] = set()
    for path, first, second, words in _members(*bodies, "", ""):
        if path.rpartition(".")[2] in TEXTS:  # of a list's the first: those that follow are of other things
            if path in texts:
                continue
            texts.add(path)
        yield Difference(operation, f"{path} {words}".lstrip(), first, second)


def _message(exchange: Exchange) -> str:
    """Return the message of an error, empty for another answer."""
    try:
        answer = json.loads(exchange["answer"])
    except ValueError:
        return ""
    error = answer.get("error") if isinstance(answer, dict) and exchange["status"] >= 400 else None
    return str(error.get("message", "")) if isinstance(error, dict) else ""


def _members(one: Any, other: Any, path: str, name: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield where two JSON values differ: the member, both values, and in words what the second is."""
    if isinstance(one, dict) and isinstance(other, dict):
        if [key for key in one if key in other] != [key for key in other if key in one]:
            yield path, ", ".join(one), ", ".join(other), ANOTHER_ORDER
        for key in dict.fromkeys([*one, *other]):
            where = f"{path}.{key}" if path else key
            if key not in other:
                is_null = "null" if one[key] is None else "there"
                yield where, json.dumps(one[key]), ABSENT, f"is absent, not {is_null}"
            elif key not in one:
                yield where, ABSENT, json.dumps(other[key]), "is there, not absent"
            else:
                yield from _members(one[key], other[key], where, key)
    elif isinstance(one, list) and isinstance(other, list):
        for was, now in zip(one, other, strict=False):
            yield from _members(was, now, f"{path}[]", name)
    elif words := _in_words(one, other, name):
        yield path, json.dumps(one), json.dumps(other), words


def _in_words(one: Any, other: Any, name: str) -> str | None:
    """Return in words what *other* is and *one* is not; None for two values of a kind."""
    if one == other:
        return None
    if other == -1 or one == -1:
        return (
            f"is {json.dumps(other)}, not {repr(one) if isinstance(one, str) else 'a value' if other == -1 else '-1'}"
        )
    if isinstance(one, str) and isinstance(other, str):
        if bool(HEX_ID.match(one)) != bool(HEX_ID.match(other)):
            return "is a hex id" if HEX_ID.match(other) else "is no hex id"
        if name.startswith("fine_tuned_model") and one.startswith("ft:") != other.startswith("ft:"):
            return f"begins {'with' if other.startswith('ft:') else 'without'} ft:"
        is_other = name in WORDS or (name in TEXTS and _without_values(one) != _without_values(other))
        return f"is {_cut(other, WORD)!r}, not {_cut(one, WORD)!r}" if is_other else None
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other))
    return None if numbers else f"is {_kind(other)}, not {_kind(one)}"


def _without_values(text: str) -> str:
    """Return a text without the ids, names of models and numbers in it."""
    return re.sub(r"\S*\d\S*", "", text)


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), "null")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
