"""Control of faults: arm them, look at what came of them, disarm them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from ..bodies import parse_control
from .answers import CONTROL
from .calls import Call
from .routes import Operation

PATH = "/_fake/faults"


class FaultBody(BaseModel):
    """``POST /_fake/faults``: one fault, as ``FakeFineTuning(faults=[…])`` takes it.

    ``kind`` says what goes wrong, with fields of its own; ``fail`` is the default:

    - ``fail``: ``status`` (400 to 599; 500), ``code``, ``message``, ``retry_after`` (seconds, or the header's text)
    - ``rate_limit``: ``retry_after`` (1; null for none), ``code``, ``message``
    - ``delay``: ``seconds``
    - ``disconnect``, ``refuse``
    - ``truncate``: ``bytes`` (how many of the body come; half of them)
    - ``malformed``: ``body`` (a page of HTML), ``status`` (200)
    - ``outage``: ``duration`` (virtual time, ``300`` or ``"5m"``), ``status`` (503), ``code``, ``message``,
      ``retry_after``

    All of them have: ``on`` (an operation's name, or several), ``job`` (its id), ``nth`` (that call only), ``times``
    (1; null for no end, the default with ``probability`` and of an outage), ``probability``, ``seed``, ``applied``.
    """

    model_config = ConfigDict(extra="allow", frozen=True)


def _arm(call: Call) -> Any:
    [spec] = call.faults.parsed([parse_control(FaultBody, call.body, f"POST {PATH}").model_dump()])
    return call.faults.arm(spec, call.service.clock.now()).as_json()


def _list(call: Call) -> Any:
    return {"faults": [fault.as_json() for fault in call.faults.armed(call.service.clock.now())]}


def _clear(call: Call) -> Any:
    call.faults.disarm(call.service.clock.now())
    return _list(call)


FAULT_OPERATIONS = (
    Operation(f"POST {PATH}", "POST", PATH, _arm, CONTROL),
    Operation(f"GET {PATH}", "GET", PATH, _list, CONTROL),
    Operation(f"DELETE {PATH}", "DELETE", PATH, _clear, CONTROL),
)
