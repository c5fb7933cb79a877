"""`FakeFineTuning.connect`: a handle of a running server does what a handle in the same process does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from fine_tuning_fakeserver import ArmedFault, FakeAccounts, FakeFineTuning, FakeUsageError, JobError, Plan
from fine_tuning_fakeserver.account.request_log import LogEntry, TimingSample
from fine_tuning_fakeserver.fake.control_client import ControlClient
from serve_process import end, line, started
from strategies import BORN, FORM, ROWS, form
from webhook_receiver import Receiver, receiving

SETTINGS: dict[str, Any] = {"start": BORN, "pace": "manual", "seed": 3}
JOB, FILE = "ftjob-mine", "file-mine"
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hm?"}]}

CLIENT = httpx.Client(trust_env=False, verify=False)
"""One for all tests: making one takes longer than a request."""

Verb = Callable[[FakeFineTuning], Any]


def http(fake: FakeFineTuning, method: str, path: str, headers: Any = (), **body: Any) -> httpx.Response:
    """Send one request to the fake's API, over its socket."""
    headers = {"authorization": "Bearer any", "api-key": "any", "user-agent": "test", **dict(headers)}
    return CLIENT.request(method, f"{fake.base_url}{path}", headers=headers, **body)


def use(fake: FakeFineTuning) -> None:
    """Use the API as code under test does: upload, create a job, poll, ask for what is not there."""
    fake.name_next("file", FILE)
    fake.name_next("job", JOB, seed=7)
    content_type = {FORM[0].decode(): FORM[1].decode()}
    assert http(fake, "POST", "/files", content=form(ROWS.encode(), "t.jsonl"), headers=content_type).is_success
    made = {"model": "gpt-4o-mini-2024-07-18", "training_file": FILE, "suffix": "mine", "metadata": {"k": "v"}}
    assert http(fake, "POST", "/fine_tuning/jobs", json=made).is_success
    http(fake, "GET", f"/fine_tuning/jobs/{JOB}")
    http(fake, "GET", "/fine_tuning/jobs?limit=2&metadata[k]=v")
    http(fake, "GET", "/fine_tuning/jobs/ftjob-no")
    http(fake, "POST", "/fine_tuning/jobs", json={**made, "metadata": {"fake_nothing": "x"}})


def entries(fake: FakeFineTuning) -> list[LogEntry]:
    """The request log, without what depends on the connection and on real time."""
    return [
        replace(entry, timing=None, caller="", raw_headers=[pair for pair in entry.raw_headers if pair[0] != b"host"])
        for entry in fake.requests
    ]


def faulted(arm: Verb) -> Verb:
    """Arm a fault, let a request meet it; return the fault, as it was and as it is, and what the client got."""

    def run(fake: FakeFineTuning) -> Any:
        fault = arm(fake)
        before = as_json(fault)
        try:
            got: Any = http(fake, "GET", "/models").status_code
        except httpx.HTTPError as error:
            got = type(error).__name__
        return before, got, fault.fired, fault.requests, fault.exhausted, fault.kind, fault.spec

    return run


def as_json(fault: ArmedFault) -> Any:
    """A fault as the control API shows it."""
    return json.loads(json.dumps(fault.as_json()))


def disarmed(fake: FakeFineTuning) -> Any:
    """Arm a fault, and forget it."""
    fault = as_json(fake.fail())
    fake.clear_faults()
    return fault


def then(verb: Verb, look: Verb) -> Verb:
    """Do one thing, and return its result and what is seen afterwards."""
    return lambda fake: (verb(fake), look(fake))


def setting(name: str, value: Any) -> Verb:
    """Assign a property; return what it is then."""

    def run(fake: FakeFineTuning) -> Any:
        setattr(fake, name, value)
        return getattr(fake, name)

    return run


def broken() -> None:
    """What never holds."""
    raise ValueError("broken")


def scripted(fake: FakeFineTuning) -> Any:
    """Two scripts, one within the other, and what becomes of them."""
    outer = fake({"retrieve_job": ["running"], "list_models": [{"data": []}, None]})
    with fake([None, "failed"], strict=True) as inner:
        seen = [http(fake, "GET", f"/fine_tuning/jobs/{JOB}").json()["status"] for _ in range(2)]
        stray = http(fake, "GET", f"/fine_tuning/jobs/{JOB}").text
        state = inner.calls, inner.exhausted, inner.left, inner.strict, outer.strict
    outer.prevent_stray()
    models = [len(http(fake, "GET", "/models").json()["data"]) for _ in range(2)]
    return seen, stray, state, models, outer.left, outer.strict, outer.stop() is outer, outer.calls


def sdk_call(fake: FakeFineTuning) -> Any:
    """What a ready client gets."""
    with fake.openai(max_retries=0) as client:
        return client.fine_tuning.jobs.retrieve(JOB).to_dict()


async def async_sdk_call(fake: FakeFineTuning) -> Any:
    """What a ready async client gets."""
    async with fake.async_openai(max_retries=0) as client:
        return (await client.fine_tuning.jobs.retrieve(JOB)).to_dict()


def loaded_jobs(fake: FakeFineTuning) -> Any:
    """The jobs of the account when it was saved and loaded."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "account.zip")
        fake.save(path)
        return FakeFineTuning.load(path).jobs


def webhook(fake: FakeFineTuning) -> Any:
    """A collected webhook, its delivery, and its secret."""
    secret = fake.add_webhook(events=["fine_tuning.job.succeeded"])
    fake.advance_to("succeeded", JOB)
    (endpoint,), (delivery,) = fake.webhooks, fake.webhook_deliveries
    body, attempts = delivery.body, [replace(each, sent_at=0) for each in delivery.attempts]
    shown = [*map(str, (delivery.id, delivery.event_id, delivery.due_at, delivery.status, delivery.type))]
    return secret, endpoint.as_json(), shown, body, attempts, delivery.endpoint.secret == secret


VERBS: dict[str, list[Verb]] = {
    "now": [lambda fake: fake.now],
    "born": [lambda fake: fake.born],
    "pace": [lambda fake: fake.pace, setting("pace", "polls"), setting("pace", "instant"), setting("pace", "fast")],
    "dialect": [
        lambda fake: fake.dialect,
        then(setting("dialect", "azure-2025"), lambda fake: fake.jobs),
        setting("dialect", "klingon"),
    ],
    "advance": [
        lambda fake: fake.advance("90s"),
        lambda fake: fake.advance(timedelta(hours=1)),
        then(lambda fake: fake.advance(1e4), lambda fake: fake.jobs),
        lambda fake: fake.advance(-1),
        lambda fake: fake.advance("soon"),
    ],
    "advance_to": [
        then(lambda fake: fake.advance_to("running"), lambda fake: fake.jobs),
        lambda fake: fake.advance_to(step=3),
        lambda fake: fake.advance_to("succeeded", JOB),
        lambda fake: fake.advance_to("paused", JOB),
        lambda fake: fake.advance_to("running", "ftjob-no"),
    ],
    "sleep": [then(lambda fake: fake.sleep(5), lambda fake: fake.now), lambda fake: fake.sleep(0)],
    "async_sleep": [then(lambda fake: asyncio.run(fake.async_sleep(5)), lambda fake: fake.now)],
    "time_module": [then(lambda fake: fake.time_module.sleep(7), lambda fake: fake.time_module.time())],
    "plan": [
        lambda fake: fake.plan,
        setting("plan", {"outcome": "failed"}),
        setting("plan", Plan(queued="5m", error=JobError("x", "y"))),
        setting("plan", {"outcome": "nice"}),
    ],
    "plan_all": [lambda fake: (fake.plan_all(queued=timedelta(minutes=1)), fake.plan_all(curve="overfit"), fake.plan)],
    "plan_when": [
        lambda fake: fake.plan_when(suffix="x", metadata={"a": "b"}, outcome="failed"),
        lambda fake: fake.plan_when(outcome="failed"),
    ],
    "rewind_to": [lambda fake: fake.rewind_to(request=2), lambda fake: fake.rewind_to()],
    "has_happened": [lambda fake: fake.has_happened],
    "save": [loaded_jobs],
    "account_file": [lambda fake: len(fake.account_file(0)) < len(fake.account_file())],
    "plan_next": [
        then(
            lambda fake: fake.plan_next(outcome="failed"),
            lambda fake: fake.add_job(FILE, id="ftjob-n", status="failed"),
        ),
        lambda fake: fake.plan_next(sped=1),  # type: ignore[call-arg]
    ],
    "plan_job": [
        then(lambda fake: fake.plan_job(JOB, fail_at=2, error="server_error"), lambda fake: fake.advance_to("failed")),
        lambda fake: fake.plan_job("ftjob/no", fail_at=2),
    ],
    "add_file": [
        then(lambda fake: fake.add_file(ROWS.encode(), id="file-x"), lambda fake: fake.files),
        lambda fake: fake.add_file("no JSON", filename="a.jsonl"),
        lambda fake: fake.add_file(ROWS, id=FILE),
    ],
    "add_job": [
        then(lambda fake: fake.add_job(FILE, status="succeeded", id="ftjob-s"), lambda fake: fake.jobs),
        lambda fake: fake.add_job("file-no"),
    ],
    "name_next": [then(lambda fake: fake.name_next("job", "ftjob-x"), lambda fake: fake.name_next("job", JOB))],
    "cancel_job": [then(lambda fake: fake.cancel_job(JOB), lambda fake: fake.jobs), lambda fake: fake.cancel_job("no")],
    "pause_job": [lambda fake: fake.pause_job(JOB), lambda fake: (fake.advance_to("running"), fake.pause_job(JOB))],
    "resume_job": [lambda fake: (fake.advance_to("running"), fake.pause_job(JOB), fake.resume_job(JOB))],
    "delete_file": [
        then(lambda fake: fake.delete_file(FILE), lambda fake: fake.files),
        lambda fake: fake.delete_file("x"),
    ],
    "replies": [
        then(
            lambda fake: fake.replies("One.", "Two."),
            lambda fake: http(fake, "POST", "/chat/completions", json=CHAT).text,
        )
    ],
    "grader_scores": [lambda fake: fake.grader_scores([0.5, None]), lambda fake: fake.grader_scores(5)],  # type: ignore[arg-type]
    "jobs": [lambda fake: fake.jobs],
    "files": [lambda fake: fake.files],
    "state": [lambda fake: fake.state()],
    "reset": [
        then(
            lambda fake: fake.reset(seed=9, pace="instant", plan=Plan(queued=1)),
            lambda fake: (fake.state(), fake.requests),
        ),
        then(
            lambda fake: fake.reset(faults=({"kind": "refuse"},), api_keys={"k"}),
            lambda fake: [as_json(each) for each in fake.faults],
        ),
        lambda fake: fake.reset(sed=9),  # type: ignore[call-arg]
    ],
    "add_webhook": [
        webhook,
        lambda fake: fake.add_webhook(secret="whsec_c2VjcmV0"),
        lambda fake: fake.add_webhook("ftp://x"),
    ],
    "webhooks": [lambda fake: fake.webhooks],
    "webhook_deliveries": [lambda fake: fake.webhook_deliveries],
    "deliver_webhooks": [lambda fake: fake.deliver_webhooks(0.1)],
    "arm": [
        faulted(lambda fake: fake.arm({"kind": "fail", "on": "list_models"})),
        lambda fake: fake.arm({"kind": "fial"}),
    ],
    "fail": [faulted(lambda fake: fake.fail(429, code="insufficient_quota", times=1, on="list_models"))],
    "rate_limit": [faulted(lambda fake: fake.rate_limit(retry_after=3, on=["list_models", "list_jobs"]))],
    "delay": [faulted(lambda fake: fake.delay(timedelta(milliseconds=1)))],
    "disconnect": [faulted(lambda fake: fake.disconnect())],
    "refuse": [faulted(lambda fake: fake.refuse())],
    "truncate": [faulted(lambda fake: fake.truncate(bytes=5))],
    "malformed": [faulted(lambda fake: fake.malformed(body="<html>"))],
    "outage": [faulted(lambda fake: fake.outage("5m"))],
    "faults": [lambda fake: (fake.fail(), [as_json(each) for each in fake.faults])[1]],
    "unfired_faults": [
        then(
            disarmed,
            lambda fake: [as_json(each) for each in fake.unfired_faults],
        )
    ],
    "clear_faults": [then(disarmed, lambda fake: fake.faults)],
    "__call__": [scripted, lambda fake: fake({"retrive_job": []}), lambda fake: fake("failed")],
    "assert_script_exhausted": [
        lambda fake: fake.assert_script_exhausted(),
        lambda fake: (fake(["failed"]).stop(), fake.assert_script_exhausted()),
        lambda fake: (fake([]), fake.assert_script_exhausted() is fake)[1],
    ],
    "requests_log": [
        lambda fake: (len(fake.requests_log.find(limit=2)), fake.requests_log.count, fake.requests_log.forgotten)
    ],
    "always": [then(lambda fake: str(fake.always(broken)), lambda fake: [str(each) for each in fake.check_always()])],
    "check_always": [lambda fake: fake.check_always()],
    "fake_id": [lambda fake: fake.fake_id("x")],
    "requests": [entries],
    "calls": [
        lambda fake: [asdict(replace(each, caller="", timing=TimingSample(0.0, 0.0, "polls"))) for each in fake.calls]
    ],
    "calls_to": [
        lambda fake: [str(each) for each in fake.calls_to("create_job")],
        lambda fake: fake.calls_to("create"),
    ],
    "take_usage_errors": [then(lambda fake: fake.take_usage_errors(), lambda fake: fake.take_usage_errors())],
    "findings": [lambda fake: [str(each) for each in fake.findings]],
    "assert_no_findings": [lambda fake: fake.assert_no_findings(), lambda fake: fake.assert_no_findings(["leaked"])],
    "assert_called": [
        lambda fake: fake.assert_called("list_jobs", limit=2, metadata={"k": "v"}) is fake,
        lambda fake: fake.assert_called("retrieve_job", lambda call: call.status == 404, times=1) is fake,
        lambda fake: fake.assert_called("retrieve_job", times=5),
        lambda fake: fake.assert_called("list_jobs", limt=2),
    ],
    "assert_not_called": [
        lambda fake: fake.assert_not_called("delete_file"),
        lambda fake: fake.assert_not_called("list_jobs"),
    ],
    "assert_called_in_order": [
        lambda fake: fake.assert_called_in_order("upload_file", "create_job") is fake,
        lambda fake: fake.assert_called_in_order("create_job", "upload_file"),
    ],
    "assert_nothing_called": [lambda fake: fake.assert_nothing_called()],
    "assert_job_created": [
        lambda fake: fake.assert_job_created(suffix="mine", training_file=FILE, times=1) is fake,
        lambda fake: fake.assert_job_created(lambda call: call.options["suffix"] == "x"),
        lambda fake: fake.assert_job_created(suffix="yours"),
    ],
    "assert_job_not_created": [lambda fake: fake.assert_job_not_created(suffix="yours") is fake],
    "assert_no_jobs_created": [lambda fake: fake.assert_no_jobs_created()],
    "assert_job_cancelled": [lambda fake: fake.assert_job_cancelled(JOB)],
    "assert_job_not_cancelled": [
        lambda fake: fake.assert_job_not_cancelled(JOB) is fake,
        lambda fake: fake.assert_job_not_cancelled("no"),
    ],
    "assert_job_paused": [lambda fake: fake.assert_job_paused()],
    "assert_job_resumed": [lambda fake: fake.assert_job_resumed()],
    "assert_job_retrieved": [lambda fake: fake.assert_job_retrieved(JOB) is fake],
    "assert_file_uploaded": [lambda fake: fake.assert_file_uploaded(filename="t.jsonl", bytes=len(ROWS)) is fake],
    "assert_file_deleted": [lambda fake: fake.assert_file_deleted(FILE)],
    "assert_model_deleted": [lambda fake: fake.assert_model_deleted()],
    "finish_test": [then(lambda fake: fake.finish_test(), lambda fake: fake.assert_called("list_jobs"))],
    "openai": [sdk_call],
    "async_openai": [lambda fake: asyncio.run(async_sdk_call(fake))],
}
"""For each verb what is done with it, and gives the same here and there."""
OTHERWISE = {
    "end_run",
    "is_remote",
    "base_url",
    "env",
    "describe",
    "reached_at",
    "connect",
    "of_world",
    "open",
}
"""What has its own test, or makes handles."""
REFUSED: dict[str, Verb] = {
    "asgi_app": lambda fake: fake.asgi_app,
    "fork": lambda fake: fake.fork(),
    "transport": lambda fake: fake.transport(),
    "serving": lambda fake: fake.serving().__enter__(),
    "settings": lambda fake: fake.settings,
    "explore": lambda fake: fake.explore(lambda: None),
    "begin_run": lambda fake: fake.begin_run(None, None, None),  # type: ignore[arg-type]
    "bind_waits": lambda fake: fake.bind_waits(None),
    "pass_waited_time": lambda fake: fake.pass_waited_time(1),
    "real_time": lambda fake: fake.real_time(),
    "is_sending": lambda fake: fake.is_sending,
    "load": lambda fake: fake.load("account.zip"),
    "from_setup": lambda fake: fake.from_setup("team.toml"),
}
"""What cannot be had of a running server."""
CASES = [(verb, place) for verb, runs in VERBS.items() for place in range(len(runs))]


@pytest.fixture(scope="module", autouse=True)
def client() -> Iterator[None]:
    """Close the client after all tests."""
    yield
    CLIENT.close()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[FakeFineTuning, FakeAccounts]]:
    """A fake in this process, and a server whose accounts are used from outside."""
    with FakeFineTuning(**SETTINGS) as local, FakeAccounts(**SETTINGS) as accounts:
        yield local, accounts


@pytest.fixture
def handles(servers: tuple[FakeFineTuning, FakeAccounts]) -> Iterator[tuple[FakeFineTuning, FakeFineTuning]]:
    """A local handle and one of a server's account, of accounts in which the same has happened."""
    local, accounts = servers
    local.reset()
    with FakeFineTuning.connect(accounts.main.base_url, account="mine") as remote:
        for fake in (local, remote):
            use(fake)
        yield local, remote
        remote.delete_account()


def result(verb: Verb, fake: FakeFineTuning) -> Any:
    """What a verb returns, or raises: of a usage error what is wrong, and not where or what would be right."""
    try:
        returned = verb(fake)
    except AssertionError as error:
        return AssertionError, str(error)
    except FakeUsageError as error:
        text = str(error).partition(": ")[2] if str(error).startswith("P") else str(error)
        return FakeUsageError, text.partition(", got ")[0].partition("; expected")[0]
    return "itself" if returned is fake else returned


@pytest.mark.parametrize(("verb", "place"), CASES)
def test_a_verb_does_the_same_here_and_there(
    handles: tuple[FakeFineTuning, FakeFineTuning], verb: str, place: int
) -> None:
    """Each verb returns, or raises, the same locally and of a running server, and the accounts stay the same."""
    local, remote = handles
    run = VERBS[verb][place]

    assert result(run, remote) == result(run, local)
    assert remote.state() == local.state()
    assert entries(remote) == entries(local)


def test_every_verb_is_tried() -> None:
    """Each public name of the handle is tried here and there, or refused there."""
    names = {name for name in dir(FakeFineTuning) if not name.startswith("_")}

    assert names <= {*VERBS, *OTHERWISE, *REFUSED}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_the_account_itself_raises(handles: tuple[FakeFineTuning, FakeFineTuning], name: str) -> None:
    """What cannot be had of a running server raises, and says why."""
    with pytest.raises(FakeUsageError, match="cannot be had of a running server: it needs the account itself"):
        REFUSED[name](handles[1])


@pytest.mark.parametrize(
    "item", [lambda call: None, ValueError("x"), object(), iter(["failed"])], ids=lambda item: type(item).__name__
)
def test_a_script_must_be_json(handles: tuple[FakeFineTuning, FakeFineTuning], item: object) -> None:
    """A function, an exception or an object in a script is refused, since it cannot be sent, and changes nothing."""
    for script in ([item], {"retrieve_job": [item]}, item):
        with pytest.raises(FakeUsageError, match="must be JSON, got"):
            handles[1](script)
    with pytest.raises(FakeUsageError, match="there is no script"):
        handles[1].assert_script_exhausted()


def test_what_would_not_arrive_is_refused(handles: tuple[FakeFineTuning, FakeFineTuning]) -> None:
    """A setting that the control API takes for left out, and new defaults, are refused instead of ignored."""
    with pytest.raises(FakeUsageError, match="patience must be a value where it is sent"):
        handles[1].reset(patience=None)
    with pytest.raises(FakeUsageError, match="a change of defaults cannot be had"):
        handles[1].reset(defaults={"seed": 1})


def test_a_handle_has_the_address_of_its_account(servers: tuple[FakeFineTuning, FakeAccounts]) -> None:
    """`connect` takes a server's URL, what `serve` prints, or an account's; `base_url` and `env` are the account's."""
    main = servers[1].main.base_url
    root = main.removesuffix("/v1")
    with ExitStack() as stack:
        handles = [
            stack.enter_context(FakeFineTuning.connect(url, account=name))
            for url, name in (
                (root, "b"),
                (f"{main}/", "b"),
                (f"{root}/accounts/b/v1", None),
                (main, None),
                (main, "main"),
            )
        ]
        addresses = [fake.base_url.removeprefix(root) for fake in handles]
        assert addresses == [*["/accounts/b/v1"] * 3, "/v1", "/accounts/main/v1"]
        assert handles[0].env["OPENAI_BASE_URL"] == f"{root}/accounts/b/v1"
        assert http(handles[0], "GET", "/models").is_success
        assert "GET" in handles[0].describe() or "list_models" in handles[0].describe()
    assert "b" in servers[1].names


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:4355", "url must be the URL of a running server"),
        (4355, "url must be the URL of a running server"),
        *(
            (f"http://127.0.0.1{rest}", "url must be the URL of a running server")
            for rest in (":abc", ":0", ":99999", "/\0")
        ),
        ("http://127.0.0.1:1", "no fake answers at http://127.0.0.1:1"),
        ("http://127.0.0.1:4355/accounts/a/v1", "url must be the server's where account is given"),
    ],
)
def test_a_wrong_url_is_refused(url: Any, said: str) -> None:
    """What is no URL of a running server is refused by name."""
    with pytest.raises(FakeUsageError, match=said):
        FakeFineTuning.connect(url, account="a")


def test_a_token_that_cannot_be_sent_is_refused_without_being_shown() -> None:
    """A token that no header can have is a usage error, and not in it."""
    with pytest.raises(FakeUsageError, match=r"^control_token must be printable ASCII without spaces$"):
        FakeFineTuning.connect("http://127.0.0.1:1", token="schlüssel")


def test_https_is_verified_in_any_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's certificate is verified wherever the URL's scheme is https, in capitals, too."""
    verified = []
    monkeypatch.setattr(httpx, "Client", lambda **settings: verified.append(settings["verify"]))
    for url in ("https://fake.test", "HTTPS://fake.test", "http://fake.test"):
        ControlClient(url, None, None)

    assert verified == [True, True, False]


def test_usage_errors_after_a_rewind_are_seen(servers: tuple[FakeFineTuning, FakeAccounts]) -> None:
    """A usage error of a request after a rewind is taken, though the number of its request was read before."""
    with FakeFineTuning.connect(servers[1].main.base_url, account="rewound") as fake:
        for _ in range(2):
            http(fake, "POST", "/embeddings", json={})
            assert len(fake.take_usage_errors()) == 1
            fake.rewind_to(request=0)


def test_a_server_that_is_no_fake_is_refused() -> None:
    """A server that answers otherwise is called no fake, and a fake of one account refuses a name."""
    receiver = Receiver()
    with receiving(receiver), pytest.raises(FakeUsageError, match="is no fake of this version: GET"):
        FakeFineTuning.connect(receiver.url.removesuffix("/hook"))
    with FakeFineTuning() as lone:
        with pytest.raises(FakeUsageError, match="unknown route of fake-fine-tuning: PUT /_fake/accounts/a"):
            FakeFineTuning.connect(lone.base_url, account="a")
        with FakeFineTuning.connect(lone.base_url) as handle:
            assert handle.advance(5) == lone.now


@pytest.mark.parametrize("dialect", ["openai-spec", "azure-2025"])
def test_objects_are_in_the_dialect(dialect: str) -> None:
    """Jobs, files and changes from outside are shown in the account's dialect, as by a local handle."""
    settings = {**SETTINGS, "dialect": dialect}
    with ExitStack() as stack:
        local = stack.enter_context(FakeFineTuning(**settings))
        accounts = stack.enter_context(FakeAccounts(**settings))
        remote = stack.enter_context(FakeFineTuning.connect(accounts.main.base_url, account="mine"))
        for fake in (local, remote):
            use(fake)
        for verb in ("jobs", "files", "cancel_job", "delete_file", "add_file", "assert_job_created"):
            assert result(VERBS[verb][0], remote) == result(VERBS[verb][0], local)


def test_webhooks_are_tried_before_advance_returns() -> None:
    """`advance` of a running server returns after the webhooks that come due were tried, which the server sends."""
    receiver = Receiver()
    with FakeAccounts(**SETTINGS) as accounts, receiving(receiver):
        fake = FakeFineTuning.connect(accounts.main.base_url, account="mine")
        secret = fake.add_webhook(receiver.url)
        fake.add_job(fake.add_file(ROWS)["id"], status="running", id=JOB)
        fake.advance("10h")
        assert [delivery.status for delivery in fake.webhook_deliveries] == ["delivered"]
        assert receiver.next(secret).data.id == JOB
        fake.close()


def test_a_faults_count_is_the_servers(servers: tuple[FakeFineTuning, FakeAccounts]) -> None:
    """A fault knows how often it has fired when it is asked, and its last count after it was cleared."""
    with FakeFineTuning.connect(servers[1].main.base_url, account="faulty") as fake:
        fault = fake.fail(503, on="list_models")
        assert fault.fired == 0
        http(fake, "GET", "/models")
        assert (fault.fired, fault.requests) == (1, [1])
        fake.clear_faults()
        assert (fault.fired, fake.unfired_faults) == (1, [])
        assert fake.fail(500, on="list_models").number == 1
        assert fault.fired == 1


@pytest.mark.slow
def test_a_server_process_is_steered_with_its_token() -> None:
    """`connect` steers `serve` on all addresses with its control token, and is refused without."""
    with started("--host", "0.0.0.0", "--port", "0", "--control-token", "secret", "--pace", "polls", "-q") as process:
        url = line(process.stdout)
        with pytest.raises(FakeUsageError, match="control routes need the control token"):
            FakeFineTuning.connect(url, account="mine")
        with FakeFineTuning.connect(url, token="secret", account="mine") as fake:
            use(fake)
            fake.assert_job_created(suffix="mine")
            fake.delete_account()
            assert fake.jobs == []
        process.terminate()
        assert "secret" not in end(process)
