"""The library of sessions is what its script records, and the fake still answers so."""

from __future__ import annotations

from pathlib import Path

import pytest

import record_sessions
from fine_tuning_cassettes.bundled import FOLDER
from fine_tuning_fakeserver.cli import main


def test_recorded_anew_they_are_the_same(tmp_path: Path) -> None:
    """The script that records the sessions gives the bytes that are shipped."""
    record_sessions.record(tmp_path)
    shipped = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    recorded = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(recorded) == sorted(shipped)
    assert [name for name in shipped if recorded[name] != shipped[name]] == []


def test_the_fake_is_verified_against_them(capsys: pytest.CaptureFixture[str]) -> None:
    """`fake-fine-tuning verify` finds no exchange in the library that the fake answers otherwise."""
    assert main(["verify", str(FOLDER)]) == 0
    assert ", 0 same shape, 0 differ, " in capsys.readouterr().out
