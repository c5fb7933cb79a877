"""Paths: encoded slashes, absolute targets, HEAD, and redirects."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager

import httpx
import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web.in_process import call_app
from strategies import BORN, KEY, ROWS, Http


@contextmanager
def served(fake: FakeFineTuning) -> Generator[openai.OpenAI, None, None]:
    """The official client on a socket."""
    with fake.serving() as url, openai.OpenAI(base_url=url, api_key="any") as client:
        yield client


@pytest.mark.parametrize("door", [FakeFineTuning.openai, served])
def test_a_model_with_a_slash_in_its_name(door: object) -> None:
    """A model with a slash in its suffix can be retrieved, shared and deleted by the SDK."""
    fake = FakeFineTuning(start=BORN, pace="instant")
    file = fake.add_file(ROWS)
    with door(fake) as client:  # type: ignore[operator]
        jobs, grants = client.fine_tuning.jobs, client.fine_tuning.checkpoints.permissions
        made = jobs.create(model="gpt-4o-mini", training_file=file["id"], suffix="team/a")
        name = str(jobs.retrieve(made.id).fine_tuned_model)
        assert ":team/a:" in name

        assert client.models.retrieve(name).id == name
        granted = grants.create(name, project_ids=["proj_a"]).data[0]
        assert grants.delete(granted.id, fine_tuned_model_checkpoint=name).deleted
        assert client.models.delete(name).deleted
        with pytest.raises(openai.NotFoundError) as gone:
            client.models.retrieve(name)

    assert f"The model '{name}' does not exist" in gone.value.message
    assert [call.model_id for call in fake.calls if call.model_id] == [name] * 3
    assert fake.calls_to("grant_permissions")[0].ids == {"checkpoint": name}
    assert f"model_id={name!r}" in str(fake.calls_to("delete_model")[0])


@pytest.mark.parametrize(
    "path",
    ["/v1/models/a%2Fb", "/v1/models/a%2fb", "/v1//models/a%2Fb", "/v1/m%6Fdels/%61%2Fb", "/v1/models/a%2F%2Fb"],
)
def test_an_encoded_slash_parts_nothing(path: str) -> None:
    """An encoded slash is part of a name, in either case."""
    http = Http(FakeFineTuning(start=BORN))
    name = "a//b" if "%2F%2F" in path else "a/b"

    assert http.json("GET", path, status=404)["error"]["message"] == f"The model '{name}' does not exist"
    assert http.fake.requests[0].operation == "retrieve_model"


def test_an_encoded_slash_is_no_way_to_another_route() -> None:
    """A path whose route separators are encoded is an unknown URL."""
    http = Http(FakeFineTuning(start=BORN))

    answer = http.json("GET", "/v1/files%2Ffile-x", status=404)

    assert answer["error"]["message"].startswith("Unknown request URL: GET /v1/files%2Ffile-x.")


def test_a_path_with_its_origin() -> None:
    """An absolute request target is handled by its path."""
    http = Http(FakeFineTuning(start=BORN), is_described=False)
    model = call_app(http.fake.asgi_app, "GET", b"http://api.example.com/v1/models/gpt-4o-mini?x=1", [KEY], b"")
    root = call_app(http.fake.asgi_app, "GET", b"HTTP://api.example.com", [KEY], b"")

    assert (model.status, json.loads(model.body)["id"]) == (200, "gpt-4o-mini")
    assert [(each.path, each.query) for each in http.fake.requests] == [("/v1/models/gpt-4o-mini", "x=1"), ("/", "")]
    assert root.status == 404


def test_a_head_moves_no_time() -> None:
    """At the pace "polls" a HEAD request moves no time."""
    http = Http(FakeFineTuning(start=BORN))
    job = http.job()
    path = f"/fine_tuning/jobs/{job['id']}"

    for _ in range(3):
        assert http.send("HEAD", path).status == 200
        assert http.send("HEAD", f"{path}/events").status == 200

    assert http.fake.now == BORN
    assert http.json("GET", path)["status"] == "queued"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_slash_too_many_leads_to_the_same_list(scheme: str) -> None:
    """The redirect of a jobs path with a trailing slash leads to the requested page at the same host."""
    fake = FakeFineTuning(start=BORN)
    jobs = [fake.add_job(fake.add_file(ROWS)["id"])["id"] for _ in range(3)]
    base = f"{scheme}://api.example.com/v1"
    with httpx.Client(transport=fake.transport(), headers={"authorization": "Bearer any"}) as client:
        moved = client.get(f"{base}/fine_tuning/jobs/?limit=2&metadata%5Ba%5D=b")
        page = client.get(f"{base}/fine_tuning/jobs/?limit=2", follow_redirects=True).json()

    assert (moved.status_code, moved.headers["location"]) == (307, f"{base}/fine_tuning/jobs?limit=2&metadata%5Ba%5D=b")
    assert [job["id"] for job in page["data"]] == jobs[:0:-1]


def test_what_azure_makes_is_where_its_client_believes() -> None:
    """In process the Location of a created job has the scheme of the client's URL."""
    fake = FakeFineTuning(start=BORN, dialect="azure-2025")
    file = fake.add_file(ROWS)["id"]
    with httpx.Client(transport=fake.transport(), headers={"api-key": "any"}) as client:
        url = "https://x.openai.azure.com/openai/v1/fine_tuning/jobs"
        made = client.post(url, json={"model": "gpt-4o-mini", "training_file": file})

    assert made.headers["location"] == f"{url}/{made.json()['id']}"
