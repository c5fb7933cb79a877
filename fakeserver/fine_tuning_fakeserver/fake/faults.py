"""Failures on demand: what goes wrong on the wire, at which calls, and what they hit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from fine_tuning_formats.text import Duration

from ..account.armed_faults import ArmedFault
from ..account.world import World
from ..domain.fault_spec import FaultTarget


class FaultControl:
    """Makes calls fail, for any client, in process and over a socket.

    A call is hit by one fault, the oldest that matches it, when its request has been read; every method takes the
    fields of `FaultTarget` as keywords. Calls that are hit are in the request log. Control calls never fail.

    Under a server that is not the fake's own (with `asgi_app`), delays are real and a connection cannot be closed: a
    fault that would do so answers 502 with a ``fake_error``.
    """

    _world: World

    def arm(self, fault: Mapping[str, object]) -> ArmedFault:
        """Arm a fault that is given as a mapping, as ``POST /_fake/faults`` takes it: ``kind``, and its fields.

        Raises:
            FakeUsageError: it makes no sense.
        """
        return self._world.faults.arm(fault, self._world.now)

    def fail(
        self,
        status: int = 500,
        *,
        retry_after: float | str | None = None,
        code: str | None = None,
        message: str | None = None,
        **aim: Unpack[FaultTarget],
    ) -> ArmedFault:
        """Answer with an error, in the service's own words where they are known.

        Args:
            status: 400 to 599.
            retry_after: seconds, or the text of a ``retry-after`` header; None for none.
            code: the error's ``code``; ``"insufficient_quota"`` with 429 brings its own text.
            message: the error's text.
            aim: which calls.

        Raises:
            FakeUsageError: a value makes no sense; so do the other methods.
        """
        return self._arm("fail", aim, status=status, retry_after=retry_after, code=code, message=message)

    def rate_limit(
        self,
        *,
        retry_after: float | str | None = 1.0,
        code: str | None = None,
        message: str | None = None,
        **aim: Unpack[FaultTarget],
    ) -> ArmedFault:
        """Answer 429: too many requests a minute. Other 429s: `fail` with a code."""
        return self._arm("rate_limit", aim, retry_after=retry_after, code=code, message=message)

    def delay(self, seconds: Duration, **aim: Unpack[FaultTarget]) -> ArmedFault:
        """Answer late.

        In process no real time passes: virtual time moves by *seconds*, or by the client's read timeout where that is
        less, which then expires. Over a socket these are real seconds, in which other requests go on; a call whose
        client has gone before they are over takes no effect, unless ``applied``.
        """
        return self._arm("delay", aim, seconds=seconds)

    def disconnect(self, **aim: Unpack[FaultTarget]) -> ArmedFault:
        """Close the connection without an answer."""
        return self._arm("disconnect", aim)

    def refuse(self, **aim: Unpack[FaultTarget]) -> ArmedFault:
        """Refuse the connection: a ConnectError in process.

        Over a socket the connection is reset instead, since the request must have come in to be recognised: a client
        sees a read error, and cannot know that nothing has taken effect.
        """
        return self._arm("refuse", aim)

    def truncate(self, *, bytes: int | None = None, **aim: Unpack[FaultTarget]) -> ArmedFault:
        """Answer with less than Content-Length promises, then close; without *bytes* half of the body comes.

        With ``applied`` the real answer is cut short; otherwise a placeholder is.
        """
        return self._arm("truncate", aim, bytes=bytes)

    def malformed(
        self, *, body: str | bytes | None = None, status: int = 200, **aim: Unpack[FaultTarget]
    ) -> ArmedFault:
        """Answer with something else than the service's JSON: a page of HTML, or this *body*."""
        return self._arm("malformed", aim, body=body, status=status)

    def outage(
        self,
        duration: Duration,
        *,
        status: int = 503,
        retry_after: float | str | None = None,
        code: str | None = None,
        message: str | None = None,
        **aim: Unpack[FaultTarget],
    ) -> ArmedFault:
        """Answer all calls with an error for *duration* of virtual time, from now on.

        At the paces "polls" and "instant" four refused retrieves of a job bring it to its end, or five refused lists in
        a loop that only lists; at any pace an `advance` does.
        """
        own = {"status": status, "retry_after": retry_after, "code": code, "message": message}
        return self._arm("outage", aim, duration=duration, **own)

    @property
    def faults(self) -> list[ArmedFault]:
        """All faults since the account began, oldest first; each with how often it has ``fired``, and on which
        ``requests`` of the log.
        """
        return self._world.faults.all(self._world.now)

    @property
    def unfired_faults(self) -> list[ArmedFault]:
        """The faults that have hit nothing, cleared ones too."""
        return self._world.faults.unfired(self._world.now)

    def clear_faults(self) -> None:
        """Forget all faults; those that never fired are still among `unfired_faults`."""
        self._world.faults.disarm(self._world.now)

    def _arm(self, kind: str, aim: FaultTarget, **own: object) -> ArmedFault:
        return self.arm({**own, **aim, "kind": kind})
