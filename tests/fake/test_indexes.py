"""Ids in the order of lists, by what is true of each, files, and what happens to jobs when."""

from __future__ import annotations

from array import array
from collections import Counter
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.indexes import FIRST_STATUS, FileShelf, IdIndex, OrderedIds, StatusCounts, Timetable
from fine_tuning_fakeserver.domain.job import Job
from strategies import BORN, Http

STEP = st.tuples(st.sampled_from(["add", "remove", "ask"]), st.integers(0, 9), st.integers(0, 3))
STEPS = st.lists(STEP, max_size=40)


@given(STEPS, st.dictionaries(st.integers(0, 9), st.frozensets(st.integers(0, 3), max_size=2)))
def test_ids_by_key_are_those_of_all_ids_that_have_it(
    steps: list[tuple[str, int, int]], keys: dict[int, frozenset[int]]
) -> None:
    """Ids that are collected by a key are others than those that have it, or in another order."""
    every, present = OrderedIds(), set[str]()
    index: IdIndex[int] = IdIndex(every, lambda identifier: keys.get(int(identifier), frozenset()))
    for step, number, moment in steps:
        identifier = str(number)
        if step == "add" and identifier not in present:
            every.add(identifier, moment)
            index.add(identifier)
            present.add(identifier)
        elif step == "remove" and identifier in present:
            index.remove(identifier)
            every.remove(identifier)
            present.discard(identifier)
        for key in range(4) if step == "ask" else ():
            wanted = [each for each in every if key in keys.get(int(each), frozenset())]
            assert list(index.ids(key)) == wanted
            assert index.count(key) == len(index.ids(key)) == len(wanted)
            assert index.ids(key).page(None, 2)[0] == wanted[::-1][:2]


def test_unknown_keys_are_not_kept() -> None:
    """Asking for keys that no id has takes memory."""
    index: IdIndex[str] = IdIndex(OrderedIds(), lambda _: ())
    assert len(index.ids("any")) == 0
    assert not index._collected


TIMES = st.sampled_from([0.0, 1.0, 1.5, 2.0, 7.0, inf])


@given(st.lists(st.tuples(st.sampled_from(["add", "discard", "take"]), TIMES, st.integers(0, 4)), max_size=40))
def test_a_timetable_is_a_sorted_list(steps: list[tuple[str, float, int]]) -> None:
    """What is added and not yet taken is taken, and looked at, in the order of times, then of numbers."""
    table, entries = Timetable(), list[tuple[float, int]]()
    for step, at, number in steps:
        if step == "add" and (at, number) not in entries:
            table.add(at, number)
            entries = sorted([*entries, (at, number)])
        elif step == "discard":
            assert table.discard(at, number) == ((at, number) in entries)
            entries = [entry for entry in entries if entry != (at, number)]
        elif step == "take":
            due = [entry for entry in entries if entry[0] <= at]
            assert table.take(at) == (array("d", [at for at, _ in due]), array("I", [number for _, number in due]))
            entries = entries[len(due) :]
        assert len(table) == len(entries)
        assert table.first() == (entries[0] if entries else None)
        assert table.last(-1.0) == (entries[-1][0] if entries else -1.0)
        assert table.last_finite(-1.0) == max((at for at, _ in entries if at < inf), default=-1.0)


STATUSES = st.sampled_from(["queued", "running", "paused", "succeeded", "failed"])
COURSES = st.lists(st.tuples(st.integers(1, 9), STATUSES), max_size=4).map(sorted)


@given(st.lists(st.tuples(COURSES, COURSES, st.integers(0, 9)), max_size=5), st.integers(0, 9), st.booleans())
def test_counts_are_those_of_all_jobs(jobs: list[tuple[Any, Any, int]], later: int, is_deleted: bool) -> None:
    """Counts by status are those of a look at each job, however courses change, and jobs are deleted."""
    counts, courses = StatusCounts(), dict[int, Any]()

    def status(course: list[tuple[int, str]], now: float) -> str:
        return [FIRST_STATUS, *(status for at, status in course if at <= now)][-1]

    def statuses(now: float) -> Counter[str]:
        return Counter(status(course, now) for course in courses.values())

    for number, (course, other, changed_at) in enumerate(sorted(jobs, key=lambda job: job[2])):
        counts.watch(SimpleNamespace(milestones=course), number)  # type: ignore[arg-type] # all that is read of it
        courses[number] = course
        assert counts.by_status(changed_at) == statuses(changed_at)
        after = [each for each in course if each[0] <= changed_at] + [each for each in other if each[0] > changed_at]
        counts.follow(SimpleNamespace(milestones=course), SimpleNamespace(milestones=after), number)  # type: ignore[arg-type] # the same
        courses[number] = after
    now = later + max((changed_at for _, _, changed_at in jobs), default=0)
    if courses and is_deleted:
        counts.by_status(now)
        counts.forget(SimpleNamespace(milestones=courses.pop(0)), 0)  # type: ignore[arg-type] # the same
    assert counts.by_status(now) == statuses(now)


ENDS = st.lists(st.integers(0, 9), min_size=1, max_size=4).map(sorted)
CURSORS, PURPOSES = st.none() | st.integers(0, 12), st.sampled_from([None, "a", "fine-tune-results"])
FILE_STEP = st.one_of(
    st.tuples(st.just("upload"), st.integers(0, 9)),
    st.tuples(st.just("end"), ENDS, st.sampled_from([8.0, 9.0, None])),
    st.tuples(st.just("remove"), st.integers(0, 12)),
    st.tuples(st.just("page"), CURSORS, st.integers(1, 3), PURPOSES, st.booleans()),
)


@given(st.lists(FILE_STEP, max_size=25))
def test_pages_of_files_are_those_of_all_files(steps: list[tuple[Any, ...]]) -> None:
    """Pages are the same whether result files have their ids at once, or when somebody looks."""
    uploads, jobs = dict[str, Any](), list[tuple[float, str, str]]()
    shelf = FileShelf(uploads, lambda number: jobs[number])
    every = list[tuple[float, int, str]]()
    arrivals = 0
    for step, *values in steps:
        if step == "upload":
            arrivals += 1
            name = f"upload-{arrivals}"
            uploads[name] = SimpleNamespace(purpose="a")
            shelf.add(name, values[0])
            every.append((values[0], arrivals, name))
        elif step == "end":
            ended, gap = values
            if gap is None:
                ended = ended[::-1]  # not in the order of lists
            numbers = range(len(jobs), len(jobs) + len(ended))
            jobs += [(at, f"result-{number}", f"job-{number}") for at, number in zip(ended, numbers, strict=True)]
            shelf.add_results(numbers, gap)
            every += [(jobs[n][0], arrivals + place, jobs[n][1]) for place, n in enumerate(numbers, 1)]
            arrivals += len(ended)
        elif step == "remove" and values[0] < len(every):
            name = every.pop(values[0])[2]
            assert shelf.remove(name) == (None if name in uploads else name.replace("result", "job"))
            uploads.pop(name, None)
        elif step == "page":
            after, limit, purpose, oldest_first = values
            listed = [name for _, _, name in sorted(every) if purpose is None or (name in uploads) == (purpose == "a")]
            listed = listed if oldest_first else listed[::-1]
            cursor = listed[after] if after is not None and after < len(listed) else None
            rest = listed[listed.index(cursor) + 1 :] if cursor else listed
            found = shelf.page(cursor, limit, purpose, oldest_first=oldest_first)
            assert found == (rest[:limit], len(rest) > limit)
        assert len(shelf) == len(every)
    assert shelf.results() == [name for _, _, name in sorted(every) if name not in uploads]


def many_jobs(*, is_seeded: bool = False) -> Http:
    """An account whose jobs, of several models, lengths and fates, are over."""
    http = Http(FakeFineTuning(start=BORN, seed=3, pace="manual"))
    file = http.file()
    if is_seeded:
        given = "ft:gpt-4o-mini-2024-07-18:me::given"
        http.fake.add_job(file, model="gpt-4o-mini", status="succeeded", fine_tuned_model=given)
    for number in range(40):
        fields = {"suffix": f"s{number % 3}"} if number % 4 else {}
        job = http.job(training_file=file, hyperparameters={"n_epochs": number % 5 + 1}, **fields)["id"]
        if number % 7 == 0:
            http.json("POST", f"/fine_tuning/jobs/{job}/cancel")
        if number % 5 == 0:
            http.fake.advance(40)
    http.fake.advance(86400)
    return http


@pytest.mark.parametrize("is_seeded", [False, True])
def test_a_model_is_found_by_its_id(monkeypatch: pytest.MonkeyPatch, is_seeded: bool) -> None:
    """A model that is looked for first is another job's, or its look-up names the models of all jobs."""
    expected = dict(many_jobs(is_seeded=is_seeded).fake._world.account.models)
    http = many_jobs(is_seeded=is_seeded)
    account, named, model_at = http.fake._world.account, list[str](), Job.model_at

    def counted(job: Job, step: int, made: float) -> str:
        named.append(job.id)
        return model_at(job, step, made)

    monkeypatch.setattr(Job, "model_at", counted)
    found = {model: account.job_of_model(model) for model in reversed(expected)}
    longest = max(Counter(expected.values()).values())
    assert found == expected
    assert len(expected) > 60
    assert is_seeded or len(named) <= longest * len(expected)
    some = next(iter(expected))
    for other in (some[:-1], some + "a", some + ":ckpt-step-1", some + ":ckpt-step-x", "ft:a", "", some.swapcase()):
        assert account.job_of_model(other) is None
    assert account.models == expected
    assert list(account.models) == list(expected)


def test_a_result_file_is_found_by_the_job_that_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look for a result file whose job was shown takes the ids of other jobs' files, or changes what lists show."""
    listed = many_jobs().json("GET", "/files?limit=10000")
    http = many_jobs()
    jobs = [each for each in http.json("GET", "/fine_tuning/jobs?limit=100")["data"] if each["result_files"]]
    assert len(jobs) > 30
    named, shelf = list[int](), http.fake._world.account.file_shelf
    result_of = shelf._result_of

    def counted(number: int) -> tuple[float, str, str]:
        named.append(number)
        return result_of(number)

    monkeypatch.setattr(shelf, "_result_of", counted)
    for job in jobs[::3]:
        [file] = job["result_files"]
        assert http.json("GET", f"/files/{file}") in listed["data"]
        assert shelf.job_of(file) == job["id"]
    assert len(set(named)) == len(jobs[::3])
    [first], [last] = jobs[-1]["result_files"], jobs[0]["result_files"]
    http.json("DELETE", f"/files/{first}")
    http.json("GET", f"/files/{first}", status=404)
    http.json("GET", f"/files/{last}")
    left = [each for each in listed["data"] if each["id"] != first]
    assert http.json("GET", "/files?limit=10000")["data"] == left
    assert len(shelf) == len(left)
