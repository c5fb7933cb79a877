"""One test, four ways: against the fake, a cassette, a service that is recorded, or the service itself."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from fine_tuning_cassettes import CassetteError

from .cassettes import CassetteSpec, cassette_for_test, cassette_spec, open_cassette

if TYPE_CHECKING:
    from fine_tuning_cassettes import Cassette
    from fine_tuning_fakeserver import FakeFineTuning

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
def recorded(request: pytest.FixtureRequest, tape: CassetteSpec) -> Generator[FineTuningService, None, None]:
    """A cassette for a test; what it records comes from whom ``--fine-tuning-record-from`` says."""
    check_alone(request, "a cassette")
    source = request.config.getoption("fine_tuning_record_from")
    if source == "fake":
        tape = replace(tape, options={"recorded_from": FROM_FAKE, **tape.options})
    block, cassette = open_cassette(request.node, tape)
    with ExitStack() as stack:
        fake = None
        if cassette.records and source == "fake":
            fake = stack.enter_context(_fake(request, cassette))
        elif cassette.records:
            check_keys(source)
        stack.enter_context(cassette_for_test(request.node, block, cassette, request.getfixturevalue("monkeypatch")))
        yield FineTuningService("record" if cassette.records else "replay", fake, cassette)


@contextmanager
def _fake(request: pytest.FixtureRequest, cassette: Cassette) -> Generator[FakeFineTuning, None, None]:
    """The fake as the test's mark wants it, to be recorded: over a socket, and nobody else in its place."""
    from .fixture import fake_for_test
    from .options import options_of

    server, plan = (request.getfixturevalue(name) for name in ("_fine_tuning_server", "fake_fine_tuning_plan"))
    if not server.open():
        raise pytest.fail.Exception("recording from the fake needs a socket on this machine", pytrace=False)
    if cassette.plays:
        raise pytest.fail.Exception(
            f"{cassette.path} cannot be added to from the fake: a fresh account knows nothing of what is replayed. "
            f"Record all of it anew: --fine-tuning-record=rewrite, or delete the file",
            pytrace=False,
        )
    with fake_for_test(request.node, server, plan, in_process=False) as fake:
        guarded = options_of(request.node, plan).hosts or ()
        own = urlsplit(fake.base_url).netloc
        cassette.may_send = lambda url: urlsplit(url).netloc == own or (urlsplit(url).hostname or "") in guarded
        yield fake


@contextmanager
def service_for_test(request: pytest.FixtureRequest) -> Generator[FineTuningService, None, None]:
    """Whom the test is to talk to, by ``--fine-tuning``."""
    way = request.config.getoption("fine_tuning")
    if way == "fake":
        yield FineTuningService(way, request.getfixturevalue("fake_fine_tuning"))
        return
    check_alone(request, f"--fine-tuning={way}")
    if way == "live":
        check_keys("azure" if os.environ.get("AZURE_OPENAI_ENDPOINT") else "openai")
        yield FineTuningService(way)
    else:
        with recorded(request, tape_for(request.node, "rewrite" if way == "record" else "none")) as service:
            yield service


def check_alone(request: pytest.FixtureRequest, what: str) -> None:
    """Fail the test if it has `fake_fine_tuning`, too: the fake would answer everything."""
    if "fake_fine_tuning" in request.fixturenames:
        raise pytest.fail.Exception(
            f"{what} cannot be used by a test that has the fixture fake_fine_tuning, perhaps by autouse: the fake "
            "would answer in its place. Take the fixture away; @pytest.mark.fake_fine_tuning(…) alone says how the "
            "fake is, where it is asked",
            pytrace=False,
        )


def check_keys(source: str) -> None:
    """Fail the test, with a sentence, where the environment has no key for the service."""
    if missing := [name for name in KEYS[source] if not os.environ.get(name)]:
        raise pytest.fail.Exception(
            f"{source} is to be asked, and the environment has no {' and no '.join(missing)}", pytrace=False
        )


def tape_for(item: pytest.Item, mode: str | None) -> CassetteSpec:
    """The cassette of *item*; a mark that makes no sense fails the test with a sentence."""
    try:
        return cassette_spec(item, mode)
    except (CassetteError, ValueError) as error:
        raise pytest.fail.Exception(f"fine_tuning_cassette: {error}", pytrace=False) from None
