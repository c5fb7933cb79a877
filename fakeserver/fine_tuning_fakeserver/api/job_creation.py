"""Check a request for a job, and decide all that belongs to it: id, seed, plan, hyperparameters, failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fine_tuning_formats.job_rules import base_model
from fine_tuning_formats.training_file import MIN_EXAMPLES

from ..account.account import Account, next_id
from ..api_errors import model_not_available, too_few_examples, too_many_jobs, unknown_file_of_job
from ..domain import ids
from ..domain.base_models import snapshot_name
from ..domain.job import Job
from ..domain.job_spec import JobSpec, build_job_spec
from ..domain.plan import FIELDS, Plan
from ..domain.timeline import TERMINAL
from ..domain.training_files import JobFile
from ..domain.training_methods import TrainingRequest
from ..usage_errors import unknown_name
from . import models
from .request_models import CreateJobBody

METADATA_PREFIX = "fake_"
"""Metadata keys with this prefix change the job's plan: ``fake_outcome``, ``fake_error``, ``fake_queued`` …"""


def prepare_job(account: Account, now: float, body: CreateJobBody) -> Job:
    """Check a request and decide all about the job that it makes; the account stays as it is.

    Raises:
        ApiError: the request is refused. Files are checked before the model (seen in a client's live tests).
        FakeUsageError: control metadata makes no plan.
    """
    models.require_fine_tuning_open(account, now)  # before the request itself is looked at (inferred)
    training = _require_file(account, "training_file", body.training_file)
    validation = None
    if body.validation_file is not None:
        validation = _require_file(account, "validation_file", body.validation_file)
    request = body.training_request(_require_trainable_model(account, now, body))
    least, examples = MIN_EXAMPLES["training"], training.data.examples
    if account.dialect.checks_count_at_creation and examples < least:
        raise too_few_examples(training.id, examples, least)
    if account.settings.max_active_jobs is not None:
        _require_free_slot(account, now, request.model, account.settings.max_active_jobs)

    identifier = new_job_id(account)
    reserved = account.named["job"][0] if account.named["job"] else None
    seed = reserved.seed if reserved and body.seed is None else body.seed
    plan = plan_from_metadata(next_plan(account), body.metadata)
    spec = build_job_spec(plan, request, job_seed(identifier, seed), training, validation)
    job = build_job(account, identifier, now, body, request, spec)
    return replace(job, overrides=reserved.overrides) if reserved else job


def _require_file(account: Account, param: str, identifier: str) -> JobFile:
    file = account.files.get(identifier)
    if file is None or file.dataset is None:  # of another purpose: the same answer (inferred)
        raise unknown_file_of_job(param, identifier)
    return JobFile(file.id, file.dataset)


def _require_trainable_model(account: Account, now: float, body: CreateJobBody) -> str:
    """Return the dated name of the model.

    One that does not learn by the job's method is refused as one that cannot be trained at all (inferred).
    """
    model = snapshot_name(body.model, account.dialect.snapshots)
    base = account.base_models.get(base_model(model))
    known = model in account.base_models or model in account.models
    if not known or models.is_shut_down(account, model, now) or (base and body.method_name not in base.methods):
        raise model_not_available(body.model)
    return model


def _require_free_slot(account: Account, now: float, model: str, limit: int) -> None:
    jobs = (account.jobs[identifier] for identifier in account.active)
    statuses = [job.timeline().status(now) for job in jobs if job.model == model]
    running = statuses.count("running")
    active = sum(status not in TERMINAL for status in statuses)
    if active >= limit:
        raise too_many_jobs(limit, running, active - running, model)


def next_plan(account: Account) -> Plan:
    """Return the plan of the next job, unless its own metadata changes it."""
    return account.next_plans[0] if account.next_plans else account.plan


def new_job_id(account: Account) -> str:
    """Return the id of the next job."""
    seed, shapes = account.settings.seed, account.dialect.ids
    return next_id(
        account, "job", lambda n: ids.derived_id("job", seed, n, shapes=shapes), account.jobs, len(account.jobs)
    )


def job_seed(identifier: str, seed: int | None) -> int:
    """Return the requested *seed*, or one derived from the job's id."""
    return ids.derived_number("job-seed", identifier) % 2**31 if seed is None else seed


def build_job(
    account: Account, identifier: str, created_at: float, body: CreateJobBody, request: TrainingRequest, spec: JobSpec
) -> Job:
    """Build a job from its request and what was decided about it."""
    return Job(
        id=identifier,
        created_at=created_at,
        model=request.model,
        training_file=body.training_file,
        validation_file=body.validation_file,
        suffix=body.suffix,
        seed=spec.seed,
        requested=request.hyperparameters,
        metadata=body.metadata,
        integrations=[integration.model_dump(mode="json") for integration in body.integrations or ()],
        organization=account.organization_id,
        owner=account.settings.organization,
        spec=spec,
        objective=body.objective,
        dialect=account.dialect,
    )


def plan_from_metadata(plan: Plan, metadata: Mapping[str, str] | None) -> Plan:
    """Return *plan* as changed by the job's own metadata.

    Raises:
        FakeUsageError: a key starts with ``fake_`` and is not a field of a plan, or its value is wrong.
    """
    changes: dict[str, str | int] = {
        key.removeprefix(METADATA_PREFIX): value
        for key, value in (metadata or {}).items()
        if key.startswith(METADATA_PREFIX)
    }
    if unknown := sorted(set(changes) - set(FIELDS)):
        raise unknown_name(
            "control key of metadata", METADATA_PREFIX + unknown[0], [METADATA_PREFIX + field for field in FIELDS]
        )
    step = str(changes.get("fail_at", ""))
    if step.isdecimal():  # values of metadata are strings
        changes["fail_at"] = int(step)
    return plan.changed(changes) if changes else plan
