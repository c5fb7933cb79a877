"""The announced end of fine-tuning: who can create jobs until when, and when models are shut down."""

from __future__ import annotations

from datetime import date
from typing import Any

import httpx
import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError, cli
from fine_tuning_fakeserver.domain.base_models import (
    BASE_MODELS,
    CLOSING_DATES,
    SHUTDOWN_DATES,
    day_start,
    shutdown_date,
)
from serve_process import KEY, line, started
from strategies import BORN, ROWS, Http

JOBS = "/fine_tuning/jobs"
NANO = "gpt-4.1-nano-2025-04-14"
CLOSED = {
    "message": "Your organization can no longer create fine-tuning jobs.",
    "type": "invalid_request_error",
    "param": None,
    "code": None,
}


def world(as_of: str, organization_class: str = "active", **settings: Any) -> Http:
    """Raw requests to a fake that begins on a date and whose time stands still."""
    return Http(FakeFineTuning(pace="manual", as_of=as_of, organization_class=organization_class, **settings))


def create(http: Http, status: int, model: str = "gpt-4o-mini") -> Any:
    """Create a job; return the response, which must have *status*."""
    return http.json("POST", JOBS, {"model": model, "training_file": http.file()}, status)


@pytest.mark.parametrize(("organization_class", "day"), CLOSING_DATES.items())
def test_creation_ends_on_a_day(organization_class: str, day: str) -> None:
    """An organization can create jobs until the last second before its closing date."""
    http = world("2026-05-06", organization_class)
    http.fake.advance(day_start(day) - 1 - http.fake.now)

    create(http, 200, "babbage-002")
    http.fake.advance(1)
    assert create(http, 403, "babbage-002") == {"error": CLOSED}


def test_the_days_are_those_announced() -> None:
    """The closing dates are those announced for new, inactive and active organizations."""
    assert CLOSING_DATES == {"new": "2026-05-07", "inactive": "2026-07-02", "active": "2027-01-06"}


def test_a_closed_door_says_nothing_of_what_was_asked() -> None:
    """A closed organization is refused as such even if its request is otherwise invalid."""
    http = world("2026-07-02", "inactive")

    http.json("POST", JOBS, {"model": "none", "training_file": "file-none"}, status=403)


def test_what_the_sdk_makes_of_it() -> None:
    """The official SDK raises PermissionDeniedError without a retry."""
    fake = FakeFineTuning(as_of="2027-01-06")
    with fake.serving() as url, openai.OpenAI(base_url=url, api_key="any") as client:
        file = client.files.create(file=("train.jsonl", ROWS.encode()), purpose="fine-tune")
        with pytest.raises(openai.PermissionDeniedError, match="can no longer create"):
            client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")

    assert [each.status for each in fake.requests] == [200, 403]


def test_jobs_under_way_go_on() -> None:
    """A job created before the end finishes normally, even if its model has been shut down."""
    http = world("2026-10-22")
    job = create(http, 200, NANO)

    http.fake.advance("1d")
    done = http.json("GET", f"{JOBS}/{job['id']}")

    assert done["status"] == "succeeded"
    assert len(http.json("GET", f"{JOBS}/{job['id']}/checkpoints")["data"]) == 3
    assert http.json("GET", f"/models/{done['fine_tuned_model']}")["shutdown_date"] == "2026-10-23"
    http.json("GET", f"/files/{done['result_files'][0]}")


def chat(http: Http, model: str, status: int) -> Any:
    """The response of a model, which must have *status*."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    return http.json("POST", "/chat/completions", body, status)


def test_a_model_is_gone_from_its_day_on() -> None:
    """From its shutdown date a base model cannot be trained, and neither it nor its fine-tuned models can be called."""
    http = world("2026-10-22")
    job = http.fake.add_job(http.file(), model=NANO)
    tuned = job["fine_tuned_model"]
    for model in (NANO, "gpt-4.1-nano", tuned):
        chat(http, model, 200)
        create(http, 200, model)

    http.fake.advance("1d")

    for model in (NANO, "gpt-4.1-nano", tuned):
        assert create(http, 400, model)["error"]["code"] == "model_not_available"
        message = f"The model `{model}` does not exist or you do not have access to it."
        assert chat(http, model, 404)["error"]["message"] == message
    chat(http, "gpt-4o-mini", 200)
    create(http, 200)


def test_what_the_list_of_models_shows() -> None:
    """Models have their shutdown date or null; a base model is not listed after it, and a fine-tuned one is."""
    http = world("2026-10-22")
    tuned = http.fake.add_job(http.file(), model=NANO)["fine_tuned_model"]
    before = {model["id"]: model["shutdown_date"] for model in http.json("GET", "/models")["data"]}
    assert {name: before[name] for name in ("gpt-4.1-nano", NANO, tuned, "gpt-4o", "babbage-002")} == {
        "gpt-4.1-nano": "2026-10-23",
        NANO: "2026-10-23",
        tuned: "2026-10-23",
        "gpt-4o": "2027-01-14",
        "babbage-002": None,
    }

    http.fake.advance("1d")

    after = {model["id"] for model in http.json("GET", "/models")["data"]}
    assert set(before) - after == {name for name in before if before[name] == "2026-10-23" and name[:3] != "ft:"}
    http.json("GET", f"/models/{NANO}", status=404)
    assert list(http.json("GET", "/models/gpt-4o")) == ["id", "object", "created", "owned_by", "shutdown_date"]
    http.json("DELETE", f"/models/{tuned}")
    http.json("GET", f"/models/{tuned}", status=404)


def test_the_table_of_days() -> None:
    """Each shutdown date belongs to a base model, is a valid date, and applies to checkpoints."""
    assert set(SHUTDOWN_DATES) <= {model.id for model in BASE_MODELS}
    assert all(date.fromisoformat(day) for day in SHUTDOWN_DATES.values())
    assert shutdown_date(f"ft:{NANO}:personal:my-suffix:C4ZiCljE:ckpt-step-80") == "2026-10-23"


def test_without_a_date_there_is_no_end() -> None:
    """An account without a date has no closing and no shutdown dates."""
    http = Http(FakeFineTuning(pace="manual", start=day_start("2030-01-01")))

    create(http, 200, NANO)
    chat(http, NANO, 200)
    assert all("shutdown_date" not in model for model in http.json("GET", "/models")["data"])


@pytest.mark.parametrize("as_of", ["2026-07-02", date(2026, 7, 2)])
def test_the_date_is_the_clocks(as_of: str | date) -> None:
    """An account with `as_of` begins at that day's first second in UTC, whatever its `start`."""
    assert FakeFineTuning(as_of=as_of, start=BORN).now == 1782950400


def test_through_control() -> None:
    """A reset can set date and organization class, and one without them restores the original."""
    http = Http(FakeFineTuning(pace="manual", start=BORN))

    http.json("POST", "/_fake/reset", {"as_of": "2026-05-07", "organization_class": "new"})
    create(http, 403)
    http.json("POST", "/_fake/reset", {})
    create(http, 200)
    assert http.fake.now == BORN


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"as_of": "2026-13-01"}, "as_of must be a date from 1970 on, as in '2026-07-02', got '2026-13-01'"),
        ({"as_of": "soon"}, "as_of must be a date from 1970 on, as in '2026-07-02', got 'soon'"),
        ({"as_of": "1969-12-31"}, "as_of must be a date from 1970 on"),
        ({"as_of": 20260702.5}, "as_of must be a date from 1970 on"),
        ({"as_of": "2026-07-02", "organization_class": "old"}, "must be one of new, inactive, active, got 'old'"),
        (
            {"as_of": "2026-07-02", "organization_class": 7},
            "organization_class must be one of new, inactive, active, got 7",
        ),
        ({"organization_class": "new"}, "organization_class 'new' requires as_of, a date"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], words: str) -> None:
    """An invalid date, an unknown class, and a class without a date are refused with the remedy."""
    with pytest.raises(FakeUsageError, match=words):
        FakeFineTuning(**settings)


def test_from_the_command_line() -> None:
    """`serve --as-of --organization` applies to the account."""
    flags = ("--port", "0", "-q", "--pace", "manual", "--as-of", "2026-07-02", "--organization", "inactive")
    with started(*flags) as process:
        url = line(process.stdout)
        body = {"model": "gpt-4o-mini", "training_file": "file-any"}
        answer = httpx.post(f"{url}/fine_tuning/jobs", json=body, headers=KEY, trust_env=False)
        process.terminate()

    assert (answer.status_code, answer.json()) == (403, {"error": CLOSED})


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--as-of", "soon"], "got 'soon'"),
        (
            ["--as-of", "2026-07-02", "--organization", "old"],
            "--organization must be one of new, inactive, active, got 'old'",
        ),
        (["--organization", "new"], "requires --as-of, a date"),
    ],
)
def test_wrong_usage(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Invalid dates and classes on the command line are refused with exit code 2."""
    assert cli.main(["serve", "--port", "0", *flags]) == 2
    assert words in capsys.readouterr().err
