"""What a start costs: the command `exec`, the command `serve`, and a first test that uses the fixture.

Each happens in an interpreter of its own, in rounds that take turns with what it is compared with; medians. Takes half
a minute.
"""

from __future__ import annotations

import http.client
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 9
MAIN = "import sys; from fine_tuning_fakeserver.cli import main; sys.exit(main())"
BARE = """
import socket, sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

async def endpoint(request):
    return Response(b"{}", media_type="application/json")

app = Starlette(routes=[Route("/health", endpoint)])
listener = socket.create_server(("127.0.0.1", 0))
print("http://{}:{}/v1".format(*listener.getsockname()), flush=True)
config = uvicorn.Config(app, http="h11", loop="asyncio", log_config=None, lifespan="off")
uvicorn.Server(config).run(sockets=[listener])
"""
WITHOUT = "def test_first():\n    pass\n"
WITH = "def test_first(fake_fine_tuning):\n    pass\n"

Run = Callable[[], float | None]
"""Runs a program; returns when it was answered, where that is not at its end."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain, fixture = (_written(Path(folder), name, text) for name, text in (("plain", WITHOUT), ("with", WITH)))
        spent = _milliseconds(
            {
                "bare": lambda: _first_answer("-c", BARE),
                "serve": lambda: _first_answer("-c", MAIN, "serve", "--port", "0", "--quiet"),
                "exec": lambda: _python("-c", MAIN, "exec", "--", "true"),
                "plain": lambda: _pytest(plain),
                "fixture": lambda: _pytest(fixture),
            }
        )
    for what, ours, aim in (("serve to the first answer", "serve", "<= 1.6"), ("exec -- true", "exec", "<= 1.6")):
        ratio, detail = spent[ours] / spent["bare"], f"{spent[ours]:.0f} and {spent['bare']:.0f} ms"
        print(f"{f'{what}: time to bare Starlette, first answer':<62} {ratio:5.2f}   aim {aim}   {detail}")
    first = spent["fixture"] - spent["plain"]
    ratio, detail = first / spent["bare"], f"{first:.0f} and {spent['bare']:.0f} ms"
    print(
        f"{'first use of the fixture: time to bare Starlette, first answer':<62} {ratio:5.2f}   aim <= 1.8   {detail}"
    )


def _milliseconds(runs: dict[str, Run]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-1, ROUNDS):  # the first round fills the caches
        for name, run in runs.items():
            begun = time.perf_counter()
            answered = run()
            if turn >= 0:
                times[name].append(((answered or time.perf_counter()) - begun) * 1e3)
    return {name: statistics.median(spent) for name, spent in times.items()}


def _first_answer(*arguments: str) -> float:
    """Start a server that prints its URL, ask it once, and return when it answered."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    host, port = process.stdout.readline().split("/")[2].split(":")
    connection = http.client.HTTPConnection(host, int(port))
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    answered = time.perf_counter()
    connection.close()
    process.kill()
    process.communicate()
    return answered


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def _pytest(path: str) -> None:
    _python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", path)


def _written(folder: Path, name: str, text: str) -> str:
    path = folder / f"test_{name}.py"
    path.write_text(text)
    return str(path)


if __name__ == "__main__":
    main()
