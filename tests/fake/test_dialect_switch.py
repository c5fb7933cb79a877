"""Another dialect in a running account: what there is keeps its ids, and answers have the members of the new one."""

from __future__ import annotations

import json
import re
from itertools import permutations
from typing import Any

import httpx
import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.domain.dialects import DIALECTS
from strategies import BORN, ROWS

AZURE, OPENAI = "azure-2025", "openai-2025-09"
JOBS = "/v1/fine_tuning/jobs"
SWITCHES = list(permutations(sorted(DIALECTS), 2))


def send(fake: FakeFineTuning, method: str, path: str, body: Any = None, key: str = "authorization") -> httpx.Response:
    """Send a request in this process."""
    headers = {key: "Bearer any" if key == "authorization" else "any"}
    with httpx.Client(transport=fake.transport(), base_url="http://fake", headers=headers) as client:
        return client.request(method, path, json=body)


def account(dialect: str, **settings: Any) -> FakeFineTuning:
    """An account with a job that has succeeded, and one that runs."""
    fake = FakeFineTuning(**{"dialect": dialect, "start": BORN, "pace": "manual", **settings})
    file = fake.add_file(ROWS)["id"]
    fake.advance("1h")
    for status in ("succeeded", "running"):
        body = {"model": "gpt-4o-mini-2024-07-18", "training_file": file}
        assert send(fake, "POST", JOBS, body).is_success
        fake.advance_to(status)
    return fake


def ids_in(fake: FakeFineTuning) -> Any:
    """The ids of everything that lists show, and of every job's events and checkpoints."""
    paths = ["/v1/files", JOBS]
    for job in fake.jobs:
        paths += [f"{JOBS}/{job['id']}/events?limit=100", f"{JOBS}/{job['id']}/checkpoints"]
    return {path: [each["id"] for each in send(fake, "GET", path).json()["data"]] for path in paths}


@pytest.mark.parametrize(("before", "after"), SWITCHES)
def test_ids_stay_and_lead_to_what_they_did(before: str, after: str) -> None:
    """An id of before the switch is another one afterwards, or is not found, as an id or as a cursor."""
    fake = account(before)
    ids = ids_in(fake)
    models = [job["fine_tuned_model"] for job in fake.jobs if job.get("fine_tuned_model")]
    fake.dialect = after
    assert fake.dialect == after
    assert ids_in(fake) == ids
    for path, known in ids.items():
        after_first = f"{path.partition('?')[0]}?after={known[0]}&limit=990" if known else path
        shown = [each["id"] for each in send(fake, "GET", after_first).json()["data"]]
        assert shown[: len(known) - 1] == known[1:]
    assert [job["fine_tuned_model"] for job in fake.jobs if job.get("fine_tuned_model")] == models
    assert send(fake, "GET", f"/v1/models/{models[0]}").is_success


def shape(value: Any) -> Any:
    """The members of a value, and their kinds."""
    return {name: shape(item) for name, item in value.items()} if isinstance(value, dict) else type(value).__name__


def members_of_a_step(page: Any) -> list[str]:
    """The members of a page's first event of a training step, or first checkpoint."""
    return next((list(each) for each in page["data"] if each.get("type") != "message"), [])


@pytest.mark.parametrize(("before", "after"), SWITCHES)
def test_answers_have_the_members_of_the_new_dialect(before: str, after: str) -> None:
    """A job, event, checkpoint or file of before the switch has other members than one that was made after it."""
    fake, native = account(before), account(after)
    fake.dialect = after
    for old, new in zip(fake.jobs, native.jobs, strict=True):
        assert list(old) == list(new) or {*new} - {*old} <= {"result_files", "trainingType"}
        assert old["status"] == new["status"]
        for part in ("events", "checkpoints"):
            pages = [
                send(each, "GET", f"{JOBS}/{job['id']}/{part}").json() for each, job in ((fake, old), (native, new))
            ]
            assert list(pages[0]) == list(pages[1])
            assert members_of_a_step(pages[0]) == members_of_a_step(pages[1])
    assert [shape(each) for each in fake.files] == [shape(each) for each in native.files]
    answers = [send(each, "GET", f"{JOBS}/ftjob-none") for each in (fake, native)]
    assert answers[0].json() == answers[1].json()
    assert {*answers[0].headers} == {*answers[1].headers}


def test_a_new_job_is_of_the_new_dialect() -> None:
    """A job that is made after the switch has an id, a status or an answer of the dialect before."""
    fake = account(OPENAI)
    fake.dialect = AZURE
    made = send(fake, "POST", JOBS, {"model": "gpt-4o-mini-2024-07-18", "training_file": fake.jobs[0]["training_file"]})
    assert (made.status_code, made.json()["status"]) == (201, "pending")
    assert re.fullmatch(r"ftjob-[0-9a-f]{32}", made.json()["id"])
    fake.dialect = OPENAI
    shown = send(fake, "GET", f"{JOBS}/{made.json()['id']}").json()
    assert (shown["status"], shown["method"]["type"], shown["estimated_finish"]) == (
        "validating_files",
        "supervised",
        None,
    )


@pytest.mark.parametrize("first", [AZURE, OPENAI])
def test_both_paths_and_both_keys_are_taken(first: str) -> None:
    """A client of the dialect before the switch is answered by a 404 or a 401 after it."""
    fake = account(first, api_keys=["any"])
    fake.dialect = AZURE if first == OPENAI else OPENAI
    job = fake.jobs[0]["id"]
    for root, key in (("/v1", "authorization"), ("/openai/v1", "api-key"), ("/openai", "api-key")):
        answer = send(fake, "GET", f"{root}/fine_tuning/jobs/{job}?api-version=2025-04-01-preview", key=key)
        assert (answer.status_code, answer.json()["id"]) == (200, job)
    assert fake.dialect != first


def test_what_the_other_dialect_has_never_had_is_not_there() -> None:
    """OpenAI's paths of an account that has never been Azure's answer those of Azure."""
    fake = account(OPENAI)
    fake.dialect = "openai-2024-10"
    assert send(fake, "GET", "/openai/v1/files").status_code == 404
    assert send(fake, "GET", "/v1/files", key="api-key").status_code == 401


def test_unknown_dialects_change_nothing() -> None:
    """A name that is no dialect's is taken, or refused without the names that are."""
    fake = account(OPENAI)
    for name in ("klingon", None, 7):
        with pytest.raises(FakeUsageError, match=re.escape(f"dialect must be one of {', '.join(DIALECTS)}, got")):
            fake.dialect = name  # type: ignore[assignment]
    refused = send(fake, "PUT", "/_fake/dialect", {"dialect": "klingon"})
    assert refused.status_code == 400
    assert "azure-2025" in refused.json()["message"]
    assert fake.dialect == OPENAI


def test_the_control_api_switches() -> None:
    """`PUT /_fake/dialect` does not change the dialect, or the state does not show it."""
    fake = account(OPENAI)
    assert send(fake, "PUT", "/_fake/dialect", {"dialect": AZURE}).json() == {"dialect": AZURE}
    assert fake.dialect == fake.state()["account"]["dialect"] == AZURE
    assert f"dialect {AZURE}" in fake.describe()


def test_a_rewind_goes_back_to_the_dialect_of_then() -> None:
    """An account that is taken back to before the switch answers in the dialect of after it, or the other way round."""
    fake = account(OPENAI)
    before = fake.now
    fake.advance("5m")
    fake.dialect = AZURE
    fake.advance("5m")
    after, number = fake.now, len(fake.requests)
    assert "status" in send(fake, "GET", f"{JOBS}/{fake.jobs[0]['id']}").json()
    fake.dialect = "openai-spec"
    fake.rewind_to(request=number + 1)
    assert fake.dialect == AZURE
    fake.rewind_to(time=before)
    assert (fake.dialect, fake.now) == (OPENAI, before)
    assert after > before


def test_a_saved_account_keeps_its_dialects() -> None:
    """A copy of an account answers in another dialect, or on fewer paths."""
    fake = account(AZURE)
    fake.dialect = OPENAI
    copy = fake.fork()
    assert copy.dialect == OPENAI
    path = f"/openai/v1/fine_tuning/jobs/{fake.jobs[1]['id']}"
    assert send(copy, "GET", path, key="api-key").content == send(fake, "GET", path, key="api-key").content
    fake.reset()
    assert fake.dialect == AZURE


def test_accounts_by_key_take_the_keys_of_both_dialects() -> None:
    """A server with an account a key mistakes the key of a client of the dialect before for none."""
    with FakeAccounts(account_per_key=True) as accounts:
        main = accounts.account("main")
        for name in (AZURE, OPENAI):
            main.dialect = name
        for header in ({"api-key": "secret"}, {"authorization": "Bearer secret"}):
            httpx.post(
                f"{main.base_url}/files",
                headers=header,
                files={"file": ("a.jsonl", ROWS)},
                data={"purpose": "fine-tune"},
                trust_env=False,
            )
        assert len(accounts.names) == 2
        assert not main.files


def test_an_error_of_the_switch_is_json() -> None:
    """A body that is no dialect's name is answered by anything but a usage error."""
    fake = account(OPENAI)
    for body in ({}, {"dialect": None}, {"dialect": ["azure-2025"]}, {"name": AZURE}):
        answer = send(fake, "PUT", "/_fake/dialect", body)
        assert answer.status_code == 400
        assert json.loads(answer.content)["fake_error"]
