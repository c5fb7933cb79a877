"""Record the sessions packaged in `fine_tuning_cassettes` from the fake; the same code gives the same bytes.

``scripts/record_sessions`` runs this. Each session is a function of a client; its docstring is the line that
`fine_tuning_cassettes.sessions` lists.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fine_tuning_cassettes import use_cassette
from fine_tuning_cassettes.cassette import FOLDER
from fine_tuning_client import APIStatusError, FineTuningClient
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.version import VERSION

MODEL = "gpt-4o-mini-2024-07-18"
REASONER = "o4-mini-2025-04-16"
START = 1_760_000_000.0
KEY = "sk-fake-session-key"
FROM = f"the fake (fake-fine-tuning {VERSION}), not OpenAI"

QUESTIONS = ("Is it late?", "Where are you?", "Who is there?", "What is this?", "Shall we go?")


def rows() -> str:
    """Return the training data of the sessions: ten examples."""
    answers = ("Clearly.", "Elsewhere.")
    pairs = [(question, answer) for question in QUESTIONS for answer in answers]
    return "".join(json.dumps({"messages": _messages(*pair)}) + "\n" for pair in pairs)


def preferences() -> str:
    """Return ten examples of preferred answers."""
    return "".join(
        json.dumps(
            {
                "input": {"messages": [{"role": "user", "content": question}]},
                "preferred_output": [{"role": "assistant", "content": good}],
                "non_preferred_output": [{"role": "assistant", "content": bad}],
            }
        )
        + "\n"
        for question in QUESTIONS
        for good, bad in (("Yes.", "Perhaps."), ("No.", "Perhaps."))
    )


def tasks() -> str:
    """Return ten examples with answers that a grader compares."""
    return "".join(
        json.dumps({"messages": [{"role": "user", "content": f"What is {a} and {b}?"}], "answer": str(a + b)}) + "\n"
        for a in range(5)
        for b in range(2)
    )


def _messages(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


@dataclass(frozen=True, slots=True)
class Session:
    """A session and the account in which it is recorded.

    Args:
        play: the calls of the client.
        settings: the settings of the fake.
        prepare: changes to the fake before the session.
    """

    play: Callable[[FineTuningClient], None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[FakeFineTuning], object] = lambda fake: None


def success(client: FineTuningClient) -> None:
    """A job on train.jsonl is looked at until it has succeeded, then its events, checkpoints, results and model."""
    job = client.wait_for_job(_create_job(client))
    client.list_job_events(job.id)
    client.list_job_checkpoints(job.id)
    assert job.result_files
    client.retrieve_file(job.result_files[0])
    client.download_file(job.result_files[0])
    client.retrieve_model(str(job.fine_tuned_model))


def failure(client: FineTuningClient) -> None:
    """A job fails while it is trained; its error and its events tell why."""
    job = client.wait_for_job(_create_job(client))
    client.list_job_events(job.id)


def invalid_training_file(client: FineTuningClient) -> None:
    """A job fails in validation: the training file has a row that is none."""
    file = client.upload_file(rows().replace('"messages"', '"mesages"', 1).encode(), filename="train.jsonl")
    job = client.wait_for_job(client.create_job(file.id, MODEL).id)
    client.list_job_events(job.id)


def cancel(client: FineTuningClient) -> None:
    """A job is cancelled once it runs, and looked at before and after."""
    job = _start_job(client)
    client.cancel_job(job)
    client.retrieve_job(job)
    client.list_job_events(job)


def pause_resume(client: FineTuningClient) -> None:
    """A job is paused once it runs, looked at, resumed, and looked at until it has succeeded."""
    job = _start_job(client)
    client.pause_job(job)
    client.retrieve_job(job)
    client.resume_job(job)
    client.wait_for_job(job)


def paging(client: FineTuningClient) -> None:
    """Three jobs are listed in pages of two, and the events of the last in pages of fifty."""
    file = _upload(client)
    jobs = [client.wait_for_job(client.create_job(file, MODEL).id) for _ in range(3)]
    list(client.iter_jobs(page_size=2))
    list(client.iter_job_events(jobs[-1].id, page_size=50))


def dpo(client: FineTuningClient) -> None:
    """A job by direct preference optimization (beta 0.1) succeeds."""
    file = client.upload_file(preferences().encode(), filename="preferences.jsonl")
    method = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.1}}}
    job = client.wait_for_job(client.create_job(file.id, MODEL, method=method).id)
    client.list_job_events(job.id)
    client.list_job_checkpoints(job.id)


def reinforcement(client: FineTuningClient) -> None:
    """A job by reinforcement, with a grader that compares strings, succeeds."""
    train, valid = (client.upload_file(tasks().encode(), filename=f"{name}.jsonl").id for name in ("train", "valid"))
    grader = {
        "type": "string_check",
        "name": "same",
        "input": "{{sample.output_text}}",
        "reference": "{{item.answer}}",
        "operation": "eq",
    }
    method = {"type": "reinforcement", "reinforcement": {"grader": grader}}
    job = client.wait_for_job(client.create_job(train, REASONER, validation_file=valid, method=method).id)
    client.list_job_events(job.id)
    client.list_job_checkpoints(job.id)


def rate_limited(client: FineTuningClient) -> None:
    """Creating a job is answered with 429 and a retry-after of a second, then it is taken, and succeeds."""
    file = _upload(client)
    job = client.with_options(max_retries=2).create_job(file, MODEL)
    client.wait_for_job(job.id)


def error_400(client: FineTuningClient) -> None:
    """A job on file-missing is refused: there is no such file."""
    with suppress(APIStatusError):
        client.create_job("file-missing", MODEL)


def error_401(client: FineTuningClient) -> None:
    """A list of jobs is refused: the key is wrong."""
    with suppress(APIStatusError):
        client.list_jobs()


def error_403(client: FineTuningClient) -> None:
    """A job on train.jsonl is refused: fine-tuning is closed for the organization."""
    file = _upload(client)
    with suppress(APIStatusError):
        client.create_job(file, MODEL)


def error_404(client: FineTuningClient) -> None:
    """A look at ftjob-missing is refused: there is no such job."""
    with suppress(APIStatusError):
        client.retrieve_job("ftjob-missing")


def error_429(client: FineTuningClient) -> None:
    """A list of jobs is refused, as often as it is asked for: too many requests."""
    with suppress(APIStatusError):
        client.list_jobs()


def error_500(client: FineTuningClient) -> None:
    """A list of jobs is refused, as often as it is asked for: the service has failed."""
    with suppress(APIStatusError):
        client.list_jobs()


def _upload(client: FineTuningClient) -> str:
    return client.upload_file(rows().encode(), filename="train.jsonl").id


def _create_job(client: FineTuningClient) -> str:
    return client.create_job(_upload(client), MODEL).id


def _start_job(client: FineTuningClient) -> str:
    job = _create_job(client)
    while client.retrieve_job(job).status != "running":
        pass
    return job


SESSIONS = (
    Session(success),
    Session(failure, {"plan": {"fail_at": 40, "error": "server_error"}}),
    Session(invalid_training_file),
    Session(cancel),
    Session(pause_resume),
    Session(paging),
    Session(dpo),
    Session(reinforcement),
    Session(rate_limited, prepare=lambda fake: fake.rate_limit(on="create_job", retry_after=1)),
    Session(error_400),
    Session(error_401, {"api_keys": ["sk-fake-other-key"]}),
    Session(error_403, {"as_of": "2027-01-06"}),
    Session(error_404),
    Session(error_429, prepare=lambda fake: fake.rate_limit(retry_after=None)),
    Session(error_500, prepare=lambda fake: fake.fail(500)),
)


def record(folder: Path) -> None:
    """Record all sessions into *folder*, and the training data beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_bytes(rows().encode())
    for each in SESSIONS:
        _record(each, folder / f"{each.play.__name__}.yaml")


def _record(session: Session, path: Path) -> None:
    settings = session.settings if "as_of" in session.settings else {"start": START, **session.settings}
    fake = FakeFineTuning(seed=7, **settings)
    session.prepare(fake)
    about = str(session.play.__doc__)
    with fake.serving() as url:
        recording = use_cassette(path, "rewrite", recorded_from=FROM, about=about, clock=lambda: fake.born)
        client = FineTuningClient(api_key=KEY, base_url=url, sleep=fake.sleep, clock=lambda: fake.now, max_retries=0)
        with recording, client:
            session.play(client)


if __name__ == "__main__":
    record(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
