"""Explore tests: run one as it is, then again and again, each time with one misfortune, and report all as one test."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest
from _pytest.runner import runtestprotocol

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.account.looks import IN_VAIN
from fine_tuning_fakeserver.fake.exploration.disturbance import Combination
from fine_tuning_fakeserver.fake.exploration.exploration_report import ExplorationReport
from fine_tuning_fakeserver.fake.exploration.explorer import RunLimits, explore
from fine_tuning_fakeserver.fake.exploration.runs import RunRecord, run_program
from fine_tuning_fakeserver.fake.exploration.verdicts import Verdict, judge
from fine_tuning_formats.lazy_dataclass import dataclass

from .markers import (
    EXPLORATION_ATTRIBUTE,
    EXPLORE_FLAG,
    EXPLORED_RUN,
    FAKE_MARK,
    FINDINGS,
    HANDLE,
    NOT_EXPLORED,
    NOT_PASSED,
    SHARD_PARAMETER,
    VIRTUAL_TIME,
)
from .options import Options, fixture_options

if TYPE_CHECKING:
    from fine_tuning_fakeserver.virtual_time import VirtualTime

EXPLORE_SECTION = "fine-tuning explore"
WHAT_IT_MEANS = "exploring means virtual time at the pace 'manual': a loop that waits for a job must sleep"
LOOP_WITHOUT_SLEEP = (
    "it asks for a job again and again without sleeping, and while a test is explored only sleeping moves time; "
    "let the loop sleep between its requests, as the real service needs it"
)

Phase = Literal["setup", "call", "teardown"]


@dataclass(slots=True)
class ExploredRun:
    """One run of an explored test, from the beginning of its account to the end.

    Args:
        combination: what goes wrong; None for nothing.
        limits: how far it may go.
        restart: starts the program again after its process has ended.
        is_shown: whether its reports are those of the test, and not one run's of many.
        error: what the test has raised first.
        record: what became of it; set by the fixture's teardown.
    """

    combination: Combination | None = None
    limits: RunLimits | None = None
    restart: Callable[[], object] | None = None
    is_shown: bool = False
    error: BaseException | None = None
    record: RunRecord | None = field(default=None, repr=False)

    def note(self, call: pytest.CallInfo[None]) -> None:
        """Note what a phase of the test has raised."""
        error = call.excinfo.value if call.excinfo else None
        if not isinstance(error, pytest.skip.Exception):
            self.error = self.error or error

    def start_again(self) -> None:
        """Start the program again."""
        if self.restart is None:
            raise FakeUsageError('explore needs "restart", a function that starts the program again, got None')
        run_program(self.restart)

    @contextmanager
    def active(self, fake: FakeFineTuning, virtual: VirtualTime) -> Iterator[None]:
        """Disturb the account of *fake* while the context lasts, and record the run at its end."""
        fake.begin_run(self.combination, self.limits, virtual)
        try:
            yield
        finally:
            self.record = fake.end_run(self.error, virtual)


def options_of(item: pytest.Item) -> Options | None:
    """Return how *item* is to be explored; None where it is not, or its options are invalid, which its fixture says."""
    if FAKE_MARK not in getattr(item, "fixturenames", ()):
        return None
    try:
        options = fixture_options(item)
        runs = item.config.getoption(EXPLORE_FLAG)
        if options.explore and type(runs) is int:  # a bare flag is true
            return replace(options, explore=options.explore.changed(runs=runs))
    except FakeUsageError:
        return None
    return options if options.explore else None


def run_explored(item: pytest.Item, nextitem: pytest.Item | None, options: Options) -> None:
    """Run *item* with all its misfortunes, in the place of pytest's own protocol."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    flag = item.config.getoption(EXPLORE_FLAG)
    chosen = flag if isinstance(flag, Combination) else None
    runs = TestRuns(item, nextitem, options)
    for report in runs.replay(chosen) if chosen else runs.explore():
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


class TestRuns:
    """The runs of one test.

    Args:
        item: the test.
        nextitem: the one that follows it.
        options: how it is explored.
    """

    __test__ = False

    def __init__(self, item: pytest.Item, nextitem: pytest.Item | None, options: Options) -> None:
        assert options.explore
        self._item = item
        self._nextitem = nextitem
        self._options = options.explore
        self._is_by_flag = options.explored_by_flag
        self._spare = _fresh_copy(item)
        """Stands for the item that follows, so that fixtures of wider scopes stay between two runs."""

    def explore(self) -> list[pytest.TestReport]:
        """Run the test undisturbed, and then with each combination; return the reports of all as one test."""
        base = ExploredRun(is_shown=not self._is_by_flag)
        self._item.stash[EXPLORED_RUN] = base
        properties = list(self._item.user_properties)
        reports = runtestprotocol(self._item, log=False, nextitem=self._spare)
        if failed := [report for report in reports if report.failed or hasattr(report, "wasxfail")]:
            if self._is_by_flag:
                self._item.user_properties[:] = properties
                return self._run_unexplored(base.error or str(failed[0].longrepr))
            failed[0].sections.append((EXPLORE_SECTION, WHAT_IT_MEANS))
        found: list[pytest.TestReport] = []
        if base.record and all(report.passed for report in reports) and not failed:
            limits = RunLimits.of(base.record)
            exploration = explore(partial(self._run, limits), base.record, self._options, shard=_shard_of(self._item))
            call = next(report for report in reports if report.when == "call")
            found = self._subtests(call, exploration)
            self._apply(exploration, call)
            outcomes = [(f"explore {each.combination}", _outcome(each)) for each in exploration.verdicts]
            for report in reports:  # JUnit reads the last
                report.user_properties += outcomes
        if error := self._tear_down_rest():
            reports[-1] = error
        return [*reports[:1], *found, *reports[1:]]

    def replay(self, combination: Combination) -> list[pytest.TestReport]:
        """Run the test with one combination as if it were its only run; return its reports."""
        base = self._run(None, None)
        if self._is_by_flag and base.error is not None:
            return self._run_unexplored(base.error)
        run = self._new_run(RunLimits.of(base), combination)
        run.is_shown = True
        self._item.stash[EXPLORED_RUN] = run
        reports = runtestprotocol(self._item, log=False, nextitem=self._nextitem)
        call = next((report for report in reports if report.when == "call"), None)
        if run.record is None or call is None:
            return reports
        verdict = judge(run.record, base, self._options.allow)
        report = ExplorationReport(base, (verdict,), 0, call.duration, self._options.strict)
        if report.wrong and call.passed:
            _fail(call, report.lines())
        elif not report.wrong:
            call.outcome, call.longrepr = "passed", None
        setattr(call, EXPLORATION_ATTRIBUTE, report.lines())
        return reports

    def _run_unexplored(self, error: BaseException | str) -> list[pytest.TestReport]:
        """Run the test as it is, since it fails in virtual time for that *error*; return its reports."""
        item: Any = self._item
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        item.stash[NOT_EXPLORED] = LOOP_WITHOUT_SLEEP if IN_VAIN in reason else reason
        for key in (EXPLORED_RUN, HANDLE, VIRTUAL_TIME, FINDINGS, NOT_PASSED):
            if key in item.stash:
                del item.stash[key]
        item._report_sections.clear()
        _forget_instance(item)
        return runtestprotocol(item, log=False, nextitem=self._nextitem)

    def _run(self, limits: RunLimits | None, combination: Combination | None) -> RunRecord:
        """Run a copy of the test, with all function-scoped fixtures anew; return what became of it."""
        item, run = _fresh_copy(self._item), self._new_run(limits, combination)
        item.stash[EXPLORED_RUN] = run
        if self._phase(item, "setup"):
            self._phase(item, "call")
        self._phase(item, "teardown", nextitem=self._spare)
        if run.record is None:
            raise pytest.fail.Exception(f"the run with {combination or 'nothing'} had no account: {run.error}")
        return replace(run.record, error=run.error)

    def _new_run(self, limits: RunLimits | None, combination: Combination | None) -> ExploredRun:
        return ExploredRun(combination, limits, self._options.restart)

    def _phase(self, item: pytest.Item, when: Phase, **arguments: Any) -> bool:
        """Run one phase of *item* as pytest does, but for the logging; return whether it has passed."""
        hook = getattr(item.ihook, f"pytest_runtest_{when}")
        reraise = (pytest.exit.Exception, KeyboardInterrupt)
        call = pytest.CallInfo.from_call(lambda: hook(item=item, **arguments), when, reraise)
        item.ihook.pytest_runtest_makereport(item=item, call=call)  # it is noted there, and tmp_path goes by it
        return call.excinfo is None

    def _tear_down_rest(self) -> pytest.TestReport | None:
        """Tear down what the following test does not need; return the report if that fails."""
        item, nextitem = self._item, self._nextitem
        if item.session.shouldfail or item.session.shouldstop:
            nextitem = None
        call = pytest.CallInfo.from_call(lambda: item.session._setupstate.teardown_exact(nextitem), "teardown")
        if call.excinfo is None:
            return None
        report: pytest.TestReport = pytest.TestReport.from_item_and_call(item, call)
        return report

    def _apply(self, exploration: ExplorationReport, call: pytest.TestReport) -> None:
        """Put what was found into the report of the test's call, which fails if anything is wrong."""
        lines = exploration.lines(rerun=f"pytest {self._item.nodeid!r} --fine-tuning-explore=".replace("'", '"'))
        if exploration.wrong:
            _fail(call, lines)
        else:
            setattr(call, EXPLORATION_ATTRIBUTE, lines)

    def _subtests(self, call: pytest.TestReport, exploration: ExplorationReport) -> list[pytest.TestReport]:
        """Return a report, of a subtest, for each problem; it names the first combination that has it."""
        try:
            from _pytest.subtests import SubtestContext, SubtestReport
        except ImportError:  # pytest before 9: the report of the test says it as well
            return []
        reports: list[pytest.TestReport] = []
        for first, *_ in exploration.problems(wrong_only=True):
            report = SubtestReport._new(call, SubtestContext(msg=str(first.combination), kwargs={}), None, None)
            report.duration = 0.0
            _fail(report, [f"{first.combination}: {_outcome(first)}"])
            reports.append(report)
        return reports


def _no_text(*_: Any, **__: Any) -> str:
    """Stand for a traceback, which takes longer to write than a run, and which nobody reads."""
    return ""


def _outcome(verdict: Verdict) -> str:
    return f"{verdict.mark} {'; '.join(problem.splitlines()[0] for problem in verdict.problems)}".strip()


def _fail(report: pytest.TestReport, lines: list[str]) -> None:
    report.outcome, report.longrepr = "failed", "\n".join(lines)


def _shard_of(item: pytest.Item) -> tuple[int, int]:
    """Return the part of the combinations that *item* is for, and how many parts there are."""
    callspec = getattr(item, "callspec", None)
    part: tuple[int, int] = callspec.params.get(SHARD_PARAMETER, (0, 1)) if callspec else (0, 1)
    return part


def _fresh_copy(item: pytest.Item) -> Any:
    """Return a copy of *item* that has never run: its fixtures, its instance and its notes are its own."""
    clone: Any = copy.copy(item)
    clone.stash = pytest.Stash()
    clone.user_properties, clone._report_sections = [], []
    clone.repr_failure = clone._repr_failure_py = _no_text
    if isinstance(item, pytest.Function):
        _forget_instance(clone)
        clone._initrequest()
    return clone


def _forget_instance(item: Any) -> None:
    """Let the test have a new instance of its class the next time."""
    if isinstance(item, pytest.Function):
        item.__dict__.pop("_instance", None)
        item._obj = None
