"""Explore code under test: run it again and again, each time with one misfortune."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from ..account.world import World
from ..usage_errors import FakeUsageError

if TYPE_CHECKING:
    from ..virtual_time import VirtualTime
    from .exploration.disturbance import Combination
    from .exploration.exploration_report import ExplorationReport
    from .exploration.explorer import RunLimits
    from .exploration.runs import RunRecord

NO_REQUEST = (
    "program must send the fake requests, got none; make its client by fake.openai(), or within the program, so that "
    "it goes by the environment's OPENAI_BASE_URL and OPENAI_API_KEY"
)

Check = TypeVar("Check", bound=Callable[[], object])


class ExploreFields(TypedDict, total=False):
    """The fields of `exploration.explorer.ExploreOptions` as keywords."""

    runs: int
    seconds: float | None
    allow: Any
    strict: bool
    pairs: bool
    seed: int
    only: Any
    restart: Callable[[], object] | None


class ExploreControl:
    """Explores code under test, and keeps what must always hold."""

    _world: World

    def always(self, check: Check) -> Check:
        """Let *check*, a function without arguments, hold at the end of every run that has come this far.

        It is called at the end of the test or of the run, also where the code under test has failed; what it raises
        fails the test. Returns it, so that it is a decorator, too.
        """
        self._world.checks.append(check)
        return check

    def check_always(self) -> list[Exception]:
        """Run the checks of `always`, oldest first; return what they raised. The fixture does so after each test."""
        return broken_checks(self._world.checks)

    def explore(self, program: Callable[[], object], **options: Unpack[ExploreFields]) -> ExplorationReport:
        """Run *program* once as it is, and then again and again, each time with one misfortune at one request.

        Each run has a fresh account with the fake's defaults, in virtual time at the pace "manual". Meanwhile the fake
        serves, if it does not already, and the environment has its `env`. The account after the last run stays until
        the next `reset`.

        Args:
            program: calls the fake, by `openai` or by any client that it makes; may be a coroutine function.
            options: see `exploration.explorer.ExploreOptions`: ``runs``, ``allow``, ``strict`` …

        Returns:
            The report: ``wrong``, ``suspicious``, ``assert_ok()``; its text is the whole of it.

        Raises:
            FakeUsageError: an option makes no sense, or *program* sends the fake no request.
            Exception: what *program* raises when nothing goes wrong.
        """
        from .exploration.explorer import ExploreOptions, RunLimits, explore

        chosen = ExploreOptions.parse(options)
        assert chosen is not None
        with self._reached_by_environment():
            base = self._run_once(program, chosen, None, None)
            for error in filter(None, (base.error, *base.broken_checks)):
                raise error
            if not base.requests:
                raise FakeUsageError(NO_REQUEST)
            limits = RunLimits.of(base)
            return explore(lambda combination: self._run_once(program, chosen, combination, limits), base, chosen)

    @contextmanager
    def _reached_by_environment(self) -> Generator[None, None, None]:
        """Let clients that are made without arguments reach the fake while the context lasts."""
        fake: Any = self  # a FakeFineTuning has all that it needs
        with ExitStack() as stack:
            if not self._world.urls:
                with suppress(OSError, RuntimeError):  # no network here, or pytest-socket: there are clients in process
                    stack.enter_context(fake.serving())
            variables = fake.env if self._world.urls else {}
            stack.callback(_set_environment, {name: os.environ.get(name) for name in variables})
            _set_environment(variables)
            yield

    def _run_once(
        self, program: Callable[[], object], options: Any, combination: Combination | None, limits: RunLimits | None
    ) -> RunRecord:
        from ..virtual_time import virtual_time
        from .exploration.disturbance import ProcessEndedError

        self._world.reset({"pace": "manual"})
        with virtual_time(self) as virtual:  # type: ignore[arg-type]  # a FakeFineTuning has all that it needs
            self.begin_run(combination, limits, virtual)
            error = _error_of(program)
            if isinstance(error, ProcessEndedError):
                error = _error_of(options.restart)
            return self.end_run(error, virtual)

    def begin_run(self, combination: Combination | None, limits: RunLimits | None, virtual: VirtualTime) -> None:
        """Let *combination* go wrong in this thread's run, which ends at *limits*; for whoever explores.

        Args:
            combination: what goes wrong; None for nothing.
            limits: how far the run may go; None for any distance.
            virtual: the run's virtual time.
        """
        from .exploration.disturbance import RunDisturbance

        requests = limits.requests_with(combination) if limits else None
        self._world.disturbance = RunDisturbance(self._world, combination, requests)
        virtual.jumps = 0
        if limits:
            virtual.limit_s, virtual.jumps_at_most = limits.waited_s, limits.waits

    def end_run(self, error: BaseException | None, virtual: VirtualTime) -> RunRecord:
        """Let nothing go wrong any more; return what became of the run, which has ended with *error*."""
        from .exploration.disturbance import RunDisturbance
        from .exploration.runs import record_run

        disturbance, self._world.disturbance = self._world.disturbance, None
        assert isinstance(disturbance, RunDisturbance)
        disturbance.end()
        return record_run(self._world, disturbance, error, virtual.jumps)


def _set_environment(variables: Mapping[str, str | None]) -> None:
    """Set variables of the environment; None removes one."""
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _error_of(program: Callable[[], object]) -> BaseException | None:
    """Run *program*; return what it raises."""
    from .exploration.runs import run_program

    try:
        run_program(program)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit is an end like any other
        return error
    return None


def broken_checks(checks: Iterable[Callable[[], object]]) -> list[Exception]:
    """Run *checks* that must hold at the end of every run; return what they raised."""
    errors = []
    for check in checks:
        try:
            check()
        except Exception as error:
            errors.append(error)
    return errors
