"""`serve --metrics`: figures for Prometheus."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.cli import main
from fine_tuning_fakeserver.cli.prometheus import MetricsPage, RequestMetrics, new_registry
from fine_tuning_fakeserver.web.in_process import transport
from serve_process import KEY, end, line, started
from strategies import BORN, ROWS

DOCS = Path(__file__).parents[3] / "docs"
Figures = dict[tuple[str, ...], float]


def figures(http: httpx.Client) -> Figures:
    """The figures at /metrics: by name and labels."""
    answer = http.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def measured(fake: FakeFineTuning) -> httpx.Client:
    """A client of a fake that is measured."""
    accounts = FakeAccounts.around(fake)
    registry = new_registry(accounts)
    app = RequestMetrics(MetricsPage(accounts.asgi_app, registry), registry)
    return httpx.Client(transport=transport(app), base_url="http://fake", headers=KEY)


def test_requests_are_counted_by_operation_and_status() -> None:
    """Requests are counted and timed by operation; unknown paths have no operation, health probes do not count."""
    with measured(FakeFineTuning(pace="manual")) as http:
        for path in ("/v1/models", "/v1/models", "/v1/models/none", "/v1/nowhere", "/ready", "/_fake/clock"):
            http.get(path)
        found = figures(http)

    total = {key[1:]: value for key, value in found.items() if key[0] == "fake_fine_tuning_requests_total"}
    assert total == {
        ("list_models", "200"): 2,
        ("retrieve_model", "404"): 1,
        ("unknown", "404"): 1,
        ("GET /_fake/clock", "200"): 1,
    }
    assert found["fake_fine_tuning_request_duration_seconds_count", "list_models"] == 2


def test_jobs_webhooks_and_time_are_the_accounts() -> None:
    """Figures of the account are those of the moment, also after a reset; scraping moves no time and counts nowhere."""
    fake = FakeFineTuning(start=BORN, pace="instant", webhooks=["http://127.0.0.1:9/hook"])
    fake.add_job(fake.add_file(ROWS)["id"], status="running")
    with measured(fake) as http:
        found = figures(http)
        assert found["fake_fine_tuning_jobs", "running"] == 1
        assert found["fake_fine_tuning_virtual_time_seconds",] == BORN
        fake.advance("1d")
        found = figures(http)
        assert {key[1]: value for key, value in found.items() if key[0] == "fake_fine_tuning_jobs"} == {"succeeded": 1}
        assert sum(value for key, value in found.items() if key[0] == "fake_fine_tuning_webhooks") == 1
        assert fake.requests == []
        fake.reset()
        assert not [key for key in figures(http) if key[0] == "fake_fine_tuning_jobs"]


def test_the_figures_are_documented() -> None:
    """The page about the server names every figure, without those of the process."""
    with measured(FakeFineTuning()) as http:
        http.get("/v1/models")
        families = {family.name for family in text_string_to_metric_families(http.get("/metrics").text)}

    shown = {name for name in families if not name.startswith("process_") and not name.endswith("_created")}
    documented = set(re.findall(r"`(fake_fine_tuning_\w+?)(?:_total)?`", (DOCS / "server.md").read_text()))
    assert documented == shown


@pytest.mark.slow
def test_the_flag_shows_them() -> None:
    """With `--metrics` the server answers at /metrics, without it not, and other hosts are refused there as well."""
    for flags, expected in (((), 404), (("--metrics",), 200)):
        with started("--port", "0", "-q", *flags) as process:
            address = line(process.stdout).removesuffix("/v1")
            assert httpx.get(f"{address}/metrics", trust_env=False).status_code == expected
            refused = httpx.get(f"{address}/metrics", headers={"host": "evil.example"}, trust_env=False)
            assert refused.status_code == 403
            process.send_signal(signal.SIGTERM)
            assert end(process) == ""


def test_without_the_package_the_flag_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where prometheus-client is not installed, `--metrics` is wrong usage that says what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    assert main(["serve", "--metrics"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "Error: --metrics needs prometheus-client, not installed here: pip install 'fake-fine-tuning[metrics]'"
    )
