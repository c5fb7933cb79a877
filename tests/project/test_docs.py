"""The documents are correct: their code runs, their tables are complete, their links resolve."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import openai
import pytest

from downstream_project import WITHOUT_OURS
from fine_tuning_client import FineTuningClient, UnsupportedOperationError
from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.account.named_accounts import name_of_key
from fine_tuning_fakeserver.control.setup_file import LISTS, FileTable
from fine_tuning_fakeserver.control.setup_schema import setup_schema
from fine_tuning_fakeserver.domain.plan import FIELDS
from fine_tuning_fakeserver.findings.rules import CODES
from fine_tuning_fakeserver.settings import CONTROL_FIELDS, Settings
from fine_tuning_fakeserver.web.accounts_app import ACCOUNT_OPERATIONS, FORK
from fine_tuning_fakeserver.web.control_endpoints import CONTROL_OPERATIONS
from fine_tuning_fakeserver.web.operations import OPERATIONS
from strategies import ROWS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def blocks(page: Path, language: str = "python") -> list[str]:
    """The page's code blocks in this language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def findings_of(code: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the findings' codes after *code* has run against a fake, with a millisecond of real time per request."""
    ticks = count(1)
    monkeypatch.setattr("fine_tuning_fakeserver.web.app.elapsed", lambda: next(ticks) * 0.001)
    fake = FakeFineTuning(pace="manual", seed=7, start=1_700_000_000)
    with fake.openai() as client:
        context: dict[str, Any] = {"fake": fake, "client": client, "openai": openai, "ROWS": ROWS}
        context["file"] = fake.add_file(ROWS)["id"]
        exec(compile(code, "docs", "exec"), context)
    return [finding.code for finding in fake.findings]


@pytest.mark.parametrize("code", CODES)
def test_each_finding_has_a_page_whose_examples_are_true(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flawed code on a finding's page has exactly this finding, and the corrected code has none."""
    flawed, mended = blocks(DOCS / "findings" / f"{code}.md")

    assert findings_of(flawed, monkeypatch) == [code]
    assert findings_of(mended, monkeypatch) == []


def test_the_table_of_findings_is_complete() -> None:
    """The index lists exactly the known findings, each with its page."""
    listed = re.findall(r"^\| \[`(\w+)`\]\(\1\.md\) \|", (DOCS / "findings/index.md").read_text(), re.MULTILINE)

    assert sorted(listed) == sorted(CODES)


def test_links_lead_to_pages() -> None:
    """Each relative link of a page leads to an existing file."""
    for page in [*PAGES, *ROOT.glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_the_control_api_and_the_plan_are_documented_whole() -> None:
    """The docs name every control route and every field of a plan."""
    server, plans = (DOCS / "server.md").read_text(), (DOCS / "pytest.md").read_text()
    for operation in (*CONTROL_OPERATIONS, FORK, *ACCOUNT_OPERATIONS):
        path = operation.path.replace("{job_id}", "{id}")
        assert path in server if path in ("/health", "/ready") else f"`{operation.method} {path}`" in server
    for field in FIELDS:
        assert f"`{field}`" in plans


def test_every_setting_is_documented_where_it_can_be_given() -> None:
    """The page about pytest lists the settings of the control API, and apart from them those that only Python has."""
    section = (DOCS / "pytest.md").read_text().partition("## Settings")[2].partition("\n\nThe mark also takes")[0]
    everywhere, python_only = section.partition("`POST /_fake/reset`: ")[2].split("In Python only: ")

    assert set(re.findall(r"`(\w+)`", everywhere)) == set(CONTROL_FIELDS)
    assert set(re.findall(r"`(\w+)`", python_only)) - {"faults"} == {field.name for field in fields(Settings)} - {
        *CONTROL_FIELDS
    }


def test_the_table_of_operations_is_the_surface() -> None:
    """The page about faults lists every operation with its request, in the order of the source."""
    listed = re.findall(r"^\| `(\w+)` \| `(\w+) (/v1/\S+)` \|", (DOCS / "faults.md").read_text(), re.MULTILINE)

    assert listed == [(operation.name, operation.method, operation.path) for operation in OPERATIONS]


def test_retries_take_no_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the documented patches the SDK's retries wait in virtual time."""
    fake = FakeFineTuning(pace="manual")
    exec(blocks(DOCS / "faults.md")[1], {"monkeypatch": monkeypatch, "fake_fine_tuning": fake})
    begun = fake.now
    fake.fail(503, times=2, retry_after=5)
    with fake.openai() as client:
        assert client.fine_tuning.jobs.list().data == []
    fake.fail(503, times=2, retry_after=5)

    async def list_jobs() -> list[Any]:
        async with fake.async_openai() as client:
            return list((await client.fine_tuning.jobs.list()).data)

    assert asyncio.run(list_jobs()) == []

    assert fake.now - begun == 4 * 5


def run_python(code: str, folder: Path, **environment: str) -> str:
    """Return what a new interpreter prints for *code*."""
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


def block(page: str, words: str, language: str = "python") -> str:
    """Return the page's code block that contains these words."""
    (code,) = (code for code in blocks(DOCS / page, language) if words in code)
    return code


@pytest.mark.slow
def test_the_quickstart_runs(pytester: pytest.Pytester) -> None:
    """The quickstart's code and tests pass without real waiting."""
    for name in ("train.py", "test_train.py"):
        (pytester.path / name).write_text(block("quickstart.md", f"# {name}\n"), encoding="utf-8")
    pytester.runpytest_subprocess(*WITHOUT_OURS, "-W", "error", "-p", "no:cacheprovider").assert_outcomes(passed=6)


@pytest.mark.slow
def test_the_page_about_virtual_time_runs(pytester: pytest.Pytester) -> None:
    """Its example, pasted into a file, passes."""
    pytester.makepyfile(blocks(DOCS / "virtual-time.md")[0])
    pytester.runpytest_subprocess(*WITHOUT_OURS, "-W", "error", "-W", "ignore::ResourceWarning").assert_outcomes(
        passed=3
    )


@pytest.mark.slow
def test_the_client_program_prints_a_model(tmp_path: Path) -> None:
    """The first client program trains a model and prints its last loss."""
    (tmp_path / "train.jsonl").write_text(ROWS)
    with FakeFineTuning(pace=1e6).serving() as url:
        code = block("client.md", 'suffix="my-model"')
        printed = run_python(code, tmp_path, OPENAI_BASE_URL=url, OPENAI_API_KEY="any")

    assert re.match(r"ft:gpt-4o-mini-2024-07-18:personal:my-model:\w{8} \d", printed)


@pytest.mark.slow
def test_the_careful_client_program_runs(tmp_path: Path) -> None:
    """The client program with check, progress, key and events runs to the job's end."""
    (tmp_path / "train.jsonl").write_text(ROWS)
    fake = FakeFineTuning(pace=1e6)
    with fake.serving() as url:
        code = block("client.md", "FineTuning.check_training_file")
        printed = run_python(code, tmp_path, OPENAI_BASE_URL=url, OPENAI_API_KEY="any")

    assert "10 examples" in printed
    assert printed.endswith("[info] The job has successfully completed\n")
    assert fake.jobs[0]["metadata"] == {"idempotency_key": "nightly 2026-11-25"}


def test_the_settings_file_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented settings file sends requests to its address with its key."""
    (tmp_path / "fine_tuning.toml").write_text(block("client.md", "[providers.gateway]", "toml"))
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


@pytest.mark.slow
def test_the_steering_program_runs(tmp_path: Path) -> None:
    """The program that plans and advances a job fails it at step 60."""
    printed = run_python(block("pytest.md", "fake.plan_job"), tmp_path)

    assert printed == "The job failed due to an internal error. 0\n"


@pytest.mark.slow
def test_the_program_about_another_dialect_runs(tmp_path: Path) -> None:
    """The program that switches the dialect of a running account prints what the documentation says."""
    assert run_python(block("dialects.md", "fake.dialect = "), tmp_path) == "pending pending True\n"


@pytest.mark.slow
def test_the_program_about_checkpoints_runs(tmp_path: Path) -> None:
    """The program that compares checkpoints finds the best one of a job that overfits."""
    assert run_python(block("pytest.md", "jobs.checkpoints.list"), tmp_path) == "60 of [90, 75, 60]\n"


@pytest.mark.parametrize(("dialect", "full"), [("openai-2025-09", set[str]()), ("openai-spec", {"full_valid_loss"})])
def test_checkpoints_have_the_losses_that_the_docs_say(dialect: str, full: set[str]) -> None:
    """Checkpoints and events have `valid_loss` and `full_valid_loss` as the docs say."""
    fake = FakeFineTuning(dialect=dialect)
    file, validation = (fake.add_file(ROWS * 3)["id"] for _ in range(2))
    fields = {"n_epochs": 3, "batch_size": 2}
    job = fake.add_job(file, status="succeeded", validation_file=validation, hyperparameters=fields)
    with fake.openai() as client:
        points = list(client.fine_tuning.jobs.checkpoints.list(job["id"]))
        events: list[Any] = [event.data for event in client.fine_tuning.jobs.list_events(job["id"], limit=100)]

    losses = {point.step_number: {n for n, v in point.metrics if n.endswith("valid_loss") and v} for point in points}
    assert losses == {15: full, 30: {"valid_loss", *full}, 45: full}
    assert [data["step"] for data in events if data and "full_valid_loss" in data] == [45, 30, 15]


@pytest.mark.slow
def test_the_tests_with_a_fake_of_their_module_pass(pytester: pytest.Pytester) -> None:
    """The page of the plugin shows tests that share an account, and they pass."""
    pytester.makepyfile(block("pytest.md", "fake_fine_tuning_module"))
    pytester.runpytest_inprocess().assert_outcomes(passed=3)


@pytest.mark.slow
def test_the_scripting_program_runs(tmp_path: Path) -> None:
    """The program with a script prints its prepared statuses."""
    assert run_python(block("scripting.md", "script.exhausted"), tmp_path) == "queued running 429 failed\n"


@pytest.mark.slow
def test_the_program_about_saved_accounts_runs(tmp_path: Path) -> None:
    """The program that forks, saves, loads and rewinds an account runs, and leaves a file."""
    assert run_python(block("saved-accounts.md", "fake.fork"), tmp_path) == ""
    assert (tmp_path / "account.zip").exists()


@pytest.mark.slow
def test_the_webhook_program_runs(tmp_path: Path) -> None:
    """The program for webhooks reads the event of its failed job."""
    printed = run_python(block("webhooks.md", "fake.add_webhook"), tmp_path)

    assert printed.startswith("fine_tuning.job.failed ftjob-")


@pytest.mark.slow
def test_the_cassette_example_runs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests with cassettes record from the fake, and replay without a key."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    sections = ("def test_one_test_four_ways", "def no_pauses", "def hide_tenant")
    tests = "\n".join(block("cassettes.md", section) for section in sections)
    tests = tests.replace("def test_scrubbed(): ...", "def test_scrubbed(no_pauses): assert train().is_completed()")
    pytester.makepyfile(tests)
    recording = ("--fine-tuning-record=once", "--fine-tuning=record", "--fine-tuning-record-from=fake")
    pytester.runpytest_subprocess(*WITHOUT_OURS, *recording).assert_outcomes(passed=3)
    pytester.runpytest_subprocess(*WITHOUT_OURS, "--fine-tuning=replay").assert_outcomes(passed=3)
    assert len(list(pytester.path.rglob("cassettes/*/*.yaml"))) == 3


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
@pytest.mark.slow
def test_the_curl_session_runs(tmp_path: Path) -> None:
    """The curl session runs from the upload to the deletion of a model."""
    code = block("server.md", "api()", "sh").partition("\n")[2]
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


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_control_by_curl_runs(tmp_path: Path) -> None:
    """The control calls by curl, but for the port, reset the account, arm a fault and move time."""
    code = block("server.md", "CONTROL=", "sh").partition("\n")[2]
    fake = FakeFineTuning(start=1_700_000_000)
    with fake.serving() as url:
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "CONTROL": url.removesuffix("/v1") + "/_fake"}
        subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=tmp_path, env=environment, check=True, timeout=60)

    assert (fake.settings.seed, fake.pace, fake.now) == (7, "manual", 1_700_000_090)
    assert [fault.spec.kind for fault in fake.faults] == ["fail"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine")
def test_accounts_by_curl_run(tmp_path: Path) -> None:
    """The calls by curl about accounts, but for the port, move one account's time, list all, and forget it."""
    code = block("server.md", "accounts/alice/v1", "sh")
    with FakeAccounts(pace="manual") as accounts:
        mine = accounts.account("alice")
        root = accounts.main.base_url.removesuffix("/v1")
        program = code.replace("http://127.0.0.1:4355", root)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", program], capture_output=True, text=True, check=True, timeout=60
        )

    assert (mine.now - mine.born, accounts.main.now - accounts.main.born) == (90, 0)
    assert '"name": "alice"' in done.stdout
    assert accounts.names == ["main"]


def test_the_example_of_connect_runs() -> None:
    """The example steers an account of a running server, and deletes it at its end."""
    code = block("server.md", "FakeFineTuning.connect(", "python")
    with FakeAccounts(pace="polls") as accounts:
        root = accounts.main.base_url.removesuffix("/v1")
        context: dict[str, Any] = {"FakeFineTuning": FakeFineTuning}
        exec(compile(code.replace("http://127.0.0.1:4355", root), "docs", "exec"), context)
        context["client"].close()
        assert accounts.names == ["main"]


def test_the_name_of_a_keys_account_is_as_documented() -> None:
    """A key's account is named by the digits that `sha256sum` prints."""
    assert name_of_key("sk-1") == "key-" + hashlib.sha256(b"sk-1").hexdigest()[:32]


def test_the_table_of_endpoints_is_the_surface() -> None:
    """The fidelity page lists exactly the routes of the API, in the order of the source."""
    page = (DOCS / "fidelity.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(GET|POST|DELETE) (/v1/\S+)` \|", page, re.MULTILINE)

    assert listed == [(operation.method, operation.path) for operation in OPERATIONS]


def test_every_page_is_in_the_navigation() -> None:
    """mkdocs.yml has every page, and llms.txt every page except those on findings and references."""
    pages = [page.relative_to(DOCS).as_posix() for page in PAGES]
    navigation, summary = (ROOT / "mkdocs.yml").read_text(), (DOCS / "llms.txt").read_text()

    assert [page for page in pages if f"- {page}\n" not in navigation] == []
    special = ("index.md", "findings/", "reference/")
    assert [page for page in pages if not page.startswith(special) and f"({page})" not in summary] == []


def test_the_setup_file_of_the_documentation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented setup file begins an account as the page says, and its schema accepts it."""
    (tmp_path / "team.toml").write_text(block("setup.md", "# team.toml", "toml"), encoding="utf-8")
    (tmp_path / "train.jsonl").write_text(ROWS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    exec(block("setup.md", "from_setup"), {})

    document = tomllib.loads(block("setup.md", "# team.toml", "toml"))
    jsonschema_rs.Draft202012Validator(setup_schema()).validate(document)


def test_the_page_about_setup_files_is_complete() -> None:
    """The page lists every member of a setup, with every member of a file."""
    members = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", (DOCS / "setup.md").read_text(), re.MULTILINE))

    assert set(members) == {"settings", *LISTS}
    assert set(re.findall(r"`(\w+)`", members["file"])) == set(FileTable.model_fields)
