"""Python graders run in a process of their own, within limits, and only if the account allows it."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import threading
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import urlsplit

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.grading import grade as grade_module
from fine_tuning_fakeserver.grading import python_runner, python_runner_child
from fine_tuning_fakeserver.grading.python_runner import Limits
from fine_tuning_fakeserver.grading.result import GradingError
from fine_tuning_fakeserver.usage_errors import FakeUsageError
from strategies import Http

RUN = "/fine_tuning/alpha/graders/run"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="limits of memory are POSIX's")
SAMPLE: dict[str, Any] = {"output_text": "four", "output_json": None}


PATIENT = Limits(seconds=120)
"""A busy machine may take seconds to start an interpreter."""


def grade(body: str, limits: Limits = PATIENT, **item: Any) -> float:
    """The reward of a grader with this body."""
    return python_runner.run(f"def grade(sample, item):\n    {body}", SAMPLE, item, limits)


def failure(source: str, limits: Limits = PATIENT) -> str:
    """The error details of a grader that must fail."""
    with pytest.raises(GradingError) as caught:
        python_runner.run(source, SAMPLE, {}, limits)
    assert caught.value.flag == "python_grader_runtime_error"
    return caught.value.details


def body(source: str) -> dict[str, Any]:
    """A request to run this source."""
    return {"grader": {"type": "python", "name": "code", "source": source}, "item": {"n": 2}, "model_sample": "four"}


REWARDS = [
    ("return 0.5", 0.5),
    ("return True", 1.0),
    ("return -3", -3.0),
    ("return len(sample['output_text']) / item['n']", 2.0),
    ("print('noise'); import sys; print('noise', file=sys.stderr); return 1", 1.0),
    ("from rapidfuzz import fuzz; return fuzz.ratio('a', 'a') / 100", 1.0),
    ("import numpy; return numpy.float32(0.5)", 0.5),
    ("import os; return float('OPENAI_API_KEY' in os.environ or len(os.listdir('.')))", 0.0),
    ("import threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); return 1", 1.0),
]


@pytest.mark.parametrize(("source", "reward"), REWARDS)
def test_rewards(source: str, reward: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reward is what grade returns, with access to sample, item and packages, but not to the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")

    assert grade(source, n=2) == reward


@pytest.mark.parametrize(("source", "reward"), REWARDS[:4])
def test_rewards_inside_the_child(source: str, reward: float) -> None:
    """The child's `run_grader` returns the reward or the error."""
    task = {"source": f"def grade(sample, item):\n    {source}", "sample": SAMPLE, "item": {"n": 2}}

    assert python_runner_child.run_grader(task) == {"reward": reward}
    assert python_runner_child.run_grader({**task, "source": "grade = 5"}) == {
        "error": "TypeError: 'int' object is not callable"
    }
    assert python_runner_child.run_grader({**task, "source": "5"}) == {
        "error": "The grader's source has no function 'grade'."
    }
    assert (
        "a finite number is wanted"
        in python_runner_child.run_grader({**task, "source": "grade = lambda *_: '5'"})["error"]
    )
    assert (
        "a finite number is wanted"
        in python_runner_child.run_grader({**task, "source": "grade = lambda *_: None"})["error"]
    )


def test_the_same_grader_gives_the_same_reward() -> None:
    """A grader that depends on hash order gives the same reward in every run."""
    order = "return float(''.join(sorted({'1', '2', '3', '4', '5'}, key=hash)))"

    assert len({grade(order) for _ in range(3)}) == 1


FAILURES = [
    (
        "def grade(sample, item):\n    return 1 / 0",
        'File "<grader>", line 2, in grade\nZeroDivisionError: division by zero',
    ),
    ("def grade(:", "SyntaxError: invalid syntax"),
    ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
    ("def score(sample, item): return 1", "The grader's source has no function 'grade'."),
    ("grade = lambda sample, item: '0.5'", "grade returned str, and a finite number is wanted."),
    ("grade = lambda sample, item: None", "grade returned NoneType, and a finite number is wanted."),
    ("grade = lambda sample, item: float('nan')", "grade returned float, and a finite number is wanted."),
    ("grade = lambda sample, item: 10**400", "grade returned int, and a finite number is wanted."),
    ("def grade(sample): return 1", "grade() takes 1 positional argument but 2 were given"),
    ("raise SystemExit(3)", "SystemExit: 3"),
    ("import os\nos._exit(3)", "The grader's process ended without an answer, with code 3."),
    ("def grade(sample, item):\n    return grade(sample, item)", "RecursionError: maximum recursion depth exceeded"),
    ("raise ValueError('x' * 100_000)", "x" * 100),
]


@pytest.mark.parametrize(("source", "words"), FAILURES, ids=lambda value: value[:40])
def test_failures_are_told(source: str, words: str) -> None:
    """The error details show what a grader raised or returned, and none of the fake's own code."""
    details = failure(source)

    assert words in details
    assert "python_runner" not in details
    assert len(details) <= 4000


def test_an_endless_loop_is_ended() -> None:
    """A grader that never returns is killed at its time limit, with a message that says so."""
    assert failure("while True: pass", Limits(seconds=0.3)) == "The grader took longer than 0.3 seconds."


def test_an_endless_loop_where_there_are_no_process_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without process groups a grader that never returns is killed, too."""
    monkeypatch.delattr(os, "killpg", raising=False)

    assert "took longer" in failure("while True: pass", Limits(seconds=0.3))


@POSIX
def test_what_it_has_started_is_ended_too(tmp_path: Path) -> None:
    """A subprocess that a grader leaves behind is killed with it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    source = f"""
        import subprocess, sys
        pipe = open({str(pipe)!r}, "w")
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], stdout=pipe)
        pipe.write(str(child.pid))
        pipe.flush()
        return 1"""

    assert grade(dedent(source).replace("\n", "\n    "), PATIENT) == 1

    assert int(os.read(reader, 100)) > 0
    at_end, _, _ = select.select([reader], [], [], 60)
    assert at_end
    assert os.read(reader, 1) == b""  # no process holds the pipe open any more
    os.close(reader)


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("ending", ["the client disconnects", "the server stops"])
def test_a_grader_that_nobody_waits_for_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """A python grader ends with its client's connection, and keeps a server that stops a moment at most."""
    monkeypatch.setattr(python_runner, "DEFAULT_LIMITS", PATIENT)
    monkeypatch.setattr(grade_module, "SECONDS_AT_MOST", PATIENT.seconds)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    source = f"""def grade(sample, item):
        import time
        pipe = open({str(tmp_path / "pipe")!r}, "w")
        print("begun", file=pipe, flush=True)
        time.sleep(600)"""
    content = json.dumps(body(source)).encode()
    fake = FakeFineTuning(run_python_graders=True)
    with fake.serving() as url:
        place = urlsplit(url)
        client = socket.create_connection((place.hostname, place.port))
        client.sendall(
            b"POST /v1%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer any\r\nContent-Length: %d\r\n\r\n%s"
            % (RUN.encode(), len(content), content)
        )
        select.select([reader], [], [])
        assert os.read(reader, 100) == b"begun\n"
        if ending == "the client disconnects":
            client.close()
            select.select([reader], [], [])  # until the grader, which holds the other end, is no more
    client.close()
    os.close(reader)
    assert b"Nobody waits for the grader any more." in fake.requests[0].answer


@POSIX
def test_a_memory_bomb_is_stopped() -> None:
    """A grader that exceeds its memory limit gets a MemoryError."""
    details = failure("hoard = [bytearray(10**8) for _ in range(1000)]", Limits(seconds=120, memory_bytes=500 * 10**6))

    assert details.endswith("MemoryError")


@POSIX
def test_a_file_bomb_is_stopped() -> None:
    """A grader that writes too large a file is stopped."""
    details = failure("open('bomb', 'wb').write(bytes(10**7))", Limits(seconds=120, disk_bytes=10**6))

    assert "File too large" in details or "with code -25" in details  # as an error, or by SIGXFSZ


def test_no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sys.executable the fake says what is missing."""
    monkeypatch.setattr(sys, "executable", "")

    with pytest.raises(FakeUsageError, match=r"sys\.executable names none"):
        grade("return 1")


INSIDE = {"type": "multi", "graders": {"code": body("")["grader"]}, "calculate_output": "code"}


@pytest.mark.parametrize("grader", [body("")["grader"], INSIDE], ids=["alone", "inside"])
def test_nothing_runs_by_default(tmp_path: Path, grader: dict[str, Any]) -> None:
    """By default no grader code is run, and the response says which setting allows it."""
    proof = tmp_path / "proof"
    code = {"type": "python", "source": f"open({str(proof)!r}, 'w')\ndef grade(sample, item): return 1"}
    grader = {**grader, "graders": {"code": code}} if "graders" in grader else code

    answer = Http(FakeFineTuning()).json("POST", RUN, {"grader": grader, "model_sample": ""}, status=400)

    assert list(answer) == ["fake_error", "message"]
    assert "FakeFineTuning(run_python_graders=True)" in answer["fake_error"]
    assert not proof.exists()


def test_the_setting_switches_it_on() -> None:
    """With run_python_graders the response has the code's reward."""
    http = Http(FakeFineTuning(run_python_graders=True))

    assert http.json("POST", RUN, body("def grade(sample, item): return item['n'] / 4"))["reward"] == 0.5


def test_the_setting_is_checked() -> None:
    """run_python_graders accepts only True and False."""
    with pytest.raises(FakeUsageError, match="run_python_graders must be True or False, got 'yes'"):
        FakeFineTuning(run_python_graders="yes")  # type: ignore[arg-type]


def test_control_switches_it_on() -> None:
    """The control API can enable run_python_graders."""
    http = Http(FakeFineTuning())

    http.json("POST", "/_fake/reset", {"run_python_graders": True})

    assert http.fake.settings.run_python_graders is True


def test_a_failure_is_an_answer() -> None:
    """Code that raises is a 200 with reward 0, the error flag and the traceback."""
    http = Http(FakeFineTuning(run_python_graders=True))

    answer = http.json("POST", RUN, body("def grade(sample, item): return item['m']"))

    errors = answer["metadata"]["errors"]
    assert answer["reward"] == 0
    assert [name for name, value in errors.items() if value] == [
        "python_grader_runtime_error",
        "python_grader_runtime_error_details",
    ]
    assert errors["python_grader_runtime_error_details"].endswith("KeyError: 'm'")


def test_a_sample_nested_deeper_than_can_be_written() -> None:
    """A deeply nested JSON sample has no output_json and does not crash."""
    http = Http(FakeFineTuning(run_python_graders=True))
    source = "def grade(sample, item): return 'output_json' in sample"

    answer = http.json("POST", RUN, {**body(source), "model_sample": "[" * 1000 + "]" * 1000})

    assert (answer["reward"], answer["metadata"]["errors"]["python_grader_runtime_error_details"]) == (0, None)


def test_the_verb_holds_no_lock_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account is not locked while a python grader runs."""
    http = Http(FakeFineTuning(run_python_graders=True))
    lock = http.fake._world.service.lock
    free: list[bool] = []

    def take() -> None:
        free.append(lock.acquire(timeout=1))
        lock.release()

    def run(*_: object) -> float:
        other = threading.Thread(target=take)
        other.start()
        other.join()
        return 1.0

    monkeypatch.setattr(python_runner, "run", run)

    assert http.json("POST", RUN, body(""))["reward"] == 1
    assert free == [True]
