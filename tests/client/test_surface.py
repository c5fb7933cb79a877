"""The public names of the client package, and the cost of importing it."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import fine_tuning_client
from fine_tuning_client import (
    AsyncFineTuning,
    AsyncFineTuningClient,
    FineTuning,
    FineTuningClient,
    FineTuningError,
    errors,
)

VERBS = {name for name in vars(fine_tuning_client.methods.SyncMethods) if not name.startswith("_")}


def test_public_names_are_pinned() -> None:
    """`__all__` is sorted, and each name in it is imported from where the package says, when it is first asked for."""
    assert set(fine_tuning_client.__all__) == set(fine_tuning_client._HOMES) <= set(dir(fine_tuning_client))
    for name, module in fine_tuning_client._HOMES.items():
        home = importlib.import_module(f"fine_tuning_client.{module}")
        assert getattr(fine_tuning_client, name) is getattr(home, name)
    with pytest.raises(AttributeError, match="module 'fine_tuning_client' has no attribute 'FineTuner'"):
        assert fine_tuning_client.FineTuner  # type: ignore[attr-defined]
    constants = [name for name in fine_tuning_client.__all__ if name.isupper()]
    classes = [name for name in fine_tuning_client.__all__ if name[0].isupper() and not name.isupper()]
    functions = [name for name in fine_tuning_client.__all__ if name.islower()]
    assert fine_tuning_client.__all__ == [*sorted(constants), *sorted(classes), *sorted(functions)]


def test_every_public_name_has_a_docstring() -> None:
    """Every public name and method has a docstring."""
    assert all(getattr(fine_tuning_client, name).__doc__ for name in fine_tuning_client.__all__)
    assert all(getattr(FineTuning, verb).__doc__ for verb in VERBS)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_both_clients_have_equal_signatures(verb: str) -> None:
    """A method takes the same arguments on both clients and facades."""
    owners = (FineTuning, AsyncFineTuning, FineTuningClient("fake"), AsyncFineTuningClient("fake"))
    signatures = {str(inspect.signature(getattr(owner, verb)).replace(return_annotation="")) for owner in owners}
    assert len(signatures) == 1


def test_both_clients_offer_the_same_verbs() -> None:
    """Both clients have the same methods."""
    assert {name for name in vars(fine_tuning_client.methods.AsyncMethods) if not name.startswith("_")} == VERBS
    assert inspect.signature(FineTuningClient) == inspect.signature(AsyncFineTuningClient)


def test_signatures_show_what_a_caller_gets() -> None:
    """A method's signature shows the result it returns, not the flow it is made from."""
    assert inspect.signature(FineTuning.retrieve_job).return_annotation == "FineTuningJobResponse"
    walk = inspect.signature(AsyncFineTuning.iter_jobs).return_annotation
    assert walk == "AsyncGenerator[FineTuningJobResponse, None]"


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """The tree of errors in the module's docstring shows every class under its parent."""
    drawn: dict[str, str | None] = {}
    path: list[str] = []
    for line in inspect.cleandoc(errors.__doc__ or "").splitlines()[2:]:
        bare = line.lstrip(" │├└─")
        if bare:
            depth = (len(line) - len(bare)) // 3
            path[depth:] = [bare.split()[0]]
            drawn[path[-1]] = path[-2] if depth else None
    real = {
        name: None if value is FineTuningError else value.__bases__[0].__name__
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, FineTuningError)
    }
    assert drawn == real


def test_importing_costs_the_standard_library_only() -> None:
    """Importing all public names imports nothing outside the standard library, not even httpx."""
    code = "before = set(sys.modules); from fine_tuning_client import *; print(*set(sys.modules) - before)"
    found = subprocess.run([sys.executable, "-S", "-c", PATH + code], capture_output=True, text=True, check=True)
    foreign = {name.partition(".")[0] for name in found.stdout.split()} - sys.stdlib_module_names
    assert foreign == {"fine_tuning_client", "fine_tuning_formats"}
    assert "asyncio" not in found.stdout.split()


def test_importing_the_package_imports_nothing_else() -> None:
    """Importing the package by itself imports none of its modules: a public name does when it is first asked for."""
    code = "import fine_tuning_client; print(*(name for name in sys.modules if name.startswith('fine_tuning_')))"
    found = subprocess.run([sys.executable, "-S", "-c", PATH + code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["fine_tuning_client"]


PATH = f"import sys; sys.path.insert(0, {str(Path(fine_tuning_client.__file__).parents[1])!r}); "
