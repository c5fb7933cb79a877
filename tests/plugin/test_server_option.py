"""`--fine-tuning-server`: tests with accounts of their own on one server that runs already."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from downstream_project import ENOUGH, WITHOUT_OURS
from fine_tuning_fakeserver import FakeFineTuning
from serve_process import line, started

pytestmark = pytest.mark.slow

TESTS = """
import httpx, pytest
from fine_tuning_client import FineTuning
from project import trained, trained_by_ours


@pytest.mark.parametrize("number", range(NUMBER))
def test_a_session(number, fake_fine_tuning):
    assert trained() == ["validating_files", "queued", "running", "succeeded"]
    fake_fine_tuning.assert_job_created(times=1)
    assert [entry.number for entry in fake_fine_tuning.requests] == [1, 2, 3, 4, 5]
    assert len(fake_fine_tuning.jobs) == 1


@pytest.mark.parametrize("number", range(NUMBER))
def test_a_failure(number, fake_fine_tuning):
    fake_fine_tuning.plan_next(outcome="failed", error="invalid_training_file")
    assert trained_by_ours().status == "failed"
    assert fake_fine_tuning.findings == []


@pytest.mark.parametrize("number", range(NUMBER))
@pytest.mark.fake_fine_tuning(pace="manual", seed=9, faults=[{"kind": "rate_limit", "on": "list_jobs"}])
def test_time_and_faults(number, fake_fine_tuning):
    assert fake_fine_tuning.state()["account"]["seed"] == 9
    assert not FineTuning.list_jobs().data
    assert [fault.fired for fault in fake_fine_tuning.faults] == [1]
    before = fake_fine_tuning.now
    assert fake_fine_tuning.advance("1h") == before + 3600


@pytest.mark.parametrize("number", range(NUMBER))
def test_a_script(number, fake_fine_tuning):
    with fake_fine_tuning({"retrieve_job": ["running", "cancelled"]}):
        assert trained()[1:] == ["running", "cancelled"]
    fake_fine_tuning.assert_script_exhausted()


@pytest.mark.parametrize("number", range(NUMBER))
def test_requests_for_the_provider(number, fake_fine_tuning):
    url = "https://api.openai.com/v1/fine_tuning/jobs"
    assert httpx.get(url, headers={"Authorization": "Bearer any"}).json()["data"] == []
    fake_fine_tuning.assert_called("list_jobs")
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of one server process, at a pace of its own, without limits to looks."""
    with started("--port", "0", "--seed", "5", "-q") as process:
        yield line(process.stdout)
        process.terminate()


def accounts(url: str) -> list[str]:
    """The names of a server's accounts."""
    listed = httpx.get(url.replace("/v1", "/_fake/accounts"), trust_env=False).json()["accounts"]
    return [account["name"] for account in listed]


def run(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    """Run tests in a downstream project."""
    pytester.makepyfile(project=ENOUGH, test_it=tests)
    return pytester.runpytest_subprocess(*WITHOUT_OURS, *arguments)


def test_a_suite_in_parallel_against_one_server(pytester: pytest.Pytester, server: str) -> None:
    """Tests of several workers against one server pass as against fakes of their own, and leave no account."""
    done = run(pytester, TESTS.replace("NUMBER", "2"), "-n", "2", f"--fine-tuning-server={server}")

    done.assert_outcomes(passed=10)
    assert accounts(server) == ["main"]


def test_the_ini_key_and_a_failing_test(pytester: pytest.Pytester, server: str) -> None:
    """The ini key does as the flag; a failing test shows and saves its account; misuse and idle faults are told."""
    pytester.makeini(f"[pytest]\nfake_fine_tuning_server = {server}")
    tests = """
    from project import trained

    def test_fails(fake_fine_tuning):
        assert trained()[-1] == "failed"

    def test_misuse(fake_fine_tuning):
        import httpx
        httpx.get(f"{fake_fine_tuning.base_url}/models", headers={"Authorization": "Bearer any"})
        httpx.get(f"{fake_fine_tuning.base_url}/embeddings", headers={"Authorization": "Bearer any"})

    def test_unfired(fake_fine_tuning):
        fake_fine_tuning.fail(on="list_jobs")

    def test_too_late(fake_fine_tuning):
        test_too_late.fake = fake_fine_tuning

    def test_after():
        import pytest
        with pytest.raises(Exception, match="closed"):
            test_too_late.fake.assert_nothing_called()
    """
    done = run(pytester, tests)

    done.assert_outcomes(passed=4, failed=1, errors=1, warnings=1)
    done.stdout.fnmatch_lines_random(
        [
            f"{server.removesuffix('/v1')}/accounts/pytest-*",
            "*create_job*",
            "*list_models*",
            "*does not implement GET /v1/embeddings*",
            "  fake-fine-tuning serve --load *test_fails*.zip",
        ]
    )
    (saved,) = pytester.path.glob(".pytest_cache/d/fake-fine-tuning/*test_fails*.zip")
    assert len(FakeFineTuning.load(saved).jobs) == 1
    done.stdout.no_fnmatch_line("*has a bug*")
    assert accounts(server) == ["main"]


def test_what_a_server_cannot_do_is_said(pytester: pytest.Pytester, server: str) -> None:
    """Virtual time with a server, and a server that is not there, fail the test and say why."""
    tests = """
    import pytest

    @pytest.mark.fake_fine_tuning(virtual_time=True)
    def test_virtual(fake_fine_tuning):
        pass
    """
    run(pytester, tests, f"--fine-tuning-server={server}").stdout.fnmatch_lines(
        ["*virtual time cannot be had of a running server*"]
    )
    run(pytester, tests, "--fine-tuning-server=http://127.0.0.1:1").stdout.fnmatch_lines(
        ["*--fine-tuning-server: no fake answers at http://127.0.0.1:1*"]
    )
