"""The fixtures of the plugin, as a user's tests use them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import pytest_fine_tuning.fixture  # noqa: F401  # here, so that runs inside of this one do not import it anew each time
from downstream_project import WITHOUT_OURS

pytestmark = pytest.mark.slow

POLLING = """
import openai

def test_trains(fake_fine_tuning):
    client = openai.OpenAI()
    rows = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n' * 10
    file = client.files.create(file=("train.jsonl", rows.encode()), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")
    seen = [job.status]
    while job.status not in ("succeeded", "failed", "cancelled"):
        job = client.fine_tuning.jobs.retrieve(job.id)
        seen.append(job.status)
    assert seen == ["validating_files", "queued", "running", "succeeded"]
    assert fake_fine_tuning.jobs[0]["fine_tuned_model"] == job.fine_tuned_model
"""


def test_a_polling_loop_of_the_official_client_ends_without_configuration(pytester: pytest.Pytester) -> None:
    """A test with the fixture and an SDK client made without arguments trains a model."""
    pytester.makepyfile(POLLING)
    pytester.runpytest_subprocess(*WITHOUT_OURS, "-W", "error", "-W", "ignore::ResourceWarning").assert_outcomes(
        passed=1
    )


def test_each_test_has_a_fresh_account(pytester: pytest.Pytester) -> None:
    """Each test starts with an empty account, on the same server."""
    pytester.makepyfile(
        """
        urls = set()
        ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'

        def test_first(fake_fine_tuning):
            file = fake_fine_tuning.add_file("\\n".join([ROW] * 10))
            fake_fine_tuning.add_job(file["id"], status="running")
            fake_fine_tuning.plan = {"outcome": "failed"}
            fake_fine_tuning.pace = "manual"
            urls.add(fake_fine_tuning.base_url)

        def test_second(fake_fine_tuning):
            assert fake_fine_tuning.jobs == []
            assert fake_fine_tuning.plan.outcome == "succeeded"
            assert fake_fine_tuning.pace == "polls"
            assert {fake_fine_tuning.base_url} == urls
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=2)


def test_the_environment_is_put_back(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a test with the fixture the environment is as before."""
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    pytester.makepyfile(
        """
        import os

        def test_with(fake_fine_tuning):
            assert os.environ["OPENAI_BASE_URL"] == fake_fine_tuning.base_url
            assert os.environ["OPENAI_API_KEY"] != "mine"

        def test_without():
            assert os.environ["OPENAI_API_KEY"] == "mine" and "OPENAI_BASE_URL" not in os.environ
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=2)


def test_undoing_patches_leaves_the_fakes_environment(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test's own `monkeypatch` neither removes the fake's variables nor leaves them behind."""
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    pytester.makepyfile(
        """
        import os
        from fine_tuning_fakeserver.fake.clients import API_KEY

        def test_undone(fake_fine_tuning, monkeypatch):
            monkeypatch.undo()
            assert os.environ["OPENAI_API_KEY"] == API_KEY

        def test_changed(monkeypatch, fake_fine_tuning):
            monkeypatch.setenv("OPENAI_API_KEY", "other")

        def test_changed_the_other_way_round(fake_fine_tuning, monkeypatch):
            assert os.environ["OPENAI_API_KEY"] == API_KEY
            monkeypatch.setenv("OPENAI_API_KEY", "other")

        def test_after():
            assert os.environ["OPENAI_API_KEY"] == "mine"
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=4)
    assert os.environ["OPENAI_API_KEY"] == "mine"


def test_a_run_that_does_not_use_the_plugin_loads_nothing_heavy(pytester: pytest.Pytester) -> None:
    """A run without the fixtures imports neither the fake, the client nor their dependencies."""
    pytester.makepyfile(
        """
        import sys

        def test_nothing():
            heavy = {"fine_tuning_fakeserver", "fine_tuning_client", "starlette", "uvicorn", "httpx", "pydantic", "vcr"}
            assert "pytest_fine_tuning" in sys.modules
            assert heavy.isdisjoint(sys.modules)
        """
    )
    pytester.runpytest_subprocess(*WITHOUT_OURS, "-p", "no:anyio").assert_outcomes(passed=1)


def test_the_first_use_loads_what_a_test_needs(pytester: pytest.Pytester) -> None:
    """A test that uses the fixture and sends nothing loads no HTTP client, and no more of the fake than was agreed."""
    pytester.makepyfile(
        """
        import sys

        def test_first(fake_fine_tuning):
            pass

        def test_second():
            assert {"httpx", "pydantic", "fine_tuning_client.client"}.isdisjoint(sys.modules)
            assert not any(".findings" in name or ".exploration" in name for name in sys.modules)
            own = [name for name in sys.modules if name.startswith(("fine_tuning_", "pytest_fine_tuning"))]
            assert len(own) <= 111
        """
    )
    pytester.runpytest_subprocess(*WITHOUT_OURS, "-p", "no:anyio").assert_outcomes(passed=2)


def test_the_handle_steers_time_and_plans(pytester: pytest.Pytester) -> None:
    """A plan set on the handle fails the next job, and `advance_to` reaches a status."""
    pytester.makepyfile(
        """
        ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'

        def test_steering(fake_fine_tuning):
            import openai
            fake_fine_tuning.pace = "manual"
            fake_fine_tuning.plan = {"fail_at": 40, "error": "server_error"}
            file = fake_fine_tuning.add_file("\\n".join([ROW] * 10))
            jobs = openai.OpenAI().fine_tuning.jobs
            job = jobs.create(training_file=file["id"], model="gpt-4o-mini")
            fake_fine_tuning.advance_to("running")
            assert jobs.retrieve(job.id).status == "running"
            fake_fine_tuning.advance_to(step=40)
            failed = jobs.retrieve(job.id)
            assert (failed.status, failed.error.code) == ("failed", "server_error")
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


def test_waits_of_our_client_cost_no_real_time(pytester: pytest.Pytester) -> None:
    """`wait_for_job` with its default interval takes no real time at the paces "polls" and "manual"."""
    pytester.makepyfile(
        """
        import time
        import pytest
        from fine_tuning_client import FineTuning

        ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'

        @pytest.mark.parametrize("pace", ["polls", "manual"])
        def test_waiting(fake_fine_tuning, pace):
            fake_fine_tuning.pace = pace
            before, born = time.monotonic(), fake_fine_tuning.now
            file = FineTuning.upload_file("\\n".join([ROW] * 10).encode(), filename="rows.jsonl")
            job = FineTuning.wait_for_job(FineTuning.create_job(file.id, "gpt-4o-mini").id)
            assert job.is_completed()
            assert time.monotonic() - before < 2 < fake_fine_tuning.now - born
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=2)


def test_a_wait_for_a_paused_job_times_out(pytester: pytest.Pytester) -> None:
    """`wait_for_job` on a paused job raises WaitTimeout at the pace "polls"."""
    pytester.makepyfile(
        """
        import pytest
        from fine_tuning_client import FineTuning, WaitTimeout

        ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'

        def test_waiting(fake_fine_tuning):
            job = fake_fine_tuning.add_job(fake_fine_tuning.add_file("\\n".join([ROW] * 10))["id"], status="paused")
            with pytest.raises(WaitTimeout):
                FineTuning.wait_for_job(job["id"], timeout=600)
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


def test_a_proxy_in_the_environment_does_not_catch_the_fixture(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that obeys HTTP_PROXY still reaches the fake."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    pytester.makepyfile(
        """
        import httpx

        def test_reaching(fake_fine_tuning):
            answer = httpx.get(fake_fine_tuning.base_url + "/models", headers={"Authorization": "Bearer any"})
            assert answer.status_code == 200
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


def test_it_works_where_sockets_are_blocked(pytester: pytest.Pytester) -> None:
    """With pytest-socket blocking sockets, our client, the SDK and httpx2 reach the fake without a warning."""
    pytester.makepyfile(
        """
        import httpx2
        import openai
        import pytest
        from fine_tuning_client import FineTuning

        KEY = {"Authorization": "Bearer any"}

        def test_blocked(fake_fine_tuning):
            assert openai.OpenAI().models.list().data
            assert httpx2.get(fake_fine_tuning.base_url + "/models", headers=KEY).status_code == 200
            assert httpx2.get("https://api.openai.com/v1/models", headers=KEY).status_code == 200
            assert fake_fine_tuning.openai().models.list().data
            FineTuning.list_jobs()
            assert len(fake_fine_tuning.calls) == 5

        @pytest.mark.enable_socket
        def test_enabled(fake_fine_tuning):
            import socket
            from urllib.parse import urlsplit
            parts = urlsplit(fake_fine_tuning.base_url)
            socket.create_connection((parts.hostname, parts.port)).close()

        def test_blocked_again(fake_fine_tuning):
            assert openai.OpenAI().models.list().data
            FineTuning.list_jobs()

        @pytest.mark.fake_fine_tuning(guard=False)
        def test_our_client_needs_no_guard(fake_fine_tuning):
            FineTuning.list_jobs()
        """
    )
    result = pytester.runpytest_inprocess("-W", "error", "-W", "ignore::ResourceWarning", "--disable-socket")
    result.assert_outcomes(passed=4)


def test_after_blocked_sockets_all_is_as_before(pytester: pytest.Pytester) -> None:
    """After a test under both pytest-socket and the guard the socket module is as before."""
    pytester.makepyfile(
        """
        import socket
        import pytest

        LOOKUP, SOCKET = socket.getaddrinfo, socket.socket

        @pytest.mark.disable_socket
        def test_blocked(fake_fine_tuning): pass

        def test_plain(fake_fine_tuning): pass

        def test_after():
            assert (socket.getaddrinfo, socket.socket) == (LOOKUP, SOCKET)
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=3)


def test_variables_that_would_lead_to_azure_lead_to_the_fake(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables for Azure are set only with its dialect, and replace existing ones."""
    pytester.makepyfile(
        """
        import os
        import openai
        import pytest

        NAMES = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY")

        def ask(fake):
            jobs = openai.AzureOpenAI(api_version="2025-04-01-preview").fine_tuning.jobs
            assert jobs.list().data == []
            fake.assert_called("list_jobs", times=1)

        def test_without(fake_fine_tuning):
            assert not set(NAMES) & set(os.environ)

        @pytest.mark.fake_fine_tuning(dialect="azure-2025")
        def test_dialect(fake_fine_tuning):
            ask(fake_fine_tuning)
            assert openai.OpenAI().fine_tuning.jobs.list().data == []

        @pytest.fixture
        def mine(monkeypatch):
            for name in NAMES:
                monkeypatch.setenv(name, "https://gateway.example.com")

        def test_replaced(mine, fake_fine_tuning):
            ask(fake_fine_tuning)
            assert not [name for name in NAMES if "example.com" in os.environ[name]]
        """
    )
    for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=3)


def test_a_process_that_is_started_reaches_the_same_account(pytester: pytest.Pytester) -> None:
    """A subprocess reaches the fake by the inherited variables, or by those in `env` alone."""
    pytester.makepyfile(
        """
        import subprocess
        import sys
        import pytest

        CODE = "import openai; print(len(openai.OpenAI().models.list().data))"

        @pytest.mark.parametrize("bare", [False, True])
        def test_subprocess(fake_fine_tuning, bare):
            env = {**fake_fine_tuning.env} if bare else None
            subprocess.run([sys.executable, "-c", CODE], env=env, check=True)
            fake_fine_tuning.assert_called("list_models", times=1)
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=2)


def test_the_server_of_the_session_can_be_had_alone(pytester: pytest.Pytester) -> None:
    """`fake_fine_tuning_server` works without the test fixture, and is the same fake."""
    pytester.makepyfile(
        """
        import httpx

        def test_alone(fake_fine_tuning_server):
            answer = httpx.get(fake_fine_tuning_server.base_url + "/models", headers={"Authorization": "Bearer any"})
            assert answer.status_code == 200

        def test_same(fake_fine_tuning_server, fake_fine_tuning):
            assert fake_fine_tuning is fake_fine_tuning_server
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=2)


def test_a_clock_that_a_test_has_frozen_stops_nothing(pytester: pytest.Pytester) -> None:
    """With frozen process clocks requests over the socket are answered, and the session ends."""
    pytester.makepyfile(
        """
        import time
        import openai
        import pytest

        @pytest.mark.fake_fine_tuning(guard=False)
        def test_frozen(fake_fine_tuning, monkeypatch):
            for name, value in (("time", 978307200.0), ("monotonic", 978307200.0)):
                monkeypatch.setattr(time, name, lambda value=value: value)
            assert openai.OpenAI().models.list().data
            real = time.clock_gettime
            until = real(time.CLOCK_MONOTONIC) + 0.3  # the server has looked at its clock meanwhile
            while real(time.CLOCK_MONOTONIC) < until:
                openai.OpenAI().models.list()
        """
    )
    result = pytester.runpytest_subprocess(*WITHOUT_OURS, "-W", "error", "-W", "ignore::ResourceWarning", timeout=30)
    result.assert_outcomes(passed=1)


def test_importing_the_plugin_imports_pytest_and_nothing_heavy() -> None:
    """`import pytest_fine_tuning` imports only two modules of the plugin beyond pytest."""
    code = (
        "import sys, pytest; had = set(sys.modules); import pytest_fine_tuning; print(*sorted(set(sys.modules) - had))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["pytest_fine_tuning", "pytest_fine_tuning.markers"]


def test_after_its_test_a_handle_is_of_no_use(pytester: pytest.Pytester) -> None:
    """A handle kept from an earlier test raises when it is used."""
    pytester.makepyfile(
        """
        import pytest
        from fine_tuning_fakeserver import FakeUsageError

        kept = []

        def test_keeps(fake_fine_tuning):
            kept.append(fake_fine_tuning)

        def test_without_the_fixture():
            for name in ("assert_nothing_called", "assert_no_jobs_created", "assert_no_findings"):
                with pytest.raises(FakeUsageError, match="is over"):
                    getattr(kept[0], name)()

        def test_with_the_server(fake_fine_tuning_server):
            fake_fine_tuning_server.reset()
            fake_fine_tuning_server.assert_nothing_called()
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=3)


def test_a_reset_in_a_test_comes_back_to_the_mark(pytester: pytest.Pytester) -> None:
    """After `reset()` the mark's options still apply, and not in the next test."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.fake_fine_tuning(pace="manual", seed=7)
        def test_marked(fake_fine_tuning):
            fake_fine_tuning.reset()
            assert (fake_fine_tuning.pace, fake_fine_tuning.settings.seed) == ("manual", 7)

        def test_unmarked(fake_fine_tuning):
            fake_fine_tuning.reset()
            assert (fake_fine_tuning.pace, fake_fine_tuning.settings.seed) == ("polls", 0)
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=2)


def test_webhooks_end_with_their_test(pytester: pytest.Pytester) -> None:
    """The thread that retries a webhook ends with its test."""
    pytester.makepyfile(
        """
        import threading

        ROWS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n' * 10
        threads = []

        def sending():
            return [thread for thread in threading.enumerate() if thread.name == "fake-fine-tuning webhooks"]

        def test_sends(fake_fine_tuning):
            fake_fine_tuning.pace = 1
            fake_fine_tuning.add_webhook("http://127.0.0.1:9/hook")
            fake_fine_tuning.add_job(fake_fine_tuning.add_file(ROWS)["id"], status="failed")
            fake_fine_tuning.deliver_webhooks()
            assert sending()
            threads.extend(sending())

        def test_later():
            threads[0].join(timeout=30)
            assert not sending()
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=2)
