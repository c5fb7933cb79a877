"""Options of the fixture from ini keys, `fake_fine_tuning_plan` and marks; the closest to the test wins."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

import pytest

from fine_tuning_fakeserver import FakeUsageError
from fine_tuning_fakeserver.clock import parse_pace
from fine_tuning_fakeserver.settings import DEFAULT_SETTINGS, FIELDS
from fine_tuning_fakeserver.usage_errors import did_you_mean
from fine_tuning_formats.lazy_dataclass import dataclass

from .markers import DIALECT_PARAMETER, EXPLORE_FLAG, FAKE_MARK, NOT_EXPLORED
from .provider_hosts import ProviderHosts

if TYPE_CHECKING:
    from fine_tuning_fakeserver.fake.exploration.explorer import ExploreOptions

FIXTURE_OPTIONS = (
    "faults",
    "guard",
    "guarded_hosts",
    "allowed_hosts",
    "findings",
    "findings_ignore",
    "virtual_time",
    "wall_clock",
    "explore",
)
FINDINGS = ("off", "report", "fail")
VIRTUAL_OPTIONS = ("virtual_time", "wall_clock", "explore")
"""The options that a test alone can have."""
VIRTUAL_TIME_FIXTURE = "virtual_time"


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one test's fake.

    Args:
        settings: settings of the account, by name.
        faults: faults that are armed at the start.
        hosts: the guarded hosts; None for no guard.
        findings: what to do about findings: "off", "report" (in the summary) or "fail".
        ignored: codes of findings to ignore.
        virtual_time: whether waits of the test are virtual.
        wall_clock: whether the wall clock is the fake's as well.
        explore: how the test is explored; None if it is not.
        explored_by_flag: whether only the flag explores it, and no mark.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    faults: Any = ()
    hosts: ProviderHosts | None = field(default_factory=ProviderHosts)
    findings: str = "off"
    ignored: frozenset[str] = frozenset()
    virtual_time: bool = False
    wall_clock: bool = False
    explore: ExploreOptions | None = None
    explored_by_flag: bool = False


DEFAULT_OPTIONS = Options()


def fixture_options(item: pytest.Item | pytest.Collector, plan: object = None) -> Options:
    """Return the options of a test, or of the module or session that a fixture of that scope lives for.

    Args:
        item: the test, module or session, whose marks and ini keys count.
        plan: the value of the fixture `fake_fine_tuning_plan`.

    Raises:
        FakeUsageError: an ini key or a mark is invalid.
    """
    values = dict(_ini_values(item.config))
    if item.config.getoption("fine_tuning_findings") and values.get("findings", "off") == "off":
        values["findings"] = "report"
    if plan is not None:
        values["plan"] = plan
    layers = [values]
    if not isinstance(item, pytest.Item):  # virtual time is a test's
        for name in VIRTUAL_OPTIONS:
            values.pop(name, None)
    for mark in reversed(list(item.iter_markers(FAKE_MARK))):  # the closest last
        if mark.args:
            raise FakeUsageError(f"arguments of the mark must be keywords, as in pace='manual', got {mark.args[0]!r}")
        if not isinstance(item, pytest.Item) and mark.kwargs.get("virtual_time"):
            remedy = "give the tests that wait fake_fine_tuning, and the mark"
            raise FakeUsageError(f"virtual_time must be left out for a fake that outlives a test, got True; {remedy}")
        layers.append(dict(mark.kwargs))
    if VIRTUAL_TIME_FIXTURE in getattr(item, "fixturenames", ()) and _is_our_fixture(item):
        layers.append({"virtual_time": True})
    if is_explored := _is_explored_by_flag(item, layers):
        layers[0]["explore"] = True
    if isinstance(item, pytest.Item) and (dialect := _rehearsed_dialect(item)):
        layers.append({"dialect": dialect})
    if not any(layers):
        return DEFAULT_OPTIONS
    return replace(parse_options(_merge(layers)), explored_by_flag=is_explored)


def _is_explored_by_flag(item: pytest.Item | pytest.Collector, layers: list[dict[str, Any]]) -> bool:
    """Return whether ``--fine-tuning-explore`` explores a test that does not say so itself; note why not."""
    if item.config.getoption(EXPLORE_FLAG) is None or not isinstance(item, pytest.Item):
        return False
    if any("explore" in layer for layer in layers):
        return False
    merged = _merge(layers)
    if (pace := merged.get("pace", "manual")) != "manual":
        item.stash[NOT_EXPLORED] = f"its pace is {pace!r}"
    elif merged.get("virtual_time") is False:
        item.stash[NOT_EXPLORED] = "its waits are real"
    return NOT_EXPLORED not in item.stash


def _rehearsed_dialect(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(DIALECT_PARAMETER) if callspec else None


_INI_VALUES: pytest.StashKey[Mapping[str, Any]] = pytest.StashKey()


def _ini_values(config: pytest.Config) -> Mapping[str, Any]:
    """Return the options that the run's ini keys set, which are read once."""
    if _INI_VALUES not in config.stash:
        texts = {name: config.getini(f"{FAKE_MARK}_{name}") for name in _READERS}
        config.stash[_INI_VALUES] = {name: _READERS[name](text) for name, text in texts.items() if text not in ("", [])}
    return config.stash[_INI_VALUES]


def _is_our_fixture(item: pytest.Item | pytest.Collector) -> bool:
    """Whether the test's fixture `virtual_time` is the plugin's; another project may have one of that name."""
    definitions = item._fixtureinfo.name2fixturedefs.get(VIRTUAL_TIME_FIXTURE, ())  # type: ignore[union-attr]
    return bool(definitions) and definitions[-1].func.__module__ == __package__


def _merge(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge the options, the closest to the test last; virtual time implies the pace of the farther ones.

    Raises:
        FakeUsageError: a layer asks for both virtual time and another pace, or a closer one for another pace.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
        if layer.get("explore"):
            merged.setdefault("virtual_time", True)
        if (layer.get("virtual_time") is True or layer.get("explore")) and "pace" not in layer:
            merged["pace"] = "manual"
    return merged


def parse_options(values: Mapping[str, Any]) -> Options:
    """Parse the mark's arguments.

    Raises:
        FakeUsageError: an option is unknown, or its value invalid.
    """
    if unknown := [name for name in values if name not in (*FIELDS, *FIXTURE_OPTIONS)]:
        known = (*FIXTURE_OPTIONS, *FIELDS)
        raise FakeUsageError(
            f"unknown option {unknown[0]!r}{did_you_mean(unknown[0], known, 0.7)}; expected one of: {', '.join(known)}"
        )
    settings = {name: value for name, value in values.items() if name in FIELDS}
    DEFAULT_SETTINGS.changed(settings)
    guarded, allowed = (_list_value(name, values.get(name, ())) for name in ("guarded_hosts", "allowed_hosts"))
    hosts = ProviderHosts(guarded, allowed)
    virtual_time, wall_clock = (
        _choice(name, values.get(name, False), (True, False)) for name in ("virtual_time", "wall_clock")
    )
    explore = _explore_options(values["explore"]) if "explore" in values else None
    if explore and not virtual_time:
        raise FakeUsageError("virtual_time must be True with explore, got False; leave it out")
    if virtual_time:
        pace = settings.setdefault("pace", "manual")
        if pace != "manual":
            remedy = "leave the pace out, or say virtual_time=False"
            raise FakeUsageError(f"pace must be 'manual' with virtual_time, got {pace!r}; {remedy}")
    guard = _choice("guard", values.get("guard", True), (True, False))
    findings = _choice("findings", values.get("findings", "off"), FINDINGS)
    faults = _check_faults(values.get("faults", ()))
    ignored: list[str] = []
    if values.get("findings_ignore"):
        from fine_tuning_fakeserver.findings import CODES

        ignored = [
            _choice("findings_ignore", code, tuple(CODES))
            for code in _list_value("findings_ignore", values["findings_ignore"])
        ]
    return Options(
        settings,
        faults,
        hosts if guard else None,
        findings,
        frozenset(ignored),
        virtual_time,
        wall_clock,
        explore,
    )


def _explore_options(value: object) -> ExploreOptions | None:
    from fine_tuning_fakeserver.fake.exploration.explorer import ExploreOptions

    return ExploreOptions.parse(value)


def check_ini(config: pytest.Config) -> None:
    """Validate the ini keys before any test runs.

    Raises:
        pytest.UsageError: an ini key is invalid.
    """
    for name, read in _READERS.items():
        key = f"{FAKE_MARK}_{name}"
        text = config.getini(key)
        try:
            if text not in ("", []):
                parse_options({name: read(text)})
        except FakeUsageError as error:
            raise pytest.UsageError(f"ini key {key}: {error}") from None


def _list_value(name: str, value: Any) -> list[Any]:
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    example = "leaked_job" if name == "findings_ignore" else "api.example.com"
    raise FakeUsageError(f"{name} must be a list, as in [{example!r}], got {value!r}")


def _choice(name: str, value: Any, known: tuple[Any, ...]) -> Any:
    if type(value) is type(known[0]) and value in known:
        return value
    raise FakeUsageError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")


def _check_faults(faults: Any) -> Any:
    if faults == ():
        return faults
    from fine_tuning_fakeserver.account.armed_faults import parse_faults
    from fine_tuning_fakeserver.web.operations import PATHS

    values = {"faults": faults}
    for index, fault in enumerate(faults if isinstance(faults, list | tuple) else ()):
        if isinstance(fault, Mapping) and fault.get("on"):
            values[f"faults[{index}]['on']"] = fault["on"]
    for name, value in values.items():
        if value is None or isinstance(value, Iterator):
            raise FakeUsageError(f"{name} must be a list, got {value!r}; an iterator would be used up")
    parse_faults(faults, PATHS)  # validates them; the account arms its own
    return faults


def _literal_reader(name: str, wanted: str) -> Callable[[str], Any]:
    """Return a reader of a value in an ini file, written as JSON or as a TOML value.

    The reader raises FakeUsageError, with the *wanted* form, if the text is neither.
    """

    def read(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            pass  # it may be TOML
        try:
            return tomllib.loads(f"{name} = {text}")[name]
        except ValueError:
            raise FakeUsageError(f"{name} must be {wanted}, got {text!r}") from None

    return read


def _read_seed(text: str | int) -> int:
    try:
        return int(text)
    except ValueError:
        raise FakeUsageError(f"seed must be a whole number, got {text!r}") from None


def _flag_reader(name: str) -> Callable[[str | bool], bool]:
    def read(text: str | bool) -> bool:
        return bool(_choice(name, {"true": True, "false": False}.get(str(text).lower(), text), (True, False)))

    return read


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "pace": parse_pace,
    "plan": _literal_reader("plan", "a JSON object, or an inline table as in {outcome = 'failed', queued = '6h'}"),
    "faults": _literal_reader("faults", "a JSON list, or one as in [{status = 503, on = 'create_job'}]"),
    "dialect": str,
    "seed": _read_seed,
    "guard": _flag_reader("guard"),
    "guarded_hosts": list,
    "allowed_hosts": list,
    "findings": str,
    "virtual_time": _flag_reader("virtual_time"),
    "wall_clock": _flag_reader("wall_clock"),
}
"""The reader of each ini key, by the option that it sets."""
