"""Delivery of webhooks: when they are due, at every pace, and retries."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Container, Generator

import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.service import Service
from fine_tuning_fakeserver.api import webhooks
from fine_tuning_fakeserver.domain.webhook_events import EVENTS
from fine_tuning_fakeserver.web import webhook_sender
from serve_process import line, started
from strategies import BORN, Http
from webhook_receiver import SOON_S, Receiver

pytestmark = pytest.mark.slow

JOBS = "/fine_tuning/jobs"


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    """A target on a free port."""
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake whose time stands still."""
    return Http(FakeFineTuning(start=BORN, pace="manual"))


@pytest.mark.parametrize("given", [None, "whsec_c2VjcmV0", "plain text"])
@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_the_sdk_accepts_it(http: Http, receiver: Receiver, status: str, given: str | None) -> None:
    """The official SDK accepts and parses a webhook for every final status and secret."""
    secret = http.fake.add_webhook(receiver.url, given)
    job = http.fake.add_job(http.file(), status="running", plan={"fail_at": 5} if status == "failed" else {})
    if status == "cancelled":
        http.json("POST", f"{JOBS}/{job['id']}/cancel")
    else:
        http.fake.advance_to(status)

    event = receiver.next(secret)

    assert (event.type, event.data.id, event.object) == (f"fine_tuning.job.{status}", job["id"], "event")
    assert secret == given or secret.startswith("whsec_")


def test_the_wire(http: Http, receiver: Receiver) -> None:
    """A webhook has virtual time in its body, real time in its headers, and ids in the service's form."""
    http.fake.add_webhook(receiver.url)
    job = http.job()
    before = int(time.time())
    http.fake.advance_to("succeeded")

    headers, body = receiver.got.get(timeout=SOON_S)
    event = json.loads(body)

    assert list(event) == ["id", "object", "created_at", "type", "data"]
    assert event["created_at"] == int(http.fake.now)
    assert event["id"].startswith(f"evt_{int(http.fake.now):08x}")
    assert len(event["id"]) == len("evt_685c059ae3a481909bdc86819b066fb6")
    assert event["data"] == {"id": job["id"]}
    assert headers["webhook-id"].startswith("wh_")
    assert before <= int(headers["webhook-timestamp"]) <= time.time()
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("OpenAI/")


def test_pace_polls(receiver: Receiver) -> None:
    """At the pace "polls" the retrieve that first shows the end sends the webhook, without waiting for it."""
    http = Http(FakeFineTuning(start=BORN))
    secret = http.fake.add_webhook(receiver.url)
    job = http.job()
    while http.json("GET", f"{JOBS}/{job['id']}")["status"] != "succeeded":
        assert receiver.got.empty()

    assert receiver.next(secret).data.id == job["id"]


def test_pace_instant(receiver: Receiver) -> None:
    """At the pace "instant" the request after the creation sends the webhook."""
    http = Http(FakeFineTuning(start=BORN, pace="instant"))
    secret = http.fake.add_webhook(receiver.url)
    job = http.job()
    assert http.fake._world.service.account.outbox.deliveries == {}

    http.json("GET", "/models")

    assert receiver.next(secret).data.id == job["id"]


def test_pace_of_real_time(receiver: Receiver) -> None:
    """At a numeric pace a webhook is sent when it is due, without a request."""
    fake = FakeFineTuning(start=BORN, pace=10_000)
    with fake.serving():
        secret = fake.add_webhook(receiver.url)
        job = Http(fake).job()

        assert receiver.next(secret).data.id == job["id"]


def test_pace_of_real_time_that_is_moved(receiver: Receiver) -> None:
    """A webhook due in hours is sent when time is advanced or the pace increased."""
    fake = FakeFineTuning(start=BORN, pace=0.1)
    secret = fake.add_webhook(receiver.url)
    first, second = Http(fake).job(), Http(fake).job()
    fake.plan_job(second["id"], queued="2h")

    fake.advance("1h")
    assert receiver.next(secret).data.id == first["id"]
    fake.pace = 1e6
    assert receiver.next(secret).data.id == second["id"]


def test_an_advance_waits(http: Http, receiver: Receiver) -> None:
    """`advance` returns after the webhooks that came due were sent and answered."""
    http.fake.add_webhook(receiver.url)
    jobs = [http.job()["id"] for _ in range(3)]

    http.fake.advance("1h")

    assert [each.status for each in http.fake.webhook_deliveries] == ["delivered"] * 3
    assert {json.loads(receiver.got.get_nowait()[1])["data"]["id"] for _ in jobs} == set(jobs)


def test_a_target_in_the_callers_own_thread() -> None:
    """No request waits for a target, so a target in the same thread can respond."""
    receiver = Receiver([204], threaded=False)
    with receiver.server:
        http = Http(FakeFineTuning(start=BORN))
        http.fake.add_webhook(receiver.url)
        job = http.job()
        http.json("POST", f"{JOBS}/{job['id']}/cancel")
        assert [each.status for each in http.fake.deliver_webhooks(timeout_s=0)] == ["pending"]

        receiver.server.handle_request()

        assert [each.status for each in http.fake.deliver_webhooks()] == ["delivered"]


def test_a_target_on_the_fakes_own_server() -> None:
    """A webhook to the fake's own server does not deadlock."""
    fake = FakeFineTuning(start=BORN, pace="manual")
    with fake.serving() as url:
        fake.add_webhook(f"{url}/fine_tuning/jobs")
        fake.add_job(Http(fake).file())
        (delivery,) = fake.deliver_webhooks()

    assert [each.status for each in delivery.attempts] == [401]


def test_it_is_tried_again(http: Http, receiver: Receiver) -> None:
    """A response other than 2xx is retried after 10, 20 … virtual seconds with the same id."""
    receiver.statuses = [500, 302, 204]
    http.fake.add_webhook(receiver.url)
    http.fake.add_job(http.file())
    (delivery,) = http.fake.deliver_webhooks()
    assert (delivery.status, delivery.next_attempt_at) == ("pending", BORN + 10)

    http.fake.advance(9)
    assert len(http.fake.webhook_deliveries[0].attempts) == 1
    http.fake.advance(1)
    http.fake.advance("1h")

    (delivery,) = http.fake.webhook_deliveries
    assert [(each.at - BORN, each.status) for each in delivery.attempts] == [(0, 500), (10, 302), (30, 204)]
    assert (delivery.status, delivery.next_attempt_at) == ("delivered", None)
    assert {receiver.got.get_nowait()[0]["webhook-id"] for _ in range(3)} == {delivery.id}
    assert receiver.got.empty()


def test_it_is_given_up(http: Http) -> None:
    """An unreachable target is retried for 72 hours at growing intervals, and then given up."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    http.fake.add_webhook(url)
    http.fake.add_job(http.file())

    http.fake.advance("71h")
    http.fake.advance("9d")

    (delivery,) = http.fake.webhook_deliveries
    waits = [delivery.attempts[n + 1].at - delivery.attempts[n].at for n in range(len(delivery.attempts) - 1)]
    assert waits == [10 * 2**n for n in range(14)]
    assert (delivery.status, delivery.next_attempt_at) == ("failed", None)
    assert {(each.status, (each.error or "").partition(":")[0]) for each in delivery.attempts} == {
        (None, "ConnectError")
    }


def test_an_endpoint_that_is_taken_away(http: Http, receiver: Receiver) -> None:
    """A removed endpoint gets no more webhooks, not even pending ones, and a reset removes all."""
    receiver.statuses = [500, 500, 200]
    for _ in range(2):
        http.fake.add_webhook(receiver.url)
    http.fake.add_job(http.file())
    assert sorted(each.status for each in http.fake.deliver_webhooks()) == ["pending", "pending"]

    _, webhook = http.json("GET", "/_fake/webhooks")["webhooks"]
    assert http.json("DELETE", f"/_fake/webhooks/{webhook['id']}") == {"id": webhook["id"], "deleted": True}
    http.fake.advance("1h")
    assert [(each.endpoint.id != webhook["id"], each.status) for each in http.fake.webhook_deliveries] == [
        (True, "delivered")
    ]

    http.fake.reset(start=BORN)
    http.fake.add_job(http.file())
    assert (http.fake.deliver_webhooks(), receiver.got.qsize()) == ([], 3)


def test_a_reset_while_something_is_under_way() -> None:
    """A delivery that ends after a reset does not affect the new account."""
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.settimeout(SOON_S)
        fake = FakeFineTuning(start=BORN, pace="manual")
        fake.add_webhook(f"http://127.0.0.1:{target.getsockname()[1]}")
        fake.add_job(Http(fake).file())
        connection, _ = target.accept()
        with connection:
            fake.reset(start=BORN)
            fake.add_webhook()
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

            assert fake.deliver_webhooks() == []


def test_a_target_that_does_not_answer_holds_up_no_other(http: Http, receiver: Receiver) -> None:
    """A target that does not respond does not delay webhooks to other targets."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(SOON_S)
        http.fake.add_webhook(f"http://127.0.0.1:{silent.getsockname()[1]}")
        secret = http.fake.add_webhook(receiver.url)
        jobs = [http.fake.add_job(http.file())["id"]]
        connection, _ = silent.accept()
        with connection:
            jobs.append(http.fake.add_job(http.file())["id"])

            assert [receiver.next(secret).data.id for _ in jobs] == jobs
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        with silent.accept()[0] as connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

            assert [each.status for each in http.fake.deliver_webhooks()] == ["delivered"] * 4


def test_a_target_has_so_long_for_all_of_its_answer(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that sends its response too slowly is given up after the time limit."""
    monkeypatch.setattr(webhook_sender, "ANSWER_WITHIN_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as slow:
        slow.settimeout(SOON_S)
        http.fake.add_webhook(f"http://127.0.0.1:{slow.getsockname()[1]}")
        http.fake.add_job(http.file())
        connection, _ = slow.accept()
        over = threading.Event()

        def drip() -> None:
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.05):
                    connection.sendall(b"x-more: of it\r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            (delivery,) = http.fake.deliver_webhooks(SOON_S)
        finally:
            over.set()
            thread.join()

    assert [each.error for each in delivery.attempts] == ["Timeout: no answer within 0.3 seconds"]


def test_given_with_the_settings(receiver: Receiver) -> None:
    """Endpoints can be given as settings, as URLs or with their fields, and a reset restores them."""
    given: list[str | dict[str, object]] = [receiver.url, {"secret": "mine", "events": [EVENTS[1]]}]
    fake = FakeFineTuning(start=BORN, pace="manual", webhooks=given)
    for _ in range(2):
        fake.add_job(Http(fake).file(), status="failed", created_at=int(BORN) - 9000, plan={"queued": "1h"})
        assert fake.webhook_deliveries == []  # over before the account began
        fake.add_job(Http(fake).file(), status="failed")

        assert [each.status for each in fake.deliver_webhooks()] == ["delivered"] * 2
        assert [each.secret for each in fake.webhooks][1] == "mine"
        fake.reset()


def test_from_the_command_line(receiver: Receiver) -> None:
    """`serve --webhook` prints the secret as an export line, and sends webhooks."""
    with started("--port", "0", "-q", "--pace", "10000", "--webhook", receiver.url) as process:
        url, *_, export = (line(process.stdout) for _ in range(4))
        with openai.OpenAI(base_url=url, api_key="any") as client:
            file = client.files.create(file=("train.jsonl", b"{}\n"), purpose="fine-tune")
            job = client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")
        event = receiver.next(export.removeprefix("export OPENAI_WEBHOOK_SECRET="))
        process.terminate()

    assert (event.type, event.data.id) == ("fine_tuning.job.failed", job.id)


def test_who_looks_at_the_last_moment(http: Http, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook that becomes due while the sender thread is about to end is still sent."""
    file, late = http.file(), ["a job"]
    ask = webhooks.next_deliveries

    def next_deliveries(service: Service, busy: Container[str] = ()) -> webhooks.NextDeliveries:
        step = ask(service, busy)
        in_sender = threading.current_thread() is not threading.main_thread()
        if not step.due and busy == {} and late and in_sender:
            late.clear()
            http.fake.add_job(file)
        return step

    monkeypatch.setattr(webhooks, "next_deliveries", next_deliveries)
    http.fake.add_webhook(receiver.url)
    http.fake.add_job(file)

    assert [each.status for each in http.fake.deliver_webhooks()] == ["delivered"] * 2


def test_a_bug_of_the_courier(http: Http, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash while sending is reported, blocks nothing, and does not stop later deliveries."""
    crashes: list[type[BaseException]] = []

    def crash(*_: object) -> None:
        raise ZeroDivisionError("boom")

    with monkeypatch.context() as patched:
        patched.setattr(threading, "excepthook", lambda crashed: crashes.append(crashed.exc_type))
        patched.setattr(webhook_sender, "_attempt", crash)
        http.fake.add_webhook(receiver.url)
        http.fake.add_job(http.file())
        assert [each.status for each in http.fake.deliver_webhooks()] == ["pending"]

    assert set(crashes) == {ZeroDivisionError}
    assert [each.status for each in http.fake.deliver_webhooks()] == ["delivered"]
