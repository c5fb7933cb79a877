"""Choose what to try, in which order, and run it within a budget."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Annotated, Any, Self

from fine_tuning_formats.lazy_dataclass import dataclass

from ...domain.checks import LONGEST, Requirement, boolean, check_fields, check_names, is_number, whole
from ...usage_errors import FakeUsageError, unknown_name, wrong_value
from .disturbance import Combination, Occurrence
from .exploration_report import ExplorationReport
from .misfortunes import MISFORTUNES, Misfortune, Situation
from .runs import Runner, RunRecord
from .verdicts import Verdict, judge

REQUESTS_FACTOR, REQUESTS_MORE = 20, 500
"""A run may send so many times the requests of the undisturbed run, and so many more."""
WAITED_FACTOR, WAITED_MORE_S = 20.0, 30 * 86_400.0
"""The same for virtual seconds that it waits."""
WAITS_FACTOR, WAITS_MORE = 20, 20_000
"""The same for how often it waits, where a thread may do so without any request."""
LONGER_REQUESTS_AT_MOST = 500
"""What makes a run longer by more requests than these is tried only if it is named."""
PAIRS_AT_MOST = 100_000


def _allowed_types(value: Any, name: str) -> tuple[type[BaseException], ...]:
    kinds = (value,) if isinstance(value, type) else tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise wrong_value(name, "exception classes, as in [TrainFailed]", value)
    return kinds


def _misfortune_names(value: Any, name: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    for each in names:
        if each not in MISFORTUNES:
            raise unknown_name("misfortune", each, MISFORTUNES)
    return names


_Seconds = Requirement("positive seconds", lambda value: is_number(value, 1e-9, LONGEST)).or_none("for no limit")
_Callable = Requirement("a function without arguments", callable).or_none("without restarts")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploreOptions:
    """What to explore, and how far.

    Args:
        runs: how many disturbed runs there are at most.
        seconds: how many real seconds they may take together; None for no limit.
        allow: exceptions, besides an SDK's and those of connections, that the code may end with.
        strict: whether what is suspicious counts as wrong.
        pairs: whether combinations of two misfortunes are tried after the single ones.
        seed: of the choice among pairs.
        only: names of misfortunes to try; None for all.
        restart: starts the code again after its process has ended; without it "restart" is not tried.
    """

    runs: Annotated[int, whole(1)] = 100
    seconds: Annotated[float | None, _Seconds] = None
    allow: Annotated[tuple[type[BaseException], ...], _allowed_types] = ()
    strict: Annotated[bool, boolean] = False
    pairs: Annotated[bool, boolean] = False
    seed: Annotated[int, whole()] = 0
    only: Annotated[tuple[str, ...] | None, _misfortune_names] = None
    restart: Annotated[Callable[[], object] | None, _Callable] = None

    def __post_init__(self) -> None:
        check_fields(self, "explore")
        if self.restart is None and (unusable := [name for name in self.only or () if MISFORTUNES[name].needs_restart]):
            remedy = "restart=main, say, starts your program again"
            raise FakeUsageError(
                f"explore 'restart' must be a function without arguments with only={unusable!r}, got None; {remedy}"
            )

    @classmethod
    def parse(cls, value: object) -> Self | None:
        """Return the options that the mark's ``explore`` means: true or false, a number of runs, or a mapping.

        Raises:
            FakeUsageError: it is something else, or a field is unknown or does not fit.
        """
        if value is True or value is False:
            return cls() if value else None
        if isinstance(value, int):
            return cls(runs=value)
        if not isinstance(value, Mapping):
            raise wrong_value("explore", "true, false, a number of runs, or a mapping of options", value)
        check_names("explore option", value, tuple(field.name for field in fields(cls)))
        return cls(**value)

    def changed(self, **changes: Any) -> Self:
        """Return these options with *changes*."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How far a disturbed run may go before it counts as one that does not end.

    Args:
        requests: how many requests it may send.
        waited_s: how many virtual seconds it may wait.
        waits: how often it may wait.
        interval_s: the shortest time between two requests of the undisturbed run.
    """

    requests: int
    waited_s: float
    waits: int
    interval_s: float

    @classmethod
    def of(cls, base: RunRecord) -> Self:
        """Return the limits by the undisturbed run."""
        times = [call.begun_at for call in base.calls]
        return cls(
            requests=REQUESTS_FACTOR * base.requests + REQUESTS_MORE,
            waited_s=WAITED_FACTOR * base.elapsed_s + WAITED_MORE_S,
            waits=WAITS_FACTOR * base.waits + WAITS_MORE,
            interval_s=min((later - at for at, later in pairwise(times) if later > at), default=math.inf),
        )

    def requests_with(self, combination: Combination | None) -> int:
        """Return how many requests a run with *combination* may send."""
        longer_s = sum(each.misfortune.longer_s for each in combination.occurrences) if combination else 0.0
        return self.requests + min(int(longer_s / self.interval_s), REQUESTS_FACTOR * REQUESTS_MORE)


def explore(
    run: Runner,
    base: RunRecord,
    options: ExploreOptions,
    shard: tuple[int, int] = (0, 1),
) -> ExplorationReport:
    """Run every combination within the budget, and judge each run.

    Args:
        run: runs the code under test once.
        base: its undisturbed run.
        options: what to explore.
        shard: the part of the combinations to run, and how many parts there are.
    """
    began = time.perf_counter()
    runs: list[Verdict] = []
    possible = list(_all_combinations(base, options))
    todo = possible[: options.runs][shard[0] :: shard[1]]
    for combination in todo:
        if options.seconds is not None and runs and time.perf_counter() - began >= options.seconds:
            break
        runs.append(judge(run(combination), base, options.allow))
    left_out = len(possible[shard[0] :: shard[1]]) - len(runs)
    return ExplorationReport(base, tuple(runs), left_out, time.perf_counter() - began, options.strict)


def _all_combinations(base: RunRecord, options: ExploreOptions) -> Iterator[Combination]:
    """Yield all combinations that can happen, those first that tell most; pairs after the single misfortunes."""
    misfortunes = [each for each in MISFORTUNES.values() if _is_wanted(each, base, options)]
    single = ordered_occurrences(base.situations, base.aftermaths, misfortunes)
    yield from (Combination((each,)) for each in single)
    if options.pairs:
        pairs = [
            Combination((first, second)) for first in single for second in single if first.boundary < second.boundary
        ][:PAIRS_AT_MOST]
        random.Random(options.seed).shuffle(pairs)
        yield from pairs


def _is_wanted(misfortune: Misfortune, base: RunRecord, options: ExploreOptions) -> bool:
    if misfortune.needs_restart and options.restart is None:
        return False
    if options.only is not None:
        return misfortune.name in options.only
    return misfortune.longer_s * base.requests <= LONGER_REQUESTS_AT_MOST * base.elapsed_s


def ordered_occurrences(
    situations: Sequence[Situation], aftermaths: Sequence[Situation], misfortunes: Iterable[Misfortune]
) -> list[Occurrence]:
    """Return the occurrences of *misfortunes* that apply to a run.

    Where the same is asked in the same situation, the first time comes before all others; among those first times, and
    then among the second ones, the more telling misfortune comes first.

    Args:
        situations: the account at each request of the run.
        aftermaths: the account after each.
        misfortunes: what can go wrong.
    """
    seen: Counter[tuple[object, ...]] = Counter()
    ranked = []
    for boundary, (situation, aftermath) in enumerate(zip(situations, aftermaths, strict=True), 1):
        following = situations[boundary] if boundary < len(situations) else None
        rest = {each.operation for each in situations[boundary:]}
        for misfortune in misfortunes:
            if not misfortune.is_at_request and (following is None or not misfortune.applies(aftermath)):
                continue
            if misfortune.hits is not None and not misfortune.hits & rest:
                continue
            kind: tuple[object, ...] = (misfortune.name, situation)
            if misfortune.longer_s:
                kind = (misfortune.name, aftermath.status)
            elif not misfortune.is_at_request:
                kind = (misfortune.name, situation, aftermath, following)
            if not (misfortune.longer_s and seen[kind]):
                ranked.append((seen[kind], -misfortune.weight, boundary, Occurrence(misfortune, boundary)))
            seen[kind] += 1
    return [occurrence for *_, occurrence in sorted(ranked, key=lambda entry: entry[:3])]
