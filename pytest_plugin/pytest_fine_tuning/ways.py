"""One test, four ways: against the fake, a cassette, a service that is recorded, or the service itself."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from fine_tuning_cassettes import CassetteError
from fine_tuning_client.testing import redirect

from .tapes import Tape, tape_of, taped

if TYPE_CHECKING:
    from fine_tuning_cassettes import Cassette
    from fine_tuning_fakeserver import FakeFineTuning

    from .play import Server

KEYS: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "azure": ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"),
    "fake": (),
}
"""What the environment must have to ask each service."""
FROM_FAKE = "fake-fine-tuning, not OpenAI"
"""What a cassette that was recorded from the fake says of it."""


@dataclass(frozen=True, slots=True)
class FineTuningService:
    """Whom a test talks to.

    Args:
        way: "fake", "replay", "record" or "live".
        fake: the fake, where it is the fake.
        cassette: what replays or records, where something does.
    """

    way: str
    fake: FakeFineTuning | None = None
    cassette: Cassette | None = None

    @property
    def costs(self) -> bool:
        """Whether somebody pays: the service itself is asked."""
        return self.way == "live" or (self.way == "record" and self.fake is None)


@contextmanager
def recorded(
    item: pytest.Item, tape: Tape, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Generator[FineTuningService, None, None]:
    """A cassette for *item*; what it records comes from whom ``--fine-tuning-record-from`` says."""
    source = item.config.getoption("fine_tuning_record_from")
    if source == "fake":
        tape = replace(tape, options={"recorded_from": FROM_FAKE, **tape.options})
    with taped(item, tape, monkeypatch) as cassette:
        if not cassette.records:
            yield FineTuningService("replay", None, cassette)
        elif source == "fake":
            with _fake(server, monkeypatch) as fake:
                yield FineTuningService("record", fake, cassette)
        else:
            check_keys(source)
            yield FineTuningService("record", None, cassette)


@contextmanager
def _fake(server: Server, monkeypatch: pytest.MonkeyPatch) -> Generator[FakeFineTuning, None, None]:
    """The fake, to be recorded: over a socket, as whatever else is recorded."""
    if not server.open():
        raise pytest.fail.Exception("recording from the fake needs a socket on this machine", pytrace=False)
    from fine_tuning_fakeserver.handle.doors import API_KEY

    fake = server.fake
    fake.begin_anew()
    monkeypatch.setenv("OPENAI_BASE_URL", fake.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", API_KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with redirect(None, sleep=fake.sleep, async_sleep=fake.async_sleep, clock=lambda: fake.now):
        yield fake


@contextmanager
def reached(request: pytest.FixtureRequest) -> Generator[FineTuningService, None, None]:
    """Whom the test is to talk to, by ``--fine-tuning``."""
    way = request.config.getoption("fine_tuning")
    if way == "fake":
        yield FineTuningService(way, request.getfixturevalue("fake_fine_tuning"))
    elif way == "live":
        check_keys("azure" if os.environ.get("AZURE_OPENAI_ENDPOINT") else "openai")
        yield FineTuningService(way)
    else:
        tape = tape_for(request.node, "rewrite" if way == "record" else "none")
        server, patch = (request.getfixturevalue(name) for name in ("_fine_tuning_server", "monkeypatch"))
        with recorded(request.node, tape, server, patch) as service:
            yield service


def check_keys(source: str) -> None:
    """Fail the test, with a sentence, where the environment has no key for the service."""
    if missing := [name for name in KEYS[source] if not os.environ.get(name)]:
        raise pytest.fail.Exception(
            f"{source} is to be asked, and the environment has no {' and no '.join(missing)}", pytrace=False
        )


def tape_for(item: pytest.Item, mode: str | None) -> Tape:
    """The cassette of *item*; a mark that makes no sense fails the test with a sentence."""
    try:
        return tape_of(item, mode)
    except (CassetteError, ValueError) as error:
        raise pytest.fail.Exception(f"fine_tuning_cassette: {error}", pytrace=False) from None
