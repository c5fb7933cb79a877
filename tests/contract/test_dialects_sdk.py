"""The official SDK with the dialects openai-spec and azure-2025."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.fine_tuning import FineTuningJob

from fine_tuning_fakeserver import FakeFineTuning

from . import strictness
from .session import KEY, ROWS, http_library
from .strictness import SPEC

VERSION = "2025-04-01-preview"
VALIDATED = [state for state in strictness.STATES if state != "paused"]


@pytest.mark.parametrize("state", VALIDATED)
def test_a_strict_client_takes_every_answer_as_documented(state: str) -> None:
    """Under openai-spec a validating client accepts every response, in every state but paused."""
    fake, job_id = strictness.in_state(state, SPEC)
    job = next(job for job in fake.jobs if job["id"] == job_id)

    assert not set(strictness.misfits(FineTuningJob, job))
    strictness.check_client(state, SPEC)


def test_types_find_nothing_but_paused() -> None:
    """Under openai-spec the only misfit with the SDK's types is the status paused."""
    strictness.check_types(SPEC)


def test_as_documented_there_is_nothing_undocumented() -> None:
    """Under openai-spec no response has a member that the SDK's types lack."""
    assert strictness.undocumented(SPEC) == set()
    assert ("FineTuningJob", "usage_metrics") in strictness.undocumented(strictness.RECORDED_NAME)


@pytest.mark.parametrize("method", ["dpo", "reinforcement"])
def test_other_methods_are_as_documented(method: str) -> None:
    """Under openai-spec a job of another training method fits the SDK's types, at its start and its end."""
    fake, _ = strictness.account(SPEC)
    job = fake.add_job(_file(fake, method), status="validating_files", method=_method(method))
    fake.advance_to("succeeded")

    for shown in (job, fake.jobs[0]):
        assert not set(strictness.misfits(FineTuningJob, shown))


def _method(name: str) -> dict[str, Any]:
    grader = {"type": "string_check", "name": "g", "input": "{{sample.output_text}}", "reference": "a"}
    return {"type": name, name: {"grader": {**grader, "operation": "eq"}} if name == "reinforcement" else {}}


def _file(fake: FakeFineTuning, method: str) -> str:
    messages = '"messages": [{"role": "user", "content": "Hi"}]'
    said = '[{"role": "assistant", "content": "Hello"}]'
    row = f'{{"input": {{{messages}}}, "preferred_output": {said}, "non_preferred_output": {said}}}'
    return str(fake.add_file(((row if method == "dpo" else f"{{{messages}}}") + "\n") * 10)["id"])


def _azure(dated: bool) -> tuple[FakeFineTuning, Any]:
    """A fake of Azure, and the SDK's Azure client for dated paths or the plain client for v1 paths."""
    fake = FakeFineTuning(dialect="azure-2025", api_keys=[KEY])
    http = http_library().Client(transport=fake.transport(http_library()))
    if not dated:
        return fake, openai.OpenAI(base_url="http://fake/openai/v1", api_key=KEY, http_client=http)
    return fake, openai.AzureOpenAI(
        azure_endpoint="http://fake", api_key=KEY, api_version=VERSION, http_client=http, max_retries=0
    )


@pytest.mark.parametrize("dated", [True, False])
def test_a_session_with_azure(dated: bool) -> None:
    """The SDK's clients for Azure complete a whole session, by dated and by v1 paths."""
    fake, client = _azure(dated)
    file = client.files.create(file=("train.jsonl", ROWS), purpose="fine-tune")
    seen = [client.files.retrieve(file.id).status for _ in range(2)]
    job = client.fine_tuning.jobs.create(
        training_file=file.id, model="gpt-4o-mini", suffix="mine", extra_body={"trainingType": "GlobalStandard"}
    )
    statuses = [job.status]
    while job.status not in ("succeeded", "failed"):
        job = client.fine_tuning.jobs.retrieve(job.id)
        statuses.append(job.status)

    assert [file.status, *seen] == ["pending", "pending", "processed"]
    assert statuses == ["pending", "pending", "running", "succeeded"]
    assert (job.organization_id, job.error, job.method, job.metadata, job.integrations) == (None,) * 5
    assert job.fine_tuned_model == f"gpt-4o-mini-2024-07-18.ft-{job.id.removeprefix('ftjob-')}-mine"
    assert job.model_extra == {
        "additionalParameters": {"completionOverride": "True"},
        "suffix": "mine",
        "trainingType": "globalStandard",
    }
    assert [event.message for event in client.fine_tuning.jobs.list_events(job.id, limit=100)][-1].startswith("Job enq")
    assert [point.metrics.step for point in client.fine_tuning.jobs.checkpoints.list(job.id)] == [100.0, 90.0, 80.0]
    assert client.files.content(job.result_files[0]).text.startswith("step,train_loss")
    assert {exchange.status for exchange in fake.requests} == {200, 201}


def test_a_wrong_key_for_azure() -> None:
    """A wrong key is refused with Azure's text, and raised as the SDK's AuthenticationError."""
    _, client = _azure(dated=True)

    with pytest.raises(openai.AuthenticationError, match="invalid subscription key") as caught:
        client.with_options(api_key="another").fine_tuning.jobs.list()
    assert caught.value.code == "401"
