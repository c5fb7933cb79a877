"""What the fixture is told by ini keys, by `fake_fine_tuning_plan` and by marks: the closest to the test wins."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeUsageError, Settings
from fine_tuning_fakeserver.clock import parse_pace
from fine_tuning_fakeserver.settings import FIELDS
from fine_tuning_fakeserver.usage_errors import did_you_mean

from .providers import ProviderHosts
from .stash import MARK

OWN = ("faults", "guard", "guarded_hosts", "allowed_hosts", "findings", "findings_ignore")
FINDINGS = ("off", "report", "fail")


@dataclass(frozen=True, slots=True)
class Options:
    """How one test is to have its fake.

    Args:
        settings: of the account, by name.
        faults: what goes wrong from the beginning.
        hosts: before which a guard stands; None for no guard.
        findings: what is done about findings: nothing, a line in the summary, or failing the test.
        ignored: codes of findings that are none here.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    faults: Any = ()
    hosts: ProviderHosts | None = field(default_factory=ProviderHosts)
    findings: str = "off"
    ignored: frozenset[str] = frozenset()


DEFAULT = Options()


def options_of(item: pytest.Item, plan: object = None) -> Options:
    """The options of a test; *plan* is what the fixture `fake_fine_tuning_plan` says.

    Raises:
        FakeUsageError: what an ini key or a mark says makes no sense.
    """
    by_fixture = {} if plan is None else {"plan": plan}
    given = {**_by_ini(item.config), **by_fixture, **_by_marks(item)}
    if not given:
        return DEFAULT
    return checked(given)


def checked(given: Mapping[str, Any]) -> Options:
    """Options from arguments of the mark.

    Raises:
        FakeUsageError: there is no such option, or its value is no good.
    """
    if unknown := [name for name in given if name not in (*FIELDS, *OWN)]:
        known = (*OWN, *FIELDS)
        raise FakeUsageError(
            f"there is no option {unknown[0]!r}{did_you_mean(unknown[0], known, 0.7)}; there are {', '.join(known)}"
        )
    settings = {name: value for name, value in given.items() if name in FIELDS}
    Settings().changed(settings)
    guarded, allowed = (_several(name, given.get(name, ())) for name in ("guarded_hosts", "allowed_hosts"))
    hosts = ProviderHosts(guarded, allowed)
    guard = _one_of("guard", given.get("guard", True), (True, False))
    findings = _one_of("findings", given.get("findings", "off"), FINDINGS)
    faults, ignored = _faults(given.get("faults", ())), _codes(given.get("findings_ignore", ()))
    return Options(settings, faults, hosts if guard else None, findings, ignored)


def check_ini(config: pytest.Config) -> None:
    """Refuse ini keys that make no sense, before any test runs.

    Raises:
        pytest.UsageError: one does not.
    """
    for name, read in _READERS.items():
        key = f"{MARK}_{name}"
        text = config.getini(key)
        try:
            if text not in ("", []):
                checked({name: read(text)})
        except FakeUsageError as error:
            raise pytest.UsageError(f"ini key {key}: {error}") from None


def _by_ini(config: pytest.Config) -> dict[str, Any]:
    texts = {name: config.getini(f"{MARK}_{name}") for name in _READERS}
    given = {name: _READERS[name](text) for name, text in texts.items() if text not in ("", [])}
    if config.getoption("fine_tuning_findings") and given.get("findings", "off") == "off":
        given["findings"] = "report"
    return given


def _by_marks(item: pytest.Item) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for mark in item.iter_markers(MARK):  # the closest first
        if mark.args:
            raise FakeUsageError(
                f"the mark has {mark.args[0]!r} without a name: its arguments are named, as in pace='manual'"
            )
        given = {**mark.kwargs, **given}
    return given


def _several(name: str, value: Any) -> list[Any]:
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    example = "leaked_job" if name == "findings_ignore" else "api.example.com"
    raise FakeUsageError(f"{name} is {value!r}: a list is wanted, as in [{example!r}]")


def _one_of(name: str, value: Any, known: tuple[Any, ...]) -> Any:
    if type(value) is type(known[0]) and value in known:
        return value
    raise FakeUsageError(f"{name} is {value!r}: one of {', '.join(map(repr, known))} is wanted")


def _codes(given: Any) -> frozenset[str]:
    if not given:
        return frozenset()
    from fine_tuning_fakeserver.findings import CODES

    for code in _several("findings_ignore", given):
        _one_of("findings_ignore", code, tuple(CODES))
    return frozenset(given)


def _faults(given: Any) -> Any:
    if given == ():
        return given
    from fine_tuning_fakeserver.account.armed_faults import parse_faults
    from fine_tuning_fakeserver.web.endpoints import PATHS

    for name, value in {"faults": given, **_aims(given)}.items():
        if value is None or isinstance(value, Iterator):
            raise FakeUsageError(f"{name} is {value!r}: a list is wanted, which can be gone through again and again")
    parse_faults(given, PATHS)  # for its refusals
    return given


def _aims(faults: Any) -> dict[str, Any]:
    """What each of *faults* says that it is for, where it says so."""
    known = enumerate(faults) if isinstance(faults, list | tuple) else ()
    return {
        f"faults[{place}]['on']": each["on"] for place, each in known if isinstance(each, Mapping) and each.get("on")
    }


def _written(name: str, wanted: str) -> Callable[[str], Any]:
    """What reads a value as it is written in an ini file, in JSON or as TOML has it in a line.

    What it gives raises FakeUsageError where the text is neither, with what is *wanted*.
    """

    def read(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            pass  # it may be TOML
        try:
            return tomllib.loads(f"{name} = {text}")[name]
        except ValueError:
            raise FakeUsageError(f"{name} is {text!r}: {wanted}, is wanted") from None

    return read


def _seed(text: str | int) -> int:
    try:
        return int(text)
    except ValueError:
        raise FakeUsageError(f"seed is {text!r}: a whole number is wanted") from None


def _guard(text: str | bool) -> bool:
    return bool(_one_of("guard", {"true": True, "false": False}.get(str(text).lower(), text), (True, False)))


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "pace": parse_pace,
    "plan": _written("plan", "a JSON object, or an inline table as in {outcome = 'failed', queued = '6h'}"),
    "faults": _written("faults", "a JSON list, or one as in [{status = 503, on = 'create_job'}]"),
    "dialect": str,
    "seed": _seed,
    "guard": _guard,
    "guarded_hosts": list,
    "allowed_hosts": list,
    "findings": str,
}
"""What the texts of the ini keys mean, by the option that each of them sets."""
