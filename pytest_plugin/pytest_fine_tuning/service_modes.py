"""One test in four modes: with the fake, a cassette, a service being recorded, or the service itself."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from fine_tuning_cassettes import CassetteError
from fine_tuning_cassettes.cassette import read_metadata
from fine_tuning_formats.lazy_dataclass import dataclass

from .cassettes import CassetteSpec, cassette_for_test, cassette_spec, open_cassette
from .markers import OUTER_FAKES

if TYPE_CHECKING:
    from fine_tuning_cassettes import Cassette
    from fine_tuning_fakeserver import FakeFineTuning

KEYS: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "azure": ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"),
    "fake": (),
}
"""The variables that each service needs."""
FROM_FAKE = "fake-fine-tuning, not OpenAI"
"""The label of a cassette that was recorded from the fake."""
RECORDED_START = 1_760_000_000.0
"""When the account begins that is recorded: always the same, so that a re-recording has the same time stamps."""


@dataclass(frozen=True, slots=True)
class FineTuningService:
    """The service that a test uses.

    Args:
        mode: "fake", "replay", "record" or "live".
        fake: the fake, if it is used or recorded.
        cassette: the cassette, if one is replayed or recorded.
    """

    mode: str
    fake: FakeFineTuning | None = None
    cassette: Cassette | None = None

    @property
    def costs(self) -> bool:
        """Whether requests reach the real service, which bills them."""
        return self.mode == "live" or (self.mode == "record" and self.fake is None)


@contextmanager
def cassette_service(request: pytest.FixtureRequest, tape: CassetteSpec) -> Generator[FineTuningService, None, None]:
    """Provide a test's cassette; it records from the chosen service, or again from the one it was recorded from."""
    refuse_beside_fake(request, "a cassette")
    source, tape = _choose_source(tape)
    block, cassette = open_cassette(request.node, tape)
    if source == cassette.source == "fake" and cassette.records and cassette.plays:
        # the fake's account is new, and knows nothing of what is replayed: a miss says how to record all again
        block, cassette = open_cassette(request.node, replace(tape, options={**tape.options, "mode": "none"}))
    with ExitStack() as stack:
        stack.enter_context(_without_outer_fakes(request))
        fake = None
        if cassette.records and source == "fake":
            fake = stack.enter_context(_fake_to_record(request, cassette))
        elif cassette.records:
            require_keys(source or "openai")
        stack.enter_context(cassette_for_test(request.node, block, cassette, request.getfixturevalue("monkeypatch")))
        yield FineTuningService("record" if cassette.records else "replay", fake, cassette)


def _choose_source(tape: CassetteSpec) -> tuple[str, CassetteSpec]:
    """Return the service to record, empty if the addresses of the requests decide, and the cassette's arguments."""
    source = tape.options.get("source") or ""
    if not source and tape.options.get("mode", "none") != "none":
        source = read_metadata(tape.path).source
    options = {**tape.options, "source": source or None}
    if source == "fake":
        options = {"recorded_from": FROM_FAKE, **options}
    return source, replace(tape, options=options)


@contextmanager
def _fake_to_record(request: pytest.FixtureRequest, cassette: Cassette) -> Generator[FakeFineTuning, None, None]:
    """Provide the fake for recording, as the test's mark configures it: over a socket, and no other host."""
    from .fixture import fake_for_test
    from .options import fixture_options

    server, plan = (request.getfixturevalue(name) for name in ("_fine_tuning_server", "fake_fine_tuning_plan"))
    if not server.open():
        raise pytest.fail.Exception("recording from the fake needs sockets, which are blocked here", pytrace=False)
    if cassette.plays:
        raise pytest.fail.Exception(
            f"{cassette.path} cannot be extended from the fake, whose account is new; record it again with "
            f"--fine-tuning-record=rewrite --fine-tuning-record-from=fake, or delete the file",
            pytrace=False,
        )
    with fake_for_test(request.node, server, plan, in_process=False, start=RECORDED_START) as fake:
        guarded = fixture_options(request.node, plan).hosts or ()
        own = urlsplit(fake.base_url).netloc
        cassette.may_send = lambda url: urlsplit(url).netloc == own or (urlsplit(url).hostname or "") in guarded
        yield fake


@contextmanager
def service_for_test(request: pytest.FixtureRequest) -> Generator[FineTuningService, None, None]:
    """Provide the service of ``--fine-tuning``."""
    way = request.config.getoption("fine_tuning")
    if way == "fake":
        yield FineTuningService(way, request.getfixturevalue("fake_fine_tuning"))
        return
    refuse_beside_fake(request, f"--fine-tuning={way}")
    if way == "live":
        with _without_outer_fakes(request):
            require_keys("azure" if os.environ.get("AZURE_OPENAI_ENDPOINT") else "openai")
            yield FineTuningService(way)
    else:
        with cassette_service(
            request, cassette_spec_or_fail(request.node, "rewrite" if way == "record" else "none")
        ) as service:
            yield service


def _without_outer_fakes(request: pytest.FixtureRequest) -> AbstractContextManager[None]:
    """Let clients reach the service, or a cassette, although a fake of the module or session is in use."""
    if not request.config.stash.get(OUTER_FAKES, []):
        return nullcontext()
    from .layers import without_fakes

    return without_fakes(request.config)


def refuse_beside_fake(request: pytest.FixtureRequest, what: str) -> None:
    """Fail the test if it also has the fixture `fake_fine_tuning`, which would answer everything."""
    if "fake_fine_tuning" in request.fixturenames:
        raise pytest.fail.Exception(
            f"{what} cannot be used together with the fixture fake_fine_tuning (perhaps autouse), which would answer "
            "instead; remove the fixture. @pytest.mark.fake_fine_tuning(…) alone configures the fake",
            pytrace=False,
        )


def require_keys(source: str) -> None:
    """Fail the test if the environment lacks a variable that the service needs."""
    if missing := [name for name in KEYS[source] if not os.environ.get(name)]:
        raise pytest.fail.Exception(f"{source} needs {' and '.join(missing)} in the environment", pytrace=False)


def cassette_spec_or_fail(item: pytest.Item, mode: str | None) -> CassetteSpec:
    """Return the cassette of *item*; fail the test if a mark is invalid."""
    try:
        return cassette_spec(item, mode)
    except (CassetteError, ValueError) as error:
        raise pytest.fail.Exception(f"fine_tuning_cassette: {error}", pytrace=False) from None
