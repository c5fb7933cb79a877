"""The output of `serve` besides its access log: log records, and the address for other machines."""

from __future__ import annotations

import logging
import socket

from .line_queue import LineQueue
from .output import print_note


class NoteHandler(logging.Handler):
    """Prints log records to stderr, each of their lines as a note: harmless to a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print *record*."""
        for line in self.format(record).split("\n"):
            print_note(line)


def show_logs(quiet: bool, lines: LineQueue, handler: logging.Handler | None = None) -> None:
    """Print what the fake and its libraries log from now on, after the *lines* that wait; errors only if *quiet*.

    Args:
        quiet: whether to print errors only.
        lines: the access log, which goes to the same place.
        handler: prints a record; None: as a note.
    """
    handler = handler or NoteHandler()

    def flush_lines(record: logging.LogRecord) -> bool:
        lines.flush()
        return True

    handler.addFilter(flush_lines)
    level = logging.ERROR if quiet else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", handlers=[handler])
    if not quiet:
        logging.getLogger("fine_tuning_fakeserver").setLevel(logging.INFO)


# Addresses of documentation (RFC 5737, RFC 3849): connecting a datagram socket to one sends nothing, and tells which
# address of this machine a connection to others would come from.
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def address_for_others(listener: socket.socket) -> str:
    """Return host and port by which other machines reach a socket that listens on all addresses, or on one."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        try:
            with socket.socket(listener.family, socket.SOCK_DGRAM) as probe:
                probe.connect((_ELSEWHERE[socket.AddressFamily(listener.family)], 9))
                host = probe.getsockname()[0]
        except OSError:  # no route to other machines now; they may know the name later
            host = socket.gethostname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
