"""`fake-fine-tuning jobs` against a fake on a socket: what each verb does and prints."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from fine_tuning_client import check_training_file
from fine_tuning_client.testing import redirect
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.cli import main
from jobs_command import VARIABLES, Done, Jobs, sent_to
from strategies import BORN, GRADER, ROWS

MODEL = ("--model", "gpt-4o-mini")
BORN_AT = "2023-11-14T22:13:20Z"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a training file, and without environment variables."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-in-the-environment")
    (tmp_path / "train.jsonl").write_text(ROWS)
    return tmp_path


def parsed(done: Done) -> list[Any]:
    """The results as parsed JSON lines."""
    return [json.loads(line) for line in done.lines]


def test_create_uploads_and_starts(jobs: Jobs) -> None:
    """`create` prints only the job's id on stdout, and on stderr the file's id and the command to follow the job."""
    done = jobs("create", "train.jsonl", *MODEL, "--provider", "fake")
    (job,) = jobs.fake.jobs

    assert (done.code, done.out) == (0, f"{job['id']}\n")
    assert f"uploaded train.jsonl as {job['training_file']}\n" in done.err
    assert done.err.endswith(f"fake-fine-tuning jobs events {job['id']} --follow --provider fake\n")


def test_create_looks_into_the_file_first(jobs: Jobs, folder: Path) -> None:
    """`create` reports an invalid training file line by line, and sends nothing."""
    (folder / "bad.jsonl").write_text(ROWS + '{"messages": []}\n\x1b[2J\n')
    done = jobs("create", "bad.jsonl", *MODEL)
    last = "nothing was sent because of bad.jsonl; --no-check sends it all the same"

    assert (done.code, done.out) == (2, "")
    assert "line 11: " in done.err
    assert "line 12: " in done.err
    assert done.err.splitlines()[-1] == f"fake-fine-tuning jobs create: {last}"
    assert "\x1b" not in done.err
    assert not jobs.fake.requests


def test_create_without_a_look(jobs: Jobs, folder: Path) -> None:
    """With --no-check an invalid training file is sent, and the service fails the job."""
    (folder / "few.jsonl").write_text(ROWS.splitlines(keepends=True)[0])
    done = jobs("create", "few.jsonl", *MODEL, "--no-check", "--follow")

    assert done.code == 1
    assert "has failed: invalid_n_examples: " in done.err


def test_create_says_what_will_be_trained(jobs: Jobs, folder: Path) -> None:
    """`create` prints the report of both files before it sends them."""
    (folder / "one.jsonl").write_text(ROWS.splitlines(keepends=True)[0])
    reports = [check_training_file(name, model=MODEL[1], n_epochs=3) for name in ("train.jsonl", "one.jsonl")]
    done = jobs("create", "train.jsonl", "--validation-file", "one.jsonl", *MODEL, "--n-epochs", "3")

    assert done.code == 0
    assert done.err.startswith("".join(f"{report}\n" for report in reports))


def test_create_takes_the_id_of_a_file(jobs: Jobs) -> None:
    """`create` with file ids uploads nothing."""
    files = [jobs.fake.add_file(ROWS)["id"] for _ in range(2)]
    done = jobs("create", files[0], *MODEL, "--validation-file", files[1])

    assert done.code == 0
    assert [exchange.operation for exchange in jobs.fake.requests] == ["create_job"]
    assert jobs.sent("create_job") == [{"model": "gpt-4o-mini", "training_file": files[0], "validation_file": files[1]}]


def test_a_file_at_hand_beats_an_id(jobs: Jobs, folder: Path) -> None:
    """A local file wins over an id of the same name."""
    (folder / "file-1.jsonl").write_text(ROWS)

    assert jobs("create", "file-1.jsonl", *MODEL).code == 0
    assert jobs.fake.jobs[0]["training_file"] != "file-1.jsonl"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--suffix", "mine", "--seed", "0"], {"suffix": "mine", "seed": 0}),
        (["--metadata", "a=b", "--metadata", "c=d=e"], {"metadata": {"a": "b", "c": "d=e"}}),
        (
            ["--n-epochs", "3", "--batch-size", "auto", "--learning-rate-multiplier", "0.5"],
            {"hyperparameters": {"n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": 0.5}},
        ),
        (["--learning-rate-multiplier", "auto"], {"hyperparameters": {"learning_rate_multiplier": "auto"}}),
        (["--method", "supervised"], {"method": {"type": "supervised"}}),
        (
            ["--method", "supervised", "--n-epochs", "2"],
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}},
        ),
    ],
)
def test_create_sends_what_was_given(words: list[str], expected: dict[str, Any], jobs: Jobs) -> None:
    """`create` sends exactly the given options, in the API's form."""
    assert jobs("create", "train.jsonl", *MODEL, *words).code == 0
    (body,) = jobs.sent("create_job")
    assert body == {"model": "gpt-4o-mini", "training_file": body["training_file"], **expected}


def test_create_once(jobs: Jobs) -> None:
    """A repeated `create` with the same idempotency key returns the existing job, and uploads nothing."""
    key = ("--idempotency-key", "run-7", "--metadata", "team=a")
    first, again = (jobs("create", "train.jsonl", *MODEL, *key) for _ in range(2))

    assert (first.code, again.code, first.out) == (0, 0, again.out)
    assert jobs.fake.jobs[0]["metadata"] == {"team": "a", "idempotency_key": "run-7"}
    assert (len(jobs.fake.jobs), jobs.uploads) == (1, 1)
    assert "already exists" not in first.err
    assert f"job {jobs.fake.jobs[0]['id']} already exists (" in again.err


def test_create_by_preference(jobs: Jobs, folder: Path) -> None:
    """`create --method dpo` creates a preference job with its hyperparameters."""
    answers = {name: [{"role": "assistant", "content": name}] for name in ("preferred_output", "non_preferred_output")}
    row = {"input": {"messages": [{"role": "user", "content": "Hi"}]}, **answers}
    (folder / "pairs.jsonl").write_text(f"{json.dumps(row)}\n" * 10)

    assert jobs("create", "pairs.jsonl", *MODEL, "--method", "dpo", "--n-epochs", "1", "--follow").code == 0
    assert jobs.fake.jobs[0]["method"]["dpo"]["hyperparameters"]["n_epochs"] == 1


def test_create_by_reinforcement(jobs: Jobs, folder: Path) -> None:
    """`create --method reinforcement` creates a job with the grader from a file."""
    row = {"messages": [{"role": "user", "content": "Hi"}], "answer": "Hello"}
    (folder / "tasks.jsonl").write_text(f"{json.dumps(row)}\n" * 10)
    (folder / "grader.json").write_text(json.dumps(GRADER))
    files = ("tasks.jsonl", "--validation-file", "tasks.jsonl", "--grader", "grader.json")

    assert jobs("create", *files, "--model", "o4-mini", "--method", "reinforcement").code == 0
    assert jobs.fake.jobs[0]["method"]["reinforcement"]["grader"]["name"] == GRADER["name"]


def test_create_and_follow(jobs: Jobs) -> None:
    """`create --follow` prints the job's id, all its events in order, and its model's name."""
    done = jobs("create", "train.jsonl", *MODEL, "--follow")
    (job,) = jobs.fake.jobs

    assert (done.code, done.lines[0], done.lines[-1]) == (0, job["id"], job["fine_tuned_model"])
    assert done.cells[1] == [BORN_AT, "info", f"Created fine-tuning job: {job['id']}"]
    assert done.cells[-2][2] == "The job has successfully completed"
    assert [cells[0] for cells in done.cells[1:-1]] == sorted(cells[0] for cells in done.cells[1:-1])


def test_following_a_job_that_fails(jobs: Jobs) -> None:
    """`create --follow` of a job that fails ends with code and reason on stderr, and exit code 1."""
    jobs.fake.plan = {"fail_at": 3, "error": "server_error"}
    done = jobs("create", "train.jsonl", *MODEL, "--follow")

    assert done.code == 1
    assert f"job {jobs.fake.jobs[0]['id']} has failed: server_error: " in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_list(jobs: Jobs) -> None:
    """Without a terminal `list` prints a heading and a line per job, newest first, separated by tabs."""
    ids = [jobs.job("succeeded"), jobs.job("running")]
    done = jobs("list")

    assert done.cells[0] == ["ID", "STATUS", "CREATED", "MODEL"]
    assert [cells[0] for cells in done.cells[1:]] == ids[::-1]
    assert [cells[1] for cells in done.cells[1:]] == ["running", "succeeded"]
    assert done.cells[2][3].startswith("ft:gpt-4o-mini")
    assert (done.cells[1][3], done.err) == ("gpt-4o-mini-2024-07-18", "")


def test_list_page_by_page(jobs: Jobs) -> None:
    """A page of `list` ends with the command for the next one, and --all prints all pages."""
    ids = [jobs.job() for _ in range(3)][::-1]
    first = jobs("list", "--limit", "2")
    rest = jobs("list", "--after", ids[1], "--json")

    assert [cells[0] for cells in first.cells[1:]] == ids[:2]
    assert first.err == f"there are more: --after {ids[1]}, or --all\n"
    assert [job["id"] for job in parsed(rest)] == ids[2:]
    assert [job["id"] for job in parsed(jobs("list", "--all", "--json"))] == ids


def test_list_by_metadata(jobs: Jobs) -> None:
    """`list --metadata` filters jobs, with --all too."""
    wanted = jobs.job(metadata={"team": "a", "run": "1"})
    jobs.job(metadata={"team": "a", "run": "2"})
    pairs = ("--metadata", "team=a", "--metadata", "run=1")

    assert [each[0] for each in jobs("list", *pairs).cells[1:]] == [wanted]
    assert [each[0] for each in jobs("list", "--all", *pairs).cells[1:]] == [wanted]


def test_an_empty_list(jobs: Jobs) -> None:
    """An empty list prints nothing on stdout and "no jobs" on stderr."""
    assert jobs("list") == Done(0, "", "no jobs\n")
    assert jobs("list", "--json") == Done(0, "", "")


def test_show(jobs: Jobs) -> None:
    """`show` prints one member per line, without those that are null."""
    job_id = jobs.job("succeeded", metadata={"a": "b", "c": "d"}, hyperparameters={"n_epochs": 3})
    shown = dict(jobs("show", job_id).cells)

    assert (shown["id"], shown["status"], shown["metadata"]) == (job_id, "succeeded", '{"a": "b", "c": "d"}')
    assert json.loads(shown["method"])["type"] == "supervised"
    assert json.loads(shown["hyperparameters"])["n_epochs"] == 3
    assert shown["created_at"].endswith("Z")
    assert not {"error", "validation_file", "estimated_finish"} & set(shown)


def test_show_for_a_machine(jobs: Jobs) -> None:
    """`show --json` prints the service's whole response in one line."""
    job_id = jobs.job()
    (job,) = parsed(jobs("show", job_id, "--json"))

    assert job == jobs.fake.jobs[0]


def test_events(jobs: Jobs) -> None:
    """`events` prints the newest twenty events, or as many as requested, the newest last."""
    job_id = jobs.job("succeeded")
    known = jobs("events", job_id, "--limit", "1000")

    assert len(known.lines) > 100
    assert known.cells[0][2] == f"Created fine-tuning job: {job_id}"
    assert jobs("events", job_id).lines == known.lines[-20:]
    assert jobs("events", job_id, "--limit", "2").lines == known.lines[-2:]
    assert [event["message"] for event in parsed(jobs("events", job_id, "--limit", "2", "--json"))] == [
        cells[2] for cells in known.cells[-2:]
    ]


def test_events_followed_by_a_machine(jobs: Jobs) -> None:
    """`events --follow --json` prints each event once and nothing else."""
    job_id = jobs.job("queued")
    done = jobs("events", job_id, "--follow", "--json")
    ids = [event["id"] for event in parsed(done)]

    assert done.code == 0
    assert len(ids) == len(set(ids)) > 100
    assert {event["object"] for event in parsed(done)} == {"fine_tuning.job.event"}


def test_events_followed_from_the_newest(jobs: Jobs) -> None:
    """`events --follow --limit` starts with that many existing events."""
    jobs.fake.pace = "manual"
    job_id = jobs.job("running")
    before = jobs("events", job_id, "--limit", "1000").lines
    after = jobs("events", job_id, "--follow", "--limit", "2").lines

    assert after[:2] == before[-2:]
    assert after[-2].endswith("The job has successfully completed")


def test_checkpoints(jobs: Jobs) -> None:
    """`checkpoints` prints step, metrics and model in the order of training."""
    job_id = jobs.job("succeeded")
    done = jobs("checkpoints", job_id)
    steps = [int(cells[0]) for cells in done.cells[1:]]

    assert done.cells[0] == ["STEP", "METRICS", "MODEL"]
    assert json.loads(done.cells[1][1])["train_loss"] > 0
    assert steps == sorted(steps) == [each["step_number"] for each in parsed(jobs("checkpoints", job_id, "--json"))]
    assert all(cells[-1].startswith("ft:") for cells in done.cells[1:])


def test_no_checkpoints(jobs: Jobs) -> None:
    """`checkpoints` of a job without checkpoints says so on stderr."""
    job_id = jobs.job("queued")

    assert jobs("checkpoints", job_id) == Done(0, "", f"job {job_id} has no checkpoints\n")


def test_pause_resume_cancel(jobs: Jobs) -> None:
    """`pause`, `resume` and `cancel` change the job and print its new status."""
    jobs.fake.pace = "manual"
    job_id = jobs.job("running")
    said = [jobs(verb, job_id).cells for verb in ("pause", "resume", "cancel")]

    assert said == [[[job_id, "paused"]], [[job_id, "queued"]], [[job_id, "cancelled"]]]


def test_wait(jobs: Jobs) -> None:
    """`wait` prints each status on stderr, and only the model's name on stdout."""
    jobs.fake.pace = "manual"
    job_id = jobs.job("queued")
    done = jobs("wait", job_id)
    statuses = ("queued", "running")

    assert (done.code, done.out) == (0, f"{jobs.fake.jobs[0]['fine_tuned_model']}\n")
    assert done.err.splitlines() == [f"{job_id} {status}" for status in statuses]


def test_wait_runs_out(jobs: Jobs) -> None:
    """`wait --timeout` ends with exit code 124 when time is up, with the commands to continue."""
    job_id = jobs.job("paused")
    done = jobs("wait", job_id, "--timeout", "12")

    assert (done.code, done.out) == (124, "")
    assert done.err.splitlines() == [
        f"{job_id} paused",
        f"it is paused until: fake-fine-tuning jobs resume {job_id}",
        f"the job goes on; come back to it with: fake-fine-tuning jobs wait {job_id}",
        f"fake-fine-tuning jobs wait: job {job_id} is paused after 12 s",
    ]


@pytest.mark.parametrize("verb", [("wait",), ("events", "--follow")])
def test_a_job_is_looked_at_after_a_second(verb: tuple[str, ...], jobs: Jobs) -> None:
    """The second poll of a job comes after one second."""
    job_id, slept = jobs.job("queued"), list[float]()
    with redirect(jobs.fake.base_url, sleep=slept.append):
        assert jobs(*verb, job_id).code == 0

    assert slept == [1.0]


@pytest.mark.parametrize("verb", [("wait",), ("events", "--follow")])
def test_watching_a_cancelled_job(verb: tuple[str, ...], jobs: Jobs) -> None:
    """Watching a cancelled job ends with exit code 1."""
    job_id = jobs.job("cancelled")
    done = jobs(*verb, job_id)

    assert done.code == 1
    assert done.err.endswith(f"job {job_id} was cancelled\n")


def test_metrics(jobs: Jobs) -> None:
    """`metrics` prints the values of all steps, as tab-separated lines or the same as CSV."""
    job_id = jobs.job("succeeded")
    done = jobs("metrics", job_id)
    rows = list(csv.DictReader(StringIO(jobs("metrics", job_id, "--csv").out)))

    assert done.cells[0][:2] == ["step", "train_loss"]
    assert [row["step"] for row in rows] == [cells[0] for cells in done.cells[1:]]
    assert [row["step"] for row in rows] == [str(step) for step in range(1, len(rows) + 1)]
    assert float(rows[0]["train_loss"]) > float(rows[-1]["train_loss"]) > 0
    assert {row["valid_loss"] for row in rows} == {""}


def test_no_metrics_yet(jobs: Jobs) -> None:
    """`metrics` of a job without a result file says so with its status, and exits with 1."""
    job_id = jobs.job("queued")
    jobs.fake.pace = "manual"

    assert jobs("metrics", job_id) == Done(
        1, "", f"job {job_id} is queued and has no metrics: they come when it has succeeded\n"
    )


def test_azure(capsys: pytest.CaptureFixture[str]) -> None:
    """With another provider the same commands create and list a job."""
    fake = FakeFineTuning(start=BORN, dialect="azure-2025")
    with fake.serving(), sent_to(fake, capsys) as jobs:
        done = jobs("create", "train.jsonl", *MODEL, "--follow", "--provider", "azure")
        (listed,) = jobs("list", "--provider", "azure").cells[1:]

    assert done.code == 0
    assert done.lines[-1].startswith("gpt-4o-mini-2024-07-18.ft-")
    assert listed[:2] == [done.lines[0], "succeeded"]
    assert {exchange.operation for exchange in jobs.fake.requests} > {"upload_file", "create_job", "list_jobs"}


@pytest.mark.parametrize("provider", ["openai", "azure", "fake", "openai_compatible"])
def test_the_address_and_the_key(
    provider: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address may be given before or after the verb, and the key comes from the environment, if one is needed."""
    fake = FakeFineTuning(start=BORN, pace="instant", dialect="azure-2025" if provider == "azure" else "openai-2025-09")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "sk-azure")
    if provider == "openai_compatible":
        Path("fine_tuning.toml").write_text('[providers.openai_compatible]\nkey_env = "OPENAI_API_KEY"\n')
    with fake.serving() as url:
        service = ["--provider", provider, "--base-url", url]
        created = main(["jobs", *service, "create", "train.jsonl", *MODEL])
        followed = main(["jobs", "events", fake.jobs[0]["id"], "--follow", *service])

    assert (created, followed) == (0, 0)
    assert capsys.readouterr().out.splitlines()[-1] == fake.jobs[0]["fine_tuned_model"]
