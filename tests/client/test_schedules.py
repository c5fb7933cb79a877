"""Waiting and following over random schedules of job outcomes, interventions and failing requests."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fine_tuning_client import (
    APIStatusError,
    AsyncFineTuningClient,
    FineTuningClient,
    FineTuningJobResponse,
    JobCancelled,
    JobFailed,
    WaitTimeout,
)
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError, Plan
from strategies import BORN, ROWS, example_count

pytestmark = pytest.mark.slow

FINISHED = {"succeeded", "failed", "cancelled"}
PAGE = 7
"""The page size of this service, whatever the limit, so that every job has several pages of events."""

FAILURES = ("500", "503", "429", "408", "timeout", "lost", "no connection", "no JSON")
ACTS = (*["pause"] * 4, *["resume"] * 4, "cancel", "delete", "fail20")
BUMPS = ("slow", "who_knows", "canceling")
"""Time passes under way; a status that no client knows."""


@dataclass(frozen=True)
class Schedule:
    """A random scenario: the job's plan, interventions with their times, and the fate of each request."""

    plan: Plan = field(default_factory=Plan)
    acts: tuple[tuple[float, str], ...] = ()
    bumps: tuple[str | None, ...] = ()
    poll_interval: float = 5.0
    timeout: float = 2000.0
    max_retries: int = 0


@dataclass
class World:
    """A fake with one job whose time advances only by the client's sleeps."""

    schedule: Schedule
    naps: list[float] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)
    """The statuses of the job as they got to the client."""
    clean: bool = True
    """Whether nothing has gone wrong since the last nap."""

    def __post_init__(self) -> None:
        self.fake = FakeFineTuning(start=BORN, pace="manual", plan=self.schedule.plan)
        self.file = self.fake.add_file(ROWS)["id"]
        self.within = self.fake.transport()
        self.quiet = FineTuningClient("fake", max_retries=0, http_client=self._http(self.within))
        numbers = {"n_epochs": 3, "batch_size": 1}
        self.job = self.quiet.create_job(self.file, "gpt-4o-mini", hyperparameters=numbers).id
        self.acts = list(self.schedule.acts)
        self.bumps = list(self.schedule.bumps)

    def _http(self, transport: Any) -> httpx.Client:
        return httpx.Client(transport=transport, trust_env=False)

    @property
    def clients(self) -> dict[str, Any]:
        """The arguments of both clients; their retries draw the same random numbers."""
        random.seed(0)
        times = {"sleep": self.sleep, "clock": lambda: self.fake.now}
        return {"base_url": "http://fake/v1", "max_retries": self.schedule.max_retries, **times}

    def blocking(self) -> FineTuningClient:
        """A blocking client whose requests may fail."""
        return FineTuningClient("fake", http_client=self._http(Bumpy(self)), **self.clients)

    def awaited(self) -> AsyncFineTuningClient:
        """An async client whose requests may fail."""
        http = httpx.AsyncClient(transport=Bumpy(self), trust_env=False)
        return AsyncFineTuningClient("fake", http_client=http, **self.clients)

    def sleep(self, seconds: float) -> None:
        """Advance virtual time and record the sleep."""
        self.naps.append(seconds)
        self.clean = True
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        """Advance virtual time, and do the interventions that fall due."""
        then = self.fake.now + seconds
        while self.acts and BORN + self.acts[0][0] <= then:
            at, act = self.acts.pop(0)
            self.fake.advance(max(BORN + at - self.fake.now, 0.0))
            self.do(act)
        self.fake.advance(max(then - self.fake.now, 0.0))

    def do(self, act: str) -> None:
        """Intervene in the job, if its state allows it."""
        try:
            if act == "delete":
                self.quiet.delete_file(self.file)
            elif act.startswith("fail"):
                self.fake.plan_job(self.job, fail_at=int(act.removeprefix("fail")))
            else:
                getattr(self.quiet, f"{act}_job")(self.job)
        except (APIStatusError, FakeUsageError):
            pass  # not in this state

    @property
    def status(self) -> str:
        """The job's current status according to the fake."""
        return str(self.fake.jobs[0]["status"])

    def events(self) -> list[str]:
        """The ids of all events so far, oldest first, according to the fake."""
        return [event.id for event in self.quiet.iter_job_events(self.job)][::-1]


class Bumpy(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport to the fake on which requests may fail; its pages are small."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Handle an async request as a blocking one."""
        return self.handle_request(request)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Forward the request, or fail as the scenario says."""
        world = self.world
        bump = world.bumps.pop(0) if world.bumps else None
        world.clean &= bump is None
        if bump in FAILURES:
            return _failure(bump, request)
        if bump == "slow":
            world.pass_time(1.7)
        if "limit" in request.url.params:
            request.url = request.url.copy_set_param("limit", PAGE)
        response = world.within.handle_request(request)
        body = json.loads(response.read())
        if "status" in body:
            body["status"] = bump if bump in BUMPS and bump != "slow" else body["status"]
            world.delivered.append(body["status"])
        return httpx.Response(response.status_code, json=body)


def _failure(bump: str, request: httpx.Request) -> httpx.Response:
    raised = {"timeout": httpx.ReadTimeout, "lost": httpx.ReadError, "no connection": httpx.ConnectError}
    if bump in raised:
        raise raised[bump]("as scheduled", request=request)
    if bump == "no JSON":
        return httpx.Response(200, text="<html>")
    return httpx.Response(int(bump), headers={"retry-after": "30"} if bump == "429" else {})


SECONDS = st.sampled_from([0.0, 0.5, 1.0, 5.0]) | st.floats(0, 60)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Plans of some minutes with up to five interventions, up to five failures and any odd responses."""
    names = ("validating", "queued", "starting", "seconds_per_step", "finishing")
    plan: dict[str, Any] = {name: draw(SECONDS) for name in names}
    plan["seconds_per_step"] /= 8
    plan["fail_at"] = draw(st.sampled_from([None, None, None, "validation", 1, 13]))
    marks = list(accumulate([plan["validating"], plan["queued"], plan["starting"], plan["seconds_per_step"] * 12]))
    times = st.builds(float.__add__, st.sampled_from(marks), st.sampled_from([0.0, 0.0, 0.5, 20.0]))
    acts = draw(st.lists(st.tuples(times, st.sampled_from(ACTS)), max_size=4))
    bumps = draw(st.lists(st.none() | st.sampled_from(BUMPS), max_size=12))
    for failure in draw(st.lists(st.sampled_from(FAILURES), max_size=5)):
        bumps.insert(draw(st.integers(0, len(bumps))), failure)
    return Schedule(
        plan=Plan(**plan),
        acts=tuple(sorted(acts)),
        bumps=tuple(bumps),
        poll_interval=draw(st.sampled_from([0.5, 5.0, 30.0])),
        timeout=draw(st.sampled_from([0.0, 5.0, 2000.0, 2000.0, 2000.0]) | st.floats(0, 300)),
        max_retries=draw(st.sampled_from([0, 2])),
    )


@dataclass
class Outcome:
    """How a wait ended, and which updates it reported."""

    job: FineTuningJobResponse | None
    error: type[Exception] | None
    updates: list[str]
    naps: list[float]
    ended_at: float


def _waited(world: World, wait: Callable[[dict[str, Any]], FineTuningJobResponse], **given: Any) -> Outcome:
    updates: list[str] = []
    job: FineTuningJobResponse | None
    error: type[Exception] | None
    given |= {"poll_interval": world.schedule.poll_interval, "timeout": world.schedule.timeout}
    given["on_update"] = lambda job: updates.append(job.status)
    try:
        job, error = wait(given), None
    except (WaitTimeout, JobFailed, JobCancelled) as caught:
        job, error = caught.job, type(caught)
    return Outcome(job, error, updates, world.naps, world.fake.now)


@settings(max_examples=example_count(50))
@given(schedule=schedules(), until_paused=st.booleans(), raise_on_failure=st.booleans())
def test_a_wait_ends_when_the_job_does_and_not_before(
    schedule: Schedule, until_paused: bool, raise_on_failure: bool
) -> None:
    """A wait ends at the first poll that finds the job finished (or paused, if requested), or at its deadline."""
    how = {"until_paused": until_paused, "raise_on_failure": raise_on_failure}
    world, twin = World(schedule), World(schedule)
    found = _waited(world, lambda given: world.blocking().wait_for_job(world.job, **given), **how)
    again = _waited(twin, lambda given: asyncio.run(twin.awaited().wait_for_job(twin.job, **given)), **how)
    ends = FINISHED | ({"paused"} if until_paused else set())
    last = world.delivered[-1] if world.delivered else None

    assert again == found
    assert (found.job and found.job.status) == last
    assert not ends & set(world.delivered[:-1])
    assert [status for status, _ in groupby(found.updates)] == [status for status, _ in groupby(world.delivered)]
    if last in ends:
        errors = {"failed": JobFailed, "cancelled": JobCancelled} if raise_on_failure else {}
        assert (last, found.error) == (world.status, errors.get(last))
    else:
        assert found.error is WaitTimeout
        assert found.ended_at >= BORN + schedule.timeout
        if "slow" not in schedule.bumps and not schedule.max_retries:  # a look that is under way is not cut short
            assert found.ended_at == BORN + schedule.timeout
        assert world.status not in ends or not world.clean  # it looked at the deadline itself


@dataclass
class Followed:
    """The ids that were yielded, and whether the job's end was seen in time."""

    seen: list[str] = field(default_factory=list)
    in_time: bool = True


def _follow(world: World, break_after: int | None) -> Followed:
    """Follow until the end or the deadline; with a break, a second loop goes on where the first stopped."""
    found = Followed()
    for most, how in _loops(world, break_after, found):
        try:
            for event in world.blocking().follow_job_events(world.job, **how):
                found.seen.append(event.id)
                if len(found.seen) == most:
                    break
        except WaitTimeout:
            found.in_time = False
    return found


async def _follow_async(world: World, break_after: int | None) -> Followed:
    """Follow with the async client in the same way."""
    found = Followed()
    for most, how in _loops(world, break_after, found):
        try:
            async for event in world.awaited().follow_job_events(world.job, **how):
                found.seen.append(event.id)
                if len(found.seen) == most:
                    break
        except WaitTimeout:
            found.in_time = False
    return found


def _loops(world: World, break_after: int | None, found: Followed) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """How many events each loop reads, and its arguments."""
    given: dict[str, Any] = {"poll_interval": world.schedule.poll_interval, "timeout": world.schedule.timeout}
    yield break_after, given
    if len(found.seen) == break_after and found.in_time:
        yield None, given | {"since": found.seen[-1]}


@settings(max_examples=example_count(50))
@given(schedule=schedules(), break_after=st.none() | st.integers(1, 40))
@example(Schedule(acts=((100.0, "cancel"),)), None)
def test_following_yields_every_event_once_and_in_order(schedule: Schedule, break_after: int | None) -> None:
    """Following yields each event once, oldest first, even if it is interrupted and resumed, blocking and async."""
    world, twin = World(schedule), World(schedule)
    found = _follow(world, break_after)
    again = asyncio.run(_follow_async(twin, break_after))
    assert (again, twin.naps) == (found, world.naps)

    if not found.in_time and world.clean:
        assert found.seen == world.events()
    status = world.status
    world.fake.advance("1h")  # if anything could come, it has
    events = world.events()
    assert found.seen == events[: len(found.seen)]
    if found.in_time:
        assert (status in FINISHED, found.seen) == (True, events)


def test_the_schedules_reach_everything() -> None:
    """The random schedules cover every end, timeouts in every phase of a job, and several pages of events."""
    ends: set[str] = set()
    longest = 0

    @settings(max_examples=120, deadline=None, database=None, derandomize=True)
    @given(schedule=schedules())
    def look(schedule: Schedule) -> None:
        nonlocal longest
        world = World(schedule)
        found = _waited(world, lambda given: world.blocking().wait_for_job(world.job, **given))
        ends.add(f"{'late, ' if found.error else ''}{world.status}")
        longest = max(longest, len(world.events()))

    look()
    assert FINISHED | {"late, validating_files", "late, running", "late, paused"} <= ends
    assert longest > 3 * PAGE
