"""Cassettes, read by `fake-fine-tuning verify`."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from cassette_clients import KEY, ROWS, call_with_ours
from fine_tuning_cassettes import use_cassette
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.cli import main
from fine_tuning_fakeserver.verify.readers import read_recording


def record(path: Path, scrub: bool) -> None:
    """Record a job, and the download of its training file."""
    fake = FakeFineTuning(seed=1)
    with fake.serving() as url, use_cassette(path, "once", scrub_training_data=scrub), httpx.Client() as client:
        call_with_ours(url)
        file = fake.jobs[0]["training_file"]
        client.get(f"{url}/files/{file}/content", headers={"authorization": f"Bearer {KEY}"})


def test_a_scrubbed_cassette_is_verified_but_for_the_content(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A scrubbed cassette is verified, except for the download of content that was replaced by digests."""
    record(tmp_path / "c.yaml", scrub=True)
    assert read_recording(tmp_path / "c.yaml").exchanges[0].request_body is None
    assert main(["verify", str(tmp_path / "c.yaml")]) == 0
    output = capsys.readouterr().out
    assert "the cassette has digests in place of the file's content" in output
    assert output.splitlines()[-1] == "verified: 5 exact, 0 same shape, 0 differ, 1 not applicable"


def test_a_cassette_with_its_rows_is_verified_with_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cassette with its rows is verified completely."""
    record(tmp_path / "c.yaml", scrub=False)
    body = read_recording(tmp_path / "c.yaml").exchanges[0].request_body
    assert body is not None
    assert ROWS in body
    assert main(["verify", str(tmp_path / "c.yaml")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verified: 6 exact, 0 same shape, 0 differ, 0 not applicable"
