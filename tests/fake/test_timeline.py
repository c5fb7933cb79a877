"""Properties of the timeline."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from fine_tuning_fakeserver.domain.job_spec import JobSpec
from fine_tuning_fakeserver.domain.timeline import (
    CANCEL_EVENT_AFTER_S,
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
from strategies import BORN, allowed_interventions, disturbed_specs, interesting_times, job_specs

Disturbed = tuple[JobSpec, tuple[Intervention, ...]]


def timeline_of(spec: JobSpec, *acts: Intervention) -> Timeline:
    """The timeline of a job with these interventions."""
    return Timeline(build_segments(spec, BORN, acts))


def seen(timeline: Timeline, now: float) -> list[Event]:
    """The events visible at *now*, oldest first."""
    return [timeline.event(ordinal) for ordinal in range(timeline.event_count(now))]


@given(disturbed_specs(), st.data())
def test_what_was_seen_stays_seen(world: Disturbed, data: st.DataObject) -> None:
    """The events visible at a time are the oldest of those visible later."""
    timeline = timeline_of(world[0], *world[1])
    early, late = sorted(data.draw(st.sampled_from(interesting_times(timeline))) for _ in range(2))

    before, after = seen(timeline, early), seen(timeline, late)

    assert after[: len(before)] == before


@given(disturbed_specs(most=3), st.data())
def test_an_intervention_changes_nothing_already_visible(world: Disturbed, data: st.DataObject) -> None:
    """An intervention never removes an event that was already visible."""
    spec, acts = world
    timeline = timeline_of(spec, *acts)
    last = acts[-1].at if acts else BORN
    now = data.draw(st.sampled_from([at for at in interesting_times(timeline) if at >= last] or [last]))
    allowed = allowed_interventions(timeline, spec, now)
    assume(allowed)

    interrupted = timeline_of(spec, *acts, data.draw(st.sampled_from(allowed)))

    assert seen(interrupted, now)[: timeline.event_count(now)] == seen(timeline, now)


@given(disturbed_specs())
def test_one_terminal_status_and_it_is_the_last(world: Disturbed) -> None:
    """A terminal status is the last one, and only a cancellation's own event follows it."""
    timeline = timeline_of(world[0], *world[1])
    endings = [(at, status) for at, status in timeline.milestones if status in TERMINAL]

    assert len(endings) <= 1
    if endings:
        at, status = endings[0]
        assert list(timeline.milestones)[-1] == (at, status)
        assert timeline.end == at + (CANCEL_EVENT_AFTER_S if status == "cancelled" else 0)
        assert [m.kind for m in seen(timeline, float("inf")) if m.at > at] == ["stopping"] * (status == "cancelled")


@given(disturbed_specs())
def test_time_never_goes_back(world: Disturbed) -> None:
    """Event times never decrease."""
    timeline = timeline_of(world[0], *world[1])
    times = [event.at for event in seen(timeline, float("inf"))]

    assert times == sorted(times)


@given(job_specs(may_fail=False), st.data())
def test_a_pause_delays_the_rest_by_exactly_its_length(spec: JobSpec, data: st.DataObject) -> None:
    """A pause delays everything after it by the time until the job runs again."""
    whole = timeline_of(spec)
    running = [at for at in interesting_times(whole) if whole.status(at) == "running"]
    assume(running)
    at = data.draw(st.sampled_from(running))
    length = data.draw(st.floats(0, 10_000))
    held = timeline_of(spec, Pause(at), Resume(at + length))
    delay = length + spec.durations.queued

    rest = [event for event in seen(whole, float("inf")) if event.at > at]
    late = [event for event in seen(held, float("inf")) if event.at >= at + delay][-len(rest) :] if rest else []

    assert [(event.kind, event.step) for event in late] == [(event.kind, event.step) for event in rest]
    assert all(abs(one.at + delay - other.at) < 1e-5 for one, other in zip(rest, late, strict=True))


@given(disturbed_specs(), st.data())
def test_counting_events_agrees_with_listing_them(world: Disturbed, data: st.DataObject) -> None:
    """The number of visible events equals the number of events up to that time."""
    timeline = timeline_of(world[0], *world[1])
    now = data.draw(st.sampled_from(interesting_times(timeline)))

    listed = [event for event in seen(timeline, float("inf")) if event.at <= now]

    assert timeline.event_count(now) == len(listed)


@given(st.floats(0, 1e10), st.floats(0, 1e6), st.integers(1, 10**7), st.data())
def test_a_run_counts_its_steps_as_its_times_say(origin: float, seconds: float, last: int, data: st.DataObject) -> None:
    """At the time of a step that step is done, and the next one is not unless it has the same time."""
    run = TrainingSegment(origin, seconds, 1, last)
    step = data.draw(st.integers(1, last))

    done = run.last_done(run.completion_time(step))

    assert done >= step
    assert run.completion_time(done) <= run.completion_time(step)
    assert done == last or run.completion_time(done + 1) > run.completion_time(step)


@given(job_specs(may_fail=False), job_specs(may_fail=False), st.data())
def test_a_new_spec_takes_over_where_the_job_stands(spec: JobSpec, other: JobSpec, data: st.DataObject) -> None:
    """After a change of plan each step is still done exactly once and in order."""
    whole = timeline_of(spec)
    before_end = [at for at in interesting_times(whole) if not whole.has_happened("trained", at)]
    assume(before_end)
    at = data.draw(st.sampled_from(before_end))
    changed = timeline_of(spec, Replan(at, replace(spec, durations=other.durations)))
    steps = [event.step for event in seen(changed, float("inf")) if event.kind == "step"]

    assert steps == list(range(1, spec.steps + 1))
    assert [status for _, status in changed.milestones] == [status for _, status in whole.milestones]


@given(job_specs())
def test_a_cancelled_job_shows_its_cancellation_a_moment_later(spec: JobSpec) -> None:
    """Right after a cancel the newest event is still the validation's (recording: GetJobEvents)."""
    assume(spec.durations.validating > 0.001)
    timeline = timeline_of(spec, Cancel(BORN))

    assert timeline.status(BORN) == "cancelled"
    assert seen(timeline, BORN)[-1].kind == "validating"
    assert seen(timeline, BORN + CANCEL_EVENT_AFTER_S)[-1].kind == "stopping"
