"""Which recorded response a request gets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_cassettes.messages import Interaction, RecordedRequest, RecordedResponse
from fine_tuning_cassettes.replay_policy import NoAnswerLeft, PollingStuck, Replayer, ReplayStep, replay_step
from fine_tuning_cassettes.request_matching import request_key

BASE = "http://x/v1"
JOBS = "/fine_tuning/jobs"
FINISHED = ("succeeded", "failed", "cancelled")


def call(method: str, path: str, answer: Any = None, status: int = 200) -> Interaction:
    """Return a recorded interaction."""
    return Interaction(
        RecordedRequest(method, BASE + path), RecordedResponse(status, "", (), json.dumps(answer).encode())
    )


def job(status: str, name: str = "ftjob-a", **more: Any) -> dict[str, Any]:
    """Return the body of a job."""
    return {"object": "fine_tuning.job", "id": name, "status": status, **more}


def poll(status: str, name: str = "ftjob-a", **more: Any) -> Interaction:
    """Return a recorded read of a job."""
    return call("GET", f"{JOBS}/{name}", job(status, name, **more))


def write(verb: str, status: str, name: str = "ftjob-a") -> Interaction:
    """Return a recorded cancel, pause or resume."""
    return call("POST", f"{JOBS}/{name}/{verb}", job(status, name))


class Replay:
    """Sends requests to a replayer, and returns what the responses contain."""

    def __init__(self, *recorded: Interaction, patience: int = 100) -> None:
        self._recorded = recorded
        self.player = Replayer([step(each) for each in recorded], patience)

    def request(self, method: str, path: str) -> Any:
        """The job's status in the response, or the whole response; None if nothing was recorded."""
        index = self.player.answer(request_key(RecordedRequest(method, BASE + path)).key)
        answer = None if index is None else json.loads(self._recorded[index].response.body)
        return answer["status"] if isinstance(answer, dict) and "status" in answer else answer

    def polls(self, count: int, name: str = "ftjob-a") -> list[Any]:
        """Return the statuses from *count* polls of a job."""
        return [self.request("GET", f"{JOBS}/{name}") for _ in range(count)]

    def write(self, verb: str, name: str = "ftjob-a") -> Any:
        """Cancel, pause or resume a job; return its status."""
        return self.request("POST", f"{JOBS}/{name}/{verb}")


def step(interaction: Interaction) -> ReplayStep:
    """Return what the policy knows of an interaction."""
    return replay_step(interaction, request_key(interaction.request))


phases = st.lists(st.lists(st.sampled_from(["queued", "running"]), max_size=4), min_size=1, max_size=5)


@given(phases, st.data())
def test_looks_never_go_back_nor_past_a_write(recorded: list[list[str]], data: st.DataObject) -> None:
    """Polls never show an earlier status than before nor one recorded after a write not yet requested, and enough polls
    show every recorded status.
    """
    replay, places = build_recording(recorded)
    player, last = Replayer([step(each) for each in replay]), -1
    for phase, at in enumerate(places):
        looks = data.draw(st.integers(0, 2 * len(at) + 2)) if any(places[: phase + 1]) else 0
        given_now = [answer_index(player, "GET", f"{JOBS}/ftjob-a") for _ in range(looks)]
        assert given_now == sorted(given_now)
        assert all(index >= last for index in given_now)
        allowed = [index for each in places[: phase + 1] for index in each] + writes_before(replay, places, phase)
        assert set(given_now) <= set(allowed)
        assert given_now[: len(at)] == at[:looks]
        last = given_now[-1] if given_now else last
        if phase + 1 < len(places):
            last = answer_index(player, "POST", f"{JOBS}/ftjob-a/{verb_of(phase)}")


def build_recording(recorded: list[list[str]]) -> tuple[list[Interaction], list[list[int]]]:
    """Return polls of a job in several phases separated by writes, and the indices of the polls by phase."""
    replay: list[Interaction] = []
    places: list[list[int]] = []
    for phase, statuses in enumerate(recorded):
        places.append([len(replay) + number for number in range(len(statuses))])
        replay += [poll(status, at=number) for number, status in enumerate(statuses)]
        if phase + 1 < len(recorded):
            replay.append(write(verb_of(phase), "queued"))
    return replay, places


def verb_of(phase: int) -> str:
    """Return the write that ends a phase, which alternates."""
    return "resume" if phase % 2 else "pause"


def writes_before(replay: list[Interaction], places: list[list[int]], phase: int) -> list[int]:
    """Return the indices of the writes that end the phases before this one."""
    posts = [index for index, each in enumerate(replay) if each.request.method == "POST"]
    return posts[:phase]


def answer_index(player: Replayer, method: str, path: str) -> int:
    """Return the index of the interaction that answers a recorded request."""
    index = player.answer(request_key(RecordedRequest(method, BASE + path)).key)
    assert index is not None
    return index


@given(st.lists(st.sampled_from(["queued", "running"]), max_size=6), st.sampled_from(FINISHED))
def test_waiting_for_the_end_takes_as_many_looks_as_were_recorded(statuses: list[str], end: str) -> None:
    """A loop that polls until a job is finished ends after exactly the recorded polls."""
    replay = Replay(*(poll(status, at=number) for number, status in enumerate([*statuses, end])))
    seen: list[str] = []
    while not seen or seen[-1] not in FINISHED:
        seen += replay.polls(1)
    assert seen == [*statuses, end]
    assert replay.polls(3) == [end] * 3


def test_a_look_after_a_write_shows_what_was_recorded_after_it() -> None:
    """A poll after a cancel shows the cancelled job, even if fewer polls than recorded came before the cancel."""
    replay = Replay(poll("queued"), poll("running"), write("cancel", "cancelled"), poll("cancelled"))
    assert replay.polls(1) == ["queued"]
    assert replay.write("cancel") == "cancelled"
    assert replay.polls(2) == ["cancelled", "cancelled"]


def test_looks_wait_for_a_write() -> None:
    """Any number of polls before the cancel show at most the last status recorded before it."""
    replay = Replay(poll("queued"), poll("running"), write("cancel", "cancelled"), poll("cancelled"))
    assert replay.polls(4) == ["queued", "running", "running", "running"]


def test_a_look_where_none_was_recorded_since_a_write_shows_what_the_write_told() -> None:
    """If no poll was recorded after the cancel, a poll gets the status that the cancel returned."""
    replay = Replay(poll("queued"), write("cancel", "cancelled"))
    replay.polls(1)
    replay.write("cancel")
    assert replay.polls(2) == ["cancelled", "cancelled"]


def test_what_belongs_to_a_job_goes_forward_together() -> None:
    """After the last events of a job have been read, its status does not go back to an earlier one."""
    events = [call("GET", f"{JOBS}/ftjob-a/events", ["first"]), call("GET", f"{JOBS}/ftjob-a/events", ["last"])]
    replay = Replay(poll("queued"), events[0], poll("running"), poll("succeeded"), events[1])
    assert replay.polls(1) == ["queued"]
    assert [replay.request("GET", f"{JOBS}/ftjob-a/events") for _ in range(3)] == [["first"], ["last"], ["last"]]
    assert replay.polls(1) == ["succeeded"]


@given(st.permutations(["a", "a", "a", "b", "b", "b"]))
def test_two_jobs_do_not_move_each_other(order: list[str]) -> None:
    """Two jobs read in any order each show their own statuses in order."""
    statuses = ["queued", "running", "succeeded"]
    replay = Replay(*(poll(status, name) for status in statuses for name in ("ftjob-a", "ftjob-b")))
    seen: dict[str, list[str]] = {"a": [], "b": []}
    for name in order:
        seen[name] += replay.polls(1, f"ftjob-{name}")
    assert seen == {"a": statuses, "b": statuses}


def test_a_write_to_another_job_holds_nobody_up() -> None:
    """A recorded cancel of another job that is not requested does not hold back a job's statuses."""
    replay = Replay(poll("queued"), write("cancel", "cancelled", "ftjob-b"), poll("succeeded"))
    assert replay.polls(2) == ["queued", "succeeded"]


def test_deleting_a_file_is_a_write_to_the_jobs_that_name_it() -> None:
    """A job that failed because its file was deleted does not fail before the deletion is requested."""
    with_file = {"training_file": "file-1"}
    gone = call("DELETE", "/files/file-1", {"object": "file", "id": "file-1", "deleted": True})
    replay = Replay(poll("queued", **with_file), gone, poll("failed", **with_file))
    assert replay.polls(3) == ["queued"] * 3
    replay.request("DELETE", "/files/file-1")
    assert replay.polls(1) == ["failed"]


def test_a_list_waits_for_what_is_made_in_it() -> None:
    """A list that contains the second job is not shown before that job is created."""
    lists = [call("GET", JOBS, {"data": [job("queued")]}), call("GET", JOBS, {"data": ["two"]})]
    replay = Replay(
        call("POST", JOBS, job("queued")), lists[0], call("POST", f"{JOBS}?b=1", job("queued", "b")), lists[1]
    )
    replay.request("POST", JOBS)
    assert [len(replay.request("GET", JOBS)["data"]) for _ in range(2)] == [1, 1]
    replay.request("POST", f"{JOBS}?b=1")
    assert replay.request("GET", JOBS)["data"] == ["two"]


def test_reads_do_not_need_the_writes_before_them() -> None:
    """A job whose creation was recorded but not requested can still be read."""
    replay = Replay(call("POST", JOBS, job("validating_files")), poll("queued"), poll("succeeded"))
    assert replay.polls(2) == ["queued", "succeeded"]


def test_a_write_plays_once() -> None:
    """A write recorded once is refused the second time."""
    replay = Replay(call("POST", JOBS, job("queued")))
    assert replay.request("POST", JOBS) == "queued"
    with pytest.raises(NoAnswerLeft, match="was recorded once, and has been requested once already"):
        replay.request("POST", JOBS)


def test_a_refusal_is_repeated() -> None:
    """A recorded refusal is repeated for every further retry."""
    replay = Replay(call("POST", JOBS, {"error": {}}, 429))
    assert [replay.request("POST", JOBS) for _ in range(3)] == [{"error": {}}] * 3


def test_a_refusal_that_was_followed_by_success_is_played_in_order() -> None:
    """After a recorded 429 comes the recorded 200."""
    replay = Replay(call("POST", JOBS, {"error": {}}, 429), call("POST", JOBS, job("queued")))
    assert [replay.request("POST", JOBS) for _ in range(2)] == [{"error": {}}, "queued"]


def test_a_refused_write_holds_nobody_up() -> None:
    """A cancel that was refused with 400 does not hold back later statuses."""
    refused = call("POST", f"{JOBS}/ftjob-a/cancel", {"error": {}}, 400)
    replay = Replay(poll("running"), refused, poll("succeeded"))
    assert replay.polls(2) == ["running", "succeeded"]


def test_inference_changes_nothing() -> None:
    """A completion is repeated like a poll, and does not hold back later statuses."""
    replay = Replay(poll("running"), call("POST", "/chat/completions", ["hi"]), poll("succeeded"))
    assert replay.polls(2) == ["running", "succeeded"]
    assert [replay.request("POST", "/chat/completions") for _ in range(2)] == [["hi"], ["hi"]]


def test_questions_do_not_move_each_other() -> None:
    """Two prompts each get their own responses in order, however they are interleaved."""
    replay = Replay(*(call("POST", f"/chat/completions?{name}=1", [f"{name}{n}"]) for n in (1, 2) for name in "ab"))
    assert [replay.request("POST", f"/chat/completions?{name}=1") for name in "baab"] == [
        ["b1"],
        ["a1"],
        ["a2"],
        ["b2"],
    ]


def test_what_was_deleted_is_not_shown_any_more() -> None:
    """A deleted file is not shown as it was before its deletion."""
    gone = call("DELETE", "/files/file-1", {"object": "file", "id": "file-1", "deleted": True})
    replay = Replay(call("GET", "/files/file-1", {"object": "file", "id": "file-1"}), gone)
    replay.request("GET", "/files/file-1")
    replay.request("DELETE", "/files/file-1")
    with pytest.raises(NoAnswerLeft, match="deleted by now"):
        replay.request("GET", "/files/file-1")


def test_nobody_waits_for_ever_for_what_was_not_recorded() -> None:
    """Polling a job that was never recorded as finished raises PollingStuck."""
    replay = Replay(poll("queued"), poll("running"), patience=5)
    assert replay.polls(6) == ["queued", *["running"] * 5]
    with pytest.raises(PollingStuck, match="given 5 times, and none later was recorded"):
        replay.polls(1)


def test_nobody_waits_for_ever_for_a_write() -> None:
    """Polling for a status that came after a cancel raises PollingStuck that names the missing write."""
    replay = Replay(poll("running"), write("cancel", "cancelled"), poll("cancelled"), patience=5)
    replay.polls(5)
    with pytest.raises(PollingStuck, match="after write #2, not requested so far"):
        replay.polls(1)


def test_nobody_waits_for_ever_in_a_list() -> None:
    """Polling the events of a job that was never recorded as finished raises PollingStuck."""
    replay = Replay(poll("running"), call("GET", f"{JOBS}/ftjob-a/events", ["one"]), patience=5)
    for _ in range(5):
        replay.request("GET", f"{JOBS}/ftjob-a/events")
    with pytest.raises(PollingStuck, match="given 5 times, and none later was recorded"):
        replay.request("GET", f"{JOBS}/ftjob-a/events")


def test_nobody_waits_for_ever_for_a_file() -> None:
    """Polling a file that was never recorded as processed raises PollingStuck."""
    replay = Replay(call("GET", "/files/file-1", {"object": "file", "id": "file-1", "status": "uploaded"}), patience=5)
    assert [replay.request("GET", "/files/file-1") for _ in range(5)] == ["uploaded"] * 5
    with pytest.raises(PollingStuck, match="given 5 times"):
        replay.request("GET", "/files/file-1")


def test_nobody_waits_for_ever_in_a_list_for_a_write() -> None:
    """Polling for events that came after a cancel raises PollingStuck that names the missing write."""
    events = [call("GET", f"{JOBS}/ftjob-a/events", [each]) for each in ("first", "cancelled")]
    replay = Replay(events[0], write("cancel", "cancelled"), events[1], patience=5)
    for _ in range(5):
        replay.request("GET", f"{JOBS}/ftjob-a/events")
    with pytest.raises(PollingStuck, match="after write #2, not requested so far"):
        replay.request("GET", f"{JOBS}/ftjob-a/events")


def test_one_may_look_for_ever_at_what_is_over() -> None:
    """A finished job can be polled any number of times."""
    replay = Replay(poll("succeeded"), patience=5)
    assert replay.polls(50) == ["succeeded"] * 50


def test_unused_is_what_nobody_asked_for() -> None:
    """Skipped polls count as used; a write or list that was not requested counts as unused."""
    replay = Replay(
        poll("queued"),
        poll("succeeded"),
        call("GET", f"{JOBS}/ftjob-a/events", []),
        write("cancel", "cancelled"),
    )
    replay.polls(1)
    assert replay.player.unused == [2, 3]


def test_what_was_not_recorded_has_no_answer() -> None:
    """A request that was not recorded gets no response."""
    assert Replay(poll("queued")).request("GET", f"{JOBS}/ftjob-b") is None
