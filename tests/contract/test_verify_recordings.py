"""The oracle: verified recordings of the real service, whose number of exact responses must not fall."""

from __future__ import annotations

from pathlib import Path

import pytest

from fine_tuning_fakeserver.verify.readers import find_files, read_recording
from fine_tuning_fakeserver.verify.recording import NotARecordingError
from fine_tuning_fakeserver.verify.replay import VerifiedRecording, totals, verify

REPO = Path(__file__).parents[2]
FOLDER = REPO.parent / "shared" / "recordings"
ABSENT = f"the recordings of the real service are not here: {FOLDER} is no folder"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)

# How many rows there are in each folder, and how many of them are exact at the least.
FLOORS = {
    "openai-dotnet/FineTuningClientTests": (15, 15),
    "openai-dotnet/FilesTests": (26, 26),
    "openai-dotnet/ModelsTests": (4, 4),
    "openai-dotnet/UploadsTests": (11, 11),
    "ruby-openai": (24, 4),
}


def verified(folder: str) -> list[VerifiedRecording]:
    """Every recording of a folder, verified."""
    return [verify(read_recording(path)) for path, _ in find_files([FOLDER / folder])]


@pytest.mark.parametrize("folder", FLOORS)
def test_as_many_answers_are_exact_as_ever(folder: str) -> None:
    """At least as many recorded responses as before are exact, and all requests are sent."""
    counts = totals(verified(folder))

    rows, floor = FLOORS[folder]
    assert sum(counts.values()) == rows
    assert counts["not applicable"] == 0
    assert counts["exact"] >= floor


@pytest.mark.parametrize("folder", FLOORS)
def test_every_fact_is_taken(folder: str) -> None:
    """Every fact inferred from a recording can be put into an account."""
    assert [problem for each in verified(folder) for problem in each.problems] == []


@pytest.mark.parametrize("folder", [folder for folder in FLOORS if "dotnet" in folder])
def test_headers_are_the_recorded_ones(folder: str) -> None:
    """The API's headers are those recorded, except at one file deletion of 2025."""
    noted = [
        (each.recording.path.stem, row.number, note)
        for each in verified(folder)
        for row in each.rows
        for note in row.comparison.notes
        if note.startswith("headers")
    ]
    older = [("CompleteUploadWorks", 4, "headers of the recorded answer only: x-envoy-upstream-service-time")]

    assert noted == (older if folder.endswith("UploadsTests") else [])


def test_answers_of_older_dates_differ_by_what_the_service_has_changed() -> None:
    """Recordings of 2023 and 2024 differ only in members, their order, and one refusal."""
    places = {
        row.comparison.difference.path
        for each in verified("ruby-openai")
        for row in each.rows
        if row.comparison.verdict == "differs" and row.comparison.difference
    }

    assert places == {
        "$, members of one only",
        "$, order of members",
        "$.data[0], members of one only",
        "status",  # a fine-tune file called local.path was taken in 2024; the fake wants .jsonl
    }


def test_collections_of_facts_are_no_recordings() -> None:
    """A hand-made collection of error bodies is not accepted as a recording."""
    with pytest.raises(NotARecordingError, match=r"errors_observed\.json"):
        read_recording(FOLDER / "errors_observed.json")
