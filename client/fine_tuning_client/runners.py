"""Run flows, blocking and awaited: the only place that sends, sleeps and reads a clock."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from inspect import isawaitable
from typing import TypeVar, cast

from fine_tuning_client.config import ResolvedConfig
from fine_tuning_client.effects import Command, Emit, Flow, Outcome, Request, Sleep, Stream
from fine_tuning_client.transport import HttpClient, exchange, exchange_async

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EffectContext:
    """What the commands of one operation are carried out with."""

    config: ResolvedConfig
    http: HttpClient
    timeout: float
    sleep: Callable[[float], object]
    clock: Callable[[], float]


def run(flow: Flow[T], context: EffectContext) -> T:
    """Run *flow* to its end, blocking."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration as done:
            return cast(T, done.value)
        outcome = _perform(command, context)


def stream(flow: Stream[T], context: EffectContext) -> Generator[T, None, None]:
    """Run *flow* as far as the caller iterates, blocking."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration:
            return
        outcome = None
        if isinstance(command, Emit):
            yield command.item
        else:
            outcome = _perform(command, context)


async def run_async(flow: Flow[T], context: EffectContext) -> T:
    """Run *flow* to its end."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration as done:
            return cast(T, done.value)
        outcome = await _perform_async(command, context)


async def stream_async(flow: Stream[T], context: EffectContext) -> AsyncGenerator[T, None]:
    """Run *flow* as far as the caller iterates."""
    outcome: Outcome = None
    while True:
        try:
            command = flow.send(outcome)
        except StopIteration:
            return
        outcome = None
        if isinstance(command, Emit):
            yield command.item
        else:
            outcome = await _perform_async(command, context)


def _perform(command: Command, context: EffectContext) -> Outcome:
    if isinstance(command, Request):
        return exchange(command, context.config, context.http, context.timeout)
    if isinstance(command, Sleep):
        context.sleep(command.seconds)
        return None
    return context.clock()


async def _perform_async(command: Command, context: EffectContext) -> Outcome:
    if isinstance(command, Request):
        return await exchange_async(command, context.config, context.http, context.timeout)
    if isinstance(command, Sleep):
        slept = context.sleep(command.seconds)
        if isawaitable(slept):
            await slept
        return None
    return context.clock()
