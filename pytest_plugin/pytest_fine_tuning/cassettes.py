"""Cassettes of tests: which file, how it is used, and when it is written."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import field
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from fine_tuning_cassettes import Cassette, CassetteError, ScrubRule, session, use_cassette
from fine_tuning_cassettes.scrub import Scrub
from fine_tuning_client.testing import redirect
from fine_tuning_fakeserver.clock import async_wait, wait
from fine_tuning_fakeserver.usage_errors import did_you_mean
from fine_tuning_formats.lazy_dataclass import dataclass

from .cassette_paths import cassette_path, mark_arguments
from .markers import CASSETTE_MARK as MARK
from .markers import CASSETTE_REPORT, CASSETTES, NOT_PASSED, CassetteReport
from .orphans import find_orphans, renaming_hint, shown_path

ARGUMENTS = tuple(
    name for name in signature(use_cassette).parameters if name not in ("path", "test", "clock", "change_source")
)
"""The mark's keyword arguments: those of `use_cassette`."""
INI_ARGUMENTS = {
    "max_age": "max_age",
    "on_expiry": "on_expiry",
    "on_unplayed": "on_unplayed",
    "record_from": "source",
}
"""Arguments by the ini keys that set them, without ``fine_tuning_``."""
NO_KEY = "replayed-no-key-needed"
PLACEHOLDER_KEYS = {"OPENAI_API_KEY": NO_KEY}
AZURE_PLACEHOLDER_KEYS = {
    **PLACEHOLDER_KEYS,
    "AZURE_OPENAI_API_KEY": NO_KEY,
    "AZURE_OPENAI_ENDPOINT": "https://replayed.openai.azure.com",
}
"""Variables that clients need to be created at all; nothing is sent there."""
AGE_ARGUMENTS = ("max_age", "on_expiry")
SECTION = "fine-tuning cassette"


@dataclass(frozen=True, slots=True)
class CassetteSpec:
    """A test's cassette: its file and the arguments for `use_cassette`."""

    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)


def cassette_spec(item: pytest.Item, mode: str | None = None) -> CassetteSpec:
    """Return the cassette of *item*, by its marks, the closest first, then by ini keys.

    Args:
        item: the test.
        mode: the mode from the command line, which wins.

    Raises:
        ValueError: a mark or an ini key is invalid.
    """
    names, arguments = mark_arguments(item)
    if unknown := [name for name in arguments if name not in (*ARGUMENTS, "session")]:
        hint = did_you_mean(unknown[0], ARGUMENTS)
        raise ValueError(f"unknown argument {unknown[0]!r}{hint}; expected one of: session, {', '.join(ARGUMENTS)}")
    library = arguments.pop("session", None)
    if library and (names or arguments.get("mode", "none") != "none" or set(AGE_ARGUMENTS) & set(arguments)):
        raise ValueError(f"session={library!r} is a packaged recording: it takes no name, mode, max_age or on_expiry")
    texts = {name: item.config.getini(f"fine_tuning_{key}") for key, name in INI_ARGUMENTS.items()}
    ini = {name: text for name, text in texts.items() if text and not (library and name in AGE_ARGUMENTS)}
    said = {"mode": None if library else mode, "source": item.config.getoption("fine_tuning_record_from")}
    options = {**ini, **arguments, **{name: value for name, value in said.items() if value}}
    options["change_source"] = item.config.getoption("fine_tuning_change_source")
    options["scrub"] = _scrub_rules(item)
    path = session(library) if library else cassette_path(item, names)
    use_cassette(path, **options)  # validates the arguments; opens nothing yet
    return CassetteSpec(path, {**options, "test": item.nodeid})


def _scrub_rules(item: pytest.Item) -> list[ScrubRule]:
    """Return the rules of the ini key and of all marks: a closer mark adds to those farther away.

    Raises:
        ValueError: something is not a rule.
    """
    rules: list[ScrubRule] = []
    for line in item.config.getini("fine_tuning_scrub"):
        try:
            rules.append(resolve_name(line[1:]) if line.startswith("@") else line)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(
                f"fine_tuning_scrub must name functions as @module:function, got {line!r}: {error}"
            ) from None
    for mark in item.iter_markers(MARK):
        rules += Scrub.parse(mark.kwargs.get("scrub", ())).rules
    return rules


def open_cassette(item: pytest.Item, tape: CassetteSpec) -> tuple[use_cassette, Cassette]:
    """Return the cassette of *item* and the block that uses it; fail the test if it cannot be used."""
    block = use_cassette(tape.path, **tape.options)
    try:
        cassette = block.open()
    except CassetteError as error:
        raise pytest.fail.Exception(f"{error}{renaming_hint(item, tape.path)}", pytrace=False) from None
    finally:
        report_orphans(item)
    if cassette.records and not cassette.plays:
        _check_owner(item, tape.path)
    return block, cassette


def report_orphans(item: pytest.Item) -> None:
    """Report the orphans beside the cassette of *item*, once in a run."""
    report: CassetteReport = {"recorded": [], "orphans": list(map(str, find_orphans(item)))}
    item.stash[CASSETTE_REPORT] = report


@contextmanager
def cassette_for_test(
    item: pytest.Item, block: use_cassette, cassette: Cassette, monkeypatch: pytest.MonkeyPatch
) -> Generator[None, None, None]:
    """Replay or record while the test lasts; `finish_cassette` writes."""
    item.stash[NOT_PASSED] = False
    with ExitStack() as stack:
        if cassette.plays:
            stack.enter_context(_instant_waits(cassette))
        if not cassette.records:
            for name, value in (AZURE_PLACEHOLDER_KEYS if cassette.is_azure else PLACEHOLDER_KEYS).items():
                if not os.environ.get(name):
                    monkeypatch.setenv(name, value)
        block.__enter__()
        stack.callback(block.close)
        item.stash.setdefault(CASSETTES, []).append((block, cassette))
        yield


_OWNERS: pytest.StashKey[dict[Path, str]] = pytest.StashKey()


def _check_owner(item: pytest.Item, path: Path) -> None:
    """Fail a test that would record a cassette that another test of this run recorded."""
    owner = item.config.stash.get(_OWNERS, {}).get(path, item.nodeid)
    if owner != item.nodeid:
        raise pytest.fail.Exception(
            f"{path} was already recorded by {owner} in this run; give each test its own", pytrace=False
        )


def _instant_waits(cassette: Cassette) -> redirect:
    """Let waits of this package's client take no time during replay."""
    passed = [0.0]

    def real_seconds(seconds: float) -> float:
        if not cassette.replaying:
            return max(seconds, 0.0)
        passed[0] += max(seconds, 0.0)
        return 0.0

    def sleep(seconds: float) -> None:
        if real_s := real_seconds(seconds):
            wait(real_s)

    def clock() -> float:
        return passed[0] + (time.monotonic() if cassette.records else 0.0)

    return redirect(None, sleep=sleep, async_sleep=lambda seconds: async_wait(real_seconds(seconds)), clock=clock)


class _TestNotPassed(Exception):
    """The test did not pass: what it recorded is not written."""


def finish_cassette(item: pytest.Item, passed: bool) -> None:
    """Write what *item* recorded if it *passed*; report what the cassette has to say."""
    blocks = item.stash[CASSETTES]
    del item.stash[CASSETTES]
    for block, cassette in blocks:
        if not passed:
            error = _TestNotPassed()
            block.finish(error)
            for note in getattr(error, "__notes__", ()):
                item.add_report_section("teardown", SECTION, note)
            continue
        try:
            if cassette.plays and cassette.recorded:
                _check_owner(item, cassette.path)
            block.finish()
            if cassette.recorded:
                item.stash[CASSETTE_REPORT]["recorded"].append(_describe_recording(cassette))
                item.config.stash.setdefault(_OWNERS, {})[cassette.path] = item.nodeid
        except CassetteError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None


def _describe_recording(cassette: Cassette) -> str:
    count = "1 interaction" if cassette.recorded == 1 else f"{cassette.recorded} interactions"
    return f"{shown_path(cassette.path)} ({count}{cassette.source and f' from {cassette.source}'})"
