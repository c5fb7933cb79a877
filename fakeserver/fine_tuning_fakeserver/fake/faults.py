"""Failures on demand: what goes wrong on the wire, at which calls, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from ..domain.durations import Duration
from ..domain.fault_spec import FaultTarget
from ..web.fault_injector import ArmedFault, ArmedFaults
from .base import FakeBase


class FaultControl(FakeBase):
    """Makes calls fail, for any client, in process and over a socket.

    A call is hit by one fault, the oldest of those that are for it, when its request has been read; every method
    takes the fields of `FaultTarget` as keywords. Calls that are hit are in the request log. Control calls never fail.

    Over a server that is not the fake's own (`asgi_app` under another one), delays are real and hanging up is not to be
    had: a fault that would do so answers 502 with a ``fake_error``.
    """

    _faults: ArmedFaults

    def arm(self, fault: Mapping[str, object]) -> ArmedFault:
        """Arm a fault that is given as a mapping, as ``POST /_fake/faults`` takes it: ``kind``, and its fields.

        Raises:
            FakeUsageError: it makes no sense.
        """
        [spec] = self._faults.parse([fault])
        return self._faults.arm(spec, self._service.clock.now())

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
            FakeUsageError: a value is no good; so do the other methods.
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

        In process nobody waits: virtual time moves by *seconds*, or by the client's read timeout where that is less,
        which the client then runs into. Over a socket these are real seconds, in which other requests go on, and a
        client that has gone before they are over has called for nothing, unless ``applied``.
        """
        return self._arm("delay", aim, seconds=seconds)

    def disconnect(self, **aim: Unpack[FaultTarget]) -> ArmedFault:
        """Hang up without an answer."""
        return self._arm("disconnect", aim)

    def refuse(self, **aim: Unpack[FaultTarget]) -> ArmedFault:
        """Refuse the connection: a ConnectError in process.

        Over a socket, where the request has come in before it is known which it is, the connection is reset instead:
        a client sees an error in reading, and cannot know that nothing has taken effect.
        """
        return self._arm("refuse", aim)

    def truncate(self, *, bytes: int | None = None, **aim: Unpack[FaultTarget]) -> ArmedFault:
        """Answer with less than Content-Length promises, then hang up; without *bytes* half of the body comes.

        With ``applied`` it is the answer that is cut short; otherwise none was made, and it is a stopgap.
        """
        return self._arm("truncate", aim, bytes=bytes)

    def malformed(
        self, *, body: str | bytes | None = None, status: int = 200, **aim: Unpack[FaultTarget]
    ) -> ArmedFault:
        """Answer with what is no JSON of the service: a page of HTML, or this *body*."""
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
        """Answer all calls with an error for so long in virtual time, from now on.

        At the paces "polls" and "instant", at which looking at a job moves time, four looks that are turned away
        bring it to its end; at any pace an `advance` does.
        """
        own = {"status": status, "retry_after": retry_after, "code": code, "message": message}
        return self._arm("outage", aim, duration=duration, **own)

    @property
    def faults(self) -> list[ArmedFault]:
        """All faults since the account began, oldest first; each with how often it has ``fired``, and on which
        ``requests`` of the log.
        """
        return self._faults.all(self._service.clock.now())

    @property
    def unfired_faults(self) -> list[ArmedFault]:
        """The faults that have hit nothing, cleared ones too: of no use to a test that arms them."""
        return self._faults.unfired(self._service.clock.now())

    def clear_faults(self) -> None:
        """Let nothing go wrong any more, and forget what did; what never did is still among `unfired_faults`."""
        self._faults.disarm(self._service.clock.now())

    def _arm(self, kind: str, aim: FaultTarget, **own: object) -> ArmedFault:
        return self.arm({**own, **aim, "kind": kind})
