"""The views that the page reads: what a look shows, what it leaves as it is, and what it costs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.page.curves import BUCKETS_AT_MOST, curves
from fine_tuning_fakeserver.page.job_views import SEARCHED_AT_MOST
from fine_tuning_fakeserver.page.page_routes import VIEWS
from fine_tuning_fakeserver.web.in_process import InProcessResponse, call_app
from strategies import BORN, ROW, ROWS, everything

DATA = "/_fake/ui/data"
CREATE = {"model": "gpt-4o-mini", "suffix": "tone", "metadata": {"team": "blue"}}


def request(
    fake: FakeFineTuning, path: str, method: str = "GET", body: Any = None, headers: Iterable[tuple[str, str]] = ()
) -> InProcessResponse:
    """Send one request in process."""
    sent = [(b"authorization", b"Bearer any"), (b"content-type", b"application/json")]
    sent += [(name.encode(), value.encode()) for name, value in headers]
    raw = b"" if body is None else json.dumps(body).encode()
    return call_app(fake.asgi_app, method, path.encode(), sent, raw)


def look(fake: FakeFineTuning, path: str) -> Any:
    """What a view shows."""
    answer = request(fake, DATA + path)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def refusal(fake: FakeFineTuning, path: str) -> str:
    """Why a view is refused: as the fake's own error."""
    answer = request(fake, DATA + path)
    assert answer.status == 400, answer.body
    return str(json.loads(answer.body)["fake_error"])


def used_account(pace: Any = "manual") -> tuple[FakeFineTuning, str, str]:
    """A fake whose client has uploaded a file, created a job and looked at it; with the ids of both."""
    fake = FakeFineTuning(start=BORN, pace=pace, patience=None)
    file = fake.add_file(ROWS, filename="train.jsonl")["id"]
    answer = request(fake, "/v1/fine_tuning/jobs", "POST", {**CREATE, "training_file": file})
    job = json.loads(answer.body)["id"]
    request(fake, f"/v1/fine_tuning/jobs/{job}")
    return fake, file, job


def paths(file: str, job: str) -> list[str]:
    """The path of every view, with ids that there are."""
    given = {"job_id": job, "file_id": file, "number": "1"}
    return [view.path.format(**given).removeprefix(DATA) for view in VIEWS]


@pytest.mark.parametrize("pace", ["polls", "manual", "instant", 0.000001])
def test_a_look_changes_nothing(pace: Any) -> None:
    """At no pace does a view move time, enter the log, make a record or a finding, or change anything."""
    fake, file, job = used_account(pace)
    fake.add_job(file, status="running")
    findings = [str(finding) for finding in fake.findings]
    before, count, records = everything(fake), len(fake.requests), len(fake._world.service.journal)
    moment = fake._world.service.moment

    for path in paths(file, job) * 3:
        look(fake, path)

    assert everything(fake)[:-1] == before[:-1]
    assert len(fake._world.service.journal) == records
    assert fake._world.service.moment[1] == moment[1]
    assert int(fake.now) == int(moment[0])
    assert len(fake.requests) == count
    assert [str(finding) for finding in fake.findings] == findings


def tag_of(fake: FakeFineTuning, path: str) -> str:
    """The entity tag of a view."""
    return dict(request(fake, DATA + path).headers)[b"etag"].decode()


def test_a_look_at_what_has_not_changed_is_answered_with_304() -> None:
    """Every view is answered with 304 while nothing has changed, and with 200 once anything has."""
    fake, file, job = used_account()
    changes: list[Callable[[], object]] = [
        lambda: fake.advance(1),
        lambda: fake.fail(500),
        lambda: request(fake, "/v1/models"),
        lambda: fake.add_file(ROWS),
        lambda: fake.advance_to("running"),
        lambda: fake.pause_job(job),
        lambda: fake.plan_next(queued=1),
        lambda: fake(["running"]),
        fake.reset,
    ]
    for path in paths(file, job):
        tag = tag_of(fake, path)
        again = request(fake, DATA + path, headers=[("if-none-match", tag)])
        assert (again.status, again.body) == (304, b"")
    for change in changes:
        tag = tag_of(fake, "/account")
        change()
        assert request(fake, f"{DATA}/account", headers=[("if-none-match", tag)]).status == 200, change


def test_time_that_passes_by_itself_is_news_by_the_second() -> None:
    """At a numeric pace a view is news each virtual second while a job is unfinished, and not after that."""
    fake, _, job = used_account(0.000001)
    running = tag_of(fake, "/jobs")
    fake.advance_to("succeeded", job)
    fake.advance(60)

    assert str(int(BORN)) in running
    assert str(int(fake.now)) not in tag_of(fake, "/jobs")


def calls_of(run: Callable[[], object]) -> int:
    """How many Python functions *run* calls, once it has run before."""
    run()
    count = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def running_job(fake: FakeFineTuning, rows: int, epochs: int, step: int) -> str:
    """A job that has done so many steps."""
    file = fake.add_file((json.dumps(ROW) + "\n") * rows)["id"]
    job = fake.add_job(file, status="running", hyperparameters={"n_epochs": epochs, "batch_size": 1})["id"]
    fake.advance_to(step=step, job=job)
    return str(job)


def test_a_look_at_a_job_costs_the_same_however_many_steps_it_has() -> None:
    """A job of ten million steps takes as many calls to look at as one of six hundred, anew and again."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    jobs = [running_job(fake, 10, epochs, step=10 * epochs - 5) for epochs in (60, 1_000_000)]
    for path in ("", "/events?limit=20", "/events?kind=messages"):
        few, many = (calls_of(partial(look, fake, f"/jobs/{job}{path}")) for job in jobs)
        assert many <= 1.1 * few, path  # times of steps are found by bisection
    specs = [fake._world.account.jobs[job].current_spec for job in jobs]
    few, many = (calls_of(partial(curves, spec, spec.steps - n)) for n, spec in enumerate(specs))
    assert many <= 1.1 * few


def test_a_look_costs_the_same_however_much_the_account_holds() -> None:
    """An account with twenty times as many jobs, files and requests takes hardly more calls to look at."""
    costs = []
    for count in (60, 1200):
        fake = FakeFineTuning(start=BORN, pace="manual")
        file = fake.add_file(ROWS)["id"]
        jobs = [fake.add_job(file, status="running")["id"] for _ in range(count)]
        fake.advance(1)
        views = ["/account", "/jobs", "/files", f"/jobs/{jobs[-1]}", f"/jobs/{jobs[-1]}/events"]
        costs.append({path.partition("ftjob")[0]: calls_of(partial(look, fake, path)) for path in views})
    few, many = costs
    assert {path: calls <= 1.1 * few[path] + 20 for path, calls in many.items()} == dict.fromkeys(few, True)


def test_jobs_are_found_by_status_and_text_and_in_pages() -> None:
    """Jobs are listed newest first, in pages, and found by status, text and metadata."""
    fake, file, job = used_account()
    others = [fake.add_job(file, status="running", suffix=f"s{n}")["id"] for n in range(3)]
    first = look(fake, "/jobs?limit=2")
    second = look(fake, f"/jobs?limit=2&after={first['next']}")

    assert len(first["jobs"]) == 2
    assert {each["id"] for each in (*first["jobs"], *second["jobs"])} == {job, *others}
    assert second["next"] is None
    assert [each["id"] for each in look(fake, "/jobs?status=validating_files")["jobs"]] == [job]
    assert [each["id"] for each in look(fake, "/jobs?text=TONE")["jobs"]] == [job]
    assert [each["id"] for each in look(fake, "/jobs?text=blue")["jobs"]] == [job]
    assert look(fake, "/jobs?text=nowhere")["jobs"] == []


def test_a_search_looks_at_so_many_jobs_at_once_and_says_where_to_go_on() -> None:
    """A filter that nothing matches looks at a bounded number of jobs, and the next request goes on from there."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    file = fake.add_file(ROWS)["id"]
    oldest = fake.add_job(file, status="succeeded", suffix="needle")["id"]
    fake.advance(10_000)
    for _ in range(SEARCHED_AT_MOST + 20):
        fake.add_job(file, status="running")
    first = look(fake, "/jobs?text=needle")
    rest = look(fake, f"/jobs?text=needle&after={first['next']}")

    assert (first["jobs"], first["searched"]) == ([], SEARCHED_AT_MOST)
    assert [each["id"] for each in rest["jobs"]] == [oldest]
    assert rest["next"] is None


def test_a_job_is_shown_with_its_course_and_what_is_ahead() -> None:
    """A running job's phases, marks, curves and evidence are what the API shows and will show."""
    fake, _, job = used_account()
    fake.advance_to(step=5, job=job)
    shown = look(fake, f"/jobs/{job}")

    assert [(each["status"], each["is_ahead"]) for each in shown["phases"]] == [
        ("validating_files", False),
        ("queued", False),
        ("running", False),
        ("succeeded", True),
    ]
    assert shown["curves"]["steps"] == [1, 2, 3, 4, 5]
    assert len(shown["curves"]["series"]["train_loss"]) == 5
    assert shown["object"]["status"] == shown["status"] == "running"
    assert shown["evidence"]["statuses"]["succeeded"]["kind"] == "recorded"
    assert {each["name"]: each["asked"] for each in shown["hyperparameters"]}["n_epochs"] == "auto"
    assert shown["checkpoints"] == []
    assert shown["result"] is None


def test_the_curves_are_those_of_the_events() -> None:
    """Each bucket of a short job is the number in the event of its step; a long job has a bounded number of buckets."""
    fake, _, job = used_account()
    fake.add_webhook()
    fake.advance_to("succeeded", job)
    shown = look(fake, f"/jobs/{job}")
    events = [each["event"]["data"] for each in look(fake, f"/jobs/{job}/events?limit=200")["events"]]
    losses = {data["step"]: data["train_loss"] for data in events if data and "train_loss" in data}

    curve = shown["curves"]
    assert dict(zip(curve["steps"], (mean for _, _, mean in curve["series"]["train_loss"]), strict=True)) == losses
    last = shown["steps"]
    assert [each["step_number"] for each in shown["checkpoints"]] == [last, last - 10, last - 20]
    assert shown["result"]["columns"][0] == "step"
    assert [each["type"] for each in shown["deliveries"]] == ["fine_tuning.job.succeeded"]
    long_job = running_job(fake, 10, 1_000_000, step=9_000_000)
    buckets = look(fake, f"/jobs/{long_job}")["curves"]["series"]["train_loss"]
    assert 250 < len(buckets) <= BUCKETS_AT_MOST
    assert all(least <= mean <= greatest for least, greatest, mean in buckets)


def test_events_are_paged_and_filtered() -> None:
    """Events come newest first, page by page, each once; others than training steps, and problems, can be asked for."""
    fake, _, job = used_account()
    fake.plan_job(job, fail_at=12, error="server_error")
    fake.advance_to("failed", job)
    seen: list[int] = []
    query = "?limit=7"
    while True:
        page = look(fake, f"/jobs/{job}/events{query}")
        seen += [each["ordinal"] for each in page["events"]]
        if page["next"] is None:
            break
        query = f"?limit=7&before={page['next']}"
    messages = look(fake, f"/jobs/{job}/events?kind=messages")
    problems = look(fake, f"/jobs/{job}/events?kind=problems")

    assert seen == list(range(page["total"]))[::-1]
    assert messages["total"] == page["total"] - 12
    assert not any(each["event"]["type"] == "metrics" for each in messages["events"])
    assert [each["event"]["level"] for each in problems["events"]] == ["error"]
    assert problems["events"][0]["evidence"]["kind"] == "inferred"


def test_requests_are_shown_with_fault_and_without_keys() -> None:
    """A request is listed with its fault, found by text, and shown with headers and body, but never with a key."""
    fake, file, _ = used_account()
    fake.fail(503, on="list_jobs")
    request(fake, "/v1/fine_tuning/jobs", headers=[("user-agent", "tester/1")])
    secret = {"type": "wandb", "wandb": {"project": "p", "api_key": "very-secret-key"}}
    request(fake, "/v1/fine_tuning/jobs", "POST", {**CREATE, "training_file": file, "integrations": [secret]})
    rows = look(fake, "/requests")["requests"]
    shown = [look(fake, f"/requests/{row['number']}") for row in rows]

    assert [row["number"] for row in rows] == [4, 3, 2, 1]
    assert (rows[1]["fault"], rows[1]["status"], rows[1]["client"]) == ("fail", 503, "tester/1")
    assert [row["number"] for row in look(fake, "/requests?text=tester")["requests"]] == [3]
    assert [row["number"] for row in look(fake, "/requests?operation=create_job&status=200")["requests"]] == [1]
    assert "very-secret-key" not in json.dumps(shown)
    assert "Bearer any" not in json.dumps(shown)


def test_findings_are_those_of_the_handle() -> None:
    """Findings are the handle's own, each with its requests and the address of its documentation."""
    fake, file, _ = used_account()
    for _ in range(2):
        fake.disconnect(on="create_job", applied=True)
        request(fake, "/v1/fine_tuning/jobs", "POST", {**CREATE, "training_file": file})
        request(fake, "/v1/fine_tuning/jobs", "POST", {**CREATE, "training_file": file})
    shown = look(fake, "/findings")["findings"]

    assert [each["code"] for each in shown] == [finding.code for finding in fake.findings]
    assert shown
    assert all(each["page"].endswith(f"/findings/{each['code']}/") for each in shown)
    assert [call["number"] for call in shown[0]["requests"]] == list(fake.findings[0].requests)


def test_failed_assertions_are_shown_with_the_nearest_request() -> None:
    """An assertion that failed, its nearest request, or what differs there is not shown, or shown with a secret."""
    fake, file, _ = used_account()
    request(fake, "/v1/fine_tuning/jobs", "POST", {**CREATE, "training_file": file, "metadata": {"api_key": "s3cret"}})
    for _ in range(2):
        with pytest.raises(AssertionError, match="nearest: request 3"):
            fake.assert_job_created(training_file=file, suffix="mine", metadata={"api_key": "t0ken"})
    with pytest.raises(AssertionError):
        fake.assert_called("pause_job")
    newest, oldest = look(fake, "/requests")["failed_assertions"]

    assert (newest["text"], newest["request"]) == ("pause_job called: expected at least once, happened never", None)
    assert oldest["request"] == 3
    assert oldest["problems"][0] == "suffix: expected 'mine', was 'tone'"
    assert "s3cret" not in json.dumps(oldest)
    assert look(fake, "/requests/3")["failed_assertions"] == [oldest]
    assert look(fake, "/requests/1")["failed_assertions"] == []
    fake.reset()
    assert look(fake, "/requests")["failed_assertions"] == []


def test_failed_assertions_are_in_the_file_of_an_account(tmp_path: Path) -> None:
    """Assertions that failed are lost when an account is saved and opened, or one of a server's is not with it."""
    fake, file, _ = used_account()
    with FakeAccounts.around(fake).serving() as url:
        remote = FakeFineTuning.connect(url)
        with closing(remote), pytest.raises(AssertionError, match="nearest: request 1"):
            remote.assert_job_created(training_file=file, suffix="mine")
    shown = look(fake, "/requests")["failed_assertions"]

    assert len(shown) == 1
    fake.save(saved := tmp_path / "account.zip")
    assert look(FakeFineTuning.load(saved), "/requests")["failed_assertions"] == shown


def test_a_file_is_shown_with_the_verdict_on_each_row() -> None:
    """A file's rows come with tokens and what is wrong with each; the list says what would fail a job."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    broken = json.dumps({"messages": [{"role": "nobody", "content": "x"}]})
    file = fake.add_file(ROWS + broken + "\n", filename="mixed.jsonl")["id"]
    listed = look(fake, "/files")["files"][0]
    shown = look(fake, f"/files/{file}")

    assert "Invalid file format" in listed["problem"]
    assert [bool(row["faults"]) for row in shown["rows"]] == [False] * 10 + [True]
    assert shown["rows"][10]["faults"][0].startswith("Example 11")
    assert all(row["tokens"] for row in shown["rows"][:10])
    assert shown["epochs"] >= 1
    assert request(fake, f"{DATA}/files/{file}/content").body.decode() == ROWS + broken + "\n"


def test_a_result_file_is_shown_and_downloaded_as_plain_csv() -> None:
    """A result file is listed with its job, and downloaded as the plain table."""
    fake, _, job = used_account()
    fake.advance_to("succeeded", job)
    result = look(fake, f"/jobs/{job}")["result"]["id"]

    assert look(fake, f"/files/{result}")["job"] == job
    assert request(fake, f"{DATA}/files/{result}/content").body.startswith(b"step,train_loss")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/jobs?colour=red", "unknown parameter 'colour'"),
        ("/jobs?status=done", "status must be one of"),
        ("/jobs?limit=many", "limit must be a whole number"),
        ("/jobs?limit=201", "limit must be a whole number from 0 to 200"),
        ("/jobs?after=ftjob-x", "after must be the id of a job"),
        ("/jobs/ftjob-x", "there is no job 'ftjob-x'"),
        ("/jobs/ftjob-x/events", "there is no job 'ftjob-x'"),
        ("/requests/7", "request '7' is not in the log"),
        ("/files/file-x", "there is no file 'file-x'"),
        ("/files?after=file-x", "after must be the id of a file"),
    ],
)
def test_what_makes_no_sense_is_refused(path: str, words: str) -> None:
    """A view that cannot be shown is refused as the fake's own error, which says why."""
    assert words in refusal(FakeFineTuning(start=BORN), path)


def test_static_files_are_served_with_a_policy_and_304() -> None:
    """The page's files have a Content-Security-Policy without inline script, and are answered with 304 when known."""
    fake = FakeFineTuning()
    for path, kind in (
        ("", b"text/html"),
        ("app.js", b"text/javascript"),
        ("vendored/uPlot.esm.js", b"text/javascript"),
    ):
        answer = request(fake, f"/_fake/ui/{path}")
        headers = dict(answer.headers)
        assert answer.status == 200
        assert headers[b"content-type"].startswith(kind)
        assert headers[b"content-security-policy"].startswith(b"default-src 'self';")
        assert b"unsafe" not in headers[b"content-security-policy"]
        assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
        known = request(fake, f"/_fake/ui/{path}", headers=[("if-none-match", headers[b"etag"].decode())])
        assert (known.status, known.body) == (304, b"")
    for path in ("nothing.js", "../operations.py", "%2e%2e/operations.py", "vendored/VENDORED.md", "data"):
        assert request(fake, f"/_fake/ui/{path}").status in (400, 404)


def test_a_browser_is_led_from_the_root_to_the_page_and_other_clients_are_not() -> None:
    """``/`` redirects what accepts HTML; to other clients it is an unknown route, logged as such."""
    fake = FakeFineTuning()
    led = request(fake, "/", headers=[("accept", "text/html,*/*")])
    assert (led.status, dict(led.headers)[b"location"]) == (307, b"_fake/ui/")
    bare = request(fake, "/_fake/ui")
    assert (bare.status, dict(bare.headers)[b"location"]) == (307, b"ui/")
    assert len(fake.requests) == 0
    assert request(fake, "/", headers=[("accept", "*/*")]).status == 404
    assert len(fake.requests) == 1
    fake.take_usage_errors()
