"""`fake-fine-tuning fidelity`: a table of figures, JSON, and Markdown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fine_tuning_fakeserver.cli import main
from fine_tuning_fakeserver.cli.fidelity import BEGIN, END
from fine_tuning_fakeserver.evidence import KINDS
from fine_tuning_fakeserver.web import documents


def test_figures_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    """Without flags the output is a table with a row per area and a column per kind of evidence."""
    assert main(["fidelity"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    ledger = documents.fidelity()

    assert heading.split() == ["entries", *KINDS]
    assert [line.split()[0] for line in lines] == [*ledger["areas"], "all"]
    assert f"{ledger['total']['recorded']['percent']:.1f} %" in lines[-1]
    assert max(map(len, lines)) <= 80


def test_the_ledger_for_a_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """``--json`` prints the whole ledger."""
    assert main(["fidelity", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == documents.fidelity()


def test_the_table_for_a_file(tmp_path: Path) -> None:
    """``--markdown`` writes the table between the markers, and changes nothing else."""
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    assert main(["fidelity", "--markdown", str(file)]) == 0
    lines = file.read_text().splitlines()
    assert lines[:3] == ["before", BEGIN, "| route | success | refusals |"]
    assert lines[-3].startswith("| `POST /v1/completions` |")
    assert lines[-2:] == [END, "after"]


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), ("no markers", "must have these markers once")]
)
def test_a_file_without_a_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    """A file that is missing or has no markers is refused with exit code 2."""
    file = tmp_path / "README.md"
    if content is not None:
        file.write_text(content)

    assert main(["fidelity", "--markdown", str(file)]) == 2
    assert message in capsys.readouterr().err
