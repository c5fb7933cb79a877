"""The README is true: its code runs, and its table is the surface."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from fine_tuning_client import FineTuningClient, UnsupportedOperationError
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.domain.plan import FIELDS
from fine_tuning_fakeserver.web.control_endpoints import CONTROL_OPERATIONS
from fine_tuning_fakeserver.web.operations import OPERATIONS

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
ROWS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 10


def block(language: str, words: str) -> str:
    """The README's code in this language that has these words."""
    (found,) = (code for kind, code in BLOCKS if kind == language and words in code)
    return str(found)


def run_python(code: str, folder: Path, **environment: str) -> str:
    """What a new interpreter prints for *code*."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_that_runs_comes_before_line_30() -> None:
    """Within its first 30 lines the README has a whole program."""
    head = "\n".join(README.splitlines()[:30])

    assert "```python" in head
    assert head.count("```") >= 4


def test_the_first_program_prints_a_model(tmp_path: Path) -> None:
    """The README's first program, pasted as it is, trains a model."""
    assert run_python(block("python", "FakeFineTuning().serving()"), tmp_path).startswith("ft:gpt-4o-mini-2024-07-18")


def test_the_client_program_prints_a_model(tmp_path: Path) -> None:
    """The README's program for the client, pasted as it is, trains a model and reads its last loss."""
    (tmp_path / "train.jsonl").write_text(ROWS)
    fake = FakeFineTuning(pace=1e6)
    with fake.serving() as url:
        code = block("python", 'suffix="my-model"')
        printed = run_python(code, tmp_path, OPENAI_BASE_URL=url, OPENAI_API_KEY="any")

    assert re.match(r"ft:gpt-4o-mini-2024-07-18:personal:my-model:\w{8} \d", printed)


def test_the_careful_program_runs(tmp_path: Path) -> None:
    """The README's program with check, progress, key and events, pasted as it is, follows its job to the end."""
    (tmp_path / "train.jsonl").write_text(ROWS)
    fake = FakeFineTuning(pace=1e6)
    with fake.serving() as url:
        code = block("python", "FineTuning.check_training_file")
        printed = run_python(code, tmp_path, OPENAI_BASE_URL=url, OPENAI_API_KEY="any")

    assert "10 examples" in printed
    assert printed.endswith("[info] The job has successfully completed\n")
    assert fake.jobs[0]["metadata"] == {"idempotency_key": "nightly 2026-11-25"}


def test_the_settings_file_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's settings, pasted into a file, send the facade with the key named to the address named."""
    (tmp_path / "fine_tuning.toml").write_text(block("toml", "[providers.gateway]"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_KEY", "sk-gateway")
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.url} {request.headers['Authorization']}")
        return httpx.Response(200, json={"data": []})

    client = FineTuningClient(http_client=httpx.Client(transport=httpx.MockTransport(answer)))
    assert len(client.list_jobs()) == 0
    assert seen == ["https://llm.example.com/v1/fine_tuning/jobs Bearer sk-gateway"]
    with pytest.raises(UnsupportedOperationError):
        client.pause_job("ftjob-1")


def test_the_steering_program_runs(tmp_path: Path) -> None:
    """The README's program for steering, pasted as it is, fails its job at step 60."""
    assert run_python(block("python", "fake.plan_job"), tmp_path) == "The job failed due to an internal error. 0\n"


def test_the_webhook_program_runs(tmp_path: Path) -> None:
    """The README's program for webhooks, pasted as it is, reads the event of its failed job."""
    printed = run_python(block("python", "fake.add_webhook"), tmp_path)

    assert printed.startswith("fine_tuning.job.failed ftjob-")


def test_the_pytest_example_runs(pytester: pytest.Pytester) -> None:
    """The README's code under test and its tests, each pasted into its file, pass, and in no time."""
    for name in ("train.py", "test_train.py"):
        (pytester.path / name).write_text(block("python", f"# {name}\n"))
    done = pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=6)
    assert done.duration < 60  # with two real sleeps of half a minute it would take longer


def test_the_cassette_example_runs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's tests with cassettes, pasted as they are, record from the fake, and replay without a key."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(block("python", "def test_one_test_four_ways"))
    fake = "--fine-tuning-record-from=fake"
    pytester.runpytest_subprocess("--fine-tuning-record=once", "--fine-tuning=record", fake).assert_outcomes(passed=2)
    pytester.runpytest_subprocess("--fine-tuning=replay").assert_outcomes(passed=2)
    assert len(list(pytester.path.rglob("cassettes/*/*.yaml"))) == 2


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_the_curl_session_runs(tmp_path: Path) -> None:
    """The README's curl session, pasted as it is but for the port, goes from upload to a deleted model."""
    code = block("sh", "api()").partition("\n")[2]
    fake = FakeFineTuning()
    with fake.serving() as url:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=tmp_path,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "any"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("queued\nrunning\nsucceeded\n")
    assert done.stdout.endswith('"deleted": true\n}\n')
    assert fake.requests[-1].status == 200


def test_the_table_of_endpoints_is_the_surface() -> None:
    """The README lists every route of the API, and no other, in the order of the source."""
    listed = re.findall(r"^\| `(GET|POST|DELETE) (/v1/\S+)` \|", README, re.MULTILINE)

    assert listed == [(operation.method, operation.path) for operation in OPERATIONS]


def test_the_tables_of_control_and_plans_are_complete() -> None:
    """The README names every control route and every field of a plan."""
    for operation in CONTROL_OPERATIONS:
        path = operation.path.replace("{job_id}", "{id}")
        assert path in README if path in ("/health", "/ready") else f"`{operation.method} {path}`" in README
    for field in FIELDS:
        assert f"`{field}`" in README
