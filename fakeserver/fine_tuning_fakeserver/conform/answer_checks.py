"""The checks: one for each answer, derived from what a fake answers in the same dialect, and one for each rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import lru_cache
from typing import Literal

import httpx

from fine_tuning_formats.lazy_dataclass import dataclass

from ..domain.dialects.dialect import Dialect
from ..evidence import Evidence, inferred, printed
from ..fake.fake_fine_tuning import FakeFineTuning
from ..usage_errors import FakeUsageError
from ..web.dialect_adapter import base_url_for
from ..web.operations import OPERATIONS, SHARED_EVIDENCE
from .answers import SeenAnswer, differences
from .server_rules import RULES, broken_rules, request_id_problems
from .session import STEPS, TRAINING_FILE, Session, Step
from .target import NO_LIMIT, Target

Outcome = Literal["passed", "failed", "not run"]
CANDIDATES = ("gpt-4o-mini-2024-07-18", "gpt-3.5-turbo-0125")
NOWHERE = "http://fake.invalid/v1"
HEADERS_SEEN = printed("answers with their headers", "2023 to 2026")


@dataclass(frozen=True)
class CheckResult:
    """What became of a check.

    Args:
        id: its id.
        area: what it is about.
        evidence: why a server is to be so.
        outcome: passed, failed, or not run.
        problems: what is wrong, or why it was not run.
    """

    id: str
    area: str
    evidence: Evidence
    outcome: Outcome
    problems: list[str] = field(default_factory=list)


def conform(target: Target, model: str | None = None) -> list[CheckResult]:
    """Ask *target* everything that its budget allows; return the result of every check.

    Args:
        target: the server.
        model: the model to train; by default one that the dialect knows.

    Raises:
        FakeUsageError: the dialect has no such model.
    """
    chosen = model or _model_of(target.dialect)
    return judge(Session(target, chosen).run(), _reference(target.dialect, chosen))


def judge(session: Session, reference: Session) -> list[CheckResult]:
    """Return the result of every check of *session*, by what the *reference* answered."""
    results = [_answer_result(step, session, reference) for step in STEPS if step.id in reference.answers]
    return [*results, *_rule_results(session, reference), _header_result(session, reference)]


def reference_target(dialect: Dialect) -> Target:
    """Return a fake of its own in a dialect, in this process."""
    fake = FakeFineTuning(dialect=dialect.name, pace="polls")
    http = httpx.Client(transport=fake.transport())
    return Target(http, base_url_for(NOWHERE, dialect), dialect, budget=NO_LIMIT, is_fake=True)


@lru_cache
def _reference(dialect: Dialect, model: str) -> Session:
    return Session(reference_target(dialect), model).run()


@lru_cache
def _model_of(dialect: Dialect) -> str:
    """Return a model that can be trained in the dialect."""
    target = reference_target(dialect)
    content = ("conform.jsonl", TRAINING_FILE)
    file = target.ask("POST", "/files", data={"purpose": "fine-tune"}, files={"file": content}).members.get("id")
    for name in (*CANDIDATES, *(model.id for model in dialect.models)):
        answer = target.ask("POST", "/fine_tuning/jobs", json={"model": name, "training_file": file})
        if answer.status < 300:
            return name
    raise FakeUsageError(f"model must be given for the dialect {dialect.name}, got none; say --model NAME")


def _answer_result(step: Step, session: Session, reference: Session) -> CheckResult:
    wanted = reference.answers[step.id]
    evidence = _evidence_of(step, wanted)
    if (answer := session.answers.get(step.id)) is None:
        return CheckResult(step.id, step.area, evidence, "not run", [session.skipped.get(step.id, "not asked")])
    problems = list(differences(wanted, answer))
    return CheckResult(step.id, step.area, evidence, "failed" if problems else "passed", problems)


def _evidence_of(step: Step, wanted: SeenAnswer) -> Evidence:
    """Return the ledger's evidence for the answer that is wanted."""
    ledger: Mapping[str, Mapping[str, Evidence]] = {operation.name: operation.evidence for operation in OPERATIONS}
    status = "200" if wanted.status < 300 else str(wanted.status)
    for answers in (ledger.get(step.operation, {}), SHARED_EVIDENCE):
        if known := next((evidence for answer, evidence in answers.items() if answer.startswith(status)), None):
            return known
    return inferred("what the fake answers")


def _rule_results(session: Session, reference: Session) -> Iterator[CheckResult]:
    for rule in RULES:
        if broken_rules(rule, reference) != []:  # no rule of this dialect
            continue
        problems = broken_rules(rule, session)
        if problems is None:
            reason = "it needs answers that were not given or not asked for"
            yield CheckResult(rule.id, rule.area, rule.evidence, "not run", [reason])
        else:
            yield CheckResult(rule.id, rule.area, rule.evidence, "failed" if problems else "passed", problems)


def _header_result(session: Session, reference: Session) -> CheckResult:
    name = session.target.dialect.http.request_id[0].decode()
    problems = request_id_problems(session, reference.answers["list-jobs"].headers, name)
    return CheckResult("request-ids", "headers", HEADERS_SEEN, "failed" if problems else "passed", problems)
