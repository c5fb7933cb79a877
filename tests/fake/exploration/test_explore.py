"""Exploring a function: what is tried, what is found, and what never counts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.fake.exploration.disturbance import Combination
from fine_tuning_fakeserver.fake.exploration.exploration_report import ExplorationReport
from fine_tuning_fakeserver.fake.exploration.explorer import ordered_occurrences
from fine_tuning_fakeserver.fake.exploration.misfortunes import BETWEEN, MISFORTUNES, Situation
from fine_tuning_fakeserver.fake.exploration.verdicts import ALLOWED, GOOD, NOT_REACHED, SUSPICIOUS, WRONG
from strategies import ROWS

FINAL = ("succeeded", "failed", "cancelled")
DOCS = Path(__file__).parents[3] / "docs"


class TrainFailed(Exception):
    """The program's own error."""


@pytest.fixture
def fake() -> FakeFineTuning:
    """A fake whose jobs take a minute."""
    return FakeFineTuning(plan={"validating": 20, "queued": 20, "starting": 20, "seconds_per_step": 0.1})


def start(client: openai.OpenAI) -> Any:
    """Upload and create, as every program does."""
    file = client.files.create(file=("train.jsonl", ROWS.encode()), purpose="fine-tune")
    return client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")


def good(fake: FakeFineTuning, every_s: float = 10) -> Callable[[], str]:
    """Return a program that knows every final status, with the SDK's defaults."""

    def train() -> str:
        with fake.openai() as client:
            job = start(client)
            while job.status not in FINAL:
                time.sleep(every_s)
                job = client.fine_tuning.jobs.retrieve(job.id)
        if job.status != "succeeded":
            raise TrainFailed(job.status)
        return str(job.fine_tuned_model)

    return train


def marks(report: ExplorationReport) -> dict[str, str]:
    """Return the mark of each combination."""
    return {str(verdict.combination): verdict.mark for verdict in report.verdicts}


def test_a_good_program_has_nothing_wrong(fake: FakeFineTuning) -> None:
    """A program that knows all final statuses is never wrong; what it may end with is its own error and the SDK's."""
    report = fake.explore(good(fake, every_s=15), runs=2000, allow=[TrainFailed])

    assert report.wrong == []
    assert report.left_out == 0
    report.assert_ok()
    found = marks(report)
    assert {found[each] for each in ("failed@2", "cancelled@3", "invalid-file@2", "key-revoked@4")} == {ALLOWED}
    assert {found[each] for each in ("paused@6", "500@3", "refused@4", "slow@2", "day-later@2")} == {GOOD}
    assert [name for name, mark in found.items() if mark == NOT_REACHED] == []
    assert not [name for name in found if name.startswith("slow-job")]  # it polls too often for that, unless named


def test_what_happens_in_between_happens_before_the_program_waits(fake: FakeFineTuning) -> None:
    """What happens after a request has happened when its answer is there, so that a job that still runs can be hit."""

    def train() -> None:
        with fake.openai() as client:
            job = start(client)
            time.sleep(3600)
            assert client.fine_tuning.jobs.retrieve(job.id).status in FINAL

    found = marks(fake.explore(train, only=["cancelled", "failed", "invalid-file", "paused"]))

    assert set(found) == {"cancelled@2", "failed@2", "invalid-file@2"}
    assert set(found.values()) == {GOOD}


def test_a_job_that_takes_longer_shows_who_gives_up(fake: FakeFineTuning) -> None:
    """A poller with a deadline gives up where the job takes hours longer; a job that it leaves running is shown."""

    def train() -> None:
        with fake.openai() as client:
            job, until = start(client), time.monotonic() + 600
            while job.status not in FINAL:
                if time.monotonic() > until:
                    raise TrainFailed(job.status)
                time.sleep(30)
                job = client.fine_tuning.jobs.retrieve(job.id)

    report = fake.explore(train, only="slow-job", allow=TrainFailed)

    assert set(marks(report).values()) == {SUSPICIOUS}
    assert "was left running, although the service answered" in str(report)
    assert "    ended with TrainFailed: " in str(report)
    assert len(report.verdicts) <= 3  # once for each status: each run has hundreds of requests
    patient = fake.explore(good(fake, every_s=40), only="slow-job", allow=TrainFailed)
    assert set(marks(patient).values()) == {GOOD}


def test_a_job_left_running_after_one_error_is_suspicious(fake: FakeFineTuning) -> None:
    """A program that ends by one 500 could have cleaned up; one whose key is revoked could not."""

    def train() -> None:
        with fake.openai(max_retries=0) as client:
            job = start(client)
            while job.status not in FINAL:
                time.sleep(10)
                job = client.fine_tuning.jobs.retrieve(job.id)

    found = marks(fake.explore(train, only=["500", "key-revoked", "outage"], runs=15))

    assert found["500@3"] == SUSPICIOUS
    assert found["key-revoked@2"] == found["outage@2"] == ALLOWED


def test_a_fault_of_the_test_itself_comes_first(fake: FakeFineTuning) -> None:
    """A request that the test lets fail has no misfortune, which is then shown as not reached."""

    def train() -> None:
        fake.fail(429, on="list_jobs", times=1)
        with fake.openai(max_retries=0) as client:
            with pytest.raises(openai.RateLimitError):
                client.fine_tuning.jobs.list()
            client.models.list()

    found = marks(fake.explore(train, only=["500", "reset"]))

    assert found == {
        "500@1": NOT_REACHED, "reset@1": NOT_REACHED, "500@2": ALLOWED, "reset@2": ALLOWED
    }  # fmt: skip


def test_a_body_that_is_no_json_may_end_any_program(fake: FakeFineTuning) -> None:
    """A program without SDK may end by a broken body or a refusal, whoever raises it; the request has taken effect."""

    def train() -> None:
        for _ in range(2):
            request = urllib.request.Request(f"{fake.base_url}/models", headers={"authorization": "Bearer any"})
            try:
                with urllib.request.urlopen(request) as answer:
                    json.loads(answer.read())
            except urllib.error.HTTPError as error:
                error.close()  # it holds the connection
                raise

    with fake.serving():
        found = marks(fake.explore(train, only=["malformed", "truncated", "500", "key-revoked", "refused"]))

    assert set(found.values()) == {ALLOWED}
    paid = fake.explore(good(fake), only="malformed", runs=2)
    assert [len(each.run.situations) for each in paid.verdicts] == [1, 2]
    assert [each.run.paid_jobs for each in paid.verdicts] == [0, 1]


def test_a_program_is_directed_by_the_environment(fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is explored, the fake serves and the environment leads there; a program without request is refused."""
    monkeypatch.setenv("OPENAI_API_KEY", "of the user")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    def list_models() -> None:
        with openai.OpenAI() as client:
            client.models.list()

    report = fake.explore(list_models, runs=2)

    assert report.base.requests == 1
    assert os.environ["OPENAI_API_KEY"] == "of the user"
    assert "OPENAI_BASE_URL" not in os.environ
    with pytest.raises(FakeUsageError, match=r"must send the fake requests, got none; make its client by fake\.openai"):
        fake.explore(lambda: None)


def test_the_report_says_how_runs_ended(fake: FakeFineTuning) -> None:
    """Errors that runs may end with are listed with their runs; a wrong run is the earliest before a suspicious one."""

    def train() -> None:
        with fake.openai() as client:
            job = start(client)
            time.sleep(300)
            job = client.fine_tuning.jobs.retrieve(job.id)
            if job.status == "failed":
                raise TrainFailed(job.id)
            str(job.fine_tuned_model.upper())  # type: ignore[union-attr]

    text = str(fake.explore(train, only=["failed", "reset-after", "cancelled"], allow=TrainFailed))

    assert "\nearliest: cancelled@2\n" in text
    assert re.search(r"\n! TrainFailed: ftjob-\S+ at \S*test_explore\.py:\d+: failed@2$", text)
    assert len(re.findall(r"^ +\d+  create_job ", text.partition("△ reset-after@2")[2], re.MULTILINE)) == 2


def test_a_second_paid_job_is_suspicious(fake: FakeFineTuning) -> None:
    """The SDK's blind retry of a create whose answer was lost is shown, and fails if strict."""
    only = ["reset-after", "timeout", "truncated"]
    report = fake.explore(good(fake), allow=TrainFailed, only=only)
    strict = fake.explore(good(fake), allow=TrainFailed, only=only, strict=True, runs=3)

    assert {name: mark for name, mark in marks(report).items() if mark != GOOD} == {
        f"{name}@2": SUSPICIOUS for name in only
    }
    assert report.wrong == []
    assert "1 more paid job than without misfortune" in str(report)
    with pytest.raises(AssertionError, match="1 more paid job"):
        strict.assert_ok()


def test_what_the_undisturbed_run_shows_is_not_counted(fake: FakeFineTuning) -> None:
    """A program that leaves its job running anyway is not suspicious for it."""

    def train() -> None:
        with fake.openai() as client:
            job = start(client)
            client.fine_tuning.jobs.retrieve(job.id)

    report = fake.explore(train, only=["slow", "paused", "500"])

    assert set(marks(report).values()) <= {GOOD, SUSPICIOUS}
    assert "left running" not in str(report)


def test_an_exception_of_the_program_is_wrong(fake: FakeFineTuning) -> None:
    """A program that takes every end for success is wrong where the job fails, with the place of its error."""

    def train() -> str:
        with fake.openai() as client:
            job = start(client)
            while job.status not in FINAL:
                time.sleep(10)
                job = client.fine_tuning.jobs.retrieve(job.id)
            return str(job.fine_tuned_model.upper())

    report = fake.explore(train, only=["cancelled"])

    assert set(marks(report).values()) == {WRONG}
    text = str(report)
    assert "earliest: cancelled@2" in text
    assert re.search(r"AttributeError: 'NoneType' object has no attribute 'upper' at \S*test_explore.py:\d+", text)


def test_a_program_that_does_not_end_is_wrong(fake: FakeFineTuning) -> None:
    """A program that waits for success alone is ended, by its requests or by the time that it waits, and is wrong."""

    def poll_for_ever() -> None:
        with fake.openai() as client:
            job = start(client)
            while job.status != "succeeded":
                time.sleep(10)
                job = client.fine_tuning.jobs.retrieve(job.id)

    def sleep_for_ever() -> None:
        with fake.openai() as client:
            job = start(client)
            time.sleep(60)
            while client.fine_tuning.jobs.retrieve(job.id).status != "succeeded":
                time.sleep(86_400)

    (by_requests,) = fake.explore(poll_for_ever, only="cancelled", runs=1).wrong
    (by_time,) = fake.explore(sleep_for_ever, only="cancelled", runs=1).wrong

    assert by_requests.problems[0].startswith("does not end: more than ")
    assert "requests" in by_requests.problems[0]
    assert by_time.problems == ("does not end: waited for more than 50 days of virtual time, 1 day without misfortune",)


def test_a_program_that_waits_for_ever_in_small_steps_is_ended(
    fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that sleeps again and again without a request is ended by how often it does."""
    monkeypatch.setattr("fine_tuning_fakeserver.fake.exploration.explorer.WAITS_MORE", 100)

    def train() -> None:
        with fake.openai() as client:
            job = start(client)
            time.sleep(300)
            job = client.fine_tuning.jobs.retrieve(job.id)
            while job.status != "succeeded":
                time.sleep(1)

    report = fake.explore(train, only="cancelled")

    assert report.base.waits == 1
    assert [verdict.problems for verdict in report.wrong] == [
        ("does not end: waited more than 120 times, 1 without misfortune",)
    ]


def test_a_program_whose_threads_all_wait_is_ended(fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that waits without a timeout for what never comes is wrong, and does not hang."""
    monkeypatch.setattr("fine_tuning_fakeserver.virtual_time.scheduler.STUCK_AFTER_S", 0.05)

    def train() -> None:
        done = threading.Event()

        def work() -> None:
            with fake.openai(max_retries=0) as client:
                start(client)
            done.set()

        thread = threading.Thread(target=work)
        threading.excepthook, hook = (lambda _: None), threading.excepthook
        try:
            thread.start()
            done.wait()
            thread.join()
        finally:
            threading.excepthook = hook

    report = fake.explore(train, only=["500"])

    assert set(marks(report).values()) == {WRONG}
    assert "does not end: every thread waits for something that never comes\n" in str(report)


def test_an_assertion_counts_where_the_jobs_ended_as_ever(fake: FakeFineTuning) -> None:
    """An assertion that fails is wrong if the jobs ended as in the undisturbed run, and else an end like others."""

    def train() -> None:
        with fake.openai() as client:
            began, job = time.monotonic(), start(client)
            while job.status not in FINAL:
                time.sleep(10)
                job = client.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded"
        assert time.monotonic() - began < 3600

    found = marks(fake.explore(train, only=["cancelled", "day-later"]))

    assert {mark for name, mark in found.items() if name.startswith("cancelled")} == {ALLOWED}
    assert {mark for name, mark in found.items() if name.startswith("day-later")} == {WRONG}


def test_what_must_always_hold_is_checked_after_each_run(fake: FakeFineTuning) -> None:
    """A check holds at the end of each run that has registered it, also where the program ended with an error."""

    def train() -> None:
        @fake.always
        def no_job_runs() -> None:
            assert not [job for job in fake.jobs if job["status"] not in FINAL], "a job runs"

        good(fake)()

    report = fake.explore(train, only=["key-revoked"], allow=TrainFailed)

    assert [str(each.combination) for each in report.wrong][:2] == ["key-revoked@2", "key-revoked@3"]
    assert "always: AssertionError: a job runs" in str(report)


def test_a_check_that_never_holds_fails_the_undisturbed_run(fake: FakeFineTuning) -> None:
    """What the undisturbed run raises, by itself or by a check, comes out as it is."""

    def broken() -> None:
        @fake.always
        def check() -> None:
            raise ValueError("never")

    with pytest.raises(ValueError, match="never"):
        fake.explore(broken)
    with pytest.raises(ZeroDivisionError):
        fake.explore(lambda: 1 // 0)


def test_a_process_that_ends_is_started_again(fake: FakeFineTuning) -> None:
    """With ``restart`` the program is cut off between any two requests, and goes on by what it has kept."""
    kept: dict[str, str] = {}

    def begin() -> None:
        kept.clear()
        go_on()

    def go_on() -> None:
        with fake.openai() as client:
            if "job" not in kept:
                kept["job"] = start(client).id
            while client.fine_tuning.jobs.retrieve(kept["job"]).status not in FINAL:
                time.sleep(10)

    report = fake.explore(begin, only=["restart", "restart-later"], restart=go_on)

    found = marks(report)
    assert found["restart@1"] == SUSPICIOUS  # its file is left, and uploaded again
    assert found["restart@2"] == SUSPICIOUS  # the job's id came, and was not learnt: another one is paid for
    assert found["restart-later@2"] == GOOD
    assert {mark for name, mark in found.items() if name not in ("restart@1", "restart@2", "restart-later@1")} == {GOOD}
    assert not [name for name in marks(fake.explore(begin, runs=20)) if name.startswith("restart")]


def test_over_a_socket_everything_but_a_timeout_happens(fake: FakeFineTuning) -> None:
    """A client on a socket meets the same misfortunes; a timeout, which would be real, is shown as not reached."""

    def train() -> None:
        with httpx.Client(base_url=fake.base_url, headers={"authorization": "Bearer any"}) as client:
            client.get("/models").raise_for_status()
            time.sleep(30)
            client.get("/files").raise_for_status()

    with fake.serving():
        report = fake.explore(train, restart=lambda: None)

    found = marks(report)
    assert {name for name, mark in found.items() if mark == NOT_REACHED} == {"timeout@1", "timeout@2"}
    assert found["slow@1"] == found["restart@1"] == found["other-client@1"] == GOOD
    assert found["reset@2"] == found["truncated@1"] == found["key-revoked@1"] == found["503@1"] == ALLOWED
    assert report.wrong == []


def test_a_run_over_a_socket_is_ended_by_its_requests(fake: FakeFineTuning, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program on a socket that goes on for too long is ended in its own thread."""
    monkeypatch.setattr("fine_tuning_fakeserver.fake.exploration.explorer.REQUESTS_MORE", 5)

    def poll() -> None:
        with httpx.Client(base_url=fake.base_url, headers={"authorization": "Bearer any"}) as client:
            while client.get("/models").status_code != 200:
                time.sleep(1)
            while not client.get("/models").is_success:
                time.sleep(1)

    with fake.serving():
        report = fake.explore(poll, only=["key-revoked"])

    assert [verdict.problems[0][:13] for verdict in report.wrong] == ["does not end:"]


ENDED_AND_TRACED = """
import sys, time
import httpx
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.fake.exploration import explorer

explorer.REQUESTS_MORE = 5
fake = FakeFineTuning()

def poll():
    with httpx.Client(base_url=fake.base_url, headers={"authorization": "Bearer any"}) as client:
        client.get("/files")
        while not client.get("/models").is_success:
            time.sleep(1)

with fake.serving():
    report = fake.explore(poll, only=["key-revoked"])

calls = []
sys.setprofile(lambda frame, event, argument: calls.append(event))
(lambda: None)()
sys.setprofile(None)
print(len(report.wrong), "call" in calls)
"""


def test_a_run_that_is_ended_leaves_its_thread_as_it_was() -> None:
    """A thread whose run was ended from outside can be traced and profiled afterwards, and does not hang."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", ENDED_AND_TRACED]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)

    assert run.stdout.split() == ["1", "True"]


def test_pairs_follow_the_single_misfortunes(fake: FakeFineTuning) -> None:
    """Combinations of two come after the single ones, the same for the same seed."""
    options: dict[str, Any] = {"only": ["500"], "runs": 18, "pairs": True, "allow": TrainFailed}
    first, again = (list(marks(fake.explore(good(fake), **options))) for _ in range(2))
    other = list(marks(fake.explore(good(fake), seed=1, **options)))

    singles = [name for name in first if "+" not in name]
    assert first[: len(singles)] == singles
    assert len(first) == 18
    assert first == again != other


def test_the_budget_is_kept(fake: FakeFineTuning) -> None:
    """There are no more runs than the budget has, of runs or of seconds, and the report counts the rest."""
    few = fake.explore(good(fake), runs=5, allow=TrainFailed)
    quick = fake.explore(good(fake), seconds=1e-9, allow=TrainFailed)

    assert (len(few.verdicts), len(quick.verdicts)) == (5, 1)
    assert few.left_out + 5 == quick.left_out + 1
    assert f"; {few.left_out} more not run" in str(few)


@given(
    st.lists(st.sampled_from([Situation("retrieve_job", "running"), Situation("create_job"), Situation("list_jobs")]))
)
def test_each_occurrence_is_tried_once_first_times_first(situations: list[Situation]) -> None:
    """The order has each occurrence once, and the first of each kind before the second of any."""
    ordered = ordered_occurrences(situations, situations, [each for each in MISFORTUNES.values() if not each.longer_s])
    names = [str(each) for each in ordered]
    kinds = [
        (each.misfortune.name, *situations[each.boundary - 1 : each.boundary + (not each.misfortune.is_at_request)])
        for each in ordered
    ]
    ranks = [kinds[:place].count(kind) for place, kind in enumerate(kinds)]

    assert len(set(names)) == len(names)
    assert ranks == sorted(ranks)
    assert all(each.boundary < len(situations) for each in ordered if not each.misfortune.is_at_request)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runs": 0}, "explore 'runs' must be a whole number from 1, got 0"),
        ({"seconds": 0}, "explore 'seconds' must be positive seconds, or None for no limit, got 0"),
        ({"allow": [3]}, r"explore 'allow' must be exception classes, as in \[TrainFailed\], got \[3\]"),
        ({"only": ["cancled"]}, "unknown misfortune 'cancled'.*cancelled"),
        ({"restart": 3}, "explore 'restart' must be a function without arguments"),
        (
            {"only": ["slow", "restart-later"]},
            r"'restart' must be a function without arguments with only=\['restart-later'\], got None; restart=main",
        ),
        ({"strickt": True}, "unknown explore option 'strickt'"),
    ],
)
def test_wrong_options_are_refused(fake: FakeFineTuning, options: dict[str, Any], message: str) -> None:
    """An option that makes no sense is refused before anything runs."""
    with pytest.raises(FakeUsageError, match=message):
        fake.explore(lambda: pytest.fail("it ran"), **options)


def test_combinations_are_read_as_they_are_written() -> None:
    """A combination's text means itself; what is none is refused with an example."""
    for text in ("cancelled@7", "500@2+paused@5", "429-retry-after@1"):
        assert str(Combination.parse(text)) == text
    for text in ("cancelled", "cancelled@0", "@3", "cancelled@7+", "tests/"):
        with pytest.raises(FakeUsageError, match=r"as in 'cancelled@7'"):
            Combination.parse(text)
    with pytest.raises(FakeUsageError, match=r"unknown misfortune 'canceled' \(did you mean 'cancelled'"):
        Combination.parse("canceled@7")


def test_the_table_of_misfortunes_is_complete() -> None:
    """The docs list every misfortune in its words, those between two requests in the second table."""
    tables = (DOCS / "explore.md").read_text().partition("## Misfortunes")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", tables, re.MULTILINE)
    known = [(each.name, each.text) for each in MISFORTUNES.values()]

    assert listed == known
    assert [entry[0] for entry in known[-len(BETWEEN) :]] == [each.name for each in BETWEEN]
