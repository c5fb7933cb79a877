"""The pace "polls" for every kind of loop, and loops that would never end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError, Plan
from fine_tuning_fakeserver.clock import Pace
from fine_tuning_fakeserver.domain.dialects import DIALECTS
from strategies import BORN, ROWS, Http, plans

JOBS = "/fine_tuning/jobs"
UNREADY = "openai-2023-11"
"""A dialect in which a file is not ready at first."""
ORDER = ("validating_files", "queued", "running", "succeeded")
PROGRESS = {**{status: place for place, status in enumerate(ORDER)}, "failed": len(ORDER)}


def statuses(http: Http) -> list[str]:
    """The statuses of all jobs, newest first; looking so moves no time."""
    return [job["status"] for job in http.fake.jobs]


def polled(pace: Pace = "polls", **settings: Any) -> Http:
    """A fake at a pace; its usage errors are not in the description of the API."""
    return Http(FakeFineTuning(start=BORN, pace=pace, **settings), is_described=False)


def seen_by(http: Http, path: str, looks: int) -> list[str]:
    """The newest job's status after each of some looks."""
    seen = []
    for _ in range(looks):
        http.json("GET", path)
        seen.append(statuses(http)[0])
    return seen


@pytest.mark.parametrize("query", ["", "?limit=1", "?metadata[run]=7"])
@pytest.mark.parametrize("listed", ["", "/{id}/events", "/{id}/checkpoints"])
def test_a_loop_that_only_lists_ends(listed: str, query: str) -> None:
    """Whatever list a loop goes by, each look but the first brings the job one status on."""
    http = polled()
    job = http.job(metadata={"run": "7"})

    assert seen_by(http, JOBS + listed.format(id=job["id"]) + query, 5) == [*ORDER, "succeeded"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_loop_that_only_lists_ends_in_every_dialect(dialect: str) -> None:
    """In each dialect a list of jobs that is read again brings its job on, and shows what it brings."""
    http = polled(dialect=dialect)
    http.fake.add_job(http.fake.add_file(ROWS)["id"], status="queued")
    seen = []
    for _ in range(4):
        seen.append(http.json("GET", JOBS)["data"][0]["status"])
        assert seen[-1] == statuses(http)[0]

    assert seen[1:] == ["running", "succeeded", "succeeded"]


def test_lists_beside_a_retrieve_move_nothing() -> None:
    """A loop that retrieves its job sees each status, whatever lists it reads in between."""
    http = polled()
    path = f"{JOBS}/{http.job()['id']}"
    seen = []
    for _ in range(4):
        for listed in (JOBS, f"{path}/events", f"{path}/checkpoints", f"{JOBS}?limit=1"):
            http.json("GET", listed)
        seen.append(http.json("GET", path)["status"])

    assert seen == [*ORDER[1:], "succeeded"]


def test_other_requests_are_no_repetition() -> None:
    """Pages, limits and filters that were not asked for before move no time."""
    http = polled()
    first = http.job()["id"]
    http.job()
    for path in (JOBS, f"{JOBS}?limit=1", f"{JOBS}?after={http.fake.jobs[0]['id']}", f"{JOBS}?metadata=null"):
        http.json("GET", path)
    for path in (f"{JOBS}/{first}/events", f"{JOBS}/{first}/events?limit=2", f"{JOBS}/{first}/checkpoints?limit=2"):
        http.json("GET", path)

    assert http.fake.now == BORN


def test_a_list_that_has_changed_moves_nothing() -> None:
    """A list that shows a new job, or a status that it has not shown, is answered as it is."""
    http = polled()
    for _ in range(3):
        http.json("GET", JOBS)
        http.job()
    assert http.fake.now == BORN

    http.json("GET", JOBS)
    http.fake.advance_to("queued")
    reached = http.fake.now
    http.json("GET", JOBS)
    assert http.fake.now == reached


def test_a_list_moves_to_the_next_milestone_of_the_jobs_it_shows() -> None:
    """A page of one job brings on that job only; a page of all goes from milestone to milestone."""
    http = polled(plan={"validating": 10, "queued": 10})
    http.fake.plan_next(validating=3)
    http.job()
    newest = http.job()
    for _ in range(2):
        page = http.json("GET", f"{JOBS}?limit=1")["data"]
    assert (page[0]["id"], page[0]["status"], http.fake.now) == (newest["id"], "queued", BORN + 10)

    http = polled(plan={"validating": 10, "queued": 10})
    http.fake.plan_next(validating=3)
    http.job()
    http.job()
    seen = []
    for _ in range(3):
        http.json("GET", JOBS)
        seen.append((http.fake.now - BORN, statuses(http)))
    assert seen == [
        (0, ["validating_files", "validating_files"]),
        (3, ["validating_files", "queued"]),
        (10, ["queued", "queued"]),
    ]


def test_a_list_waits_for_no_job_that_is_over() -> None:
    """Listing cancelled jobs moves no time, although an event of theirs is still to come."""
    http = polled()
    http.send("POST", f"{JOBS}/{http.job()['id']}/cancel")
    for _ in range(3):
        http.json("GET", JOBS)

    assert http.fake.now == BORN


def test_control_and_the_handle_move_no_time() -> None:
    """However often jobs and files are looked at through the handle or the control routes, time stands still."""
    http = polled(dialect=UNREADY)
    job = http.job()["id"]
    for _ in range(3):
        assert all((http.fake.jobs, http.fake.files, http.fake.describe(), http.fake.state()))
        for path in ("", "/clock", "/requests", "/faults", "/webhooks", "/webhooks/deliveries"):
            http.json("GET", f"/_fake{path}")
        for path in ("", f"/{job}", f"/{job}/events"):
            http.send("HEAD", JOBS + path)

    assert http.fake.now == BORN


def test_a_loop_that_lists_files_ends() -> None:
    """A file that is not ready at first is ready in a list that is read again, as in a retrieve."""
    http = polled(dialect=UNREADY)
    http.file()
    seen = [http.json("GET", "/files")["data"][0]["status"] for _ in range(3)]

    assert seen == ["uploaded", "processed", "processed"]


def test_a_loop_that_lists_outlasts_an_outage() -> None:
    """Refused lists bring the end of an outage nearer, those beside a refused retrieve do not."""
    http = polled()
    path = f"{JOBS}/{http.job()['id']}"
    http.fake.outage("7m")
    assert [http.send("GET", JOBS).status for _ in range(6)] == [503] * 5 + [200]

    http.fake.outage("7m")
    answers = [(http.send("GET", path).status, http.send("GET", f"{path}/events").status) for _ in range(5)]
    assert answers == [(503, 503)] * 3 + [(503, 200), (200, 200)]


LOOKS = (
    "/{id}",
    "",
    "?limit=50",
    "/{id}/events",
    "/{id}/events?limit=1",
    "/{id}/checkpoints",
    "/{id}/checkpoints?limit=1",
)
LOOPS = st.lists(st.sampled_from(LOOKS), min_size=1, max_size=4)


@given(st.lists(st.tuples(plans(), LOOPS), min_size=1, max_size=3))
def test_any_mix_of_looks_ends_every_job(loops: list[tuple[Plan, list[str]]]) -> None:
    """However loops mix retrieves and lists, their jobs come to an end, and no status is ever seen to go back."""
    http = polled()
    furthest: dict[str, int] = {}
    for plan, _ in loops:
        http.fake.plan = plan
        furthest[http.job()["id"]] = 0
    looks = [look.format(id=job) for job, (_, loop) in zip(furthest, loops, strict=True) for look in loop]
    for _ in range(4 * len(loops) + 2):
        for look in looks:
            answer = http.json("GET", JOBS + look)
            for shown in answer.get("data", [answer]):
                if shown["object"] == "fine_tuning.job":
                    reached = PROGRESS[shown["status"]]
                    assert reached >= furthest[shown["id"]]
                    furthest[shown["id"]] = reached

    assert set(statuses(http)) <= {"succeeded", "failed"}


def paused(pace: Pace, **settings: Any) -> tuple[Http, str]:
    """A paused job, at a pace, and its path."""
    http = polled("manual", **settings)
    path = f"{JOBS}/{http.job()['id']}"
    http.fake.advance_to("running")
    http.fake.pause_job(path.rpartition("/")[2])
    http.fake.pace = pace
    return http, path


@pytest.mark.parametrize("listed", ["/{id}", "", "/{id}/events", "/{id}/checkpoints"])
@pytest.mark.parametrize("pace", ["manual", "polls", "instant"])
def test_a_loop_that_nothing_ends_is_refused(pace: Pace, listed: str) -> None:
    """The 200th look at a paused job while time stands still, and later ones, are usage errors, whatever the look."""
    http, path = paused(pace)
    target = JOBS + listed.format(id=path.rpartition("/")[2])
    answers = [http.send("GET", target).status for _ in range(202)]

    assert answers == [200] * 199 + [400] * 3
    assert len(http.fake.take_usage_errors()) == 3


@pytest.mark.parametrize(
    ("pace", "status", "remedy"),
    [
        (
            "manual",
            "queued",
            "let time pass (fake.advance, fake.sleep in the place of the loop's sleep) or use the pace",
        ),
        ("manual", "paused", "resume the job (fake.resume_job), or let time pass (fake.advance, "),
        ("polls", "paused", "resume it (fake.resume_job); patience=None allows any number of looks"),
    ],
)
def test_the_refusal_of_an_endless_loop_names_its_requests(pace: Pace, status: str, remedy: str) -> None:
    """The error says which requests looked how often, in which status the job is, at which pace, and what to do."""
    http, path = paused(pace, patience=6)
    if status == "queued":
        http.fake.resume_job(path.rpartition("/")[2])
    for _ in range(2):
        for listed in ("", "/events"):
            http.json("GET", path + listed)
    http.json("GET", JOBS)
    error = http.json("GET", path, status=400)["fake_error"]

    assert error.startswith(
        f"job {path.rpartition('/')[2]} was looked at 6 times in vain (retrieve_job 3 times, list_job_events 2 times, "
        f"list_jobs 1 times): it is {status}, the pace is '{pace}', and nothing moved time or changed"
    )
    assert remedy in error
    later = http.json("GET", path, status=400)["fake_error"]
    assert later.startswith(f"job {path.rpartition('/')[2]} was looked at 7 times in vain (retrieve_job 4 times, ")
    assert len(later) < len(error) - 100


EXCUSES: dict[str, Callable[[Http, str], Any]] = {
    "an advance": lambda http, path: http.fake.advance("1s"),
    "a sleep": lambda http, path: http.fake.sleep(1),
    "a change": lambda http, path: http.fake.resume_job(path.rpartition("/")[2]),
    "another pace": lambda http, path: setattr(http.fake, "pace", "manual"),
}


@pytest.mark.parametrize("excuse", EXCUSES)
def test_patience_begins_anew(excuse: str) -> None:
    """After an advance, a sleep or a change a job can be looked at as often again, also where that was refused."""
    http, path = paused("manual", patience=5)
    for _ in range(2):
        assert [http.send("GET", path).status for _ in range(5)] == [200] * 4 + [400]
        EXCUSES[excuse](http, path)
        assert [http.send("GET", path).status for _ in range(3)] == [200] * 3
        http.fake.advance_to("running") if excuse == "a change" else None
        http.fake.pause_job(path.rpartition("/")[2]) if excuse == "a change" else None
        http.fake.advance(1)


def test_a_sleep_of_no_time_is_no_excuse() -> None:
    """A loop that sleeps for 0 seconds is refused like one that does not sleep."""
    http, path = paused("manual", patience=5)
    answers = []
    for _ in range(5):
        http.fake.sleep(0)
        answers.append(http.send("GET", path).status)

    assert answers == [200] * 4 + [400]


def test_each_job_has_its_own_patience() -> None:
    """Looks at several jobs are counted apart; a look at the account's list counts for each job in it."""
    http = polled("manual", patience=5)
    paths = [f"{JOBS}/{http.job()['id']}" for _ in range(3)]
    assert [http.send("GET", path).status for _ in range(4) for path in paths] == [200] * 12
    assert http.send("GET", f"{JOBS}?limit=1").status == 400
    assert http.send("GET", f"{JOBS}?after={http.fake.jobs[-1]['id']}").status == 200


@pytest.mark.parametrize("settings", [{"pace": 1}, {"pace": "manual", "patience": None}])
def test_looks_that_have_no_limit(settings: Any) -> None:
    """At a numeric pace, and with patience=None, an unfinished job can be looked at any number of times."""
    http, path = paused(**settings)

    assert {http.send("GET", path).status for _ in range(250)} == {200}


def test_a_job_that_is_over_can_be_looked_at_for_ever() -> None:
    """Looks at a finished job, by any request, are never refused."""
    http = polled("manual", patience=3)
    path = f"{JOBS}/{http.job()['id']}"
    http.fake.advance_to("succeeded")

    assert {http.send("GET", each).status for _ in range(9) for each in (JOBS, path, f"{path}/events")} == {200}


@pytest.mark.parametrize("patience", [0, -1, 1.5, "many", True])
def test_patience_is_a_number_of_looks(patience: Any) -> None:
    """Anything else is refused, with what it must be."""
    with pytest.raises(FakeUsageError, match="patience must be a whole number from 1, or None for any number of looks"):
        FakeFineTuning(patience=patience)
