"""What the pytest plugin costs: a run that does not use it, and a test that does; side by side, in rounds.

``python benchmarks/plugin_cost.py`` takes about a minute. Ratios and differences are of medians; the machine's own
speed is in both sides of each.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = 1000
ROUNDS = 5
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
WITHOUT = ["-p", "no:fake_fine_tuning"]

EMPTY = "import pytest\n\n@pytest.mark.parametrize('n', range({tests}))\ndef test_nothing(n{fixture}):\n    pass\n"
WARM = "\ndef test_first(fake_fine_tuning):\n    pass\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(a_test(Path(folder)), flush=True)
        print(an_unused_plugin(Path(folder)), flush=True)
    print(an_import(), flush=True)


def a_test(folder: Path) -> str:
    """The fixture, per test: imports and the server's start are in both sides, in a first test of their own."""
    plain = _written(folder / "test_plain.py", WARM + EMPTY.format(tests=TESTS, fixture=""))
    fixture = _written(folder / "test_fixture.py", WARM + EMPTY.format(tests=TESTS, fixture=", fake_fine_tuning"))
    first, second = _rounds([*PYTEST, plain], [*PYTEST, fixture])
    each_ms = (second - first) / TESTS * 1000
    return f"fixture      {TESTS} empty tests {first:.2f} s, with it {second:.2f} s: {each_ms:.2f} ms a test"


def an_unused_plugin(folder: Path) -> str:
    """A run that does not use the plugin, with and without it."""
    plain = _written(folder / "test_unused.py", EMPTY.format(tests=TESTS, fixture=""))
    first, second = _rounds([*PYTEST, *WITHOUT, plain], [*PYTEST, plain])
    return (
        f"unused       {TESTS} empty tests {first:.2f} s, plugin installed {second:.2f} s: {second / first:.3f} times"
    )


def an_import() -> str:
    """What importing the plugin adds to importing pytest, as Python itself counts it."""
    command = [sys.executable, "-X", "importtime", "-c", "import pytest, pytest_fine_tuning"]
    found = []
    for _ in range(ROUNDS):
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        found.append(int(re.findall(r"\|\s+(\d+) \| pytest_fine_tuning$", said, re.MULTILINE)[0]))
    return f"import       {statistics.median(found) / 1000:.2f} ms, after pytest"


def _written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def _rounds(first: list[str], second: list[str]) -> tuple[float, float]:
    """Seconds of each, in rounds that take turns, so that a busy machine troubles both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for command, measured in zip((first, second), times, strict=True):
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, cwd=Path(command[-1]).parent)
            measured.append(time.perf_counter() - began)
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main()
