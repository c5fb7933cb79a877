"""Ids: their form, their uniqueness, and their dependence on the seed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.account import model_created
from fine_tuning_fakeserver.domain import ids
from fine_tuning_fakeserver.web.in_process import InProcessResponse
from strategies import BORN, FORM, KEY, ROWS, Http, form

JOBS = "/fine_tuning/jobs"
job_ids = st.text(st.sampled_from(ids.ALPHABET), min_size=24, max_size=24).map("ftjob-{}".format)
ordinals = st.integers(0, 200) | st.integers(0, 62**7 - 1)


@given(job_ids, ordinals)
def test_an_event_id_leads_back_to_its_ordinal(job: str, ordinal: int) -> None:
    """An event id has the service's form, and its ordinal can be computed from it."""
    identifier = ids.event_id(job, ordinal)

    assert re.fullmatch("ftevent-[A-Za-z0-9]{24}", identifier)
    assert ids.event_ordinal(job, identifier) == ordinal


@given(job_ids, job_ids, ordinals)
def test_an_event_id_is_of_one_job_only(job: str, other: str, ordinal: int) -> None:
    """An event id of one job is not accepted for another job."""
    assume(job != other)

    assert ids.event_ordinal(other, ids.event_id(job, ordinal)) is None


@given(job_ids, st.integers(0, 1000), st.integers(8, 31), st.sampled_from(ids.ALPHABET + "-_é\x00"))
def test_a_changed_event_id_is_none(job: str, ordinal: int, place: int, character: str) -> None:
    """An event id with one character changed, removed or added is not accepted."""
    identifier = ids.event_id(job, ordinal)
    changed = identifier[:place] + character + identifier[place + 1 :]
    assume(changed != identifier)

    for wrong in (changed, identifier[:place] + identifier[place + 1 :], identifier + character, identifier[8:]):
        assert ids.event_ordinal(job, wrong) is None


@given(job_ids, st.text(max_size=40))
def test_any_text_may_be_asked_for(job: str, text: str) -> None:
    """An arbitrary text is never accepted as an event id."""
    assert ids.event_ordinal(job, text) is None
    assert ids.event_ordinal(job, f"ftevent-{text}") is None


@given(job_ids, st.sets(ordinals, min_size=2, max_size=30))
def test_event_ids_differ(job: str, places: set[int]) -> None:
    """Event ids of a job are unique."""
    assert len({ids.event_id(job, place) for place in places}) == len(places)


@given(st.integers(0, 62**5 - 1), st.integers(5, 8))
def test_base_62_leads_back(number: int, width: int) -> None:
    """A number written in base 62 is parsed to the same number and has the given width."""
    text = ids.to_digits(number, width)

    assert (len(text), ids.from_digits(text)) == (width, number)


@pytest.mark.parametrize(
    ("model", "created"),
    [
        # times of real models, seen beside their ids
        ("ft:gpt-3.5-turbo-0125:org:suffix:C4ZiCljE", 1_755_206_624),
        ("ft:gpt-4o-mini-2024-07-18:personal:pinolo-mutate-llm:9x9umpsR", 1_723_886_492),
        ("ft:gpt-4o-mini-2024-07-18:personal:pinolo-mutate-llm:9x9umpsR:ckpt-step-80", 1_723_886_492),
        ("ft:gpt-4o-mini-2024-07-18:personal:a:b:9x9umpsR", 1_723_886_492),
        ("ft:gpt-4o-mini-2024-07-18:personal::9x9u", None),
        ("ft:gpt-4o-mini-2024-07-18:personal::9x_umpsR", None),
        ("gpt-4o-mini", None),
        ("", None),
    ],
)
def test_the_time_in_the_name_of_a_model(model: str, created: int | None) -> None:
    """The last part of a model's name encodes its creation time, as in real names."""
    assert ids.model_time(model) == created
    assert created is None or model_created(model) == created + (":ckpt-step-" not in model)


@given(st.integers(ids.MODEL_EPOCH, ids.MODEL_EPOCH + 62**5 - 1), st.integers(0))
def test_the_time_of_a_model_leads_back(created: int, noise: int) -> None:
    """The time encoded in a model's name is decoded to the same time."""
    token = ids.model_token(created, noise)

    assert re.fullmatch("[A-Za-z0-9]{8}", token)
    assert ids.model_time(f"ft:base:org:suffix:{token}") == created


@given(st.text(), st.sets(st.integers(0, ids.MODELS_A_SECOND - 1), min_size=2))
def test_models_of_one_second_have_names_of_their_own(part: str, numbers: set[int]) -> None:
    """Two jobs of an account that end in the same second have models of the same name."""
    tokens = {ids.model_token(ids.MODEL_EPOCH, ids.model_noise(number, part)) for number in numbers}

    assert len(tokens) == len(numbers)


def test_jobs_that_end_together_have_models_of_their_own() -> None:
    """Among many jobs that end at the same time, the model of one is taken for that of another."""
    http = Http(FakeFineTuning(start=BORN, pace="manual"))
    file = http.file()
    jobs = [http.json("POST", JOBS, {"model": "gpt-4o-mini", "training_file": file})["id"] for _ in range(1000)]
    http.fake.advance_to("succeeded", jobs[-1])
    http.fake.advance("1d")

    models = http.fake._world.account.models
    assert len(models) == 3 * len(jobs)
    assert set(models.values()) == set(jobs)


def session(seed: int, **settings: Any) -> list[InProcessResponse]:
    """The responses of a whole session."""
    http = Http(FakeFineTuning(seed=seed, start=BORN, pace="polls", **settings))
    replies: list[InProcessResponse] = []

    def send(method: str, path: str, body: Any = None) -> Any:
        headers = (KEY, FORM) if isinstance(body, bytes) else (KEY,)
        replies.append(http.send(method, path, body, headers))
        return json.loads(replies[-1].body) if not path.endswith("/content") else None

    file = send("POST", "/files", form(ROWS.encode()))["id"]
    body = {"model": "gpt-4o-mini", "training_file": file, "validation_file": file, "suffix": "s"}
    first, second = send("POST", JOBS, body)["id"], send("POST", JOBS, body)["id"]
    send("POST", f"{JOBS}/{second}/cancel")
    job = send("GET", f"{JOBS}/{first}")
    while job["status"] != "succeeded":
        job = send("GET", f"{JOBS}/{first}")
    for path in (JOBS, f"{JOBS}/{first}/events?limit=1000", f"{JOBS}/{first}/checkpoints", "/files", "/models"):
        send("GET", path)
    send("GET", f"/files/{job['result_files'][0]}/content")
    send("GET", "/files/none")
    send("DELETE", f"/models/{job['fine_tuned_model']}")
    send("DELETE", f"/files/{file}")
    return replies


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Two fakes with the same seed and start give the same bytes in a whole session, headers included."""
    assert session(3) == session(3)


def test_another_seed_gives_other_bytes() -> None:
    """Fakes with different seeds share no id, loss or model."""
    one, other = (b"".join(reply.body for reply in session(seed)).decode() for seed in (3, 4))

    for pattern in (
        r"(?:ftjob|file|ftevent|org)-\w{22,24}",
        r"ftckpt_\w{24}",
        r'"train_loss": (\d\.\d{6,})',
        r'ft:[^"]+:s:(\w{8})',
        r'"seed": (\d+)',
    ):
        found, others = set(re.findall(pattern, one)), set(re.findall(pattern, other))
        assert found
        assert not found & others, pattern
    requests = [{dict(reply.headers)[b"x-request-id"] for reply in session(seed)} for seed in (3, 4)]
    assert not requests[0] & requests[1]


def test_what_ids_look_like() -> None:
    """Every id has the service's prefix and length."""
    http = Http(FakeFineTuning(start=BORN, pace="instant"))
    job = http.json("GET", f"{JOBS}/{http.job()['id']}")
    events = http.json("GET", f"{JOBS}/{job['id']}/events")["data"]
    points = http.json("GET", f"{JOBS}/{job['id']}/checkpoints")["data"]
    headers = dict(http.send("GET", "/files").headers)

    for pattern, found in [
        ("ftjob-[A-Za-z0-9]{24}", [job["id"]]),
        ("file-[A-Za-z0-9]{22}", [job["training_file"], *job["result_files"]]),
        ("org-[A-Za-z0-9]{24}", [job["organization_id"]]),
        ("ftevent-[A-Za-z0-9]{24}", [event["id"] for event in events]),
        ("ftckpt_[A-Za-z0-9]{24}", [point["id"] for point in points]),
        ("ft:gpt-4o-mini-2024-07-18:personal::[A-Za-z0-9]{8}", [job["fine_tuned_model"]]),
        ("proj_[A-Za-z0-9]{24}", [headers[b"openai-project"].decode()]),
        ("req_[0-9a-f]{32}", [headers[b"x-request-id"].decode()]),
    ]:
        assert all(re.fullmatch(pattern, each) for each in found), pattern


def test_no_two_things_share_an_id() -> None:
    """Ids of files, jobs, events, checkpoints, models and requests are unique."""
    http = Http(FakeFineTuning(start=BORN, pace="instant"))
    for _ in range(5):
        http.job()
    found: list[str] = [each["id"] for each in http.json("GET", "/files")["data"]]
    for job in http.json("GET", JOBS)["data"]:
        found.append(job["id"])
        for kind in ("events?limit=1000", "checkpoints"):
            found += [each["id"] for each in http.json("GET", f"{JOBS}/{job['id']}/{kind}")["data"]]
    found += [each["id"] for each in http.json("GET", "/models")["data"]]
    found += [dict(http.send("GET", "/files").headers)[b"x-request-id"].decode() for _ in range(50)]

    assert len(found) == len(set(found))
