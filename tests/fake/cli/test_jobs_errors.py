"""Errors of `fake-fine-tuning jobs`: one line, an exit code, no traceback, and no key."""

from __future__ import annotations

import json
import re
import shlex
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fine_tuning_client.testing import redirect
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.cli import main
from jobs_command import VARIABLES, Done, Jobs, answering
from snapshots import assert_snapshot
from strategies import ROWS

SNAPSHOT = Path(__file__).parent / "snapshots" / "jobs_errors.txt"
KEY = "sk-a-secret-of-the-environment"
MODEL = ("--model", "gpt-4o-mini")
HOSTILE = "\x1b]0;pwned\x07\x9b2J[bold red]x[/] :smile:\n\t\u202efile-gone"
ESCAPED = r"\x1b]0;pwned\x07\x9b2J[bold red]x[/] :smile:\n\t\u202efile-gone"
JOB = {"id": "ftjob-1", "status": "running", "model": "m", "training_file": "f", "created_at": 1}

Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a training file, and with a key in the environment."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    (tmp_path / "train.jsonl").write_text(ROWS)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command, and check that its output has neither the key nor a traceback."""

    def run(*words: str) -> Done:
        code = main(["jobs", *words])
        done = Done(code, *capsys.readouterr())
        assert "Traceback" not in done.err
        assert KEY not in done.out + done.err
        return done

    return run


def refusing(status: int, body: Any, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    """Answer every request with a status."""
    content = body if isinstance(body, str) else json.dumps(body)
    return lambda _: httpx.Response(status, content=content, headers=headers)


def test_errors_in_our_own_words(run: Run) -> None:
    """Each wrong usage in the snapshot is one line as recorded there, with exit code 2 and nothing on stdout."""
    text = ""
    for line in SNAPSHOT.read_text("utf-8").splitlines():
        if line.startswith("$ "):
            done = run(*shlex.split(line[2:]))
            assert (done.code, done.out) == (2, ""), line
            text += f"{line}\n{done.err.splitlines()[-1]}\n"

    assert_snapshot(text, SNAPSHOT)


USAGE = [
    (["create", "train.jsonl"], "--model"),
    (
        ["create", "train.jsonl", *MODEL, "--method", "magic"],
        "--method must be one of supervised, dpo, reinforcement, got 'magic'",
    ),
    (["create", "train.jsonl", *MODEL, "--n-epochs", "51"], "n_epochs"),
    (["create", "train.jsonl", "--model", " "], "model must be a non-empty string"),
    (["create", ".", *MODEL], ".: Is a directory"),
    (["create", "x" * 300, *MODEL], "there is no file"),
    (["list", "--limit", "0"], "--limit must be a whole number from 1 on, got '0'"),
    (["list", f"-k{KEY}"], "-k"),
    (["--token", KEY, "list"], "--token"),
    (["list", f"--token {KEY}"], "--token"),
    (["list", "--token", KEY], "--token"),
    (["list", f"--token={KEY}"], "--token"),
    (["list", f"--json={KEY}"], "--json"),
    (["list", "--after", ""], "after must be a non-empty string"),
    (["list", "--provider", ""], "provider"),
    (["--base-url", " ", "list"], "base_url"),
    (["list", "--base-url", "https://ü..x/v1"], "the base URL "),
    (["list", "--base-url", "https://a..b/v1"], "the base URL "),
    (["show"], "ID"),
    (["show", "a/b"], "'a/b'"),
    (["show", ""], "job_id must be a non-empty string"),
    (["show", "\udcff"], "surrogates not allowed"),
    (["wait", "ftjob-1", "--timeout", "-1"], "--timeout must be a number from 0 on, got '-1'"),
    (["wait", "ftjob-1", "--timeout", "nan"], "--timeout must be a number from 0 on, got 'nan'"),
    (["list", "--provider", "nobody"], "'nobody'"),
    (["list", "--base-url", "localhost:1"], "the base URL must look like https://host/v1"),
    (["list", "--base-url", f"https://me:{KEY}@host/v1"], "without password or query"),
    (["list", "--provider", "azure"], "set AZURE_OPENAI_API_KEY"),
    (["list", "--provider", "openai_compatible"], "no address for provider 'openai_compatible'"),
]


@pytest.mark.parametrize(("words", "said"), USAGE, ids=range(len(USAGE)))
def test_wrong_usage(words: list[str], said: str, run: Run) -> None:
    """Wrong usage that click or the client detects is the last line of stderr, with exit code 2 and no stdout."""
    done = run(*words)

    assert (done.code, done.out) == (2, "")
    assert said in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ("--batch-size", "many"),
        ("--metadata", "team"),
        ("--method", "reinforcement"),
        ("--method", "magic"),
        ("--validation-file", "gone"),
        ("--n-epochs", "51"),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_leaves_no_file(words: tuple[str, ...], jobs: Jobs) -> None:
    """An invalid argument of `create` is refused before anything is sent."""
    assert jobs("create", "train.jsonl", *MODEL, *words).code == 2
    assert not jobs.fake.requests


@pytest.mark.parametrize("words", [("--suffix", "s" * 65), ("--seed", "-1"), ("--batch-size", "257")], ids=" ".join)
def test_the_service_knows_its_limits(words: tuple[str, ...], jobs: Jobs) -> None:
    """A value beyond the service's limits is refused by the service, and the uploaded file's id is printed."""
    done = jobs("create", "train.jsonl", *MODEL, *words)

    assert (done.code, done.out) == (1, "")
    assert f"uploaded train.jsonl as {jobs.fake.files[0]['id']}" in done.err
    assert "openai answered 400: " in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "g.json is not JSON: "),
        ("[" * 100_000, "g.json is not JSON: "),
        (None, "g.json: No such file"),
    ],
)
def test_a_grader_that_is_none(content: str | None, said: str, run: Run, folder: Path) -> None:
    """An unusable grader file is refused with the reason."""
    if content is not None:
        (folder / "g.json").write_text(content)
    done = run("create", "train.jsonl", *MODEL, "--method", "reinforcement", "--grader", "g.json")

    assert done.code == 2
    assert said in done.err


def test_no_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key is refused with the variable to set."""
    monkeypatch.delenv("OPENAI_API_KEY")

    done = run("list")

    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("fake-fine-tuning jobs list: no key for provider 'openai'")
    assert done.err.endswith("set OPENAI_API_KEY\n")


@pytest.mark.parametrize("content", ["no toml", '[providers.openai]\napi_key = "sk"', "[providers]\nopenai = 1"])
def test_a_configuration_that_is_no_good(content: str, run: Run, folder: Path) -> None:
    """A broken configuration file is one line that names it."""
    (folder / "fine_tuning.toml").write_text(content)
    done = run("list")

    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "fine_tuning.toml" in done.err


def test_what_a_provider_does_not_offer(run: Run, folder: Path) -> None:
    """A verb that the provider lacks is refused with exit code 2."""
    (folder / "fine_tuning.toml").write_text('[providers.fake]\ncapabilities = ["list"]\n')
    done = run("pause", "ftjob-1", "--provider", "fake")

    assert done.code == 2
    assert "provider 'fake' does not support 'pause', only list" in done.err


def test_a_job_that_is_not_there(jobs: Jobs) -> None:
    """An unknown job is the service's 404, with exit code 1."""
    for verb in ("show", "events", "checkpoints", "cancel", "pause", "resume", "wait", "metrics"):
        done = jobs(verb, "ftjob-none")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith(
            f"fake-fine-tuning jobs {verb}: openai answered 404: Could not find fine tune: ftjob-"
        )


def test_an_unknown_job_is_looked_for_where_it_was(server: FakeFineTuning, run: Run) -> None:
    """The error for an unknown job suggests a list command for the same service."""
    given = ("--provider", "fake", "--base-url", server.base_url)

    for words in (("show", "ftjob-none", *given), (*given, "cancel", "ftjob-none")):
        assert run(*words).err.endswith(f"; look with: fake-fine-tuning jobs list {' '.join(given)}\n")


def test_a_key_that_is_not_accepted(run: Run) -> None:
    """A refused key is exit code 1."""
    with FakeFineTuning(api_keys=["sk-another"]).serving() as url:
        done = run("list", "--base-url", url)

    assert done.code == 1
    assert "openai answered 401: " in done.err


def test_nobody_there(run: Run) -> None:
    """An unreachable service is exit code 1, and for a fake the message says how to start one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with redirect(url, sleep=lambda _: None):
        fake, other = run("list", "--provider", "fake"), run("list")

    assert (fake.code, other.code) == (1, 1)
    assert "no answer from fake: " in fake.err
    assert fake.err.endswith("; `fake-fine-tuning serve` starts one\n")
    assert "no answer from openai: " in other.err


REFUSALS = [
    (403, {"error": {"message": "closed for your organization"}}, "closed for your organization"),
    (403, f"the key {KEY} may not", "the key *** may not"),
    (429, {"error": {"message": "too many"}}, "too many"),
    (500, "<html>\n<h1>Oops</h1>", "<h1>Oops</h1>"),
    (302, "", "no message"),
    (200, "<html>", "a body that cannot be used"),
    (200, [], "a body that cannot be used"),
    (200, {"data": [{"id": KEY}]}, "a body that cannot be used"),
    (400, {"error": {"message": HOSTILE}}, r"\x1b]0;pwned\x07\x9b2J[bold red]x[/] :smile: \u202efile-gone"),
]


@pytest.mark.parametrize(("status", "body", "said"), REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(status: int, body: Any, said: str, run: Run) -> None:
    """Any error response is one printable line with exit code 1."""
    with answering(refusing(status, body), KEY):
        done = run("list")

    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert said in done.err


@pytest.mark.parametrize(
    ("error", "code"),
    [(httpx.ReadError("lost"), 1), (httpx.ReadTimeout("slow"), 1), (None, 1), (KeyboardInterrupt(), 130)],
)
def test_a_job_that_may_be_there(error: BaseException | None, code: int, run: Run) -> None:
    """A `create` whose response is lost is sent once, and the message says to look for the job."""
    created = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal created
        created += 1
        if error:
            raise error
        return httpx.Response(502)

    with answering(answer):
        done = run("create", "file-1", *MODEL)

    assert (done.code, done.out, created) == (code, "", 1)
    assert "it is not known whether the job was created" in done.err
    assert "look with: fake-fine-tuning jobs list\n" in done.err


def test_a_refused_job_keeps_its_file(jobs: Jobs) -> None:
    """If a job is refused after the upload, the file's id is printed."""
    done = jobs("create", "train.jsonl", "--model", "gpt-none")
    (file,) = jobs.fake.files

    assert done.code == 1
    assert f"uploaded train.jsonl as {file['id']}\n" in done.err
    assert "not known whether" not in done.err


def test_following_a_service_that_goes_away(run: Run) -> None:
    """If the service stays unreachable, `--follow` ends with the command to continue."""
    looks = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal looks
        looks += 1
        if looks > 2:
            raise httpx.ConnectError("gone")
        return httpx.Response(200, json=JOB | {"data": [], "has_more": False})

    with answering(answer):
        done = run("events", "ftjob-1", "--follow", "--provider", "azure", "--base-url", "https://a b")

    assert done.code == 1
    assert (
        "come back to it with: fake-fine-tuning jobs events ftjob-1 --follow --provider azure --base-url 'https://a b'"
        in done.err
    )


@pytest.mark.parametrize(
    "answer", [httpx.Response(503), httpx.Response(429), httpx.Response(200, content="<html>")], ids=str
)
@pytest.mark.parametrize("words", [("events", "ftjob-1", "--follow"), ("wait", "ftjob-1")], ids=" ".join)
def test_watching_a_service_that_stumbles(words: tuple[str, ...], answer: httpx.Response, run: Run) -> None:
    """If the service fails, rate-limits or responds nonsense, watching ends with the command to continue."""
    with answering(lambda _: answer):
        done = run(*words)

    assert done.code == 1
    assert f"the job goes on; come back to it with: fake-fine-tuning jobs {' '.join(words)}\n" in done.err


def test_a_key_that_is_looked_for_in_vain(run: Run) -> None:
    """If a service ignores the metadata filter, `create` with an idempotency key uploads nothing."""
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.method)
        return httpx.Response(200, json={"data": [JOB], "has_more": False})

    with answering(answer):
        done = run("create", "train.jsonl", *MODEL, "--idempotency-key", "k")

    assert (done.code, done.out, sent) == (2, "", ["GET"])
    assert "lists jobs whatever their metadata" in done.err


def test_words_of_the_service_are_harmless(jobs: Jobs) -> None:
    """Control characters and markup from the service are escaped or literal, on stdout and stderr."""
    jobs.fake.plan = {"fail_at": 1, "error": {"code": "x", "message": HOSTILE}}
    job_id = jobs.job("queued", metadata={"note": HOSTILE})
    shown = jobs("show", job_id)
    followed = jobs("events", job_id, "--follow")

    assert 'metadata\t{"note": "\\u001b]0;pwned' in shown.out
    assert ESCAPED in followed.out
    assert followed.err == f"job {job_id} has failed: x: {ESCAPED}\n"
    assert json.loads(jobs("show", job_id, "--json").out)["metadata"] == {"note": HOSTILE}
    assert not re.search(r"[^\n\t -~]", shown.out + followed.out)


@pytest.mark.parametrize(
    ("created_at", "said"),
    [(0, "1970-01-01T00:00:00Z"), (1.5, "1970-01-01T00:00:01Z"), (10**20, "1" + "0" * 20), (True, "True")],
)
def test_any_time_can_be_shown(created_at: Any, said: str, run: Run) -> None:
    """A timestamp out of range is shown as the service sent it."""
    with answering(refusing(200, JOB | {"created_at": created_at})):
        assert f"created_at\t{said}" in run("show", "ftjob-1").lines


@pytest.mark.parametrize(
    "odd", [{"error": "text"}, {"method": {"type": []}}, {"method": 3, "hyperparameters": [1]}, {"metadata": "x"}]
)
def test_odd_members_can_be_shown(odd: dict[str, Any], run: Run) -> None:
    """A member of an unexpected type does not hide the others."""
    with answering(refusing(200, JOB | odd)):
        done = run("show", "ftjob-1")

    assert (done.code, done.lines[0]) == (0, "id\tftjob-1")


def test_a_checkpoint_that_says_nothing(run: Run) -> None:
    """A checkpoint without metrics is shown with dashes."""
    points = [{"id": str(step), "step_number": step, "created_at": 1, "metrics": None} for step in (2, 1)]
    with answering(refusing(200, {"data": points, "has_more": False})):
        assert run("checkpoints", "ftjob-1").lines == ["STEP\tMETRICS\tMODEL", "1\t-\t-", "2\t-\t-"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(None, "no reason given"), ("text", "text"), ({}, "no reason given"), ({"message": "m", "code": None}, "m")],
)
def test_a_failure_is_explained_whatever_the_error_is(error: Any, reason: str, run: Run) -> None:
    """A failed job with any form of `error` is reported as failed, with exit code 1."""
    with answering(refusing(200, JOB | {"status": "failed", "error": error})):
        done = run("wait", "ftjob-1")

    assert (done.code, done.err.splitlines()[-1]) == (1, f"job ftjob-1 has failed: {reason}")


def test_a_header_that_cannot_be_sent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that is invalid in a header is wrong usage with exit code 2."""
    monkeypatch.setenv("OPENAI_ORG_ID", "örg")

    assert run("list", "--base-url", "http://127.0.0.1:9/v1").code == 2


@pytest.mark.parametrize("key", ["sk-with-ümlaut-inside", "two words-of-a-key"])
def test_a_key_that_is_none(key: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid key is refused, and not shown."""
    monkeypatch.setenv("OPENAI_API_KEY", key)
    done = run("list")

    assert done.code == 2
    assert "API key" in done.err
    assert key not in done.err
