"""`serve --metrics`: figures for Prometheus at /metrics, by the package prometheus-client."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, make_asgi_app
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Receive, Scope, Send

from ..fake.fake_accounts import FakeAccounts
from .request_observer import PROBES, ObservedRequest, RequestObserver

PATH = "/metrics"
PREFIX = "fake_fine_tuning"


class AccountCollector(Collector):
    """Reads jobs and webhooks of all accounts, and the time of main, when asked for them; reading moves no time."""

    def __init__(self, accounts: FakeAccounts) -> None:
        self._accounts = accounts

    def collect(self) -> Iterator[Metric]:
        """Yield the figures as they are now."""
        statuses, deliveries = Count[str](), Count[str]()
        worlds = self._accounts.worlds
        for world in worlds.values():
            with world.service.lock:
                account = world.account
                statuses.update(account.status_counts.by_status(world.now))
                deliveries.update(delivery.status for delivery in account.outbox.deliveries.values())
        jobs = GaugeMetricFamily(f"{PREFIX}_jobs", "Jobs by status.", labels=["status"])
        for status, count in statuses.items():
            jobs.add_metric([status], count)
        yield jobs
        webhooks = GaugeMetricFamily(f"{PREFIX}_webhooks", "Deliveries of webhooks by status.", labels=["status"])
        for status, count in deliveries.items():
            webhooks.add_metric([status], count)
        yield webhooks
        now = self._accounts.main.now
        yield GaugeMetricFamily(f"{PREFIX}_virtual_time_seconds", "Virtual time of main in Unix seconds.", now)


class MetricsPage:
    """ASGI middleware that answers for /metrics, and passes everything else on."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._page = make_asgi_app(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        is_asked = scope["type"] == "http" and scope["path"] == PATH and scope["method"] in ("GET", "HEAD")
        await (self._page if is_asked else self._app)(scope, receive, send)


class RequestMetrics(RequestObserver):
    """ASGI middleware that counts requests, but health probes, and measures how long they take."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        super().__init__(app)
        text, labels = "Requests by operation and status.", ["operation", "status"]
        self._requests = Counter(f"{PREFIX}_requests", text, labels, registry=registry)
        text = "Real time that requests took, by operation."
        self._durations = Histogram(f"{PREFIX}_request_duration_seconds", text, ["operation"], registry=registry)

    def observe(self, request: ObservedRequest) -> None:
        """Count a request; one that got no response has the status ``none``."""
        if request.scope["path"] in PROBES:
            return
        operation = request.operation or "unknown"
        self._requests.labels(operation, str(request.status or "none")).inc()
        self._durations.labels(operation).observe(request.duration_s)


def new_registry(accounts: FakeAccounts) -> CollectorRegistry:
    """Return a registry with the figures of accounts and of this process."""
    registry = CollectorRegistry()
    registry.register(AccountCollector(accounts))
    ProcessCollector(registry=registry)
    return registry
