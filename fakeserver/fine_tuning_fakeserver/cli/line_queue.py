"""Lines of a log that are written together: to write and flush each by itself takes a fifth of a request's time."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import TextIO

HELD_S = 0.05
"""How many real seconds a line may wait for the next ones: too few for a person to notice."""


class LineQueue:
    """Writes lines to *out*: in an event loop those of `HELD_S` seconds together, elsewhere each at once.

    Whoever runs the loop calls `flush` after it, so that no line is lost. A log that cannot be written is no failure.

    Args:
        out: where the lines go; None: nowhere.
    """

    def __init__(self, out: TextIO | None) -> None:
        self._out = out
        self._lines: deque[str] = deque()
        self._writing = threading.Lock()
        self._is_flush_due = False

    def add(self, line: str) -> None:
        """Write a line soon. Lines are added in one thread."""
        self._lines.append(line)
        if self._is_flush_due:
            return
        if loop := asyncio._get_running_loop():
            self._is_flush_due = True
            loop.call_later(HELD_S, self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        """Write the lines that wait, in one piece. May be called in any thread, before it writes to *out* itself."""
        self._is_flush_due = False  # whatever is added from now on
        with self._writing:
            text = "".join([f"{self._lines.popleft()}\n" for _ in range(len(self._lines))])
            if text and self._out is not None:
                with suppress(OSError):
                    print(text, end="", file=self._out, flush=True)
