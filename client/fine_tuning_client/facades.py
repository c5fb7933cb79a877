"""The facades: every operation, on whatever provider is the default at the time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

from fine_tuning_client.client import AsyncFineTuningClient, FineTuningClient
from fine_tuning_client.commands import Flow, Stream
from fine_tuning_client.providers import ProviderProfile
from fine_tuning_client.verbs import AsyncVerbs, BlockingVerbs

T = TypeVar("T")


class FineTuningFacade(BlockingVerbs):
    """Every operation on the default provider, which is settled anew for each call."""

    def using(self, provider: str | ProviderProfile) -> FineTuningClient:
        """Make a client for one provider; the facade itself stays as it is."""
        return FineTuningClient(provider)

    def with_options(self, *, timeout: float | None = None, max_retries: int | None = None) -> FineTuningClient:
        """Make a client for what is now the default provider; the facade itself stays as it is."""
        return FineTuningClient().with_options(timeout=timeout, max_retries=max_retries)

    def _run(self, flow: Flow[T]) -> T:
        return FineTuningClient()._run(flow)

    def _stream(self, flow: Stream[T]) -> Iterator[T]:
        return FineTuningClient()._stream(flow)


class AsyncFineTuningFacade(AsyncVerbs):
    """Every operation on the default provider, awaited; settled anew for each call."""

    def using(self, provider: str | ProviderProfile) -> AsyncFineTuningClient:
        """Make a client for one provider; the facade itself stays as it is."""
        return AsyncFineTuningClient(provider)

    def with_options(self, *, timeout: float | None = None, max_retries: int | None = None) -> AsyncFineTuningClient:
        """Make a client for what is now the default provider; the facade itself stays as it is."""
        return AsyncFineTuningClient().with_options(timeout=timeout, max_retries=max_retries)

    async def _run(self, flow: Flow[T]) -> T:
        return await AsyncFineTuningClient()._run(flow)

    def _stream(self, flow: Stream[T]) -> AsyncIterator[T]:
        return AsyncFineTuningClient()._stream(flow)


FineTuning = FineTuningFacade()
AsyncFineTuning = AsyncFineTuningFacade()
