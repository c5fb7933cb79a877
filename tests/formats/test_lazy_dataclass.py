"""Dataclasses whose methods are generated late: what they are is what the standard library makes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import re
import sys
import threading
from collections.abc import Callable, Hashable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fine_tuning_formats import lazy_dataclass

PACKAGES = [
    "fine_tuning_client",
    "fine_tuning_formats",
    "fine_tuning_fakeserver",
    "fine_tuning_cassettes",
    "pytest_fine_tuning",
]
OTHER = re.compile(r"^\s*from dataclasses import .*\bdataclass\b|dataclasses\.dataclass\(", re.MULTILINE)

OPTIONS = [
    {"frozen": True, "slots": True},
    {"frozen": True, "slots": True, "kw_only": True},
    {"frozen": True, "slots": True, "eq": False},
    {"frozen": True},
    {"slots": True},
    {"slots": True, "unsafe_hash": True},
    {"slots": True, "eq": False},
    {},
]


def pair(decorate: Any, **options: bool) -> tuple[Any, Any]:
    """A dataclass and one that extends it, of the same words whoever decorates them."""

    class Base:
        """A base."""

        name: str
        size: int = 1

        def __post_init__(self) -> None:
            object.__setattr__(self, "size", self.size + 1)

    Base = decorate(**options)(Base)  # type: ignore[misc]

    class Extended(Base):
        """One more member, and methods of its own."""

        notes: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)
        rate: float = dataclasses.field(default=0.5, kw_only=True)

        def __str__(self) -> str:
            return self.name

    return Base, decorate(**options)(Extended)


def of_library(**options: bool) -> tuple[Any, Any]:
    """The pair as the standard library makes it."""
    return pair(dataclasses.dataclass, **options)


def late(**options: bool) -> tuple[Any, Any]:
    """The pair with methods that are generated late."""
    return pair(lazy_dataclass.dataclass, **options)


LOOKS: dict[str, Callable[[Any], object]] = {
    "signature": lambda kind: str(inspect.signature(kind)),
    "fields": lambda kind: [(each.name, each.type, each.default, each.kw_only) for each in dataclasses.fields(kind)],
    "match": lambda kind: kind.__match_args__,
    "slots": lambda kind: kind.__dict__.get("__slots__"),
    "repr": lambda kind: repr(kind(name="a")),
    "text": lambda kind: str(kind(name="a", size=3)),
    "equal": lambda kind: (kind(name="a") == kind(name="a"), kind(name="a") == kind(name="b"), kind(name="a") == 1),
    "hashable": lambda kind: issubclass(kind, Hashable),
    "hash": lambda kind: kind.__hash__ is object.__hash__ or hash(kind(name="a")) == hash(kind(name="a")),
    "replace": lambda kind: repr(dataclasses.replace(kind(name="a"), name="b")),
    "dict": lambda kind: dataclasses.asdict(kind(name="a")),
    "missing": lambda kind: kind(),
    "unknown": lambda kind: kind(name="a", other=1),
    "set": lambda kind: setattr(kind(name="a"), "name", "b"),
    "delete": lambda kind: delattr(kind(name="a"), "name"),
    "set below": lambda kind: setattr(type("Below", (kind,), {})(name="a"), "name", "b"),
    "set another below": lambda kind: setattr(type("Below", (kind,), {})(name="a"), "other", "b"),
    "delete another below": lambda kind: delattr(type("Below", (kind,), {})(name="a"), "other"),
    "copy": lambda kind: repr(copy.deepcopy(kind(name="a", size=5))),
    "frozen below": lambda kind: dataclasses.dataclass(frozen=True)(type("Below", (kind,), {})),
    "not frozen below": lambda kind: dataclasses.dataclass(type("Below", (kind,), {})),
}


def outcome(look: Callable[[Any], object], kind: Any) -> str:
    """What is seen, or the error; not by whom a method was refused, nor where a class lies."""
    try:
        seen = look(kind)
    except (TypeError, AttributeError) as error:
        seen = f"{type(error).__mro__[:-3]}, {error}"
    return str(seen).replace("test_lazy_dataclass.", "").replace("pair.<locals>.", "")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("which", [0, 1], ids=["base", "extended"])
@pytest.mark.parametrize("name", LOOKS)
def test_it_is_what_the_library_makes(name: str, which: int, options: dict[str, bool]) -> None:
    """A class that has not been used yet looks and behaves as the standard library's does, in every respect."""
    if "another" in name:  # with slots, the library's frozen classes (3.11 to 3.13) fail at their own super() there
        options = options | {"slots": False}
    assert outcome(LOOKS[name], late(**options)[which]) == outcome(LOOKS[name], of_library(**options)[which])


@lazy_dataclass.dataclass(frozen=True, slots=True)
class Kept:
    """A class that pickle can find."""

    name: str
    size: int = 1


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_it_can_be_pickled(protocol: int) -> None:
    """An instance of a frozen class with slots comes back from pickle, also where its class has made none yet."""
    assert pickle.loads(pickle.dumps(Kept("a", 3), protocol)) == Kept("a", 3)


def test_nothing_is_generated_before_it_is_needed() -> None:
    """A class has generated no method on import, and then the one that was called."""
    kind, _ = late(frozen=True, slots=True)
    generated = {name for name, value in vars(kind).items() if inspect.isfunction(value)}
    assert not generated & {"__init__", "__repr__", "__eq__", "__hash__"}
    kind("a")
    assert {name for name, value in vars(kind).items() if inspect.isfunction(value)} == generated | {"__init__"}


def test_threads_may_be_first_together() -> None:
    """Threads that make the first instances of a class at one moment all get theirs."""
    kind, _ = late(frozen=True, slots=True)
    barrier, made = threading.Barrier(8), list[Any]()

    def make() -> None:
        barrier.wait()
        made.append(kind("a"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.name for each in made] == ["a"] * 8


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_take_no_other(package: str) -> None:
    """No module generates the methods of a dataclass on import."""
    folder = Path(str(find_spec(package).submodule_search_locations[0]))  # type: ignore[union-attr, index]
    others = {path.name for path in folder.rglob("*.py") if OTHER.search(path.read_text("utf-8"))}
    assert others <= {"lazy_dataclass.py"}


def test_a_class_of_a_module_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class works as before after its module has left `sys.modules`, and its fields keep their types."""
    module = ModuleType("gone")
    monkeypatch.setitem(sys.modules, "gone", module)
    words = """
from __future__ import annotations
import typing
from fine_tuning_formats.lazy_dataclass import dataclass
@dataclass(frozen=True)
class Late:
    name: typing.Any
    size: int = 1
"""
    exec(words, module.__dict__)
    monkeypatch.delitem(sys.modules, "gone")
    late = module.Late("a")
    assert (repr(late), late == module.Late("a"), hash(late) == hash(module.Late("a"))) == (
        "Late(name='a', size=1)",
        True,
        True,
    )
    assert {field.name: field.type for field in dataclasses.fields(late)} == {"name": "typing.Any", "size": "int"}
    assert module.Late.__init__.__annotations__ == {"name": "typing.Any", "size": "int", "return": None}
