"""The ledger of evidence has an entry for everything that the fake answers, and its figures add up."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from fine_tuning_fakeserver import FakeFineTuning, api_errors
from fine_tuning_fakeserver.api.schemas import job_schemas
from fine_tuning_fakeserver.api.schemas.object_schema import ObjectSchema
from fine_tuning_fakeserver.api_errors import ApiError
from fine_tuning_fakeserver.cli.fidelity import BEGIN, END, fill_table
from fine_tuning_fakeserver.control.steering import STATUSES
from fine_tuning_fakeserver.domain.dialects.dialect import EVENT_KINDS as MOMENTS
from fine_tuning_fakeserver.domain.training_methods import METHODS
from fine_tuning_fakeserver.evidence import KINDS, evidence_of
from fine_tuning_fakeserver.web import documents
from fine_tuning_fakeserver.web.operations import OPERATIONS, SHARED_EVIDENCE
from fine_tuning_formats.api_paths import API_PATHS
from strategies import Http

PAGE = Path(__file__).parents[2] / "docs" / "fidelity.md"
CONSTRUCTORS = [
    function
    for module in (api_errors,)
    for _, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__
]


def names(area: str) -> list[str]:
    """The names of the entries in an area."""
    return [entry.name for entry in documents.entries() if entry.area == area]


def test_every_route_has_its_evidence() -> None:
    """Every path of the API is an operation with evidence, beginning with a success."""
    declared = [(operation.name, operation.method, operation.path.removeprefix("/v1")) for operation in OPERATIONS]

    assert declared == [tuple(path) for path in API_PATHS]
    assert all(next(iter(operation.evidence)).startswith("200") for operation in OPERATIONS)


@pytest.mark.parametrize("constructor", CONSTRUCTORS, ids=lambda constructor: constructor.__name__)
def test_every_error_says_what_backs_it(constructor: object) -> None:
    """Each constructor of an error is marked with its evidence."""
    assert inspect.isfunction(constructor)
    assert evidence_of(constructor), f"mark {constructor.__name__} with @backed(...)"
    assert constructor.__name__ in names("errors")
    assert "Source" not in (constructor.__doc__ or "")


def test_an_error_without_evidence_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constructor without evidence is reported by name."""

    def teapot() -> ApiError:
        return ApiError(418, "I am a teapot")

    teapot.__module__ = api_errors.__name__
    monkeypatch.setattr(api_errors, "teapot", teapot, raising=False)

    with pytest.raises(KeyError, match=r"errors\.teapot has no evidence"):
        list(documents.entries())


def test_every_text_of_an_event_has_its_evidence() -> None:
    """The ledger has each event text, and the step text of each training method."""
    assert set(job_schemas.EVENT_TEXTS) == {name for name, kind in MOMENTS.items() if kind.text}
    assert set(job_schemas.STEP_TEXTS) == set(METHODS)


def test_every_status_has_its_evidence() -> None:
    """The ledger has each status of a job."""
    assert tuple(job_schemas.STATUSES) == STATUSES


def test_every_evidence_is_named() -> None:
    """Each entry names its source, and is unique in its area."""
    entries = list(documents.entries())

    assert all(entry.evidence.source and entry.evidence.kind in KINDS for entry in entries)
    assert len({(entry.area, entry.name) for entry in entries}) == len(entries)
    assert all(entry.evidence.date for entry in entries if entry.evidence.kind in ("recorded", "printed"))


def test_every_schema_is_in_the_ledger() -> None:
    """Each object schema is in the ledger exactly once."""
    values = [value for module in documents.SCHEMA_MODULES for value in vars(module).values()]
    defined = {id(value) for value in values if isinstance(value, ObjectSchema)}

    assert {id(schema) for schema in documents.SCHEMAS} == defined
    assert len({schema.name for schema in documents.SCHEMAS}) == len(documents.SCHEMAS)


def test_figures_add_up() -> None:
    """Counts equal the number of entries in each area and in total, and percentages add up to 100."""
    ledger = documents.fidelity()
    whole = [ledger["total"], *ledger["areas"].values()]

    assert sum(figures["entries"] for figures in whole[1:]) == ledger["total"]["entries"] == len(ledger["entries"])
    for figures in whole:
        assert sum(figures[kind]["count"] for kind in KINDS) == figures["entries"]
        assert sum(figures[kind]["percent"] for kind in KINDS) == pytest.approx(100, abs=0.5)


def test_the_ledger_over_http() -> None:
    """``GET /_fake/fidelity`` returns the whole ledger."""
    assert Http(FakeFineTuning()).json("GET", "/_fake/fidelity") == documents.fidelity()


def test_the_table_of_the_readme_is_the_ledgers() -> None:
    """The fidelity page's table of routes equals the ledger's; scripts/ledger updates it."""
    text = PAGE.read_text(encoding="utf-8")

    assert fill_table(text) == text


@pytest.mark.parametrize("text", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{END}" * 2])
def test_a_file_without_a_place_for_the_table(text: str) -> None:
    """A file without exactly one pair of markers is refused."""
    with pytest.raises(ValueError, match="must have these markers once"):
        fill_table(text)


def test_statuses_are_of_refusals() -> None:
    """The evidence lists only known statuses."""
    answers = [answer for operation in OPERATIONS for answer in operation.evidence]
    statuses = {answer.partition(" ")[0] for answer in [*answers, *SHARED_EVIDENCE]}

    assert statuses <= {"200", "400", "401", "403", "404", "413", "429", "500", "503"}
