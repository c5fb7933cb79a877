"""A clock that runs by itself, once there is nothing to wait for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.api import webhooks
from fine_tuning_fakeserver.clock import Pace, VirtualClock
from fine_tuning_fakeserver.domain.webhook_events import DeliveryAttempt
from strategies import BORN, Http

JOBS = "/fine_tuning/jobs"
UNREADY = "openai-2023-11"
"""A dialect in which a file is not ready at first."""
WEEKEND_S = 2.5 * 86_400


def running(pace: Pace, **settings: Any) -> Http:
    """A fake at a pace."""
    return Http(FakeFineTuning(start=BORN, pace=pace, **settings), is_described=False)


class RealTime:
    """Real time that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Return seconds since some moment."""
        return self.now_s


@pytest.fixture
def real_time(monkeypatch: pytest.MonkeyPatch) -> RealTime:
    """The real time of fakes that are made from now on."""
    moved = RealTime()
    monkeypatch.setattr("fine_tuning_fakeserver.clock.VirtualClock.__init__.__defaults__", (0.0, moved))
    return moved


def test_a_clock_without_anything_ahead_goes_with_real_time(real_time: RealTime) -> None:
    """At pace 60 a new account, and one whose jobs are over, are no further ahead after a weekend than a weekend."""
    http = running(60)
    real_time.now_s += WEEKEND_S
    assert http.fake.now == BORN + WEEKEND_S

    created_at, path = http.fake.now, f"{JOBS}/{http.job()['id']}"
    real_time.now_s += 1
    assert (http.json("GET", path)["status"], http.fake.now) == ("running", created_at + 60)
    real_time.now_s += WEEKEND_S
    over_at = http.fake._world.account.last_job_end()
    assert http.json("GET", path)["status"] == "succeeded"
    assert http.fake.now == pytest.approx(over_at + WEEKEND_S - (over_at - created_at - 60) / 60)


def test_a_clock_runs_while_a_job_is_unfinished(real_time: RealTime) -> None:
    """A paused job, which has no end in sight, keeps the pace up; cancelled and with a clock at rest, it does not."""
    http = running("manual")
    path = f"{JOBS}/{http.job()['id']}"
    http.fake.advance_to("running")
    http.send("POST", f"{path}/pause")
    http.fake.pace = 60
    before = http.fake.now
    real_time.now_s += 3600
    assert http.fake.now == before + 60 * 3600

    http.send("POST", f"{path}/cancel")
    before = http.fake.now
    real_time.now_s += 3600
    assert before + 3600 <= http.fake.now <= before + 3602


def test_a_clock_slower_than_real_time_does_not_idle(real_time: RealTime) -> None:
    """At a pace below 1 time goes at that pace, be there a job or not."""
    http = running(0.5)
    real_time.now_s += 100

    assert http.fake.now == BORN + 50


AWAITED: dict[str, tuple[dict[str, Any], Callable[[Http], Any], float]] = {
    "a file that is not ready": ({"dialect": UNREADY}, Http.file, 3),
    "an outage that was met": ({}, lambda http: (http.fake.outage(30), http.send("GET", JOBS)), 30),
}


@pytest.mark.parametrize("awaited", AWAITED)
def test_a_clock_runs_while_something_is_awaited(awaited: str, real_time: RealTime) -> None:
    """What a client waits for comes at the pace, also where no job is under way; then the clock idles."""
    settings, begin, seconds = AWAITED[awaited]
    http = running(60, **settings)
    begin(http)
    real_time.now_s += seconds / 60
    assert http.fake.now == pytest.approx(BORN + seconds)
    real_time.now_s += 10
    assert http.fake.now == pytest.approx(BORN + seconds + 10)


def test_a_sleep_through_the_fake_passes_at_the_pace(real_time: RealTime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sleeps by the fake finds that as much time has passed, also where no job is under way."""
    fake = running(60).fake
    monkeypatch.setattr(
        "fine_tuning_fakeserver.fake.time_control.wait", lambda s: setattr(real_time, "now_s", real_time.now_s + s)
    )
    fake.sleep(30)

    assert fake.now == pytest.approx(BORN + 30)


def test_a_delivery_that_failed_is_tried_again_at_the_pace(real_time: RealTime) -> None:
    """While a webhook is to be sent again the clock keeps its pace; once that time has come the clock idles."""
    http = running("manual", webhooks=["http://127.0.0.1:9/hook"])
    service = http.fake._world.service
    http.fake._world.sender.stop()
    http.job()
    http.fake.advance_to("succeeded")
    http.fake.pace = 60
    before = http.fake.now
    (delivery,) = webhooks.next_deliveries(service).due
    webhooks.record_attempt(service, service.account, delivery, DeliveryAttempt(before, int(before), status=500))
    again_at = http.fake.webhook_deliveries[0].next_attempt_at
    assert again_at

    assert webhooks.next_deliveries(service).wait_s == pytest.approx((again_at - before) / 60)
    real_time.now_s += (again_at - before) / 60
    assert http.fake.now == pytest.approx(again_at)
    real_time.now_s += 100
    assert http.fake.now == pytest.approx(again_at + 100)


def test_the_sender_of_webhooks_waits_as_long_as_the_clock_takes(real_time: RealTime) -> None:
    """An end that a cancelled job does not reach any more is waited for in real time: the sender does not spin."""
    http = running(60, webhooks=["http://127.0.0.1:9/hook"], plan={"queued": 600})
    http.fake._world.sender.stop()
    job = http.job()["id"]
    end = http.fake._world.account.last_job_end()
    http.send("POST", f"{JOBS}/{job}/cancel")
    real_time.now_s += 10
    service = http.fake._world.service
    (delivery,) = webhooks.next_deliveries(service).due
    webhooks.record_attempt(service, service.account, delivery, DeliveryAttempt(BORN, int(BORN), status=200))

    wait_s = webhooks.next_deliveries(service).wait_s
    assert wait_s
    real_time.now_s += wait_s
    assert end - 60 < http.fake.now <= end + 1


@given(
    st.lists(st.tuples(st.sampled_from(["pass", "idle", "move", "rate"]), st.floats(0, 1000)), max_size=12),
    st.sampled_from([0.5, 1, 60, 1e6]),
)
def test_a_clock_is_faster_than_real_time_only_until_it_idles(steps: list[tuple[str, float]], rate: float) -> None:
    """Whatever happens to a clock, it goes at its rate up to a moment, then with real time, and never back."""
    real = RealTime()
    clock = VirtualClock(BORN, rate, real)
    idle_from = math.inf
    for step, amount in steps:
        before = clock.now()
        if step == "pass":
            target = before + amount
            until_s = clock.real_seconds_until(target)
            real.now_s += until_s
            assert clock.now() == pytest.approx(target, abs=1e-3)
            real.now_s += amount - until_s  # no clock looks back: nothing has read it at a later time
            at_rate = min(rate * amount, max(idle_from - before, 0)) if rate > 1 else rate * amount
            assert clock.now() - before == pytest.approx(at_rate + max(amount - at_rate / rate, 0), abs=1e-3)
        elif step == "idle":
            idle_from = before + amount - 500
            clock.idle_from(idle_from)
        elif step == "move":
            clock.move_to(before + amount)
        else:
            rate = rate / 2 + 1
            clock.run_at(rate)
        assert clock.now() >= before


def test_an_account_forgets_when_its_finished_jobs_ended() -> None:
    """What an account keeps about the ends of jobs does not grow with the jobs that are over."""
    http = running("instant")
    file = http.file()
    for _ in range(150):
        http.job(training_file=file, model="gpt-4o-mini")

    assert len(http.fake._world.service.account._ends) < 150
