"""Run flows: the only place that sends, sleeps and looks at a clock."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from inspect import isawaitable
from typing import TypeVar

from fine_tuning_client.effects import Command, Emit, Flow, Outcome, Request, Sleep, Stream
from fine_tuning_client.providers import Endpoint
from fine_tuning_client.transport import HttpClient, exchange, exchange_async

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EffectContext:
    """What commands are carried out with, for one operation."""

    endpoint: Endpoint
    http: HttpClient
    timeout: float
    sleep: Callable[[float], object]
    clock: Callable[[], float]


def run(flow: Flow[T], door: EffectContext) -> T:
    """Drive *flow* to its end, blocking."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration as done:
            result: T = done.value
            return result
        outcome = _perform(command, door)


def stream(flow: Stream[T], door: EffectContext) -> Generator[T, None, None]:
    """Drive *flow* as far as somebody iterates, blocking."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration:
            return
        if isinstance(command, Emit):
            yield command.item
            outcome = None
        else:
            outcome = _perform(command, door)


async def run_async(flow: Flow[T], door: EffectContext) -> T:
    """Drive *flow* to its end."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration as done:
            result: T = done.value
            return result
        outcome = await _perform_async(command, door)


async def stream_async(flow: Stream[T], door: EffectContext) -> AsyncGenerator[T, None]:
    """Drive *flow* as far as somebody iterates."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration:
            return
        if isinstance(command, Emit):
            yield command.item
            outcome = None
        else:
            outcome = await _perform_async(command, door)


def _perform(command: Command, door: EffectContext) -> Outcome:
    if isinstance(command, Request):
        return exchange(command, door.endpoint, door.http, door.timeout)
    if isinstance(command, Sleep):
        door.sleep(command.seconds)
        return None
    return door.clock()


async def _perform_async(command: Command, door: EffectContext) -> Outcome:
    if isinstance(command, Request):
        return await exchange_async(command, door.endpoint, door.http, door.timeout)
    if isinstance(command, Sleep):
        slept = door.sleep(command.seconds)
        if isawaitable(slept):
            await slept
        return None
    return door.clock()
