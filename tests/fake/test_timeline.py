"""The core's promises about time, as properties."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from fine_tuning_fakeserver.domain.job_spec import JobSpec
from fine_tuning_fakeserver.domain.timeline import (
    CANCEL_EVENT_AFTER,
    TERMINAL,
    Cancel,
    Event,
    Intervention,
    Pause,
    Replan,
    Resume,
    Timeline,
    TrainingSegment,
    build_segments,
)
from strategies import BORN, disturbed, next_acts, scripts, times

Disturbed = tuple[JobSpec, tuple[Intervention, ...]]


def life_of(script: JobSpec, *acts: Intervention) -> Timeline:
    """The life of a job with these interventions."""
    return Timeline(build_segments(script, BORN, acts))


def seen(life: Timeline, now: float) -> list[Event]:
    """All events visible at *now*, oldest first."""
    return [life.event(ordinal) for ordinal in range(life.event_count(now))]


@given(disturbed(), st.data())
def test_what_was_seen_stays_seen(world: Disturbed, data: st.DataObject) -> None:
    """The events visible at a time are the oldest of those visible at any later time."""
    life = life_of(world[0], *world[1])
    early, late = sorted(data.draw(st.sampled_from(times(life))) for _ in range(2))

    before, after = seen(life, early), seen(life, late)

    assert after[: len(before)] == before


@given(disturbed(most=3), st.data())
def test_an_intervention_changes_nothing_already_visible(world: Disturbed, data: st.DataObject) -> None:
    """Who intervenes at a time, even exactly when something happens, takes back nothing that was visible then."""
    script, acts = world
    life = life_of(script, *acts)
    last = acts[-1].at if acts else BORN
    now = data.draw(st.sampled_from([at for at in times(life) if at >= last] or [last]))
    allowed = next_acts(life, script, now)
    assume(allowed)

    disturbed_life = life_of(script, *acts, data.draw(st.sampled_from(allowed)))

    assert seen(disturbed_life, now)[: life.event_count(now)] == seen(life, now)


@given(disturbed())
def test_one_terminal_status_and_it_is_the_last(world: Disturbed) -> None:
    """A job ends once: after a terminal status no other comes, and no event but a cancellation's own follows it."""
    life = life_of(*world[:1], *world[1])
    endings = [(at, status) for at, status in life.milestones if status in TERMINAL]

    assert len(endings) <= 1
    if endings:
        at, status = endings[0]
        assert list(life.milestones)[-1] == (at, status)
        assert life.end == at + (CANCEL_EVENT_AFTER if status == "cancelled" else 0)
        assert [m.kind for m in seen(life, float("inf")) if m.at > at] == ["stopping"] * (status == "cancelled")


@given(disturbed())
def test_time_never_goes_back(world: Disturbed) -> None:
    """Each event's time is that of the event before it, or later."""
    life = life_of(*world[:1], *world[1])
    moments = [moment.at for moment in seen(life, float("inf"))]

    assert moments == sorted(moments)


@given(scripts(may_fail=False), st.data())
def test_a_pause_delays_the_rest_by_exactly_its_length(script: JobSpec, data: st.DataObject) -> None:
    """All that is ahead of a pause comes later by the time the job stood still: until it was resumed and ran again."""
    whole = life_of(script)
    running = [at for at in times(whole) if whole.status(at) == "running"]
    assume(running)
    at = data.draw(st.sampled_from(running))
    length = data.draw(st.floats(0, 10_000))
    held = life_of(script, Pause(at), Resume(at + length))
    delay = length + script.durations.queued

    rest = [moment for moment in seen(whole, float("inf")) if moment.at > at]
    late = [moment for moment in seen(held, float("inf")) if moment.at >= at + delay][-len(rest) :] if rest else []

    assert [(moment.kind, moment.step) for moment in late] == [(moment.kind, moment.step) for moment in rest]
    assert all(abs(one.at + delay - other.at) < 1e-5 for one, other in zip(rest, late, strict=True))


@given(disturbed(), st.data())
def test_counting_events_agrees_with_listing_them(world: Disturbed, data: st.DataObject) -> None:
    """The number of visible events is the number of events whose time has come."""
    life = life_of(world[0], *world[1])
    now = data.draw(st.sampled_from(times(life)))

    listed = [moment for moment in seen(life, float("inf")) if moment.at <= now]

    assert life.event_count(now) == len(listed)


@given(st.floats(0, 1e10), st.floats(0, 1e6), st.integers(1, 10**7), st.data())
def test_a_run_counts_its_steps_as_its_times_say(origin: float, seconds: float, last: int, data: st.DataObject) -> None:
    """At the time of a step that step is done, and the next is not unless it has the same time."""
    run = TrainingSegment(origin, seconds, 1, last)
    step = data.draw(st.integers(1, last))

    done = run.last_done(run.time_of(step))

    assert done >= step
    assert run.time_of(done) <= run.time_of(step)
    assert done == last or run.time_of(done + 1) > run.time_of(step)


@given(scripts(may_fail=False), scripts(may_fail=False), st.data())
def test_a_new_script_takes_over_where_the_job_stands(script: JobSpec, other: JobSpec, data: st.DataObject) -> None:
    """After a change of plan each step is still done exactly once, in order, and none before its time."""
    whole = life_of(script)
    before_end = [at for at in times(whole) if not whole.has_happened("trained", at)]
    assume(before_end)
    at = data.draw(st.sampled_from(before_end))
    changed = life_of(script, Replan(at, replace(script, durations=other.durations)))
    steps = [moment.step for moment in seen(changed, float("inf")) if moment.kind == "step"]

    assert steps == list(range(1, script.steps + 1))
    assert [status for _, status in changed.milestones] == [status for _, status in whole.milestones]


@given(scripts())
def test_a_cancelled_job_shows_its_cancellation_a_moment_later(script: JobSpec) -> None:
    """Right after a cancel the newest event is still the validation's (recording: GetJobEvents)."""
    assume(script.durations.validating > 0.001)
    life = life_of(script, Cancel(BORN))

    assert life.status(BORN) == "cancelled"
    assert seen(life, BORN)[-1].kind == "validating"
    assert seen(life, BORN + CANCEL_EVENT_AFTER)[-1].kind == "stopping"
