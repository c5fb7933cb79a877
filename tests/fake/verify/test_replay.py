"""A recording of the fake verifies as exact, and missing parts are reconstructed where possible."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr  # type: ignore[import-untyped]  # vcrpy has no types

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.verify.readers import read_recording
from fine_tuning_fakeserver.verify.recording import RecordedExchange, Recording, parse_answer
from fine_tuning_fakeserver.verify.replay import LOST, VerifiedRecording, verify
from recorded_session import FORMATS, Exchange, Recorder, session, write
from strategies import BORN, ROWS, form

ROUTELESS = "GET /v1/no/route is no route of the fake"
FORM = "multipart/form-data; boundary=B"


def verdicts(verified: VerifiedRecording) -> list[str]:
    """The verdicts of all rows that were requested."""
    return [row.comparison.verdict for row in verified.rows if not row.reason]


def inexact(verified: VerifiedRecording) -> list[Any]:
    """The rows that are not exact."""
    return [row for row in verified.rows if not row.reason and row.comparison.verdict != "exact"]


def recording_of(exchanges: Sequence[Exchange]) -> Recording:
    """A recording of these exchanges, without a file."""
    recorded = [
        RecordedExchange(
            number,
            each.method,
            "https://x" + each.path,
            {"content-type": each.kind},
            each.body,
            each.status,
            dict(each.headers),
            each.answer,
            parse_answer(each.answer, dict(each.headers)),
        )
        for number, each in enumerate(exchanges)
    ]
    return Recording(Path("session"), "made up", tuple(recorded))


@pytest.mark.parametrize("name", FORMATS)
def test_a_session_with_the_fake_is_exact(tmp_path: Path, name: str) -> None:
    """In every format, each recorded response of the fake is exact."""
    verified = verify(read_recording(write(tmp_path, name, session())))

    assert inexact(verified) == []
    assert [row.reason for row in verified.rows if row.reason] == [ROUTELESS]
    assert verified.problems == ()


def test_a_session_of_another_account_is_exact() -> None:
    """A session with other seed, organization, pace, plan and models is exact without these as settings."""
    plan = {"validating": "5m", "seconds_per_step": 1, "queued": 60}
    exchanges = session(seed=77, organization_id="org-1", organization="acme", owner="user-9", pace="polls", plan=plan)

    assert inexact(verify(recording_of(exchanges))) == []


def test_a_cassette_of_vcrpy_is_exact(tmp_path: Path) -> None:
    """A session recorded by vcrpy from the fake on a socket is exact."""
    path = tmp_path / "session.yaml"
    fake = FakeFineTuning()
    with fake.serving() as url, vcr.use_cassette(str(path)), httpx.Client(base_url=url) as client:
        client.headers["Authorization"] = "Bearer sk-secret"
        files = {"file": ("train.jsonl", ROWS)}
        training = client.post("/files", files=files, data={"purpose": "fine-tune"}).json()["id"]
        job = client.post("/fine_tuning/jobs", json={"model": "gpt-4o-mini", "training_file": training}).json()
        while job["status"] != "succeeded":
            job = client.get(f"/fine_tuning/jobs/{job['id']}").json()
        client.get(f"/fine_tuning/jobs/{job['id']}/events")
        client.get(f"/fine_tuning/jobs/{job['id']}/checkpoints")
        client.get(f"/files/{job['result_files'][0]}/content")

    verified = verify(read_recording(path))

    assert inexact(verified) == []
    assert len(verified.rows) == 8


def test_lost_request_bodies_are_noted(tmp_path: Path) -> None:
    """A row whose lost request body was reconstructed has a note."""
    verified = verify(read_recording(write(tmp_path, "proxy.json", session())))

    assert [row.path for row in verified.rows if LOST in row.comparison.notes] == [
        "/v1/files",
        next(row.path for row in verified.rows if row.path.endswith("/parts")),
    ]


def test_a_lost_json_body_is_written_again() -> None:
    """Lost bodies of jobs and uploads are reconstructed from the responses."""
    record = Recorder(pace="manual")
    training = record.call("POST", "/files", form(ROWS.encode()), FORM)["id"]
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
    record.call(
        "POST",
        "/fine_tuning/jobs",
        {"model": "gpt-4o-mini", "training_file": training, "method": method, "suffix": "s"},
    )
    body = {"filename": "a.bin", "purpose": "assistants", "bytes": 3, "mime_type": "x/y"}
    upload = record.call("POST", "/uploads", body)["id"]
    part = b'--B\r\nContent-Disposition: form-data; name="data"; filename="x"\r\n\r\nabc\r\n--B--\r\n'
    made = record.call("POST", f"/uploads/{upload}/parts", part, FORM)["id"]
    record.call("POST", f"/uploads/{upload}/complete", {"part_ids": [made]})
    refused = record.call("POST", "/files", form(b"x", purpose="none"), FORM)
    whole = recording_of(record.exchanges)
    lost = [_without_body(each) for each in whole.exchanges]

    assert refused["error"]["param"] == "purpose"
    assert inexact(verify(Recording(whole.path, whole.format, tuple(lost)))) == []


def _without_body(exchange: RecordedExchange) -> RecordedExchange:
    return replace(exchange, request_body=None)


def test_a_part_of_a_session_needs_no_beginning() -> None:
    """Existing jobs, files, models and cursors are restored from a part of a session."""
    exchanges = session()
    lists = [each for each in exchanges if each.method == "GET" and each.status == 200 and "content" not in each.path]
    alone = [each for each in lists if "/events" not in each.path and "/checkpoints" not in each.path]

    for each in alone:
        verified = verify(recording_of([each]))
        assert inexact(verified) == [], each.path


def test_pages_of_a_list_fit_together() -> None:
    """Successive pages are exact, even with equal times."""
    record = Recorder(pace="manual")
    training = record.call("POST", "/files", form(ROWS.encode()), FORM)["id"]
    for _ in range(9):
        record.call("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": training})
        record.call("POST", "/files", form(ROWS.encode()), FORM)
    del record.exchanges[:]
    for path in ("/fine_tuning/jobs", "/files"):
        first = record.call("GET", f"{path}?limit=3")["data"][-1]["id"]
        second = record.call("GET", f"{path}?limit=3&after={first}")["data"][-1]["id"]
        record.call("GET", f"{path}?limit=2&after={second}")

    assert inexact(verify(recording_of(record.exchanges))) == []
    assert inexact(verify(recording_of(record.exchanges[1:2]))) == []
    assert inexact(verify(recording_of(record.exchanges[4:5]))) == []


def test_glimpses_are_enough_for_the_shape() -> None:
    """Events or checkpoints recorded alone are exact or of the same shape."""
    exchanges = session()
    events = next(each for each in exchanges if "/events?limit=1000" in each.path)
    checkpoints = next(each for each in exchanges if each.path.endswith("/checkpoints"))

    assert verdicts(verify(recording_of([checkpoints]))) == ["exact"]
    assert verdicts(verify(recording_of([events]))) == ["same shape"]
    assert verdicts(verify(recording_of([events, checkpoints]))) == ["same shape", "exact"]


def test_files_that_were_read_or_deleted_were_there() -> None:
    """A file is restored if only its content or its deletion was recorded."""
    exchanges = session()
    content = next(each for each in exchanges if each.path.endswith("/content"))
    deleted = next(each for each in exchanges if each.method == "DELETE" and "/files/" in each.path)

    assert verdicts(verify(recording_of([content]))) == ["same shape"]
    assert verdicts(verify(recording_of([deleted]))) == ["exact"]


def test_models_that_were_used_or_deleted_were_there() -> None:
    """A fine-tuned model is restored if only its use or its deletion was recorded."""
    exchanges = session()
    deleted = next(each for each in exchanges if each.method == "DELETE" and "/models/" in each.path)
    used = next(each for each in exchanges if each.method == "POST" and b'"model": "ft:' in each.body)

    assert verdicts(verify(recording_of([deleted]))) == ["exact"]
    assert verdicts(verify(recording_of([used]))) == ["exact"]


@pytest.mark.parametrize("error", ["server_error", {"code": "x", "message": "It broke.", "param": None}])
@pytest.mark.parametrize("fail_at", ["validation", 12])
def test_failures_end_as_they_ended(error: Any, fail_at: Any) -> None:
    """A failed job fails again with its error and at its step."""
    record = Recorder(plan={"error": error, "fail_at": fail_at})
    training = record.call("POST", "/files", form(ROWS.encode()), FORM)["id"]
    job = record.call("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": training})
    while job["status"] != "failed":
        job = record.call("GET", f"/fine_tuning/jobs/{job['id']}")
    record.call("GET", f"/fine_tuning/jobs/{job['id']}/events?limit=100")
    record.call("GET", "/fine_tuning/jobs")

    assert inexact(verify(recording_of(record.exchanges))) == []


def test_other_methods_are_exact() -> None:
    """A dpo job is restored and listed as recorded, with its file or without."""
    row = (
        b'{"input": {"messages": [{"role": "user", "content": "a"}]}, "preferred_output": [{"role": "assistant", '
        b'"content": "b"}], "non_preferred_output": [{"role": "assistant", "content": "c"}]}\n'
    )
    record = Recorder()
    training = record.call("POST", "/files", form(row * 10), FORM)["id"]
    job = record.call(
        "POST",
        "/fine_tuning/jobs",
        {
            "model": "gpt-4.1-mini",
            "training_file": training,
            "method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2}}},
        },
    )
    while job["status"] != "succeeded":
        job = record.call("GET", f"/fine_tuning/jobs/{job['id']}")
    record.call("GET", "/fine_tuning/jobs")

    assert inexact(verify(recording_of(record.exchanges))) == []
    assert inexact(verify(recording_of(record.exchanges[-1:]))) == []


def test_refused_keys_are_refused_again() -> None:
    """A response to a missing or wrong key is requested again without a valid key."""
    record = Recorder(api_keys=["right"])
    record.call("GET", "/models")
    missing = record.send("GET", "/models", None, ())
    headers = [(name.decode(), value.decode()) for name, value in missing.headers]
    record.exchanges.append(Exchange("GET", "/v1/models", b"", "x/y", missing.status, headers, missing.body))

    assert verdicts(verify(recording_of(record.exchanges))) == ["same shape", "exact"]


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_faults_are_not_asked_for(status: int) -> None:
    """A response that no state of an account causes is not applicable, with the reason."""
    each = Exchange("GET", "/v1/models", b"", "x/y", status, [], b"{}")
    (row,) = verify(recording_of([each])).rows

    assert row.comparison.verdict == "not applicable"
    assert str(status) in row.reason


def test_settings_can_be_given() -> None:
    """Further facts of an account, such as result format, can be passed as settings."""
    exchanges = session(base64_results=False)

    assert len(inexact(verify(recording_of(exchanges)))) == 1
    assert inexact(verify(recording_of(exchanges), {"base64_results": False})) == []
    with pytest.raises((TypeError, FakeUsageError)):
        verify(recording_of(exchanges), {"no_such_setting": 1})


def test_facts_that_are_no_facts_are_told() -> None:
    """A job that the fake cannot hold is a problem, its rows differ, and the rest is verified."""
    exchanges = session()
    listed = next(each for each in exchanges if each.path == "/v1/fine_tuning/jobs" and each.method == "GET")
    odd = listed.answer.replace(b'"status": "succeeded"', b'"status": "created"')
    verified = verify(recording_of([Exchange(listed.method, listed.path, b"", "x/y", 200, listed.headers, odd)]))

    assert verdicts(verified) == ["differs"]
    assert len(verified.problems) == 1
    assert "got 'created'" in verified.problems[0]


def test_any_part_of_a_session_is_taken() -> None:
    """Any selection of exchanges in any order gets a verdict for every row."""
    exchanges = session()
    random_ = random.Random(7)
    for _ in range(25):
        some = random_.sample(exchanges, random_.randint(1, len(exchanges)))
        assert len(verify(recording_of(some)).rows) == len(some)


def test_paths_of_gateways_are_taken_from_the_version_on() -> None:
    """A gateway's prefix before /v1 is ignored, and a path without a version is not applicable."""
    whole = recording_of(session()).exchanges[1]
    prefixed = replace(whole, url="https://gateway/openai/v1/fine_tuning/jobs?x=y")
    foreign = replace(whole, url="https://other/openai/fine_tuning/jobs")
    rows = verify(Recording(Path("x"), "x", (prefixed, foreign))).rows

    assert [row.path for row in rows] == ["/v1/fine_tuning/jobs?x=y", "/openai/fine_tuning/jobs"]
    assert [row.comparison.verdict for row in rows] == ["exact", "not applicable"]


def test_large_files_take_no_room() -> None:
    """A listed file of gigabytes is restored without its content."""
    listed = (
        b'{\n  "object": "list",\n  "data": [\n    {\n      "object": "file",\n      "id": "file-x",'
        b'\n      "purpose": "batch",'
        b'\n      "filename": "b.jsonl",\n      "bytes": 5000000000,\n      "created_at": 1700000000,'
        b'\n      "expires_at": 1702592000,\n      "status": "processed",\n      "status_details": null\n    }\n  ],'
        b'\n  "has_more": false,\n  "first_id": "file-x",\n  "last_id": "file-x"\n}\n'
    )
    each = Exchange("GET", "/v1/files?purpose=batch", b"", "x/y", 200, [("content-type", "application/json")], listed)

    assert inexact(verify(recording_of([each]))) == []
    assert verdicts(
        verify(
            recording_of(
                [Exchange("GET", each.path, b"", "x/y", 200, each.headers, listed.replace(b"5000000000", b"9" * 25))]
            )
        )
    ) == ["differs"]


def test_time_is_the_recorded_one() -> None:
    """An account begins no later than the oldest recorded time."""
    each = next(each for each in session(start=BORN) if each.path == "/v1/files" and each.method == "POST")
    answer = each.answer.replace(b"1700000000", b"1600000000")

    assert (
        inexact(
            verify(recording_of([Exchange(each.method, each.path, each.body, each.kind, 200, each.headers, answer)]))
        )
        == []
    )


def test_what_the_fake_refuses_is_put_in() -> None:
    """A file or job that the fake refuses differs, and later requests are still verified."""
    record = Recorder(pace="manual")
    training = record.call("POST", "/files", form(ROWS.encode()), FORM)["id"]
    record.call("GET", f"/files/{training}")
    job = record.call("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": training})
    record.call("GET", f"/fine_tuning/jobs/{job['id']}")
    exchanges = [
        replace(
            each,
            body=each.body.replace(b"jsonl", b"jsonx").replace(b"gpt-4o", b"gpt-0"),
            answer=each.answer.replace(b"jsonl", b"jsonx"),
        )
        for each in record.exchanges
    ]

    assert verdicts(verify(recording_of(exchanges))) == ["differs", "exact", "differs", "exact"]


def test_lost_forms_tell_when_a_file_ends() -> None:
    """The expiry of a file whose form was lost is restored."""
    record = Recorder(pace="manual")
    ends = b'--B\r\nContent-Disposition: form-data; name="expires_after[%b]"\r\n\r\n%b\r\n'
    body = ends % (b"anchor", b"created_at") + ends % (b"seconds", b"7200") + form(ROWS.encode())
    record.call("POST", "/files", body, FORM)
    lost = [_without_body(each) for each in recording_of(record.exchanges).exchanges]

    assert inexact(verify(Recording(Path("x"), "x", tuple(lost)))) == []


def test_the_first_events_tell_the_first_phases() -> None:
    """If only a job's first events were recorded, its training fills the time to its end."""
    record = Recorder(plan={"validating": 90, "queued": 9, "starting": 500})
    training = record.call("POST", "/files", form(ROWS.encode()), FORM)["id"]
    job = record.call("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": training})
    path = f"/fine_tuning/jobs/{job['id']}"
    record.fake.advance_to("succeeded")
    first = record.call("GET", f"{path}/events?limit=1000")["data"][-5]["id"]
    kept = [*record.exchanges[:2]]
    del record.exchanges[:]
    record.call("GET", path)
    record.call("GET", f"{path}/events?after={first}")

    assert inexact(verify(recording_of([*kept, *record.exchanges]))) == []


def test_jobs_outlive_their_file() -> None:
    """A job that continued after its file was deleted continues in the fake, too."""
    record = Recorder(pace="manual")
    training = record.call("POST", "/files", form(ROWS.encode()), FORM)["id"]
    job = record.call("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": training})
    record.fake.advance_to("running")
    record.call("DELETE", f"/files/{training}")
    record.call("GET", f"/fine_tuning/jobs/{job['id']}")

    assert inexact(verify(recording_of(record.exchanges))) == []


@pytest.mark.parametrize(
    ("was", "is_", "expected"),
    [
        (b'"seed": ', b'"seed": -1.5, "was": ', "seed must be a valid integer, "),
        (b'"code": "server_error"', b'"code": 5', "error.code must be a string, got 5"),
    ],
)
def test_odd_facts_are_problems(was: bytes, is_: bytes, expected: str) -> None:
    """A member that no job of the fake can have is a problem that names it."""
    record = Recorder(plan={"error": "server_error"})
    training = record.call("POST", "/files", form(ROWS.encode()), FORM)["id"]
    record.call("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": training})
    record.fake.advance_to("failed")
    record.call("GET", "/fine_tuning/jobs")
    odd = [replace(each, answer=each.answer.replace(was, is_)) for each in record.exchanges]
    listed = odd[-1:] if b"seed" in was else odd

    assert expected in verify(recording_of(listed)).problems[0]


def test_a_placeholder_may_stand_for_several_files() -> None:
    """Two files under one id, as recorders write it for all, are uploaded and deleted one after the other."""
    record = Recorder(pace="manual")
    training = record.call("POST", "/files", form(ROWS.encode()), FORM)["id"]
    record.call("DELETE", f"/files/{training}")
    upload, delete = record.exchanges

    verified = verify(recording_of([upload, upload, delete, delete]))

    assert verdicts(verified) == ["exact"] * 4
    assert verified.problems == ()


def test_lists_from_the_future_are_problems() -> None:
    """A list with items from the future differs and is a problem."""
    record = Recorder(pace="manual")
    training = record.call("POST", "/files", form(ROWS.encode()), FORM)["id"]
    for _ in range(2):
        record.call("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": training})
    cursor = record.call("GET", "/fine_tuning/jobs?limit=1")["data"][0]["id"]
    page = record.call("GET", f"/fine_tuning/jobs?after={cursor}") and record.exchanges[-1]
    early = replace(record.exchanges[0], answer=record.exchanges[0].answer.replace(b"1700000000", b"1600000000"))

    verified = verify(recording_of([early, page]))

    assert verdicts(verified) == ["exact", "differs"]
    assert len(verified.problems) == 2


def test_the_first_step_is_enough() -> None:
    """A job recorded up to its first step is restored."""
    record = Recorder(pace="manual", plan={"starting": 200})
    training = record.call("POST", "/files", form(ROWS.encode()), FORM)["id"]
    job = record.call("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": training})
    record.fake.advance_to(step=1)
    record.call("GET", f"/fine_tuning/jobs/{job['id']}/events")

    assert inexact(verify(recording_of(record.exchanges))) == []


def test_one_thing_may_be_known_twice() -> None:
    """A file known as cursor and by its content is restored once, and an empty body stays empty."""
    record = Recorder(pace="manual")
    training = record.call("POST", "/files", form(ROWS.encode()), FORM)["id"]
    record.call("GET", f"/files/{training}/content")
    record.call("GET", f"/files?after={training}")
    record.call("POST", "/fine_tuning/jobs/none/cancel")
    older = record.exchanges[0].answer.replace(b'"id": "file-', b'"id": "file+')
    page = replace(record.exchanges[2], answer=b'{"object": "list", "data": [' + older + b"]}")
    cancel = _without_body(recording_of(record.exchanges[3:]).exchanges[0])
    recording = recording_of([record.exchanges[1], page])

    verified = verify(replace(recording, exchanges=(*recording.exchanges, cancel)))

    assert verified.problems == ()
    assert verdicts(verified) == ["same shape", "differs", "exact"]


def test_a_number_that_no_answer_can_have() -> None:
    """A recorded model with an integer of more than 64 bits differs from the fake's, which answers all the same."""
    listed = (
        b'{\n  "object": "list",\n  "data": [\n    {\n      "id": "m",\n      "object": "model",\n      "created": '
    )
    answer = listed + b"9" * 25 + b',\n      "owned_by": "x"\n    }\n  ]\n}'
    each = Exchange("GET", "/v1/models", b"", "x/y", 200, [("content-type", "application/json")], answer)

    assert verdicts(verify(recording_of([each]))) == ["same shape"]
