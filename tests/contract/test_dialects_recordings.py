"""Recordings of 2023 to 2025, verified under the dialects of their dates."""

from __future__ import annotations

import pytest

from fine_tuning_fakeserver.verify import AUTO
from fine_tuning_fakeserver.verify.readers import find_files, read_recording
from fine_tuning_fakeserver.verify.replay import VerifiedExchange, totals, verify_in_dialect

from .test_verify_recordings import ABSENT, FOLDER

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)

# Recordings with an answer that is not exact under the dialect of its date, and why that is so.
NOT_EXACT = {
    "files_content": "a file that another recording uploaded: this one does not tell what is in it but by the answer",
    "file_download": "the same",
    "model_retrieve": "of 2023-10, when models had permissions: their ids and times do not follow from anything else",
}
FLOORS = {
    ("ruby-openai", "openai-2024-10"): 15,
    ("ruby-openai", "openai-2023-11"): 15,
    ("ruby-openai", AUTO): 23,
    ("dd-trace-py", AUTO): 4,
    ("azure-rebuilt", AUTO): 4,
    ("azure-rebuilt", "azure-2025"): 4,
    ("azure-rebuilt", "azure-2026-02"): 4,
}
"""How many answers are exact at the least."""


@pytest.mark.parametrize(("folder", "dialect"), FLOORS)
def test_as_many_answers_are_exact_as_ever(folder: str, dialect: str) -> None:
    """Under the dialect of its date a folder has at least as many exact responses as before."""
    verified = [verify_in_dialect(read_recording(path), dialect) for path, _ in find_files([FOLDER / folder])]

    assert totals(verified)["exact"] >= FLOORS[folder, dialect]


def test_only_what_is_named_is_not_exact() -> None:
    """Every response of OpenAI and Azure, 2023 to 2025, is exact under its dialect, except those in NOT_EXACT."""
    rows: dict[str, list[VerifiedExchange]] = {}
    for path, _ in find_files([FOLDER / name for name in ("ruby-openai", "dd-trace-py", "azure-rebuilt")]):
        rows[path.stem] = [
            row for row in verify_in_dialect(read_recording(path), AUTO).rows if row.comparison.verdict != "exact"
        ]

    assert {name for name, found in rows.items() if found} == NOT_EXACT.keys()
    differing = {name for name, found in rows.items() for row in found if row.comparison.verdict == "differs"}
    assert differing == set()


def test_bodies_that_were_kept_parsed() -> None:
    """Where a recorder kept bodies parsed, what the fake has a route for has the same members, in any order."""
    verified = [verify_in_dialect(read_recording(path), AUTO) for path, _ in find_files([FOLDER / "pydantic-ai"])]

    assert totals(verified) == {"exact": 0, "same shape": 4, "differs": 0, "not applicable": 6}


def test_azures_answers_are_no_openais() -> None:
    """What Azure answered is not applicable in OpenAI's dialects, and the reason names Azure's."""
    verified = [
        verify_in_dialect(read_recording(path), "openai-2025-09") for path, _ in find_files([FOLDER / "azure-rebuilt"])
    ]

    assert totals(verified)["not applicable"] == 4
    assert all("azure-2025" in row.reason for each in verified for row in each.rows)


def test_recordings_of_2025_are_of_the_default_dialect() -> None:
    """Recordings of 2025 and 2026 are exact under the default dialect, which is chosen by their date."""
    verified = [verify_in_dialect(read_recording(path), AUTO) for path, _ in find_files([FOLDER / "openai-dotnet"])]

    assert totals(verified) == {"exact": 56, "same shape": 0, "differs": 0, "not applicable": 0}
