"""What importing the client costs, beside httpx's own import.

Each import happens in an interpreter of its own, in rounds that take turns; medians of whole runs, less that of an
interpreter that imports nothing. The client imports httpx when it first sends something, so both figures count: the
client alone, and with httpx. Takes some seconds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 21
IMPORTS = {
    "nothing": "pass",
    "httpx": "import httpx",
    "client": "from fine_tuning_client import FineTuningClient",
    "both": "import httpx; from fine_tuning_client import FineTuningClient",
    "openai": "import openai",
}


def main() -> None:
    runs = milliseconds()
    bare = runs["nothing"]
    detail = f"{runs['client']:.1f} and {bare:.1f} ms"
    print(f"{'start with the client to a bare start':<52} {runs['client'] / bare:6.2f}   aim {'none':<8} {detail}")
    found = {name: spent - bare for name, spent in runs.items()}
    for what, over, aim in (("client", "httpx", "<= 0.8"), ("both", "httpx", "<= 1.6"), ("client", "openai", "<= 0.2")):
        detail = f"{found[what]:.1f} and {found[over]:.1f} ms"
        print(f"{f'import of {what} to {over}':<52} {found[what] / found[over]:6.2f}   aim {aim:<8} {detail}")


def milliseconds() -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for turn in range(-1, ROUNDS):  # the first round fills the caches
        for name, statement in IMPORTS.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            if turn >= 0:
                times[name].append((time.perf_counter() - begun) * 1e3)
    return {name: statistics.median(spent) for name, spent in times.items()}


if __name__ == "__main__":
    main()
