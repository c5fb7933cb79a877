"""Objects in the recordings of the real service, requested in other ways than recorded.

test_verify_recordings checks that recorded requests get the recorded responses.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.verify.inferred_state import infer_state
from fine_tuning_fakeserver.verify.missing_bodies import BodyReconstructor
from fine_tuning_fakeserver.verify.readers import find_files, read_recording
from fine_tuning_fakeserver.verify.recording import RecordedExchange, Recording
from fine_tuning_fakeserver.verify.replay import KEY
from fine_tuning_fakeserver.verify.replay_account import ReplayAccount
from fine_tuning_fakeserver.web.in_process import InProcessResponse, call_app

from .recordings import ABSENT, DOTNET
from .session import ROWS

pytestmark = pytest.mark.skipif(not DOTNET.is_dir(), reason=ABSENT)

AUTHORIZED = {"authorization": f"Bearer {KEY}"}
PAIRS = [(name.encode(), value.encode()) for name, value in AUTHORIZED.items()]
OLDER = ("CompleteUploadWorks", 4)
"""The answer of 2025 to a file's deletion, which has one header less than those of 2026."""
CONSTANT_HEADERS = (
    "access-control-allow-origin",
    "access-control-expose-headers",
    "content-type",
    "openai-version",
    "x-content-type-options",
)
SAME_AS_ASKED = ("id", "created_at", "seed", "model", "training_file", "validation_file", "hyperparameters")


@cache
def recording(name: str) -> Recording:
    """Read a recording by name."""
    return read_recording(DOTNET / f"{name}.json")


def get(world: ReplayAccount, path: str) -> InProcessResponse:
    """The response to a new request, in an account inferred from a recording."""
    return world.send(RecordedExchange(0, "GET", path, {}, b"", 200, {}, b"", None), AUTHORIZED, b"")


def listed_jobs() -> Any:
    """The hundred jobs of the longest recorded list."""
    return recording("FineTuningClientTests/GetCheckpoints").exchanges[0].items


def written(job: Any) -> bytes:
    """A job in the service's JSON format."""
    return json.dumps(job, indent=2).encode()


def test_jobs_are_retrieved_as_they_are_listed() -> None:
    """Each of the hundred listed jobs, retrieved alone, has the same bytes as in the recorded list."""
    world = ReplayAccount(infer_state(recording("FineTuningClientTests/GetCheckpoints").exchanges))
    for job in listed_jobs():
        assert get(world, f"/v1/fine_tuning/jobs/{job['id']}").body == written(job)


def test_a_deleted_training_file_fails_the_job_as_recorded() -> None:
    """A job whose training file is deleted during validation becomes exactly the recorded failed job."""
    failed = [job for job in listed_jobs() if job["status"] == "failed"]
    for job in failed:
        fake = FakeFineTuning(start=job["created_at"], pace="manual", organization_id=job["organization_id"])
        fake.add_file(ROWS, id=job["training_file"])
        told = {name: job[name] for name in SAME_AS_ASKED}
        fake.add_job(**told, suffix=job["user_provided_suffix"], status="validating_files")
        deleted = call_app(fake.asgi_app, "DELETE", f"/v1/files/{job['training_file']}".encode(), PAIRS, b"")
        fake.advance("1h")
        reply = call_app(fake.asgi_app, "GET", f"/v1/fine_tuning/jobs/{job['id']}".encode(), PAIRS, b"")

        assert (deleted.status, reply.body) == (200, written(job))
    assert len(failed) == 3


def test_known_models_are_as_recorded() -> None:
    """Each base model of the fake equals the one recorded under its name."""
    recorded = {model["id"]: model for model in recording("ModelsTests/ListModels").exchanges[0].items}
    known = json.loads(get(ReplayAccount(infer_state([])), "/v1/models").body)["data"]

    assert known == [recorded.get(model["id"]) for model in known]


def test_the_models_of_a_job_are_listed_as_recorded() -> None:
    """The models of the recorded succeeded job are listed with the recorded names and times."""
    world = ReplayAccount(infer_state(recording("FineTuningClientTests/GetCheckpoints").exchanges))
    recorded, listed = (
        {model["id"]: model["created"] for model in models if model["id"].startswith("ft:")}
        for models in (
            recording("ModelsTests/ListModels").exchanges[0].items,
            json.loads(get(world, "/v1/models").body)["data"],
        )
    )

    assert recorded.items() <= listed.items()


@pytest.mark.parametrize("folder", ["FineTuningClientTests", "FilesTests", "ModelsTests", "UploadsTests"])
def test_headers_that_never_change_are_as_recorded(folder: str) -> None:
    """Headers with constant values are as recorded, or missing as in the recording."""
    for path, _ in find_files([DOTNET / folder]):
        exchanges = read_recording(path).exchanges
        facts = infer_state(exchanges)
        world, lost = ReplayAccount(facts), BodyReconstructor(exchanges, facts)
        for each in exchanges:
            body = lost.reconstruct(each) if each.request_body is None else each.request_body
            reply = world.send(each, {**each.request_headers, **AUTHORIZED, "content-length": str(len(body))}, body)
            got = {name.decode(): value.decode() for name, value in reply.headers}
            shown = [{name: headers.get(name) for name in CONSTANT_HEADERS} for headers in (got, each.headers)]
            assert (shown[0] == shown[1]) != ((path.stem, each.number) == OLDER), f"{path.stem}, {each.number}"
