"""Jobs, checkpoint permissions and graders: each operation, and the function that runs it for a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..api import jobs, models
from ..api.schemas import file_schemas, grader_and_chat_schemas
from ..api.schemas.job_schemas import JOB
from ..api.schemas.object_schema import CURSOR, STRING, one_of, page_limit
from ..api_errors import ApiError
from ..evidence import inferred, printed, recorded, spec, vendor
from ..usage_errors import FakeUsageError
from . import dialect_adapter
from .operation import FINE_TUNING, FIRST_ID, ID, Link, Operation, api_route, links_by, links_to
from .request import ApiRequest, by_id, choice_of, json_body, limit_of, metadata_of

if TYPE_CHECKING:
    from ..api.graders import GradedParts

# spec: default pages are 20 jobs, 20 events, 10 checkpoints. A script was seen to ask for 300 events; the upper bound
# is inferred.
PAGE, CHECKPOINT_PAGE, PAGE_AT_MOST = 20, 10, 1000
PERMISSION_ORDERS = ("descending", "ascending")


def create_job(request: ApiRequest) -> Any:
    """Create a job, as the account's dialect has it."""
    from ..api.request_models import job_body, parse

    body, dialect = json_body(request), request.service.account.dialect
    extra = dialect_adapter.take_own_members(dialect, body) if dialect.extra_fields else None
    if dialect.jobs:
        from .open_weight_jobs import take_own_members

        extra = {**(extra or {}), **take_own_members(dialect.jobs, body)}
    if dialect.max_suffix_length:
        dialect_adapter.check_suffix(dialect, body)
    return jobs.create(request.service, parse(job_body(dialect), body, dialect.error_texts), extra)


def count_tokens_ahead(request: ApiRequest) -> Callable[[], Any] | None:
    """Return what counts the tokens of a job's large training file, unless the request is invalid."""
    try:
        body = json_body(request)
    except ApiError:
        return None
    if not isinstance(body, dict):
        return None
    return jobs.count_ahead(request.service.account, body.get("training_file"), body.get("model"))


def list_jobs(request: ApiRequest) -> Any:
    """List jobs, newest first."""
    query = request.query
    return jobs.list_jobs(
        request.service,
        after=query.get("after"),
        limit=limit_of(query, PAGE, PAGE_AT_MOST),
        metadata=metadata_of(query),
        without_metadata=query.get("metadata") == "null",
    )


def list_job_events(request: ApiRequest) -> Any:
    """List a job's events, newest first."""
    query, job_id = request.query, request.path["job_id"]
    limit = limit_of(query, PAGE, PAGE_AT_MOST)
    return jobs.list_events(request.service, job_id, after=query.get("after"), limit=limit)


def list_job_checkpoints(request: ApiRequest) -> Any:
    """List a job's checkpoints, newest first."""
    query, job_id = request.query, request.path["job_id"]
    limit = limit_of(query, CHECKPOINT_PAGE, PAGE_AT_MOST)
    return jobs.list_checkpoints(request.service, job_id, after=query.get("after"), limit=limit)


def grant_permissions(request: ApiRequest) -> Any:
    """Grant projects the use of a checkpoint."""
    from ..api.request_models import CreatePermissionsBody, parse

    body = parse(CreatePermissionsBody, json_body(request))
    return models.grant_permissions(request.service, request.path["checkpoint"], body.project_ids)


def list_permissions(request: ApiRequest) -> Any:
    """List the permissions of a checkpoint."""
    query = request.query
    return models.list_permissions(
        request.service,
        request.path["checkpoint"],
        after=query.get("after"),
        limit=limit_of(query, CHECKPOINT_PAGE, PAGE_AT_MOST),
        project_id=query.get("project_id"),
        oldest_first=choice_of(query, "order", PERMISSION_ORDERS) == "ascending",
    )


def revoke_permission(request: ApiRequest) -> Any:
    """Revoke one permission."""
    return models.revoke_permission(request.service, request.path["checkpoint"], request.path["permission_id"])


def grade_ahead(request: ApiRequest) -> Callable[[], GradedParts | FakeUsageError] | None:
    """Return what grades a sample; None for an invalid request, which `run_grader` refuses."""
    from ..api import graders
    from ..grading.grader_models import RunGraderBody

    try:
        body = graders.parse_grader_body(RunGraderBody, json_body(request))
    except ApiError:
        return None

    def grade() -> GradedParts | FakeUsageError:
        try:
            return graders.grade_ahead(request.service.settings, body, lambda: not request.is_abandoned)
        except FakeUsageError as error:
            return error

    return grade


def run_grader(request: ApiRequest) -> Any:
    """Grade one sample."""
    from ..api import graders
    from ..grading.grader_models import RunGraderBody

    graded = request.read_ahead_result
    if graded is None:
        graders.parse_grader_body(RunGraderBody, json_body(request))  # raises what is wrong
    if isinstance(graded, FakeUsageError):
        raise graded
    return graders.run(request.service, graded)


def validate_grader(request: ApiRequest) -> Any:
    """Check a grader's definition."""
    from ..api import graders

    return graders.validate(request.service, json_body(request))


_PAGED = inferred("the answers for batches: BerriAI/litellm issue 37149, pull request 37198")
_CREATED = inferred("the family of creation's refusals")
_UNKNOWN_JOB = recorded("retrieve, cancel and events of an unknown job", "2023-11")
_SAME_JOB = inferred("the answer of the job's other routes")
_OTHER_STATE = inferred("the old route's text")
_GRANTS = spec("the reference of checkpoint permissions")
_OF_MODEL = inferred("the answer for an unknown model")
_GRADED = printed("an answer of this route", "2025-12")

_MODEL = "$response.body#/fine_tuned_model"

FINE_TUNING_OPERATIONS = (
    Operation(
        *api_route("create_job"),
        run=create_job,
        prepare=count_tokens_ahead,
        seldom_prepares=True,
        group=FINE_TUNING,
        body="api.request_models.CreateJobBody",
        response=JOB,
        makes=JOB,
        made_id="job_id",
        links=links_by("job_id", ID),
        has_usage_errors=True,
        evidence={
            "200 supervised": recorded("MinimalRequiredParams, AllParameters", "2025-09"),
            "200 dpo": printed("jobs by preference", "2024-12"),
            "200 reinforcement": spec("the example of a reinforcement job"),
            "400 unknown file or model": recorded("ExceptionThrownOnInvalidFileName", "2025-09"),
            "400 unknown field": printed("creation refusing a field", "2024-09"),
            "400 other fields": inferred("the text for an unknown field"),
            "403 fine-tuning has ended": inferred("a permission error, reported without its body in 2026-05"),
            "500 fine-tuning has ended, by a setting": inferred("reported by one project, 2026-07; the body was not"),
            "429": recorded("creation of one job too many", "2023-08, 2023-10"),
            "429 a day's": printed("creation of one job too many for a day", "2026-02"),
        },
    ),
    Operation(
        *api_route("list_jobs"),
        run=list_jobs,
        group=FINE_TUNING,
        query={
            "after": CURSOR,
            "limit": page_limit(PAGE, PAGE_AT_MOST),
            "metadata": {"type": "object", "additionalProperties": STRING},
        },
        response=file_schemas.JOB_PAGE,
        links=links_to(["list_jobs"], "after", FIRST_ID),
        evidence={
            "200": recorded("GetJobs, GetJobsWithAfter", "2025-09"),
            "200 by metadata": spec("the parameter metadata"),
            "400 limit, after": _PAGED,
        },
    ),
    Operation(
        *api_route("retrieve_job"),
        run=by_id("job_id", jobs.retrieve),
        group=FINE_TUNING,
        response=JOB,
        links=(
            *links_by("job_id", ID),
            *links_by("model", _MODEL),
            *links_by("checkpoint", _MODEL),
            *links_by("file_id", "$response.body#/result_files/0"),
        ),
        evidence={"200": recorded("GetJobs, as an item of the list", "2025-09"), "404": _UNKNOWN_JOB},
    ),
    Operation(
        *api_route("cancel_job"),
        run=by_id("job_id", jobs.cancel),
        group=FINE_TUNING,
        response=JOB,
        evidence={
            "200": recorded("MinimalRequiredParams, AllParameters", "2025-09"),
            "400 wrong state": _OTHER_STATE,
            "404": _UNKNOWN_JOB,
        },
    ),
    Operation(
        *api_route("pause_job"),
        run=by_id("job_id", jobs.pause),
        group=FINE_TUNING,
        response=JOB,
        evidence={
            "200": spec("the example of pause"),
            "200 only while running": vendor("the guide to reinforcement, Azure's sample", "2025"),
            "400 wrong state": _OTHER_STATE,
            "404": _SAME_JOB,
        },
    ),
    Operation(
        *api_route("resume_job"),
        run=by_id("job_id", jobs.resume),
        group=FINE_TUNING,
        response=JOB,
        evidence={
            "200": spec("the example of resume"),
            "400 wrong state": _OTHER_STATE,
            "404": _SAME_JOB,
        },
    ),
    Operation(
        *api_route("list_job_events"),
        run=list_job_events,
        group=FINE_TUNING,
        query={"after": CURSOR, "limit": page_limit(PAGE, PAGE_AT_MOST)},
        response=file_schemas.EVENT_PAGE,
        links=(Link("list_job_events", {"job_id": "$request.path.job_id", "after": FIRST_ID}),),
        evidence={
            "200": recorded("GetJobEvents", "2025-09"),
            "200 supervised metrics": printed("events of supervised jobs", "2024-08 to 2025-04"),
            "200 reinforcement metrics": vendor("the guide to reinforcement", "2025-05"),
            "200 dpo metrics": inferred("supervised jobs"),
            "400 limit, after": _PAGED,
            "404": _UNKNOWN_JOB,
        },
    ),
    Operation(
        *api_route("list_job_checkpoints"),
        run=list_job_checkpoints,
        group=FINE_TUNING,
        query={"after": CURSOR, "limit": page_limit(CHECKPOINT_PAGE, PAGE_AT_MOST)},
        response=file_schemas.CHECKPOINT_PAGE,
        links=links_by("checkpoint", "$response.body#/data/0/fine_tuned_model_checkpoint"),
        evidence={
            "200 supervised": recorded("GetCheckpoints", "2025-09"),
            "200 other methods": inferred("supervised jobs"),
            "400 limit, after": _PAGED,
            "404": _SAME_JOB,
        },
    ),
    Operation(
        *api_route("grant_permissions"),
        run=grant_permissions,
        group=FINE_TUNING,
        body="api.request_models.CreatePermissionsBody",
        response=file_schemas.PERMISSION_PAGE,
        links=(
            Link("revoke_permission", {"checkpoint": "$request.path.checkpoint", "permission_id": FIRST_ID}),
            Link("list_permissions", {"checkpoint": "$request.path.checkpoint"}),
        ),
        evidence={
            "200": _GRANTS,
            "400 owning project": printed("a grant in the documents of mkdev-me/terraform-provider-openai", "2025-04"),
            "400 fields": _CREATED,
            "404": _OF_MODEL,
        },
    ),
    Operation(
        *api_route("list_permissions"),
        run=list_permissions,
        group=FINE_TUNING,
        query={
            "after": CURSOR,
            "limit": page_limit(CHECKPOINT_PAGE, PAGE_AT_MOST),
            "project_id": STRING,
            "order": one_of(*PERMISSION_ORDERS),
        },
        response=file_schemas.PERMISSION_PAGE,
        evidence={"200": _GRANTS, "400 limit, after, order": _PAGED, "404": _OF_MODEL},
    ),
    Operation(
        *api_route("revoke_permission"),
        run=revoke_permission,
        group=FINE_TUNING,
        response=file_schemas.PERMISSION_DELETED,
        evidence={"200": _GRANTS, "404": _OF_MODEL},
    ),
    Operation(
        *api_route("model_limits"),
        run=lambda request: jobs.model_limits(request.service),
        group=FINE_TUNING,
        response=file_schemas.MODEL_LIMITS,
        evidence={
            "200": vendor("the guide to rate limits has the route", "2026"),
            "200 members": inferred("the types of one client; no answer was seen"),
        },
    ),
    Operation(
        *api_route("run_grader"),
        run=run_grader,
        prepare=grade_ahead,
        group=FINE_TUNING,
        body="grading.grader_models.RunGraderBody",
        response=grader_and_chat_schemas.GRADER_RUN,
        has_usage_errors=True,
        runs_code=True,
        evidence={
            "200 members": _GRADED,
            "200 grading": vendor("the guide to graders", "2025"),
            "400": inferred("the answers of validate"),
        },
    ),
    Operation(
        *api_route("validate_grader"),
        run=validate_grader,
        group=FINE_TUNING,
        body="grading.grader_models.ValidateGraderBody",
        response=grader_and_chat_schemas.GRADER_VALIDATED,
        evidence={
            "200": _GRADED,
            "400 fields": printed("one grader in place of a mapping: openai/openai-java issue 647", "2025-11"),
            "400 what can never work": inferred("nothing like it was seen"),
        },
    ),
)
