"""Run all benchmarks and write docs/performance.md: ratios, what was measured, versions and date."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "performance.md"
PARTS = {
    "bench.py": "Requests, lists and memory",
    "start.py": "Starts",
    "plugin_cost.py": "The pytest plugin",
    "import_client.py": "The client",
    "peers.py": "Beside peers",
    "stores.py": "Stores, as ratios to accounts in memory",
}
"""The programs, and the headings of what they print."""
LIBRARIES = (
    "starlette",
    "uvicorn",
    "h11",
    "httptools",
    "uvloop",
    "httpx",
    "openai",
    "respx",
    "pytest-httpserver",
    "moto",
    "vcrpy",
)
HEAD = """# Performance

Ratios of medians, of things measured in turns in one run: machines agree on these. Where two figures follow a ratio,
the fake's is first. `scripts/bench --peers` writes this page; `scripts/bench` alone takes a minute. Nothing fails on a
figure: the tests count the calls that a request makes instead.
"""


def main() -> None:
    """Measure everything, then write the page."""
    parts = [_part(program, heading) for program, heading in PARTS.items()]
    PAGE.write_text("\n".join([HEAD, _conditions(), *parts]))


def _part(program: str, heading: str) -> str:
    print(f"{program} ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-W", "ignore", str(FOLDER / program)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(printed, end="", flush=True)
    return f"## {heading}\n\n```text\n{printed.rstrip()}\n```\n"


def _conditions() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    processor = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"
    return f"Measured on {datetime.now(UTC):%Y-%m-%d}: {processor}; {libraries}, aimock {_aimock_version()}.\n"


def _aimock_version() -> str:
    package = Path(os.environ["BENCH_AIMOCK"]).resolve().parents[1] / "package.json"
    return str(json.loads(package.read_text())["version"])


if __name__ == "__main__":
    main()
