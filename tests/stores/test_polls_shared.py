"""A job at the pace polls, which moves on with each poll, whichever server is asked."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from uuid import uuid4

import pytest

from stores.polling_servers import POLLS, THREADS, serve_polls
from strategies import example_count

pytestmark = pytest.mark.slow

PROCESSES = 2
STATUSES = ("validating_files", "queued", "running", "succeeded")


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Connection]]:
    """Processes that answer for accounts in stores."""
    context = get_context("spawn")
    pipes = [context.Pipe() for _ in range(PROCESSES)]
    processes = [
        context.Process(target=serve_polls, args=(theirs, worker), daemon=True)
        for worker, (_, theirs) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    yield [ours for ours, _ in pipes]
    for process in processes:
        process.kill()
        process.join()


def test_a_job_never_goes_back(servers: list[Connection], store_url: str) -> None:
    """A client sees a status that is before the one that another client has been answered already."""
    for _ in range(example_count(3, 300)):
        name = uuid4().hex
        for server in servers:
            server.send((store_url, name))
            assert server.recv() == "ready"
        for server in servers:
            server.send("go")
        seen = [(begin, end, STATUSES.index(status)) for each in servers for begin, end, status in each.recv()]
        assert len(seen) == PROCESSES * THREADS * POLLS
        assert not [(one, other) for one in seen for other in seen if one[1] < other[0] and one[2] > other[2]]
        assert max(status for _, _, status in seen) == len(STATUSES) - 1
