"""The ledger has an entry for everything that the fake answers, and its figures add up."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

import pytest

from fine_tuning_fakeserver import FakeFineTuning, api_errors
from fine_tuning_fakeserver.api_errors import ApiError
from fine_tuning_fakeserver.cli.fidelity import BEGIN, END, fill_table
from fine_tuning_fakeserver.control.steering import STATUSES
from fine_tuning_fakeserver.domain.timeline import KINDS as MOMENTS
from fine_tuning_fakeserver.domain.training_methods import METHODS
from fine_tuning_fakeserver.evidence import KINDS, backing
from fine_tuning_fakeserver.fidelity import event_texts, job_schemas, report
from fine_tuning_fakeserver.fidelity.routes import EVERYWHERE, ROUTES
from fine_tuning_fakeserver.fidelity.schema import ObjectSchema
from fine_tuning_fakeserver.web.endpoints import OPERATIONS
from strategies import Http

README = Path(__file__).parents[2] / "README.md"
CONSTRUCTORS = [
    function
    for module in (api_errors,)
    for _, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__
]


def names(area: str) -> list[str]:
    """The names of the entries of an area."""
    return [entry.name for entry in report.entries() if entry.area == area]


def test_every_route_has_its_evidence() -> None:
    """The ledger has every route of the API, and no other, with one success at least."""
    assert list(ROUTES) == [operation.name for operation in OPERATIONS]
    assert all(claims[0].status == 200 for claims in ROUTES.values())


@pytest.mark.parametrize("constructor", CONSTRUCTORS, ids=lambda constructor: constructor.__name__)
def test_every_error_says_what_backs_it(constructor: object) -> None:
    """Each constructor of an error is marked with its evidence, and its docstring does not say it again."""
    assert inspect.isfunction(constructor)
    assert backing(constructor), f"mark {constructor.__name__} with @backed(...)"
    assert constructor.__name__ in names("errors")
    assert "Source" not in (constructor.__doc__ or "")


def test_an_error_without_evidence_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constructor that nobody has marked is named."""

    def teapot() -> ApiError:
        return ApiError(418, "I am a teapot")

    teapot.__module__ = api_errors.__name__
    monkeypatch.setattr(api_errors, "teapot", teapot, raising=False)

    with pytest.raises(KeyError, match=r"errors\.teapot has no evidence"):
        list(report.entries())


def test_every_text_of_an_event_has_its_evidence() -> None:
    """The ledger has each kind of moment that shows an event, and a step's by each method."""
    assert set(event_texts.EVENTS) == {name for name, kind in MOMENTS.items() if kind.text}
    assert set(event_texts.STEPS) == set(METHODS)


def test_every_status_has_its_evidence() -> None:
    """The ledger has each status of a job."""
    assert tuple(job_schemas.STATUSES) == STATUSES


def test_every_evidence_is_named() -> None:
    """Each entry says which source it means, and has a name of its own in its area."""
    entries = list(report.entries())

    assert all(entry.evidence.source and entry.evidence.kind in KINDS for entry in entries)
    assert len({(entry.area, entry.name) for entry in entries}) == len(entries)
    assert all(entry.evidence.date for entry in entries if entry.evidence.kind in ("recorded", "printed"))


def test_shapes_are_all_there() -> None:
    """Each shape is in the ledger once, under a name of its own."""
    defined = {id(shape) for module in report.MODULES for shape in vars(module).values() if _is_shape(shape)}

    assert {id(shape) for shape in report.SHAPES} == defined
    assert len({shape.name for shape in report.SHAPES}) == len(report.SHAPES)


def _is_shape(value: object) -> bool:
    return isinstance(value, ObjectSchema)


def test_figures_add_up() -> None:
    """Counts are those of the entries, in each area and in all; percentages are of their area."""
    ledger = report.fidelity()
    whole = [ledger["total"], *ledger["areas"].values()]

    assert sum(figures["entries"] for figures in whole[1:]) == ledger["total"]["entries"] == len(ledger["entries"])
    for figures in whole:
        assert sum(figures[kind]["count"] for kind in KINDS) == figures["entries"]
        assert sum(figures[kind]["percent"] for kind in KINDS) == pytest.approx(100, abs=0.5)


def test_the_ledger_over_http() -> None:
    """``GET /_fake/fidelity`` is the whole ledger."""
    assert Http(FakeFineTuning()).json("GET", "/_fake/fidelity") == report.fidelity()


def test_the_table_of_the_readme_is_the_ledgers() -> None:
    """The README's table of routes is the one that the ledger makes: run scripts/ledger."""
    text = README.read_text()

    assert fill_table(text) == text


@pytest.mark.parametrize("text", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{END}" * 2])
def test_a_file_without_a_place_for_the_table(text: str) -> None:
    """A file that has not both markers, once, is refused."""
    with pytest.raises(ValueError, match="must have these markers once"):
        fill_table(text)


def test_statuses_are_of_refusals() -> None:
    """What is no success is an error's status."""
    claims: Iterable[int] = [claim.status for group in (*ROUTES.values(), EVERYWHERE) for claim in group]

    assert {status for status in claims if status != 200} <= {400, 401, 403, 404, 413, 429, 500, 503}
