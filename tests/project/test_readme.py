"""The README is short and its code runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from downstream_project import WITHOUT_OURS
from fine_tuning_fakeserver.web import documents

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def block(words: str) -> str:
    """Return the README's Python code block that contains these words."""
    (code,) = (code for kind, code in BLOCKS if kind == "python" and words in code)
    return str(code)


def test_it_is_short() -> None:
    """The README has at most 150 lines, with complete code within the first 50."""
    lines = README.splitlines()

    assert len(lines) <= 150
    assert "\n".join(lines[:50]).count("```") >= 3


def test_the_program_without_pytest_prints_a_model(tmp_path: Path) -> None:
    """The README's program without pytest prints a model."""
    code = block("with FakeFineTuning() as fake")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ft:gpt-4o-mini-2024-07-18")


def test_its_figures_of_evidence_are_the_ledgers() -> None:
    """The README counts facts, and those that are inferred, as the ledger does."""
    total = documents.fidelity()["total"]

    assert f"- {total['entries']} facts " in README
    assert f"; {total['inferred']['percent']:.1f} % are inferred" in README


@pytest.mark.slow
def test_the_tests_pass(pytester: pytest.Pytester) -> None:
    """The README's tests pass."""
    (pytester.path / "test_train.py").write_text(block("# test_train.py"), encoding="utf-8")
    pytester.runpytest_subprocess(*WITHOUT_OURS, "-W", "error", "-p", "no:cacheprovider").assert_outcomes(passed=3)


@pytest.mark.slow
def test_the_tests_pass_explored(pytester: pytest.Pytester) -> None:
    """The README's tests pass with the flag that explores them, those with a loop that does not sleep as they are."""
    (pytester.path / "test_train.py").write_text(block("# test_train.py"), encoding="utf-8")
    result = pytester.runpytest_subprocess(
        *WITHOUT_OURS, "-W", "error", "-p", "no:cacheprovider", "--fine-tuning-explore"
    )

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*::test_success", "  not explored: *", "*::test_an_outage", "  * runs in *"])
