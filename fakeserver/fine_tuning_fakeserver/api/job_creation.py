"""What a job must be to be accepted, and what is decided about it then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fine_tuning_formats.hyperparameters import base_model
from fine_tuning_formats.training_file import MIN_EXAMPLES

from ..account.account import Account, next_id
from ..api_errors import model_not_available, too_few_examples, too_many_jobs, unknown_file_of_job
from ..domain import ids
from ..domain.base_models import dated
from ..domain.job_spec import JobSpec, build_job_spec
from ..domain.jobs import Job
from ..domain.plan import FIELDS, Plan
from ..domain.timeline import TERMINAL
from ..domain.training_files import JobFile
from ..domain.training_methods import TrainingRequest
from ..usage_errors import FakeUsageError
from . import models
from .request_models import CreateJobBody

MAGIC = "fake_"
"""Metadata keys that start so change the job's plan: ``fake_outcome``, ``fake_error``, ``fake_queued`` …"""


def create_job_record(account: Account, now: float, body: CreateJobBody) -> Job:
    """The job that *body* asks for.

    Raises:
        ApiError: fine-tuning has ended, a file or the model is not there (files first: a client's live tests), the
            model does not learn by this method, or too many jobs are active.
        FakeUsageError: magic metadata makes no plan.
    """
    models.require_open(account, now)  # before what is asked is looked at (inferred)
    files = JobFiles.of(account, body)
    order = body.order(_tunable(account, now, body))
    _check_count(account, files.training)
    _check_limit(account, now, order.model)
    return _decide(account, now, body, order, files)


@dataclass(frozen=True, slots=True)
class JobFiles:
    """What a job reads."""

    training: JobFile
    validation: JobFile | None

    @classmethod
    def of(cls, account: Account, body: CreateJobBody) -> JobFiles:
        """The files that *body* names.

        Raises:
            ApiError: the account has no such file for fine-tuning.
        """
        given = body.validation_file
        training = _material(account, "training_file", body.training_file)
        return cls(training, None if given is None else _material(account, "validation_file", given))


def _material(account: Account, param: str, identifier: str) -> JobFile:
    file = account.files.get(identifier)
    if file is None or file.dataset is None:  # of another purpose: the same answer (inferred)
        raise unknown_file_of_job(param, identifier)
    return JobFile(file.id, file.dataset)


def _tunable(account: Account, now: float, body: CreateJobBody) -> str:
    """The dated name of the model, which must learn by the job's method.

    A model that does not is refused as one that cannot be trained at all (inferred).
    """
    model = dated(body.model, account.dialect.dated)
    base = account.base_models.get(base_model(model))
    foreign = model.startswith("ft:") and model in account.base_models
    known = model in account.base_models or model in account.models or foreign
    if not known or models.is_gone(account, model, now) or (base and body.method_name not in base.methods):
        raise model_not_available(body.model)
    return model


def _check_count(account: Account, training: JobFile) -> None:
    """Refuse what fails in validation elsewhere: a dialect may count the examples at once."""
    least, examples = MIN_EXAMPLES["training"], training.data.examples
    if account.dialect.counts_at_once and examples < least:
        raise too_few_examples(training.id, examples, least)


def _check_limit(account: Account, now: float, model: str) -> None:
    limit = account.settings.max_active_jobs
    if limit is None:
        return
    jobs = (account.jobs[identifier] for identifier in account.active)
    statuses = [job.timeline().status(now) for job in jobs if job.model == model]
    running = statuses.count("running")
    active = sum(status not in TERMINAL for status in statuses)
    if active >= limit:
        raise too_many_jobs(limit, running, active - running, model)


def _decide(account: Account, now: float, body: CreateJobBody, order: TrainingRequest, files: JobFiles) -> Job:
    named = account.named["job"][0] if account.named["job"] else None
    identifier = new_job_id(account)
    seed = named.seed if named and body.seed is None else body.seed
    seed = ids.draw("job-seed", identifier) % 2**31 if seed is None else seed
    script = build_job_spec(
        plan_from_metadata(next_plan(account), body.metadata), order, seed, files.training, files.validation
    )
    job = build_job(account, identifier, now, body, order, script)
    return replace(job, overrides=named.given) if named else job


def next_plan(account: Account) -> Plan:
    """How the next job that is made goes, unless it says so itself."""
    return account.next_plans[0] if account.next_plans else account.plan


def new_job_id(account: Account) -> str:
    """The id of the next job that is made."""
    seed, shapes = account.settings.seed, account.dialect.ids
    return next_id(
        account, "job", lambda n: ids.derived_id("job", seed, n, shapes=shapes), account.jobs, len(account.jobs)
    )


def build_job(
    account: Account, identifier: str, created_at: float, body: CreateJobBody, order: TrainingRequest, script: JobSpec
) -> Job:
    """A job with everything decided about it."""
    return Job(
        id=identifier,
        created_at=created_at,
        model=order.model,
        training_file=body.training_file,
        validation_file=body.validation_file,
        suffix=body.suffix,
        seed=script.seed,
        asked=order.numbers,
        metadata=body.metadata,
        integrations=[each.model_dump(mode="json") for each in body.integrations or ()],
        organization=account.organization_id,
        owner=account.settings.organization,
        spec=script,
        objective=body.objective,
        dialect=account.dialect,
    )


def plan_from_metadata(plan: Plan, metadata: Mapping[str, str] | None) -> Plan:
    """*plan* as changed by the job's own metadata.

    Raises:
        FakeUsageError: a key starts with ``fake_`` and is no field of a plan, or its value is no good.
    """
    magic = {key.removeprefix(MAGIC): value for key, value in (metadata or {}).items() if key.startswith(MAGIC)}
    if unknown := sorted(set(magic) - set(FIELDS)):
        known = ", ".join(MAGIC + field for field in FIELDS)
        raise FakeUsageError(f"metadata has {MAGIC}{unknown[0]!s}: magic keys are {known}")
    step = magic.get("fail_at", "")
    return plan.changed({**magic, **({"fail_at": int(step)} if step.isdecimal() else {})}) if magic else plan
