"""`FakeFineTuning`: ids, waits, settings and resets."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from dataclasses import MISSING, fields
from typing import Annotated, Any, get_origin, get_type_hints

import anyio
import httpx
import pytest

import fine_tuning_fakeserver
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError, Plan, Settings
from fine_tuning_fakeserver.clock import Pace
from fine_tuning_fakeserver.domain.base_models import BASE_MODELS
from fine_tuning_fakeserver.domain.fault_spec import FaultSpec
from fine_tuning_fakeserver.domain.webhook_events import WebhookConfig
from strategies import BORN, ROWS, Http


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(pace="manual", start=BORN))


def test_a_made_id_never_takes_the_place_of_a_seeded_one(http: Http) -> None:
    """A generated id never equals that of a seeded file or job."""
    twin = Http(FakeFineTuning(pace="manual", start=BORN))
    file = twin.file()
    files = [file, twin.file()]
    jobs = [twin.job(training_file=file)["id"] for _ in range(2)]

    http.fake.add_file(ROWS, id=files[1])
    http.fake.add_job(files[1], id=jobs[1], status="running")
    made = http.job()

    assert made["id"] not in jobs[1:]
    assert len({job["id"] for job in http.fake.jobs}) == 2
    assert http.json("GET", f"/fine_tuning/jobs/{jobs[1]}")["status"] == "running"
    assert http.send("GET", f"/files/{files[1]}/content").body == ROWS.encode()


def test_an_id_that_waits_can_be_seeded_instead(http: Http) -> None:
    """A reserved id that is then seeded is not given to another job."""
    file = http.file()
    http.fake.name_next("job", "ftjob-a")
    http.fake.name_next("job", "ftjob-b")
    http.fake.add_job(file, id="ftjob-b", status="succeeded")

    made = [http.job(training_file=file)["id"] for _ in range(2)]

    assert made[0] == "ftjob-a"
    assert made[1] not in ("ftjob-a", "ftjob-b")
    assert http.json("GET", "/fine_tuning/jobs/ftjob-b")["status"] == "succeeded"


def test_a_wait_for_a_paused_job_comes_to_its_end() -> None:
    """For a paused job the fake's sleep advances virtual time, so that a client's timeout ends."""
    http = Http(FakeFineTuning(pace="polls", start=BORN))
    job = http.fake.add_job(http.file(), status="paused")
    before = http.fake.now
    http.fake.sleep(60)

    assert http.fake.now == before + 60
    assert http.json("GET", f"/fine_tuning/jobs/{job['id']}")["status"] == "paused"


def test_a_sleep_moves_nothing_while_the_next_look_will() -> None:
    """At the pace "polls" the fake's sleep does not move time while polls do, so that no status is skipped."""
    http = Http(FakeFineTuning(pace="polls", start=BORN))
    path = f"/fine_tuning/jobs/{http.job()['id']}"
    seen = []
    for _ in range(3):
        http.fake.sleep(3600)
        seen.append(http.json("GET", path)["status"])

    assert seen == ["queued", "running", "succeeded"]


@pytest.mark.slow
def test_an_async_sleep_can_be_replaced_before_anyio_is_used() -> None:
    """The fake's sleep in the place of `asyncio.sleep` moves time once, though anyio then sleeps by it as well."""
    program = """
import asyncio
from fine_tuning_fakeserver import FakeFineTuning
fake = FakeFineTuning(start=1000, pace="manual")
asyncio.sleep = fake.async_sleep
async def main():
    await asyncio.sleep(5)
asyncio.run(main())
print(fake.now)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.stderr) == ("1005.0\n", "")


def test_a_sleep_in_the_place_of_the_real_one_still_takes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a numeric pace the fake's sleep takes real time, even in place of `time.sleep`."""
    fake = FakeFineTuning(pace=1)
    monkeypatch.setattr("time.sleep", fake.sleep)
    before = fake.now
    time.sleep(0.01)

    assert fake.now - before >= 0.01


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("pace", ["manual", 1000])
def test_an_async_sleep_in_the_place_of_the_real_one(pace: Pace, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake's async sleep advances time without recursion, even in place of asyncio's and anyio's sleep."""
    fake = FakeFineTuning(pace=pace)
    for name in ("asyncio.sleep", "anyio.sleep", "anyio._backends._asyncio.sleep"):  # the last is made from the first
        monkeypatch.setattr(name, fake.async_sleep)
    begun = fake.now
    anyio.run(anyio.sleep, 30, backend=backend)

    assert fake.now - begun >= 30


def test_two_doors_at_once() -> None:
    """A fake served twice has the newer base URL, and the older one again after that."""
    fake = FakeFineTuning()
    with fake.serving() as outer:
        with fake.serving() as inner:
            assert fake.base_url == inner
        assert fake.base_url == outer
    with pytest.raises(FakeUsageError, match="not serving"):
        _ = fake.base_url


def test_requests_can_be_read_while_they_come_in() -> None:
    """The request log can be read in one thread while the server's thread adds to it."""
    fake = FakeFineTuning()
    with fake.serving() as url, httpx.Client(headers={"Authorization": "Bearer any"}, trust_env=False) as client:
        done = threading.Event()

        def keep_asking() -> None:
            for _ in range(150):
                client.get(f"{url}/models/gpt-4o")
            done.set()

        asking = threading.Thread(target=keep_asking)
        asking.start()
        while not done.is_set():
            assert len(fake.requests) <= 150
        asking.join()
    assert len(fake.requests) == 150


def test_reset_gives_back_what_the_fake_was_born_with() -> None:
    """A reset without arguments restores the settings given at construction."""
    fake = FakeFineTuning(seed=3, start=BORN, max_active_jobs=1)
    fake.reset(seed=9, max_active_jobs=None)
    assert (fake.settings.seed, fake.settings.max_active_jobs, fake.now) == (9, None, BORN)
    fake.reset()
    assert (fake.settings.seed, fake.settings.max_active_jobs, fake.now) == (3, 1, BORN)


def test_reset_over_http_takes_null(http: Http) -> None:
    """`null` in a reset by HTTP sets a limit to None."""
    http.fake.reset(max_active_jobs=1)
    http.json("POST", "/_fake/reset", {"max_active_jobs": None})

    assert http.fake.settings.max_active_jobs is None


def test_the_account_has_the_base_models_it_is_told(http: Http) -> None:
    """A fake without base models can neither train nor call one."""
    http.fake.reset(models=())
    body = {"model": "gpt-4o-mini", "training_file": http.file()}

    assert http.json("POST", "/fine_tuning/jobs", body, status=400)["error"]["code"] == "model_not_available"
    ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "?"}]}
    assert http.json("POST", "/chat/completions", ask, status=404)["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    "settings",
    [
        {"api_keys": "sk-test"},
        {"api_keys": 5},
        {"owner": 5},
        {"owner": "a\nb"},
        {"organization": None},
        {"base64_results": "no"},
        {"start": True},
        {"models": ["gpt"]},
        {"plan": 3},
        {"seeds": 1},
        {"webhooks": 3},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    """A setting of a wrong type is a usage error that names it."""
    with pytest.raises(FakeUsageError, match=next(iter(settings))):
        FakeFineTuning(**settings)


@pytest.mark.parametrize("declaration", [Settings, Plan, FaultSpec, WebhookConfig], ids=lambda cls: cls.__name__)
def test_defaults_are_as_their_checks_would_leave_them(declaration: Any) -> None:
    """Every default value passes its own field's check unchanged."""
    hints = get_type_hints(declaration, include_extras=True)
    for field in fields(declaration):
        if field.default is not MISSING and field.name != "outcome" and get_origin(hints[field.name]) is Annotated:
            check = hints[field.name].__metadata__[-1]
            assert check(field.default, field.name) == field.default


@pytest.mark.parametrize(
    "seed",
    [
        {"seed": 10**30},
        {"trained_tokens": 10**30},
        {"trained_tokens": -5},
        {"created_at": -5},
        {"id": ""},
        {"id": "a b/c"},
        {"finished_at": 1},
    ],
    ids=str,
)
def test_seeds_that_would_break_a_later_answer_are_refused(http: Http, seed: dict[str, Any]) -> None:
    """An invalid job seed is refused with the field's name, and nothing is stored."""
    file = http.file()
    with pytest.raises(FakeUsageError, match=next(iter(seed))):
        http.fake.add_job(file, **seed)

    assert http.fake.jobs == []


def test_replies_and_plans_of_the_wrong_kind_are_refused(http: Http) -> None:
    """A reply, plan or id of a wrong type is a usage error that names the type."""
    with pytest.raises(FakeUsageError, match="reply must be a string, got 5"):
        http.fake.replies(5)  # type: ignore[arg-type]
    with pytest.raises(FakeUsageError, match="plan must be a Plan, or a mapping of its fields, got None"):
        http.fake.plan = None  # type: ignore[assignment]
    with pytest.raises(FakeUsageError, match="id must be a non-empty string, got 5"):
        http.fake.name_next("job", 5)  # type: ignore[arg-type]


def test_scores_and_libraries_of_the_wrong_kind_are_refused(http: Http) -> None:
    """Scores that are not a collection, and a module that is not an HTTP library, are usage errors."""
    with pytest.raises(FakeUsageError, match="collection of numbers"):
        http.fake.grader_scores(0.5)  # type: ignore[arg-type]
    with pytest.raises(FakeUsageError, match="must be the module httpx or httpx2"):
        http.fake.transport(threading)


def test_a_plan_for_the_next_job_only() -> None:
    """`plan_next` applies to one job each, in order, and later jobs use the account's plan."""
    fake = FakeFineTuning(pace="manual", plan={"queued": "1h"})
    assert fake.plan_next(outcome="failed").queued == 3600
    fake.plan_next(error="exceeded_quota")
    file = fake.add_file(ROWS)["id"]
    for _ in range(3):
        fake.add_job(file, status="validating_files")
    fake.advance("1d")
    assert [(job["status"], job["error"].get("code")) for job in reversed(fake.jobs)] == [
        ("failed", "invalid_training_file"),
        ("failed", "exceeded_quota"),
        ("succeeded", None),
    ]
    with pytest.raises(FakeUsageError, match="outcome"):
        fake.plan_next(outcome="perhaps")


@pytest.mark.parametrize("ending", ["left alone", "cancelled", "deleted"])
def test_a_model_is_there_from_the_moment_it_is_named(ending: str) -> None:
    """A model can be retrieved, called and deleted once an event names it, before the job has finished."""
    http = Http(FakeFineTuning(start=BORN, pace="manual"))
    path = f"/fine_tuning/jobs/{http.job()['id']}"
    http.fake.advance_to(step=100)
    while not (named := _named(http, path)):
        assert len(http.json("GET", "/models")["data"]) == len(BASE_MODELS)
        http.fake.advance(1)

    assert http.json("GET", path)["status"] == "running"
    assert http.json("GET", f"/models/{named}")["id"] == named
    ask = {"model": named, "messages": [{"role": "user", "content": "Hi"}]}
    assert http.json("POST", "/chat/completions", ask)["model"] == named
    if ending == "cancelled":
        http.json("POST", f"{path}/cancel")
    if ending == "deleted":
        http.json("DELETE", f"/models/{named}")
    http.fake.advance(60)
    http.json("GET", f"/models/{named}", status=404 if ending == "deleted" else 200)
    assert http.json("GET", path)["fine_tuned_model"] == (None if ending == "cancelled" else named)


def _named(http: Http, path: str) -> str:
    """The model that a job's events name, or an empty string."""
    messages = [event["message"] for event in http.json("GET", f"{path}/events?limit=10")["data"]]
    return next((text.partition(": ")[2] for text in messages if text.startswith("New fine-tuned model")), "")


def test_a_reset_comes_back_to_what_the_account_was_begun_with() -> None:
    """A reset with `defaults` makes later resets return to these defaults."""
    http = Http(FakeFineTuning(seed=3), is_described=False)
    http.fake.reset(defaults={"seed": 7, "pace": "manual", "faults": [{"status": 503, "on": "list_jobs"}]})
    for reset in (lambda: None, http.fake.reset, lambda: http.json("POST", "/_fake/reset", {})):
        reset()
        assert (http.fake.settings.seed, http.fake.pace, len(http.fake.faults)) == (7, "manual", 1)
        http.fake.pace = "polls"
        http.fake.clear_faults()
    http.fake.reset(defaults={}, seed=8)
    assert (http.fake.settings.seed, http.fake.pace, http.fake.faults) == (8, "polls", [])
    http.fake.reset(defaults=Settings(seed=5))
    http.fake.reset()
    assert (http.fake.settings.seed, http.fake.pace, http.fake.faults) == (5, "polls", [])


@pytest.mark.parametrize("defaults", [{"sed": 1}, {"seed": "x"}, {"faults": 5}, {"faults": [{"kind": "odd"}]}])
def test_defaults_that_make_no_sense_change_nothing(defaults: dict[str, Any]) -> None:
    """A reset with invalid defaults changes neither the account nor its defaults."""
    fake = FakeFineTuning(seed=3)
    file = fake.add_file(ROWS)
    with pytest.raises(FakeUsageError):
        fake.reset(defaults=defaults)
    assert fake.files == [file]
    fake.reset()
    assert fake.settings.seed == 3


def test_a_fake_that_is_entered_serves() -> None:
    """`with fake:` serves on its own port until the block ends, even if nested."""
    with FakeFineTuning() as fake:
        outer = fake.base_url
        with fake:
            assert fake.base_url != outer
        assert fake.base_url == outer
        assert httpx.get(f"{outer}/models", headers={"authorization": "Bearer any"}).status_code == 200
        fake.assert_called("list_models")
    with pytest.raises(FakeUsageError, match="has no URL"):
        _ = fake.base_url


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("app", "asgi_app"),
        ("deliveries", "webhook_deliveries"),
        ("clock", "time_module"),
        ("begin_anew", r"reset\(defaults="),
        ("stop", r"script\.stop\(\)|own `stop"),
        ("prevent_stray", "own `prevent_stray"),
    ],
)
def test_what_others_call_otherwise(name: str, here: str) -> None:
    """An unknown attribute raises AttributeError, and names of other libraries point to the fake's own."""
    with pytest.raises(AttributeError, match=f"FakeFineTuning has no '{name}': .*{here}"):
        getattr(FakeFineTuning(), name)
    with pytest.raises(AttributeError, match=r"has no 'nonsense'$"):
        _ = FakeFineTuning().nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plan_next", "plan_next is a method: call fake.plan_next(...)"),
        ("fake_id", "fake_id is a method: call fake.fake_id(...)"),
        ("max_active_jobs", "max_active_jobs is a setting: FakeFineTuning(max_active_jobs=1) or fake.reset(max_ac"),
        ("seed", "seed is a setting: FakeFineTuning(seed=1) or fake.reset(seed=1)"),
        ("jobs", "jobs is read-only"),
        ("settings", "settings is read-only"),
        ("plna", "FakeFineTuning has no 'plna' (did you mean 'plan'?)"),
        ("max_active_job", "FakeFineTuning has no 'max_active_job' (did you mean 'max_active_jobs'?)"),
        ("clock", "FakeFineTuning has no 'clock': the stand-in for the module `time` is `time_module`"),
        ("zzz", "FakeFineTuning has no 'zzz'"),
    ],
)
def test_what_cannot_be_assigned(name: str, message: str) -> None:
    """Assigning to an attribute that cannot be set raises AttributeError that names the right way."""
    fake = FakeFineTuning()
    with pytest.raises(AttributeError, match=f"^{re.escape(message)}"):
        setattr(fake, name, 1)


def test_a_plan_for_all_changes_what_it_says() -> None:
    """`plan_all` changes some fields of the plan, and setting `plan` replaces it."""
    fake = FakeFineTuning(plan={"queued": "1h"})
    assert fake.plan_all(seconds_per_step=5) == fake.plan == Plan(queued=3600, seconds_per_step=5)
    fake.plan = {"finishing": 1}
    assert fake.plan == Plan(finishing=1)


@pytest.mark.parametrize(("pace", "passed"), [("manual", 90.0), ("polls", 0.0)])
def test_a_clock_in_the_place_of_the_module(pace: Pace, passed: float) -> None:
    """`time_module` sleeps and measures in virtual time, and has everything else that `time` has."""
    fake = FakeFineTuning(start=BORN, pace=pace)
    fake.add_job(fake.add_file(ROWS)["id"], status="running")
    clock = fake.time_module
    begun = clock.time(), clock.monotonic(), clock.perf_counter(), clock.time_ns(), clock.monotonic_ns()
    clock.sleep(90)
    after = clock.time(), clock.monotonic(), clock.perf_counter(), clock.time_ns(), clock.monotonic_ns()
    scales = (1, 1, 1, 10**9, 10**9)
    assert [(b - a) / scale for a, b, scale in zip(begun, after, scales, strict=True)] == [passed] * 5
    assert begun[0] == BORN
    assert clock.strftime("%Y", clock.gmtime(clock.time())) == "2023"
    assert {"sleep", "gmtime", "strftime"} <= set(dir(clock))


def test_the_package_lists_its_public_names() -> None:
    """`dir` of the package lists its public names, which can be imported."""
    names = set(fine_tuning_fakeserver.__all__)
    assert names <= set(dir(fine_tuning_fakeserver))
    assert all(hasattr(fine_tuning_fakeserver, name) for name in names)


def test_an_error_within_the_fake_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An AttributeError inside a property of the fake is raised unchanged."""
    monkeypatch.setattr(FakeFineTuning, "boom", property(lambda fake: fake.plan.nothing_like_it), raising=False)
    with pytest.raises(AttributeError, match="'Plan' object has no attribute 'nothing_like_it'"):
        _ = FakeFineTuning().boom  # type: ignore[attr-defined]
