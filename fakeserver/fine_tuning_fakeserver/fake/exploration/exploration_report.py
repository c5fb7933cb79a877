"""What an exploration has found, as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import printable

from ...account.recorded_calls import Call
from .misfortunes import MISFORTUNES
from .runs import RunRecord
from .verdicts import ALLOWED, MARKS, NOT_REACHED, SUSPICIOUS, WRONG, Verdict, describe_error

COLUMNS_AT_MOST = 30
"""How many requests one block of the matrix is wide."""
CALLS_SHOWN = 4
COMBINATIONS_SHOWN = 6
PARTS_AT_MOST = 12


@dataclass(frozen=True, slots=True)
class ExplorationReport:
    """What an exploration has found.

    Args:
        base: the undisturbed run.
        verdicts: the disturbed runs, in the order in which they were made.
        left_out: how many more there are that the budget was too small for.
        seconds: how long the disturbed runs took, in real seconds.
        strict: whether what is suspicious counts as wrong.
    """

    base: RunRecord
    verdicts: Sequence[Verdict]
    left_out: int
    seconds: float
    strict: bool = False

    @property
    def wrong(self) -> list[Verdict]:
        """The runs that fail a test, by their first request."""
        marks = (WRONG, SUSPICIOUS) if self.strict else (WRONG,)
        return self._with(*marks)

    @property
    def suspicious(self) -> list[Verdict]:
        """The runs that look suspicious, by their first request."""
        return self._with(SUSPICIOUS)

    def assert_ok(self) -> None:
        """Fail if any run is wrong.

        Raises:
            AssertionError: some are; its text is the whole report.
        """
        if self.wrong:
            raise AssertionError(str(self))

    def _with(self, *marks: str) -> list[Verdict]:
        return sorted((each for each in self.verdicts if each.mark in marks), key=lambda each: each.boundary)

    def __str__(self) -> str:
        """Return the whole report, without a line that runs a combination again."""
        return "\n".join(self.lines())

    def lines(self, rerun: str = "") -> list[str]:
        """Return the report.

        Args:
            rerun: the command that runs one combination again, which follows it.
        """
        if not self.base.requests:
            return ["nothing to try: no request"]
        found = [*self._problems(rerun), *self._allowed_errors(), *self._never_came()]
        return [self._head(), *self._requests(), *self._matrix(), *found]

    def _head(self) -> str:
        counts = {mark: sum(each.mark == mark for each in self.verdicts) for mark in MARKS}
        found = ", ".join(f"{mark} {count} {MARKS[mark]}" for mark, count in counts.items() if count)
        more = f"; {self.left_out} more not run" if self.left_out else ""
        runs = "1 run" if len(self.verdicts) == 1 else f"{len(self.verdicts)} runs"
        return f"{runs} in {self.seconds:.1f} s{more}: {found or 'nothing to try'}"

    def _requests(self) -> Iterator[str]:
        """Yield what the numbers mean, runs of one operation together."""
        situations, parts, first = self.base.situations, [], 0
        for place, situation in enumerate(situations):
            following = situations[place + 1].operation if place + 1 < len(situations) else None
            if situation.operation != following:
                numbers = f"{first + 1}" if first == place else f"{first + 1}-{place + 1}"
                parts.append(f"{numbers} {situation.operation}")
                first = place + 1
        more = f", … {len(situations)}" if parts[PARTS_AT_MOST:] else ""
        yield f"requests: {', '.join(parts[:PARTS_AT_MOST])}{more}"

    def _matrix(self) -> Iterator[str]:
        """Yield a row for each misfortune and a column for each request that something happened to, or after."""
        cells: dict[tuple[str, int], str] = {}
        ranks = list(MARKS)
        for verdict in self.verdicts:
            for occurrence in verdict.combination.occurrences:
                place = (occurrence.misfortune.name, occurrence.boundary)
                cells[place] = min(cells.get(place, NOT_REACHED), verdict.mark, key=ranks.index)
        columns = sorted({boundary for _, boundary in cells})
        names = [name for name in MISFORTUNES if any(name == row for row, _ in cells)]
        for start in range(0, len(columns), COLUMNS_AT_MOST):
            block = columns[start : start + COLUMNS_AT_MOST]
            yield f"{'':<16}" + "".join(f"{column:>4}" for column in block)
            for name in names:
                row = "".join(f"{cells.get((name, column), ''):>4}" for column in block).rstrip()
                yield from [f"{name:<16}{row}"] if row else []

    def problems(self, *, wrong_only: bool = False) -> list[list[Verdict]]:
        """Return what is wrong, and then what is suspicious: runs with the same problem together, the earliest first.

        Args:
            wrong_only: whether to leave out what does not fail a test.
        """
        groups: dict[tuple[str, ...], list[Verdict]] = {}
        for verdict in self.wrong if wrong_only else [*self._with(WRONG), *self.suspicious]:
            groups.setdefault((verdict.mark, *map(_without_names, verdict.problems)), []).append(verdict)
        return list(groups.values())

    def _problems(self, rerun: str) -> Iterator[str]:
        """Yield each problem once, with all runs that have it."""
        groups = self.problems()
        if groups:
            worst = [each[0] for each in groups if each[0].mark == groups[0][0].mark]
            yield f"earliest: {min(worst, key=lambda each: each.boundary).combination}"
        for first, *others in groups:
            also = f" (also {', '.join(str(each.combination) for each in others)})" if others else ""
            happened = "; ".join(each.text for each in first.combination.occurrences)
            yield f"{first.mark} {first.combination}{also}: {printable(happened)}"
            yield from (f"    {printable(line)}" for problem in first.problems for line in problem.splitlines())
            if first.mark == SUSPICIOUS and first.run.error is not None:
                yield f"    ended with {printable(describe_error(first.run.error))}"
            yield from (f"      {str(call).strip()}" for call in self._calls_shown(first))
            if rerun:
                yield f"    {rerun}{first.combination}"

    def _calls_shown(self, verdict: Verdict) -> Sequence[Call]:
        """Return the requests that show a problem: creates where they are too many, else the last ones."""
        calls = verdict.run.calls
        if any("\n" in problem for problem in verdict.problems):  # findings show their own
            return ()
        if verdict.mark == SUSPICIOUS and verdict.run.paid_jobs > self.base.paid_jobs:
            calls = [call for call in calls if call.operation == "create_job"]
        return calls[-CALLS_SHOWN:]

    def _allowed_errors(self) -> Iterator[str]:
        """Yield each error that runs ended with as they may, with those runs."""
        groups: dict[str, list[Verdict]] = {}
        for verdict in self._with(ALLOWED):
            if verdict.run.error is not None:
                groups.setdefault(_without_names(describe_error(verdict.run.error)), []).append(verdict)
        for runs in groups.values():
            names = ", ".join(str(each.combination) for each in runs[:COMBINATIONS_SHOWN])
            more = f" and {len(runs) - COMBINATIONS_SHOWN} more" if runs[COMBINATIONS_SHOWN:] else ""
            assert runs[0].run.error is not None
            yield f"{ALLOWED} {printable(describe_error(runs[0].run.error))}: {names}{more}"

    def _never_came(self) -> Iterator[str]:
        """Yield what combinations say that name a request which the test does not send."""
        for verdict in self._with(NOT_REACHED):
            yield from (f"{NOT_REACHED} {verdict.combination}: {problem}" for problem in verdict.problems)


def _without_names(text: str) -> str:
    """Return what is the same about two problems: the code of a finding, or the words without ids and numbers."""
    head, is_finding, _ = text.partition(" (request")
    return head if is_finding else _NAMES.sub("#", text)


_NAMES = re.compile(r"\b(?:ft)?(?:job|file|ft)[-:]\S+|\d+")
