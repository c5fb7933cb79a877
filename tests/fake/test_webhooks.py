"""Webhooks: which events are sent to which endpoint, how often, and with which signature."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from hypothesis import settings
from hypothesis.stateful import invariant

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError, cli
from fine_tuning_fakeserver.domain.timeline import TERMINAL
from fine_tuning_fakeserver.domain.webhook_events import EVENTS, WebhookDelivery, signature
from session_machine import Session
from strategies import BORN, Http

JOBS = "/fine_tuning/jobs"


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(start=BORN, pace="manual"))


def delivered_events(fake: FakeFineTuning) -> list[tuple[str, str]]:
    """The event and job of each delivery, oldest first."""
    return [(each.type.rpartition(".")[2], each.job) for each in fake.webhook_deliveries]


def test_the_signature() -> None:
    """The signature equals the test vector of the official SDK."""
    body = (
        b'{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, '
        b'"type": "response.completed", "data": {"id": "resp_123"}}'
    )
    secret = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="
    made = signature(secret, "wh_685c059ae39c8190af8c71ed1022a24d", 1750861210, body)

    assert made == "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY="


def test_a_forged_one_is_refused(http: Http) -> None:
    """The official SDK refuses a webhook with another secret or a changed body."""
    secret = http.fake.add_webhook()
    http.fake.add_job(http.file())
    (delivery,) = http.fake.webhook_deliveries
    client = openai.OpenAI(api_key="any")

    client.webhooks.verify_signature(delivery.body, delivery.headers, secret=secret)
    for body, key in ((delivery.body + b" ", secret), (delivery.body, "whsec_c2VjcmV0")):
        with pytest.raises(openai.InvalidWebhookSignatureError, match="does not match"):
            client.webhooks.verify_signature(body, delivery.headers, secret=key)


def test_without_a_url(http: Http) -> None:
    """Without a URL deliveries are collected, ready to be passed to a handler."""
    secret = http.fake.add_webhook()
    job = http.fake.add_job(http.file(), status="failed")

    (delivery,) = http.fake.webhook_deliveries
    event: Any = openai.OpenAI(api_key="any").webhooks.unwrap(delivery.body, delivery.headers, secret=secret)

    assert (event.type, event.data.id) == ("fine_tuning.job.failed", job["id"])
    assert (delivery.status, delivery.next_attempt_at, len(delivery.attempts)) == ("delivered", None, 1)


def test_once_for_each_end_and_endpoint(http: Http) -> None:
    """Each endpoint gets each end of a job once; deliveries have unique ids and share the event id."""
    for _ in range(2):
        http.fake.add_webhook()
    jobs = [http.job()["id"] for _ in range(2)]
    for _ in range(5):
        http.fake.advance("10m")
        http.json("GET", f"{JOBS}/{jobs[0]}")

    deliveries = http.fake.webhook_deliveries

    assert sorted(delivered_events(http.fake)) == sorted(("succeeded", job) for job in jobs * 2)
    assert len({each.id for each in deliveries}) == 4
    assert len({each.event_id for each in deliveries}) == 2


def test_only_ends_are_told_and_only_from_now_on(http: Http) -> None:
    """Only final statuses reached after the endpoint was added are delivered."""
    http.fake.add_job(http.file())
    first, second = http.fake.add_job(http.file(), status="running"), http.fake.add_job(http.file(), status="running")
    http.fake.add_webhook()
    http.fake.add_job(http.file(), created_at=int(BORN) - 90_000, finished_at=int(BORN) - 80_000)
    http.json("POST", f"{JOBS}/{first['id']}/pause")
    http.fake.advance("1h")
    assert delivered_events(http.fake) == [("succeeded", second["id"])]

    http.json("POST", f"{JOBS}/{first['id']}/resume")
    http.json("POST", f"{JOBS}/{first['id']}/cancel")
    http.fake.advance("1d")

    assert delivered_events(http.fake) == [("succeeded", second["id"]), ("cancelled", first["id"])]


def test_an_end_in_the_same_instant(http: Http) -> None:
    """An endpoint does not get a cancellation right before it was added, but one right after."""
    first, second = http.job()["id"], http.job()["id"]
    http.json("POST", f"{JOBS}/{first}/cancel")
    http.fake.add_webhook()
    http.json("POST", f"{JOBS}/{second}/cancel")
    http.fake.advance("1d")

    assert delivered_events(http.fake) == [("cancelled", second)]


def test_events_that_are_asked_for(http: Http) -> None:
    """An endpoint gets only the events it subscribed to."""
    http.fake.add_webhook(events=["fine_tuning.job.failed"])
    for status in ("succeeded", "failed", "cancelled"):
        http.fake.add_job(http.file(), status=status)

    assert [kind for kind, _ in delivered_events(http.fake)] == ["failed"]


class Told(Session):
    """Random requests with an endpoint for all events, and an account with the same records."""

    def __init__(self) -> None:
        super().__init__()
        self.http.fake.add_webhook()

    @invariant()
    def of_each_end_once(self) -> None:
        """Each finished job was delivered exactly once, at its end, and no other was."""
        lives = {job.id: job.timeline() for job in self.http.fake._world.service.account.jobs.values()}
        over = [(life.status(self.http.fake.now), job) for job, life in lives.items()]
        assert sorted(delivered_events(self.http.fake)) == sorted(each for each in over if each[0] in TERMINAL)

    @invariant()
    def replays_deliveries(self) -> None:
        """An account replayed from the records has the same deliveries."""
        deliveries = self.http.fake.webhook_deliveries
        twin = FakeFineTuning(pace="manual", start=BORN, seed=7)
        twin._world.service.replay(self.http.fake._world.service.journal)
        assert twin.webhook_deliveries == deliveries


TestTold = Told.TestCase
TestTold.settings = settings(max_examples=10, stateful_step_count=12, deadline=None)


def test_many_ends_in_one_instant(http: Http) -> None:
    """Jobs that fail in the same instant are delivered in the same order by a replayed account."""
    http.fake.add_webhook()
    file = http.file()
    for _ in range(5):
        http.job(training_file=file)
    http.json("DELETE", f"/files/{file}")
    http.fake.advance("5m")
    twin = FakeFineTuning(pace="manual", start=BORN)
    twin._world.service.replay(http.fake._world.service.journal)

    assert len(http.fake.webhook_deliveries) == 5
    assert twin.webhook_deliveries == http.fake.webhook_deliveries


def test_collecting_is_linear(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to collect deliveries is linear in their number."""
    looks = 0
    next_attempt_at: Any = vars(WebhookDelivery)["next_attempt_at"]

    def look(delivery: WebhookDelivery) -> Any:
        nonlocal looks
        looks += 1
        return next_attempt_at.fget(delivery)

    http.fake.add_webhook()
    file = http.file()
    jobs = [http.job(training_file=file)["id"] for _ in range(200)]
    monkeypatch.setattr(WebhookDelivery, "next_attempt_at", property(look))
    http.json("DELETE", f"/files/{file}")
    http.fake.advance("5m")

    assert sorted(delivered_events(http.fake)) == sorted(("failed", job) for job in jobs)
    assert looks < 20 * len(jobs)


def test_same_seed_same_bytes() -> None:
    """Secrets, ids and bodies depend only on the seed and the requests."""

    def run(seed: int) -> tuple[list[str], list[tuple[str, str, bytes]]]:
        fake = FakeFineTuning(seed=seed, start=BORN, pace="manual")
        secrets = [fake.add_webhook(), fake.add_webhook()]
        fake.add_job(Http(fake).file())
        return secrets, [(each.id, each.endpoint.id, each.body) for each in fake.webhook_deliveries]

    assert run(7) == run(7)
    assert run(7)[0] != run(8)[0]
    assert len({*run(7)[0], *run(8)[0]}) == 4


def test_control(http: Http) -> None:
    """The control API can add, list and remove webhooks, and list deliveries."""
    body = {"url": "http://localhost:9/hook", "secret": "mine", "events": list(EVENTS[:2])}
    made = http.json("POST", "/_fake/webhooks", body)
    assert made == {"id": made["id"], **body, "created_at": int(BORN)}
    collected = http.json("POST", "/_fake/webhooks")
    assert (collected["url"], collected["events"]) == (None, list(EVENTS))
    assert http.json("GET", "/_fake/webhooks") == {"webhooks": [made, collected]}
    http.json("DELETE", f"/_fake/webhooks/{made['id']}")

    job = http.fake.add_job(http.file())
    (shown,) = http.json("GET", "/_fake/webhooks/deliveries")["deliveries"]

    (delivery,) = http.fake.webhook_deliveries
    assert shown == json.loads(json.dumps(delivery.as_json()))
    assert (shown["job"], shown["status"], shown["webhook"]) == (job["id"], "delivered", collected["id"])
    assert json.loads(shown["body"])["data"] == {"id": job["id"]}
    message = http.json("DELETE", f"/_fake/webhooks/{made['id']}", status=400)["fake_error"]
    assert message == f"unknown webhook {made['id']!r}; expected one of: {collected['id']}"


def test_control_reset(http: Http) -> None:
    """A reset by the control API can add webhooks."""
    http.json("POST", "/_fake/reset", {"webhooks": [{"secret": "mine"}]})

    assert [each.secret for each in http.fake.webhooks] == ["mine"]


HERE = ["http://localhost:8000/hook", "http://127.8.8.8", "https://[::1]:9/hook?a=b"]
ELSEWHERE = [
    "http://example.com",
    "http://10.0.0.1/",
    "http://0.0.0.0:1",
    "http://localhost.example.com",
    "https://[::2]",
]


def test_targets_on_this_machine(http: Http) -> None:
    """Targets on this machine are accepted, and remote ones only if allowed at construction."""
    for url in HERE:
        http.fake.add_webhook(url)
    for url in ELSEWHERE:
        with pytest.raises(FakeUsageError, match="only with allow_remote_webhooks"):
            http.fake.add_webhook(url)
        with pytest.raises(FakeUsageError, match="only with allow_remote_webhooks"):
            FakeFineTuning(webhooks=[url])
        FakeFineTuning(allow_remote_webhooks=True, webhooks=[url]).add_webhook(url)

    assert [each.url for each in http.fake.webhooks] == HERE
    http.json("POST", "/_fake/reset", {"allow_remote_webhooks": True}, status=400)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"url": "ftp://127.0.0.1"}, "webhook 'url' must be an HTTP URL, or None to collect its deliveries, got "),
        ({"url": "http://"}, "webhook 'url' must be an HTTP URL, or None to collect its deliveries, got "),
        ({"url": ""}, "webhook 'url' must be an HTTP URL, or None to collect its deliveries, got "),
        (
            {"url": "http://127.0.0.1:http"},
            "webhook 'url' must be an HTTP URL, or None to collect its deliveries, got ",
        ),
        ({"url": "http://[::1"}, "webhook 'url' must be an HTTP URL, or None to collect its deliveries, got "),
        ({"url": "http://127.0.0.1/a b"}, "webhook 'url' must be an HTTP URL, or None to collect its deliveries, got "),
        ({"url": "http://127.0.0.1/\n"}, "webhook 'url' must be an HTTP URL, or None to collect its deliveries, got "),
        ({"url": 7}, "webhook 'url' must be an HTTP URL, or None to collect its deliveries, got 7"),
        ({"secret": ""}, "webhook 'secret' must be printable ASCII, and base64 after 'whsec_'"),
        ({"secret": "geheimnisträger"}, "webhook 'secret' must be printable ASCII, and base64 after 'whsec_'"),
        ({"secret": "whsec_!!"}, "webhook 'secret' must be printable ASCII, and base64 after 'whsec_'"),
        ({"secret": "whsec_"}, "webhook 'secret' must be printable ASCII, and base64 after 'whsec_'"),
        ({"events": []}, "webhook 'events' must be some of fine_tuning.job.succeeded, "),
        ({"events": ["fine_tuning.job.paused"]}, "some of fine_tuning.job.succeeded, "),
        (
            {"uri": "http://127.0.0.1"},
            "unknown webhook field 'uri' (did you mean 'url'?); expected one of: url, secret, events",
        ),
    ],
)
def test_what_is_refused(http: Http, body: Any, words: str) -> None:
    """An invalid webhook is refused with the reason, and nothing is added."""
    message = http.json("POST", "/_fake/webhooks", body, status=400)["fake_error"]

    assert words in message
    assert http.fake.webhooks == []


@pytest.mark.parametrize("given", [7, {"uri": "http://127.0.0.1"}, {"events": "fine_tuning.job.failed"}, {"events": 7}])
def test_settings_that_are_refused(given: Any) -> None:
    """An invalid webhook in the settings is refused."""
    with pytest.raises(FakeUsageError, match="webhook"):
        FakeFineTuning(webhooks=[given])


def test_deliveries_compare_and_print(http: Http) -> None:
    """Deliveries with the same history are equal, and their repr shows the event."""
    http.fake.add_webhook()
    http.fake.add_job(http.file())

    assert http.fake.webhook_deliveries == http.fake.webhook_deliveries
    assert isinstance(http.fake.webhook_deliveries[0], WebhookDelivery)
    assert "fine_tuning.job.succeeded" in repr(http.fake.webhook_deliveries)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--webhook", "ftp://127.0.0.1"],
            "webhook 'url' must be an HTTP URL, or None to collect its deliveries, got ",
        ),
        (["--webhook", "http://example.com"], "only with --allow-remote-webhooks"),
        (
            ["--webhook", "http://127.0.0.1:9", "--webhook-secret", "whsec_!"],
            "webhook 'secret' must be printable ASCII, and base64 after 'whsec_'",
        ),
        (["--webhook-secret", "mine"], "--webhook-secret requires --webhook"),
    ],
)
def test_wrong_usage(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid webhook on the command line is refused with exit code 2."""
    assert cli.main(["serve", "--port", "0", *flags]) == 2
    assert words in capsys.readouterr().err
