"""`fake-fine-tuning serve --setup FILE`: a server that begins with what a file says."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from serve_process import KEY, end, line, started
from strategies import ROWS

pytestmark = pytest.mark.slow


@pytest.fixture
def setup(tmp_path: Path) -> Path:
    """A setup file with a pace, a file and a job, and no seed."""
    path = tmp_path / "team.toml"
    (tmp_path / "train.jsonl").write_text(ROWS, encoding="utf-8")
    path.write_text(
        """
[settings]
pace = "manual"
organization = "acme"
api_keys = ["secret-key"]

[[file]]
id = "file-train"
path = "train.jsonl"

[[job]]
id = "ftjob-old"
training_file = "file-train"
""",
        encoding="utf-8",
    )
    return path


def test_a_server_begins_as_the_file_says(setup: Path) -> None:
    """The file wins over the defaults of options, an option that is given over the file; a reset returns to it."""
    with started("--port", "0", "--setup", str(setup), "--pace", "polls", FAKE_FINE_TUNING_SEED="5") as process:
        url, *exports = (line(process.stdout) for _ in range(5))
        control = url.removesuffix("/v1") + "/_fake"
        with httpx.Client(trust_env=False, headers=KEY) as http:
            for _ in range(2):
                state = http.get(control).json()
                assert (state["account"]["seed"], state["account"]["organization"]) == (5, "acme")
                assert state["clock"]["pace"] == "polls"
                assert http.get(f"{url}/fine_tuning/jobs/ftjob-old").json()["status"] == "succeeded"
                http.post(f"{control}/reset")
        process.send_signal(signal.SIGTERM)
        assert "export OPENAI_API_KEY=secret-key" in exports
        assert "pace polls, seed 5" in end(process)
    assert process.returncode == 0


def test_a_wrong_setup_starts_no_server(setup: Path) -> None:
    """A setup that makes no sense ends `serve` with exit code 2 and the file, line and field, before it listens."""
    setup.write_text(setup.read_text().replace("organization", "organisation"), encoding="utf-8")
    with started("--port", "0", "--setup", str(setup)) as process:
        errors = end(process)

    assert process.returncode == 2
    assert f"{setup}, line 4, settings: unknown setting 'organisation' (did you mean 'organization'?)" in errors
