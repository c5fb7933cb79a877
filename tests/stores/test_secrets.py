"""What a store holds of keys and secrets, and webhooks of accounts that servers share."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.account.stored_world import StoredWorld
from fine_tuning_fakeserver.stores import Store, open_store
from fine_tuning_fakeserver.web.in_process import call_app
from strategies import BORN, FORM, ROWS, Http, form
from webhook_receiver import SOON_S, Receiver, receiving

KEY = "sk-proj-Yx7dKq2mPz9LwVbN4tRs8HfJc3GaEu6TnQo1ViXk5Wh0"
SECRET = "whsec_YSBzZWNyZXQgdGhhdCBub2JvZHkga25vd3M="


@pytest.fixture
def two_servers(store_url: str) -> Iterator[list[FakeAccounts]]:
    """Two servers that share accounts, with a key and time that stands still."""
    servers = [
        FakeAccounts.around(
            FakeFineTuning(start=BORN, pace="manual", api_keys={KEY}),
            store=open_store(store_url),
            worker=worker,
            account_per_key=True,
        )
        for worker in range(2)
    ]
    yield servers
    for server in servers:
        server.close()


def everything_in(store: Store, tmp_path: Path) -> bytes:
    """All bytes of a store: its files, or its tables."""
    files = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    names = store.accounts()
    heads = {name: store.head(name) for name in names}
    found = [store.header(name, head.generation) for name, head in heads.items()]
    for name, head in heads.items():
        found += store.read(name, head.generation)
        found += [line for _, line in store.entries(name, head.generation)]
    return b"".join([files, *found, *map(str.encode, names)])


def test_keys_reach_a_store_as_digests(two_servers: list[FakeAccounts], store_url: str, tmp_path: Path) -> None:
    """An API key is found in a store, wherever it was sent."""
    app = two_servers[0].asgi_app
    key = (b"authorization", f"Bearer {KEY}".encode())
    assert call_app(app, "POST", b"/v1/files", [key, FORM], form(ROWS.encode())).status == 200
    job = f'{{"model": "gpt-4o-mini", "training_file": "file-x", "metadata": {{"note": "{KEY}"}}}}'.encode()
    call_app(app, "POST", b"/v1/fine_tuning/jobs", [key, (b"content-type", b"application/json")], job)
    call_app(app, "GET", f"/v1/files/{KEY}?api_key={KEY}".encode(), [key, (b"x-api-key", KEY.encode())], b"")
    store = open_store(store_url)
    content = everything_in(store, tmp_path)
    store.close()

    assert b"key-" in content  # the account of the key
    assert KEY.encode() not in content


def test_secrets_of_webhooks_are_in_the_store_and_in_no_export(
    two_servers: list[FakeAccounts], store_url: str, tmp_path: Path
) -> None:
    """A webhook's secret is known after a restart, and is in no file of an account."""
    fake = two_servers[0].account("mine")
    world: Any = fake._world
    world.run(lambda: fake.add_webhook("http://127.0.0.1:1/hook", secret=SECRET))
    assert SECRET.encode() not in fake.account_file()
    again = two_servers[1].account("mine")
    assert [endpoint.secret for endpoint in again.webhooks] == [SECRET]


def test_a_webhook_is_sent_by_one_server(two_servers: list[FakeAccounts]) -> None:
    """Two servers that know of a webhook send it twice."""
    receiver = Receiver()
    with receiving(receiver):
        first, second = (server.account("mine") for server in two_servers)
        world: Any = first._world
        world.run(lambda: first.add_webhook(receiver.url, secret=SECRET))
        https = [Http(fake, is_described=False) for fake in (first, second)]
        job = _job(https[0])
        for http in https:
            _send(http, "GET", f"/v1/fine_tuning/jobs/{job}")
        _send(https[1], "POST", f"/v1/fine_tuning/jobs/{job}/cancel")
        for http in https:
            _send(http, "GET", f"/v1/fine_tuning/jobs/{job}")
            http.fake._world.sender.flush(SOON_S)
        event = receiver.next(SECRET)
        assert event.data.id == job
        assert receiver.got.empty()
    assert all(isinstance(fake._world, StoredWorld) for fake in (first, second))


def test_a_webhook_of_a_server_that_has_ended_is_sent_by_another(
    two_servers: list[FakeAccounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A webhook that a server was about to send when it was killed is lost, or sent while that may still do so."""
    monkeypatch.setattr("fine_tuning_fakeserver.account.stored_world.LEASE_S", lease_s := 0.3)
    monkeypatch.setattr("fine_tuning_fakeserver.web.webhook_sender.LOOK_AGAIN_S", 0.05)
    receiver = Receiver()
    with receiving(receiver):
        ended, other = (server.account("mine") for server in two_servers)
        world: Any = ended._world
        world.run(lambda: ended.add_webhook(receiver.url, secret=SECRET))
        job = _job(https := Http(ended, is_described=False))
        world.sender.stop()
        _send(https, "POST", f"/v1/fine_tuning/jobs/{job}/cancel")
        (delivery,) = ended.webhook_deliveries
        begun_at = time.monotonic()
        assert world.may_deliver(delivery.id)

        _send(Http(other, is_described=False), "GET", f"/v1/fine_tuning/jobs/{job}")

        assert receiver.next(SECRET).data.id == job
        assert time.monotonic() - begun_at >= lease_s
        other._world.sender.flush(SOON_S)
        assert receiver.got.empty()
        assert [each.status for each in other.webhook_deliveries] == ["delivered"]


def _send(http: Http, method: str, path: str, body: bytes = b"", kind: bytes = b"application/json") -> Any:
    headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", kind)]
    reply = call_app(http.fake.asgi_app, method, path.encode(), headers, body)
    assert reply.status == 200, reply.body
    return reply


def _job(http: Http) -> str:
    file = json.loads(_send(http, "POST", "/v1/files", form(ROWS.encode()), FORM[1]).body)["id"]
    body = json.dumps({"model": "gpt-4o-mini", "training_file": file}).encode()
    return str(json.loads(_send(http, "POST", "/v1/fine_tuning/jobs", body).body)["id"])
