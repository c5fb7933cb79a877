"""Cassettes of tests: which file, how it is used, and what becomes of it when the test is over."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import sha256
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from fine_tuning_cassettes import Cassette, CassetteError, session, use_cassette
from fine_tuning_client.testing import redirect
from fine_tuning_fakeserver.clock import async_wait, wait

from .stash import TAPE as MARK
from .stash import TAPES, UNPASSED

ARGUMENTS = tuple(name for name in signature(use_cassette).parameters if name not in ("path", "test", "clock"))
"""What the mark takes besides a name: the arguments of `use_cassette`."""
NO_KEY = "replayed-no-key-needed"
ANYBODY = {"OPENAI_API_KEY": NO_KEY}
ANYBODY_AT_AZURE = {
    **ANYBODY,
    "AZURE_OPENAI_API_KEY": NO_KEY,
    "AZURE_OPENAI_ENDPOINT": "https://replayed.openai.azure.com",
}
"""What a client must find in the environment to be made at all; nothing is sent there."""
AGE = ("max_age", "on_expiry")
SECTION = "fine-tuning cassette"


@dataclass(frozen=True, slots=True)
class CassetteSpec:
    """The cassette of a test: a file, and arguments for `use_cassette`."""

    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)


def cassette_spec(item: pytest.Item, mode: str | None = None) -> CassetteSpec:
    """The cassette of *item*, by its marks, the closest first, then by ini keys.

    Args:
        item: the test.
        mode: the mode that is asked for on the command line, which wins.

    Raises:
        ValueError: a mark or an ini key makes no sense.
    """
    names, given = _marks(item)
    if unknown := [name for name in given if name not in (*ARGUMENTS, "session")]:
        near = get_close_matches(unknown[0], ARGUMENTS, 1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"there is no argument {unknown[0]!r}{hint} There are: session, {', '.join(ARGUMENTS)}")
    library = given.pop("session", None)
    if library and (names or given.get("mode", "none") != "none" or set(AGE) & set(given)):
        raise ValueError(
            f"session={library!r} is a recording of this package's: it has no other name, is replayed, and never old"
        )
    ini = {name: text for name, text in _ini(item.config).items() if not library or name not in AGE}
    options = {**ini, **given, **({"mode": mode} if mode and not library else {})}
    path = session(library) if library else _path(item, names[0] if names else None)
    use_cassette(path, **options)  # for its refusals: nothing is opened yet
    return CassetteSpec(path, {**options, "test": item.nodeid})


def _marks(item: pytest.Item) -> tuple[list[str], dict[str, Any]]:
    names: list[str] = []
    given: dict[str, Any] = {}
    named: dict[object, str] = {}
    for node, mark in item.iter_markers_with_node(MARK):
        if len(mark.args) > 1 or not all(isinstance(name, str) and name for name in mark.args):
            raise ValueError(f"its arguments are {mark.args!r}: one name is wanted, and named arguments")
        for name in mark.args:
            if named.setdefault(node, name) != name:
                raise ValueError(f"there are two marks, for {name!r} and {named[node]!r}: a test has one cassette")
        names += mark.args
        given = {**mark.kwargs, **given}
    return names, given


def _ini(config: pytest.Config) -> dict[str, Any]:
    texts = {name: config.getini(f"fine_tuning_{name}") for name in ("max_age", "on_expiry", "on_unplayed")}
    return {name: text for name, text in texts.items() if text}


def _path(item: pytest.Item, name: str | None) -> Path:
    """``cassettes/{module}/{name}.yaml`` beside the test's file, as the ecosystem has it; a path as it is.

    Raises:
        ValueError: the name leads out of the folder.
    """
    if name and name.endswith((".yaml", ".yml")):
        return item.path.parent / name
    if name and ".." in name.split("/"):
        raise ValueError(f"the name {name!r} leads out of the folder of cassettes")
    folder = item.config.getini("fine_tuning_cassette_dir") or "cassettes"
    inside = "/".join(_plain(part) for part in name.split("/")) if name else _named_after(item)
    return item.path.parent / folder / item.path.stem / f"{inside or 'unnamed'}.yaml"


def _named_after(item: pytest.Item) -> str:
    """The test's name, its classes before it; where a file cannot be called so, no other test's file is."""
    name = ".".join([*(each.name for each in item.listchain() if isinstance(each, pytest.Class)), item.name])
    plain = _plain(name)
    return (
        plain
        if re.sub(r"[\[\]]", "-", name).strip("-") == plain
        else f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"
    )


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-")


def open_cassette(item: pytest.Item, tape: CassetteSpec) -> tuple[use_cassette, Cassette]:
    """The cassette of *item*, read, and the block that will use it; one that cannot be used fails the test."""
    block = use_cassette(tape.path, **tape.options)
    try:
        cassette = block.open()
    except CassetteError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    if cassette.records and not cassette.plays:
        _check_owner(item, tape.path)
    return block, cassette


@contextmanager
def cassette_for_test(
    item: pytest.Item, block: use_cassette, cassette: Cassette, monkeypatch: pytest.MonkeyPatch
) -> Generator[None, None, None]:
    """Replay, or record, while the test lasts; `settle` is what writes."""
    item.stash[UNPASSED] = False
    with ExitStack() as stack:
        if cassette.plays:
            stack.enter_context(_waiting(cassette))
        if not cassette.records:
            _anybody(cassette, monkeypatch)
        block.__enter__()
        stack.callback(block.close)
        item.stash.setdefault(TAPES, []).append((block, cassette))
        yield


_OWNERS: pytest.StashKey[dict[Path, str]] = pytest.StashKey()


def _check_owner(item: pytest.Item, path: Path) -> None:
    """Fail a test that is about to record what another one of this run has recorded."""
    owner = item.config.stash.get(_OWNERS, {}).get(path, item.nodeid)
    if owner != item.nodeid:
        raise pytest.fail.Exception(
            f"{path} was recorded by {owner} in this run: give each test its own", pytrace=False
        )


def _waiting(cassette: Cassette) -> redirect:
    """Let our client's waits take no time while it is answered from the cassette."""
    passed = [0.0]

    def rest(seconds: float) -> float:
        """How many real seconds are left to sleep."""
        if not cassette.replaying:
            return max(seconds, 0.0)
        passed[0] += max(seconds, 0.0)
        return 0.0

    def sleep(seconds: float) -> None:
        if real_s := rest(seconds):
            wait(real_s)

    def clock() -> float:
        return passed[0] + (time.monotonic() if cassette.records else 0.0)

    return redirect(None, sleep=sleep, async_sleep=lambda seconds: async_wait(rest(seconds)), clock=clock)


def _anybody(cassette: Cassette, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients be made that have no key."""
    for name, value in (ANYBODY_AT_AZURE if cassette.is_azure else ANYBODY).items():
        if not os.environ.get(name):
            monkeypatch.setenv(name, value)


class _TestNotPassed(Exception):
    """The test has not passed: what it has recorded is not written."""


def finish_cassette(item: pytest.Item, passed: bool) -> None:
    """Write what *item* has recorded, if it has *passed*, and tell what there is to tell."""
    blocks = item.stash[TAPES]
    del item.stash[TAPES]
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
                item.config.stash.setdefault(_OWNERS, {})[cassette.path] = item.nodeid
        except CassetteError as told:
            raise pytest.fail.Exception(str(told), pytrace=False) from None
