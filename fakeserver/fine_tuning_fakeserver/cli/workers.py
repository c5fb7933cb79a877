"""Several processes that answer on one socket: started, watched, and ended together."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from types import FrameType
from typing import Protocol

from .output import print_note

RESTARTS_AT_MOST = 3
"""How many workers in a row may end sooner than `STARTED_AFTER_S`; with the next, all are stopped."""

STARTED_AFTER_S = 5.0
"""After how many seconds a worker counts as started."""


class Worker(Protocol):
    """What a worker process does."""

    def __call__(self, worker: int, *, is_first: bool) -> None:
        """Work until this process is sent SIGTERM.

        Args:
            worker: its number, from 0.
            is_first: whether no worker of this number has ended before.
        """
        ...


class Workers:
    """Worker processes, each a copy of this one; one that ends by itself is started again.

    Args:
        count: how many.
        work: what a worker does.
    """

    def __init__(self, count: int, work: Worker) -> None:
        self._count, self._work = count, work
        self._numbers: dict[int, int] = {}
        """The number of each worker by its process id."""
        self._started_at: dict[int, float] = {}
        self._is_stopping = False
        self._failures = 0
        self._end_of_parent, self._parent = os.pipe()
        """What is written to the second can be read from the first; nothing ever is, and its end is this process's."""

    def run(self) -> int:
        """Run the workers until this process is sent SIGINT or SIGTERM; return the exit code."""
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, self._stop)
        for number in range(self._count):
            self._start(number, is_first=True)
        while self._numbers:
            process, status = os.wait()
            if process in self._numbers:
                self._end(self._numbers.pop(process), process, status)
        return 1 if self._failures > RESTARTS_AT_MOST else 0

    def _end(self, number: int, process: int, status: int) -> None:
        """Start another worker in the place of one that has ended by itself."""
        if self._is_stopping:
            return
        if time.monotonic() - self._started_at.pop(process) >= STARTED_AFTER_S:
            self._failures = 0
        self._failures += 1
        if self._failures > RESTARTS_AT_MOST:
            print_note(f"worker {number} ends again and again; stopping")
            self._end_all()
            return
        print_note(f"worker {number} has ended ({_reason(status)}); starting another")
        self._start(number, is_first=False)

    def _start(self, number: int, *, is_first: bool) -> None:
        if (process := os.fork()) == 0:
            self._be_worker(number, is_first)
        self._numbers[process] = number
        self._started_at[process] = time.monotonic()
        if self._is_stopping:  # the signal came meanwhile
            self._end_all()

    def _be_worker(self, number: int, is_first: bool) -> None:
        """Work in the new process, and end it without what the first one does at its end."""
        code = 1
        try:
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, signal.SIG_DFL)
            os.close(self._parent)
            threading.Thread(target=self._end_with_parent, name="fake-fine-tuning parent", daemon=True).start()
            self._work(number, is_first=is_first)
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _end_with_parent(self) -> None:
        """End this worker when the first process has ended, however: nobody could stop it any more."""
        os.read(self._end_of_parent, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._is_stopping = True
        self._end_all()

    def _end_all(self) -> None:
        self._is_stopping = True
        for process in self._numbers:
            with suppress(ProcessLookupError):  # it has ended, and was not waited for yet
                os.kill(process, signal.SIGTERM)


def _reason(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
