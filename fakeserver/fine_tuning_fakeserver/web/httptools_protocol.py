"""uvicorn's protocol on httptools, which parses requests in C; it accepts and refuses what the one on h11 does."""

from __future__ import annotations

from typing import Any, Literal

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .protocols import LimitedProtocol, end_cycle

HEAD_BYTES_AT_MOST = 64 * 1024
"""How many more bytes may come of a head that has begun; h11 takes as many in all."""


class DecliningProtocol(HttpToolsProtocol):
    """Declines the offer of a request to go on in another protocol, as Java's client makes it, and reads its body.

    For httptools such a request ends with its head: what follows would be of that protocol. Only HTTP/1.1 is spoken
    here, so the body is read by another parser, which is told of the head without the offer (RFC 9110, 7.8).
    """

    def data_received(self, data: bytes) -> None:
        """Take the next piece of a request."""
        self._unset_keepalive_if_required()
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    return
                except httptools.HttpParserUpgrade as offer:
                    data = data[offer.args[0] :]
                    self._read_without_offer()
        except httptools.HttpParserError:
            self.refuse()

    def refuse(self) -> None:
        """Answer that this is no request, and close the connection."""
        text = "Invalid HTTP request received."
        self.logger.warning(text)
        self.send_400_response(text)

    def on_message_complete(self) -> None:
        """Note the end of a request, unless it is that of a head with an offer."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _read_without_offer(self) -> None:
        declined = _AfterOffer(self)
        version = self.scope["http_version"].encode()
        framing = [pair for pair in self.headers if pair[0] in (b"content-length", b"transfer-encoding", b"connection")]
        lines = [b"%s: %s\r\n" % (name, value) for name, value in framing if name != b"connection" or value == b"close"]
        self.parser = httptools.HttpRequestParser(declined)
        self.parser.feed_data(b"POST / HTTP/%s\r\n%s\r\n" % (version, b"".join(lines)))
        declined.is_told_again = False


class _AfterOffer:
    """Forwards what a parser reads, except for the repeated head at its beginning."""

    def __init__(self, protocol: DecliningProtocol) -> None:
        self._protocol = protocol
        self.is_told_again = True
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        """Begin a request."""
        if not self.is_told_again:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take the target of a request."""
        if not self.is_told_again:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if not self.is_told_again:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        """End the head of a request."""
        if not self.is_told_again:
            self._protocol.on_headers_complete()


class FastProtocol(LimitedProtocol, DecliningProtocol):
    """uvicorn's protocol by httptools, with limits; what it takes and h11 does not is refused."""

    _reading: Literal["nothing", "head", "body"] = "nothing"
    _more_of_head = 0
    """How many bytes have come of a head since it began, but for the first piece."""

    def data_received(self, data: bytes) -> None:
        """Take the next piece of a request; a head without an end is refused."""
        self._more_of_head += len(data) if self._reading == "head" else -self._more_of_head
        super().data_received(data)
        if self._reading == "head" and self._more_of_head > HEAD_BYTES_AT_MOST:
            self.refuse()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._reading = "head"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End the head of a request; refuse one without exactly one Host header (RFC 9112, 3.2)."""
        self._reading = "body"
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise ValueError("Host")  # httptools makes an error of its own of it
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        super().on_message_complete()
        self._reading = "body" if self.parser.should_upgrade() else "nothing"

    def write_piece(self, cycle: Any, status: int, head: bytes, body: bytes) -> bool:
        """Write a response, and end *cycle* as uvicorn does."""
        end_cycle(cycle, head + (b"" if cycle.keep_alive else b"connection: close\r\n") + b"\r\n" + body)
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True

    @property
    def _lacks_head(self) -> bool:
        return self._reading == "head"

    @property
    def _awaits(self) -> Literal["head", "body", "nothing"]:
        if self._reading == "body":
            return "body"
        is_answered = self.cycle is None or self.cycle.response_complete
        return "head" if is_answered and self.timeout_keep_alive_task is None else "nothing"
