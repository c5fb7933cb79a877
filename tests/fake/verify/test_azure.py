"""Azure's exchanges are read, its state is inferred, and they are replayed in its dialects."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fine_tuning_fakeserver.verify import AUTO
from fine_tuning_fakeserver.verify.readers import read_recording
from fine_tuning_fakeserver.verify.replay import VerifiedRecording, dialect_of, verify_in_dialect
from strategies import ROWS

HOST = "https://mine.services.ai.azure.com/api/projects/mine/openai"
DATED = "api-version=2025-11-15-preview"
AT = 1_770_000_000
DATE = "Mon, 02 Feb 2026 02:40:00 GMT"
NUMBERS = {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 2}


def job(status: str, created_at: int = AT, **members: Any) -> dict[str, Any]:
    """A job as Azure shows it, under a recorder's placeholders."""
    shown = {
        "hyperparameters": NUMBERS,
        "additionalParameters": {"completionOverride": "True"},
        "seed": 7,
        "method": None,
        "trainingType": "standard",
        "eval": None,
        "error": None,
        "status": status,
        "model": "gpt-4.1-2025-04-14",
        "fine_tuned_model": None,
        "training_file": "file-x",
        "validation_file": None,
        "result_files": None,
        "finished_at": None,
        "trained_tokens": None,
        "estimated_finish": created_at + 1234,
        "id": "ftjob-x",
        "created_at": created_at,
        "object": "fine_tuning.job",
        **members,
    }
    return {name: value for name, value in shown.items() if value is not None}


def verified(folder: Path, *exchanges: Sequence[Any], dialect: str = AUTO) -> VerifiedRecording:
    """Verify exchanges of method, path, answer and perhaps status, body and headers, as the test proxy writes them."""
    entries = []
    for method, path, answer, *more in exchanges:
        given: list[Any] = [*more]
        status, body, headers = given + [200, None, {}][len(given) :]
        entries.append(
            {
                "RequestUri": f"{HOST}{path}{'&' if '?' in path else '?'}{DATED}",
                "RequestMethod": method,
                "RequestHeaders": headers,
                "RequestBody": body,
                "StatusCode": status,
                "ResponseHeaders": {"Content-Type": "application/json; charset=utf-8", "Date": DATE},
                "ResponseBody": answer,
            }
        )
    file = folder / "azure.json"
    file.write_text(json.dumps({"Entries": entries}))
    return verify_in_dialect(read_recording(file), dialect)


def verdicts(recording: VerifiedRecording) -> list[str]:
    """The verdict of each row; all facts must have been taken."""
    assert recording.problems == ()
    return [row.comparison.verdict for row in recording.rows]


@pytest.mark.parametrize(
    "shown",
    [
        job("pending", hyperparameters={**NUMBERS, "n_epochs": -1}),
        job("pending"),
        job("running", hyperparameters={**NUMBERS, "batch_size": -1}, trainingType="developerTier"),
        job("running", result_files=["file-r"]),
        job("paused", result_files=["file-x"]),
        job("cancelled", finished_at=AT + 500),
        job("cancelled", finished_at=AT, result_files=["file-r"]),
        job("succeeded", finished_at=AT + 1100, result_files=["file-r"], trained_tokens=5, fine_tuned_model="m.ft-1"),
        job("succeeded", finished_at=AT + 1100, result_files=["file-x"], trained_tokens=5, fine_tuned_model="m.ft-1"),
        job("failed", finished_at=AT + 11, error={"code": "500", "message": "A system error was encountered."}),
    ],
    ids=lambda shown: shown["status"],
)
def test_jobs_in_every_state(tmp_path: Path, shown: dict[str, Any]) -> None:
    """A job in any of Azure's states is put in, with -1, additionalParameters, its type, results and estimate."""
    assert verdicts(verified(tmp_path, ("GET", "/fine_tuning/jobs/ftjob-x", shown))) == ["exact"]


@pytest.mark.parametrize(
    "method",
    [
        {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2, "l2_multiplier": 0.5, **NUMBERS}}},
        {
            "type": "reinforcement",
            "reinforcement": {
                "hyperparameters": {
                    "eval_interval": 5,
                    "eval_samples": 2,
                    "compute_multiplier": 1,
                    "reasoning_effort": "low",
                    **NUMBERS,
                },
                "grader": {
                    "type": "score_model",
                    "name": "g",
                    "input": [{"role": "user", "content": "?"}],
                    "pass_threshold": 0,
                    "range": [0, 10],
                    "model": "o3-mini",
                },
            },
        },
    ],
    ids=lambda method: method["type"],
)
def test_jobs_of_other_methods(tmp_path: Path, method: dict[str, Any]) -> None:
    """A job by preference or reinforcement is put in with the numbers and the grader's members that Azure adds."""
    model = "gpt-4.1-mini-2025-04-14" if "dpo" in method else "o4-mini-2025-04-16"
    shown = job("pending", method=method, model=model)
    del shown["hyperparameters"]

    assert verdicts(verified(tmp_path, ("GET", "/fine_tuning/jobs/ftjob-x", shown))) == ["exact"]


def test_a_job_from_its_upload_on(tmp_path: Path) -> None:
    """Two files under one placeholder, a job on them, its cancellation and their deletion are replayed exactly."""
    form = [
        "--B\r\n",
        'Content-Disposition: form-data; name="purpose"\r\n',
        "\r\n",
        "b64:" + base64.b64encode(b"fine-tune").decode(),
        "\r\n",
        "--B\r\n",
        'Content-Disposition: form-data; name="file"; filename="a.jsonl"\r\n',
        "\r\n",
        "b64:" + base64.b64encode(ROWS.encode()).decode(),
        "\r\n",
        "--B--\r\n",
    ]
    kind = {"Content-Type": "multipart/form-data; boundary=B", "Content-Length": "9"}
    file = {
        "status": "pending",
        "bytes": len(ROWS.encode()),
        "purpose": "fine-tune",
        "filename": "a.jsonl",
        "id": "file-x",
        "created_at": AT,
        "object": "file",
    }
    ready, gone = {**file, "status": "processed"}, {"object": "file", "deleted": True, "id": "file-x"}
    asked = {"model": "gpt-4.1", "training_file": "file-x", "validation_file": "file-x", "trainingType": "Standard"}
    numbers = {"n_epochs": -1, "batch_size": -1, "learning_rate_multiplier": 2}
    made = job("pending", AT + 11, validation_file="file-x", hyperparameters=numbers)
    ended = job("cancelled", AT + 11, validation_file="file-x", hyperparameters=numbers, finished_at=AT + 12)

    assert verdicts(
        verified(
            tmp_path,
            ("POST", "/files", file, 201, form, kind),
            ("GET", "/files/file-x", ready),
            ("POST", "/files", {**file, "created_at": AT + 5}, 201, form, kind),
            ("GET", "/files/file-x", {**ready, "created_at": AT + 5}),
            ("POST", "/fine_tuning/jobs", made, 201, asked, {"Content-Type": "application/json"}),
            ("POST", "/fine_tuning/jobs/ftjob-x/cancel", {"error": {"code": "x", "message": "y"}}, 409),
            ("POST", "/fine_tuning/jobs/ftjob-x/cancel", ended),
            ("DELETE", "/files/file-x", gone),
            ("DELETE", "/files/file-x", gone),
        )
    ) == [*["exact"] * 5, "not applicable", *["exact"] * 3]


def test_a_list_under_one_placeholder(tmp_path: Path) -> None:
    """Jobs of a list that a recorder gave one id are told apart, and so is the cursor of the next page."""
    jobs = [job("cancelled", AT - 10 * n, finished_at=AT + 1) for n in range(5)]
    pages = [{"has_more": more, "data": data, "object": "list"} for more, data in ((True, jobs[:3]), (False, jobs[3:]))]
    recording = verified(
        tmp_path,
        ("GET", "/fine_tuning/jobs?limit=3", pages[0]),
        ("GET", "/fine_tuning/jobs?limit=3&after=ftjob-x", pages[1]),
    )

    assert verdicts(recording) == ["same shape", "same shape"]
    assert "after=ftjob-x-3" in recording.rows[1].path


@pytest.mark.parametrize(
    ("url", "date", "name"),
    [
        ("https://x.openai.azure.com/openai/fine_tuning/jobs", DATE, "azure-2026-02"),
        ("https://x.openai.azure.com/openai/fine_tuning/jobs", "Mon, 15 Dec 2025 02:40:00 GMT", "azure-2025"),
        ("https://x.openai.azure.com/openai/fine_tuning/jobs", "", "azure-2025"),
        ("https://westeurope.api.cognitive.microsoft.com/openai/v1/files", DATE, "azure-2026-02"),
        ("https://x.openai.azure.us/openai/deployments/d/chat/completions", DATE, "azure-2026-02"),
        ("https://gateway/openai/v1/files", DATE, "azure-2026-02"),
        ("https://gateway/api/projects/p/openai/files", DATE, "azure-2026-02"),
        ("https://notazure.com/v1/files", DATE, "openai-2025-09"),
    ],
)
def test_the_dialect_is_known_by_host_and_path(tmp_path: Path, url: str, date: str, name: str) -> None:
    """With `auto` the dialect is Azure's by host or path, and which of them by the date."""
    entry = {"RequestUri": url, "RequestMethod": "GET", "RequestHeaders": {}, "StatusCode": 200}
    file = tmp_path / "one.json"
    file.write_text(json.dumps({"Entries": [{**entry, "ResponseHeaders": {"Date": date}, "ResponseBody": None}]}))

    assert dialect_of(read_recording(file).exchanges[0]) == name
