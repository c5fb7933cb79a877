"""Call the async client and facade like the blocking ones, so that one test serves both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

from fine_tuning_client import AsyncFineTuningClient


class Awaited:
    """An async client or facade whose methods run to their end; iterators become lists."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._target, name)
        return lambda *args, **options: _run(verb(*args, **options))


def _run(result: Any) -> Any:
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    if isinstance(result, AsyncIterator):
        return iter(asyncio.run(_listed(result)))
    return Awaited(result) if isinstance(result, AsyncFineTuningClient) else result


async def _listed(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]
