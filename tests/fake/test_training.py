"""The figures of a training in events, checkpoints and the result file, and the shapes of loss curves."""

from __future__ import annotations

import csv
import json
import math
import struct
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.domain.loss_curves import (
    CURVES,
    Losses,
    loss_curve,
    to_float32,
    training_point,
)
from strategies import BORN, ROW, Http

pytestmark = pytest.mark.slow

JOBS = "/fine_tuning/jobs"


def trained(rows: int = 12, validated: bool = True, **fields: Any) -> tuple[Http, Any]:
    """A finished job, and raw requests to its fake."""
    http = Http(FakeFineTuning(start=BORN, pace="instant", base64_results=False))
    file = http.file((json.dumps(ROW) + "\n") * rows)
    if validated:
        fields["validation_file"] = file
    job = http.job(training_file=file, **fields)
    return http, http.json("GET", f"{JOBS}/{job['id']}")


def steps_of(http: Http, job: Any) -> dict[int, Any]:
    """The data of each step event."""
    events = http.json("GET", f"{JOBS}/{job['id']}/events?limit=1000")["data"]
    return {event["data"]["step"]: event["data"] for event in events if event["type"] == "metrics"}


def rows_of(http: Http, job: Any) -> list[dict[str, str]]:
    """The rows of the result file."""
    text = http.send("GET", f"/files/{job['result_files'][0]}/content").body.decode()
    assert text.startswith("step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n")
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize("name", ["healthy", "overfit", "diverge", "plateau"])
@pytest.mark.parametrize("validated", [True, False])
def test_one_truth(name: str, validated: bool) -> None:
    """Events, checkpoints and the result file have the same figures, with five decimals in the file."""
    http, job = trained(validated=validated, metadata={"fake_curve": name}, hyperparameters={"n_epochs": 4})
    steps, rows = steps_of(http, job), rows_of(http, job)

    assert list(steps) == list(range(48, 0, -1))
    assert [int(row["step"]) for row in rows] == list(range(1, 49))
    names = {"train_accuracy": "train_mean_token_accuracy"}
    for row in rows:
        data = steps[int(row.pop("step"))]
        for column, cell in row.items():
            number = data.get(names.get(column, column))
            assert cell == ("" if number is None else repr(round(number, 5)))
    for point in http.json("GET", f"{JOBS}/{job['id']}/checkpoints")["data"]:
        metrics = dict(point["metrics"])
        assert metrics.pop("type") == "supervised"
        assert metrics.items() <= steps[point["step_number"]].items()
        assert ("valid_loss" in metrics) == ("valid_loss" in steps[point["step_number"]])


def test_messages_tell_the_numbers() -> None:
    """A step's message has the figures of its data with two decimals."""
    http, job = trained(hyperparameters={"n_epochs": 2})

    for event in http.json("GET", f"{JOBS}/{job['id']}/events?limit=100")["data"]:
        if event["type"] != "metrics":
            continue
        data = event["data"]
        text = f"Step {data['step']}/24: training loss={data['train_loss']:.2f}"
        if "valid_loss" in data:
            text += f", validation loss={data['valid_loss']:.2f}"
        if "full_valid_loss" in data:
            text += f", full validation loss={data['full_valid_loss']:.2f}"
        assert event["message"] == text


def test_when_validation_is_measured() -> None:
    """Validation is measured every ten steps, and in full at the end of each epoch."""
    http, job = trained(rows=12, hyperparameters={"n_epochs": 3})
    steps = steps_of(http, job)

    assert sorted(step for step, data in steps.items() if "valid_loss" in data) == [10, 20, 30]
    assert sorted(step for step, data in steps.items() if "full_valid_loss" in data) == [12, 24, 36]
    assert list(steps[36]) == [
        *("step", "train_loss", "total_steps", "full_valid_loss", "train_mean_token_accuracy"),
        "full_valid_mean_token_accuracy",
    ]
    assert list(steps[35]) == ["step", "train_loss", "total_steps", "train_mean_token_accuracy"]


def test_nothing_is_validated_without_a_file() -> None:
    """Without a validation file no event, checkpoint or row has validation figures."""
    http, job = trained(validated=False)

    assert all("valid" not in json.dumps(data) for data in steps_of(http, job).values())
    assert all(row["valid_loss"] == row["valid_mean_token_accuracy"] == "" for row in rows_of(http, job))
    points = http.json("GET", f"{JOBS}/{job['id']}/checkpoints")["data"]
    assert [list(point["metrics"]) for point in points] == [
        ["step", "train_loss", "train_mean_token_accuracy", "type"]
    ] * 3


def test_a_step_does_not_depend_on_the_others() -> None:
    """A step's figures do not depend on when they are read or how the job ends."""
    http = Http(FakeFineTuning(start=BORN, pace="manual"))
    file = http.file()
    whole, failing = (
        http.job(training_file=file, seed=5, metadata=metadata)["id"] for metadata in (None, {"fake_fail_at": "40"})
    )
    http.fake.advance_to(step=40, job=whole)
    early = steps_of(http, {"id": whole})
    http.fake.advance("1h")
    late = steps_of(http, {"id": whole})

    assert len(early) == 40
    assert early.items() <= late.items()
    assert steps_of(http, {"id": failing}) == early
    events = http.json("GET", f"{JOBS}/{whole}/events?limit=1000")["data"]
    for place in (7, 50, 99):
        [event] = http.json("GET", f"{JOBS}/{whole}/events?limit=1&after={events[place]['id']}")["data"]
        assert event == events[place + 1]


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(0, 2**31 - 1), st.sampled_from(sorted(CURVES)))
def test_a_curve_is_a_function_of_its_step(step: int, total: int, seed: int, name: str) -> None:
    """A curve gives the same losses for the same step and seed, and they are 0 or more, or NaN where intended."""
    step = min(step, total)

    first, again = (loss_curve(name)(training_point(step, total, seed)) for _ in range(2))

    assert repr(first) == repr(again)
    for loss in (first.train, first.valid):
        assert math.isnan(loss) if name == "nan" and (step - 1) / max(total - 1, 1) >= 0.4 else 0 <= loss < 100


seeds = st.integers(0, 2**31 - 1)
TOTAL = 300


def sampled(name: str, seed: int) -> tuple[list[float], list[float]]:
    """The training and validation losses of a training of `TOTAL` steps."""
    found = [loss_curve(name)(training_point(step, TOTAL, seed)) for step in range(1, TOTAL + 1)]
    return [losses.train for losses in found], [losses.valid for losses in found]


@given(seeds)
def test_healthy(seed: int) -> None:
    """A healthy curve falls to less than half of its start, in training and validation."""
    for losses in sampled("healthy", seed):
        parts = [mean(losses[start : start + 30]) for start in range(0, TOTAL, 30)]
        assert parts == sorted(parts, reverse=True) or max(parts[5:]) < parts[0] / 2
        assert parts[-1] < parts[0] / 2


@given(seeds)
def test_overfit(seed: int) -> None:
    """An overfit curve falls to almost 0 in training, while validation turns and rises."""
    train, valid = sampled("overfit", seed)

    turn = min(range(TOTAL), key=valid.__getitem__)
    assert train[-1] < 0.1
    assert 30 < turn < TOTAL - 30
    assert valid[-1] > valid[turn] + 0.3


@given(seeds)
def test_diverge(seed: int) -> None:
    """A diverging curve ends above its start."""
    for losses in sampled("diverge", seed):
        assert mean(losses[-10:]) > mean(losses[:10])
        assert min(losses) < mean(losses[:10])


@given(seeds)
def test_plateau(seed: int) -> None:
    """A plateau curve stays within 15 percent of its minimum."""
    for losses in sampled("plateau", seed):
        assert max(losses) < min(losses) * 1.15


def test_nan() -> None:
    """After a NaN the loss is null in JSON and nan in text, and responses are valid JSON."""
    http, job = trained(rows=10, metadata={"fake_curve": "nan"}, hyperparameters={"n_epochs": 2})
    body = http.send("GET", f"{JOBS}/{job['id']}/events?limit=100").body

    assert b"NaN" not in body
    events = {event["data"]["step"]: event for event in json.loads(body)["data"] if event["type"] == "metrics"}
    assert (events[20]["data"].get("train_loss"), events[1]["data"]["train_loss"] > 0) == (None, True)
    assert events[20]["message"] == "Step 20/20: training loss=nan, validation loss=nan, full validation loss=nan"
    assert rows_of(http, job)[-1] == {
        "step": "20",
        "train_loss": "nan",
        "train_accuracy": "0.0",
        "valid_loss": "nan",
        "valid_mean_token_accuracy": "0.0",
    }


@pytest.mark.parametrize("text", ["2,3\n1,2\n0.5,0.75", "train_loss,valid_loss\n2,3\n1,2\n0.5,0.75"])
def test_a_curve_of_ones_own(text: str) -> None:
    """A CSV curve is used with its rows stretched over the job's steps."""
    http, job = trained(rows=10, metadata={"fake_curve": text}, hyperparameters={"n_epochs": 3})
    steps = steps_of(http, job)

    assert [steps[step]["train_loss"] for step in range(1, 31)] == [2] * 10 + [1] * 10 + [0.5] * 10
    assert [steps[step]["valid_loss"] for step in (10, 20, 30)] == [3, 2, 0.75]


def test_a_result_file_is_a_curve() -> None:
    """A result file used as a curve gives the same losses to five decimals."""
    http, job = trained(rows=10, hyperparameters={"n_epochs": 2})
    text = http.send("GET", f"/files/{job['result_files'][0]}/content").body.decode()
    first = rows_of(http, job)

    http.json("PUT", "/_fake/plan", {"curve": text})
    again = http.job(training_file=job["training_file"], hyperparameters={"n_epochs": 2})
    second = rows_of(http, http.json("GET", f"{JOBS}/{again['id']}"))

    assert [row["train_loss"] for row in second] == [row["train_loss"] for row in first]


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_any_numbers_are_a_curve(rows: list[tuple[float, float]]) -> None:
    """Any numbers as a curve can be used."""
    http = Http(FakeFineTuning(start=BORN, pace="instant", base64_results=False))
    http.json("PUT", "/_fake/plan", {"curve": "".join(f"{train},{valid}\n" for train, valid in rows)})
    file = http.file()
    job = http.job(training_file=file, validation_file=file, hyperparameters={"n_epochs": 1})

    done = http.json("GET", f"{JOBS}/{job['id']}")
    assert done["status"] == "succeeded"
    assert len(steps_of(http, done)) == 10
    assert len(rows_of(http, done)) == 10


@pytest.mark.parametrize("text", ["", "steep", "1,2\nx,3", "train_loss\n", "loss,valid_loss\n1,2", "9" * 200_000])
def test_what_is_no_curve(text: str) -> None:
    """A text that is neither a curve's name nor CSV with losses is refused."""
    with pytest.raises(FakeUsageError, match="curve must be one of healthy, "):
        loss_curve(text)


def test_a_curve_without_validation() -> None:
    """A CSV curve without validation losses uses the training losses."""
    curve = loss_curve("train_loss\n2\n1")

    assert [curve(training_point(step, 2, seed=0)) for step in (1, 2)] == [Losses(2, 2), Losses(1, 1)]


def test_long_jobs_have_short_files() -> None:
    """The result file of a job of more than 50,000 steps has every step, or more than 5,000 rows."""
    http = Http(FakeFineTuning(start=BORN, pace="manual", base64_results=False))
    file = http.file()

    for epochs, stride in [(5000, 1), (5001, 11)]:
        seed = {"training_file": file, "hyperparameters": {"n_epochs": epochs}}
        rows = rows_of(http, http.json("POST", "/_fake/jobs", seed))
        assert [int(row["step"]) for row in rows] == list(
            range(epochs * 10 % stride or stride, epochs * 10 + 1, stride)
        )


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_losses_are_32_bit_numbers(value: float) -> None:
    """A loss is rounded and limited to a 32-bit float."""
    kept = to_float32(value)

    assert kept == max(min(value, to_float32(3e38)), to_float32(-3e38))
    assert struct.unpack("<f", struct.pack("<f", kept))[0] == kept
    assert math.isnan(to_float32(math.nan))
