"""Hypothesis strategies for requests and responses of the fine-tuning API. Needs hypothesis, which is not a dependency.

Responses come from the fake itself: a job of `jobs` is one that can occur.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning, Plan
from fine_tuning_formats.job_rules import JOB_STATUSES

METHODS = ("supervised", "dpo", "reinforcement")
STATUSES = JOB_STATUSES
CURVES = ("healthy", "overfit", "diverge", "plateau", "nan")
FAILURES = ("server_error", "exceeded_quota", "invalid_training_file", "invalid_n_examples")
GRADER = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
    "operation": "eq",
}
"""A minimal grader, which reinforcement jobs need."""

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    str.strip
)
"""One line of text in any script, never blank."""


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@st.composite
def _chat(draw: st.DrawFn) -> dict[str, Any]:
    system = [_message("system", draw(texts))] if draw(st.booleans()) else []
    turns = [_message(role, draw(texts)) for _ in range(draw(st.integers(1, 3))) for role in ("user", "assistant")]
    return {"messages": [*system, *turns]}


@st.composite
def _preference(draw: st.DrawFn) -> dict[str, Any]:
    good, bad = ([_message("assistant", draw(texts))] for _ in range(2))
    return {
        "input": {"messages": [_message("user", draw(texts))]},
        "preferred_output": good,
        "non_preferred_output": bad,
    }


_ROWS = {
    "supervised": _chat(),
    "dpo": _preference(),
    "reinforcement": st.builds(
        lambda prompt, answer: {"messages": [_message("user", prompt)], "answer": answer}, texts, texts
    ),
}


def rows(method: str = "supervised") -> st.SearchStrategy[dict[str, Any]]:
    """Draw one row of a training file for *method*: "supervised", "dpo" or "reinforcement"."""
    if method not in _ROWS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    return _ROWS[method]


def training_files(
    method: str = "supervised", *, min_examples: int = 10, max_examples: int = 14
) -> st.SearchStrategy[bytes]:
    """Draw a training file that the service accepts: JSONL in UTF-8 with at least ten examples."""
    examples = st.lists(rows(method), min_size=min_examples, max_size=max_examples)
    return examples.map(lambda drawn: b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in drawn))


_SPOILED = {
    "cut short": lambda file: file[: -len(file) // 3].rsplit(b"\n", 1)[0] + b'\n{"messages": [',
    "too few examples": lambda file: b"\n".join(file.split(b"\n")[:9]) + b"\n",
    "an example without its key": lambda file: file + b'{"prompts": []}\n',
    "a list for an example": lambda file: file + b"[]\n",
    "no UTF-8": lambda file: file + b'{"messages": "\xff"}\n',
    "empty": lambda file: b"",
}


def broken_training_files() -> st.SearchStrategy[bytes]:
    """Draw a file that cannot be used: its upload is refused, or the job fails at validation."""
    return st.builds(lambda spoil, file: spoil(file), st.sampled_from(list(_SPOILED.values())), training_files())


def metadata() -> st.SearchStrategy[dict[str, str]]:
    """Draw metadata that the service accepts: up to 16 pairs, keys of up to 64 characters, none with ``fake_``."""
    keys = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=64)
    return st.dictionaries(keys, st.text(max_size=100), max_size=16)


def suffixes() -> st.SearchStrategy[str]:
    """Draw a suffix for a model's name: 1 to 40 letters, digits and hyphens."""
    return st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)


def hyperparameters() -> st.SearchStrategy[dict[str, Any]]:
    """Draw hyperparameters of supervised training, each "auto", a number or absent."""
    auto = st.just("auto")
    members = {
        "n_epochs": auto | st.integers(1, 10),
        "batch_size": auto | st.integers(1, 8),
        "learning_rate_multiplier": auto | st.sampled_from([0.1, 0.5, 1.8, 2]),
    }
    return st.fixed_dictionaries({}, optional=members)


def plans(outcome: str | None = None) -> st.SearchStrategy[Plan]:
    """Draw a plan; with *outcome* only "succeeded" or only "failed"."""
    if outcome not in (None, "succeeded", "failed"):
        raise ValueError(f"outcome must be 'succeeded', 'failed' or None, got {outcome!r}")
    outcomes = (outcome,) if outcome else ("succeeded", "failed")
    return st.sampled_from(outcomes).flatmap(_plans)


def _plans(outcome: str) -> st.SearchStrategy[Plan]:
    seconds = st.integers(1, 600)
    fields: dict[str, Any] = dict.fromkeys(("validating", "queued", "starting", "finishing"), seconds)
    fields |= {"seconds_per_step": st.sampled_from([0.5, 2, 30]), "curve": st.sampled_from(CURVES)}
    if outcome == "failed":
        fields |= {"fail_at": st.just("validation") | st.integers(1, 90), "error": st.sampled_from(FAILURES)}
    return st.fixed_dictionaries(fields).map(lambda values: Plan(outcome=outcome, **values))


@st.composite
def worlds(draw: st.DrawFn) -> FakeFineTuning:
    """Draw a fake at pace "manual" with one job in any status."""
    fake = FakeFineTuning(pace="manual", seed=draw(st.integers(0, 999)), start=1_750_000_000, plan=draw(plans()))
    file = fake.add_file(draw(training_files()))
    job = fake.add_job(file["id"], status="validating_files", metadata=draw(metadata()), suffix=draw(suffixes()))
    fake.advance(draw(st.integers(0, 3000)))
    status = fake.jobs[0]["status"]
    if status == "running" and draw(st.booleans()):
        fake.pause_job(job["id"])
    elif status in ("validating_files", "queued", "running") and draw(st.booleans()):
        fake.cancel_job(job["id"])
    return fake


def jobs(status: str | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a job object; with *status* in that status only."""
    if status is not None and status not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)}, got {status!r}")
    if status is None:
        return worlds().map(lambda fake: fake.jobs[0])

    def job(plan: Plan, file: bytes) -> dict[str, Any]:
        fake = FakeFineTuning(pace="manual", start=1_750_000_000, plan=plan)
        fake.add_job(fake.add_file(file)["id"], status=status)
        return fake.jobs[0]

    return st.builds(job, plans("failed" if status == "failed" else "succeeded"), training_files())


def faults(*operations: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a fault that hits one to three requests, for ``fake.reset(faults=[…])`` or ``POST /_fake/faults``.

    With *operations* it hits these only, such as ``"retrieve_job"``.
    """
    kinds: list[dict[str, Any]] = [{"kind": "fail", "status": status} for status in (408, 429, 500, 503)]
    kinds += [{"kind": kind} for kind in ("rate_limit", "disconnect", "refuse", "truncate", "malformed")]
    aim = {"on": list(operations)} if operations else {}
    return st.builds(lambda kind, times: {**kind, **aim, "times": times}, st.sampled_from(kinds), st.integers(1, 3))
