"""Accounts in a store: what two servers answer for one, and one that was started again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from account_histories import JOB, REQUESTS, Step, request, run, send, upload, views
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.blobs import MUCH_BYTES
from fine_tuning_fakeserver.account.stored_world import StoredWorld
from fine_tuning_fakeserver.account.world import World
from fine_tuning_fakeserver.fake.kept_accounts import JsonScripts
from fine_tuning_fakeserver.stores import Head, Store, open_store
from strategies import BORN, ROWS, Http, example_count

Replies = list[tuple[int, bytes, list[tuple[bytes, bytes]]]]

OVERRULES: tuple[Step, ...] = (
    *(request("POST", "/_fake/clock/advance", {"seconds": seconds}) for seconds in (1, 50, 1000)),
    *(request("PATCH", "/_fake/clock", {"pace": pace}) for pace in ("manual", "polls", "instant")),
    request("POST", "/_fake/faults", {"kind": "fail", "status": 503, "times": 2}),
    request("POST", "/_fake/faults", {"kind": "rate_limit", "on": "list_jobs", "probability": 0.5}),
    request("POST", "/_fake/faults", {"kind": "outage", "duration": "90s"}),
    request("DELETE", "/_fake/faults"),
    request("POST", "/_fake/plan/next", {"fail_at": 3}),
    request("PUT", "/_fake/plan", {"curve": "overfit"}),
    *(request("PUT", "/_fake/dialect", {"dialect": name}) for name in ("azure-2025", "openai-2025-09")),
    request("PUT", "/_fake/replies", {"replies": ["Yes.", "No."]}),
    request("PUT", "/_fake/graders", {"scores": [0.5, None]}),
    request("POST", "/_fake/next", {"kind": "job", "id": "ftjob-named"}),
    request("POST", "/_fake/webhooks", {}),
    request("GET", "/_fake/webhooks/deliveries"),
    request("POST", "/_fake/scripts", {"responses": {"create_job": ["running", {"status": "failed"}]}}),
    request("POST", "/_fake/scripts", {"responses": [None, "queued"], "strict": True}),
    request("POST", "/_fake/rewind", {"request": 1}),
    request("POST", "/_fake/reset", {}),
    request("POST", "/_fake/files", {"content": "a", "filename": "a.txt"}),
    request("GET", "/_fake/jobs"),
)
"""Control requests."""
everything = st.lists(st.sampled_from((*REQUESTS, *OVERRULES)), max_size=20)


def begun(pace: Any = "manual", **options: Any) -> World:
    """A world in memory."""
    return FakeFineTuning(start=BORN, seed=7, pace=pace, patience=None, **options)._world


class Server:
    """A process that answers for accounts in a store, as far as the store can tell."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.worlds: list[StoredWorld] = []

    def account(self, name: str, like: World, worker: int = 0) -> Http:
        """Raw requests to an account."""
        world = StoredWorld(self.store, name, like, JsonScripts(), worker)
        self.worlds.append(world)
        world.adopt(like.store())
        return Http(FakeFineTuning.of_world(world))

    def stop(self) -> None:
        """Send no more webhooks, and close the store."""
        for world in self.worlds:
            world.sender.stop()
        self.store.close()


def bodies(replies: Replies) -> list[tuple[int, bytes]]:
    """Statuses and bodies."""
    return [(status, body) for status, body, _ in replies]


@contextmanager
def two_servers(url: str) -> Iterator[tuple[Server, Server]]:
    """Two servers that share a store."""
    servers = Server(open_store(url)), Server(open_store(url))
    try:
        yield servers
    finally:
        for each in servers:
            each.stop()


def answers_the_same(url: str, pace: Any, history: list[Step]) -> None:
    """Hold two servers of an account, asked in turn, and one by itself, to an account in memory."""
    memory, known = Http(FakeFineTuning.of_world(begun(pace))), list[str]()
    expected = run(memory, known, history)
    shown = views(memory)
    with two_servers(url) as (first, second):
        name = uuid4().hex
        alone = first.account(name, begun(pace))
        assert run(alone, [], history) == expected
        assert views(alone) == shown
        again = second.account(name, begun(pace))
        assert views(again) == shown

        name, ids, replies = uuid4().hex, list[str](), Replies()
        servers = first.account(name, begun(pace)), second.account(name, begun(pace), 1)
        for number, step in enumerate(history):
            replies += run(servers[number % 2], ids, [step])
        assert bodies(replies) == bodies(expected)
        assert views(servers[0])[:4] == views(servers[1])[:4] == shown[:4]


@settings(max_examples=example_count(25), deadline=None)
@given(st.sampled_from(["manual", "polls", "instant"]), everything)
def test_servers_that_share_an_account_answer_as_one_in_memory(pace: str, history: list[Step]) -> None:
    """Asked in turn, two servers of an account in SQLite answer in other bytes than one that keeps it in memory."""
    with TemporaryDirectory() as folder:
        answers_the_same(f"sqlite:///{folder}/accounts.db?synchronous=normal", pace, history)


@pytest.fixture
def answer(store_url: str) -> Callable[[Any, list[Step]], None]:
    """Holds servers of an account in a store of either kind to one in memory."""
    return lambda pace, history: answers_the_same(store_url, pace, history)


@pytest.mark.parametrize("pace", ["manual", "polls", "instant"])
def test_every_request_once(answer: Callable[[Any, list[Step]], None], pace: str) -> None:
    """A request, of the API or of control, is answered otherwise by servers that share an account."""
    begin: list[Step] = [upload, request("POST", "/fine_tuning/jobs", JOB)]
    answer(pace, [*begin, *(each for each in OVERRULES if each is not OVERRULES[-3]), *begin, *REQUESTS])


def test_time_that_passes_by_itself_is_the_same_everywhere(store_url: str) -> None:
    """At a numeric pace the servers of an account, also one started later, have the same time, within milliseconds."""
    pace = 3600.0
    with two_servers(store_url) as (first, second):
        one, other = first.account("main", begun(pace)), second.account("main", begun(pace), 1)
        ids = list[str]()
        run(one, ids, [upload])
        for steps in ([request("POST", "/fine_tuning/jobs", JOB)], [request("POST", "/fine_tuning/jobs/JOB/pause")]):
            run(other, ids, steps)
            later = first.account("main", begun(pace))
            times = [json.loads(send(each, "GET", "/_fake/clock").body)["now"] for each in (one, other, later, one)]
            assert times == sorted(times)
            assert times[-1] - times[0] < pace


def test_a_deleted_account_begins_anew(store_url: str) -> None:
    """A server answers for an account that another has deleted, with what it had."""
    with two_servers(store_url) as (first, second):
        http = first.account("mine", begun())
        run(http, ids := list[str](), [upload])
        second.store.delete("mine")
        assert send(http, "GET", f"/files/{ids[0]}").status == 404
        assert run(http, [], [upload])[0][0] == 200
        assert second.store.accounts() == ["mine"]


def test_a_reset_between_the_head_and_its_records(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that a reset overtakes while it reads sees the account without records that were answered before."""
    with two_servers(store_url) as (first, second):
        one, other = first.account("main", begun()), second.account("main", begun())
        run(one, [], [upload])  # which the other has not seen yet
        resets, read = iter([request("POST", "/_fake/reset", {})]), second.store.read

        def read_late(*arguments: Any) -> list[bytes]:
            for reset in resets:
                run(one, [], [reset, upload, upload])
            return read(*arguments)

        monkeypatch.setattr(second.store, "read", read_late)
        world = second.worlds[0]
        assert world.look(lambda: len(world.service.account.files)) == 2
        assert send(other, "GET", "/files").body == send(one, "GET", "/files").body


def test_a_job_is_created_in_one_step(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is asked once how far an account goes for a new job; more often only where tokens are counted first."""
    memory = Http(FakeFineTuning.of_world(begun()))
    with two_servers(store_url) as (first, _):
        stored, heads, head = first.account("main", begun()), list[str](), first.store.head

        def counted(account: str) -> Head:
            heads.append(account)
            return head(account)

        monkeypatch.setattr(first.store, "head", counted)
        looks = []
        for content in (ROWS, ROWS * (MUCH_BYTES // len(ROWS) + 1)):
            file = stored.file(content)
            assert memory.file(content) == file
            for _ in range(2):
                heads.clear()
                assert stored.job(training_file=file) == memory.job(training_file=file)
                looks.append(len(heads))
    assert looks == [1, 1, 3, 1]


def test_a_file_outlasts_the_server(store_url: str) -> None:
    """A file's bytes are read from the store by a server that was started later, and gone once it is deleted."""
    with two_servers(store_url) as (first, second):
        content = ROWS.encode() * 3000  # too long for memory
        one = first.account("main", begun())
        identifier = json.loads(one.upload(content).body)["id"]
        other = second.account("main", begun())
        assert send(other, "GET", f"/files/{identifier}/content").body == content
        digest = sha256(content).hexdigest()
        assert second.store.has_blob(digest)
        assert send(one, "DELETE", f"/files/{identifier}").status == 200
        assert send(other, "GET", f"/files/{identifier}/content").status == 404
        assert not second.store.has_blob(digest)
