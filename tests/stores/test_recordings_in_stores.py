"""The recordings of the real service, replayed in accounts that are in a store."""

from __future__ import annotations

from uuid import uuid4

import pytest

from contract.recordings import ABSENT, DOTNET
from fine_tuning_fakeserver.account.stored_world import StoredWorld
from fine_tuning_fakeserver.account.world import World
from fine_tuning_fakeserver.fake.kept_accounts import JsonScripts
from fine_tuning_fakeserver.stores import Store
from fine_tuning_fakeserver.verify import replay_account
from fine_tuning_fakeserver.verify.readers import find_files, read_recording
from fine_tuning_fakeserver.verify.replay import totals, verify

pytestmark = pytest.mark.skipif(not DOTNET.is_dir(), reason=ABSENT)

EXACT = 56
"""How many recorded responses there are, each of them exact in memory."""


def test_every_recorded_answer_is_exact_in_a_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response of an account in a store differs from the recorded one."""
    worlds: list[StoredWorld] = []

    def stored(*arguments: object, **options: object) -> StoredWorld:
        worlds.append(StoredWorld(store, uuid4().hex, World(*arguments, **options), JsonScripts()))  # type: ignore[arg-type]
        return worlds[-1]

    monkeypatch.setattr(replay_account, "World", stored)
    folders = [DOTNET / f"{name}Tests" for name in ("FineTuningClient", "Files", "Models", "Uploads")]
    verified = [verify(read_recording(path)) for path, _ in find_files(folders)]
    counts = totals(verified)
    assert [problem for each in verified for problem in each.problems] == []
    assert (counts["exact"], sum(counts.values())) == (EXACT, EXACT)
    assert len(store.accounts()) > len(folders)
    for world in worlds:
        world.sender.stop()
