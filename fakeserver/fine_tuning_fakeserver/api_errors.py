"""Error answers of the service, in its own words; each function below builds one, and is marked with what backs it.

Errors of the fake's own user are `usage_errors.FakeUsageError` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from .evidence import backed, inferred, printed, recorded, sdk, vendor

INVALID = "invalid_request_error"


class ApiError(Exception):
    """An error answer of the service; its body is indented by `indent` spaces."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        type: str = INVALID,
        indent: int = 2,
    ) -> None:
        super().__init__(message)
        self.indent = indent
        self.status, self.message, self.param, self.code, self.type = status, message, param, code, type

    def body(self) -> dict[str, Any]:
        """Return the error object, members in wire order (every recorded error)."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}


class ScriptedError(ApiError):
    """An error answer that a test has prepared.

    Attributes:
        retry_after: its Retry-After header.
        page: media type and body of the answer, where they are not the service's.
    """

    retry_after: float | str | None = None
    page: tuple[bytes, bytes] | None = None


@backed(printed("an answer without a key", "2023, 2026"))
def no_key() -> ApiError:
    """Return 401 without a key."""
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the "
        "API from your browser and are prompted for a username and password. You can obtain an API key from "
        "https://platform.openai.com/account/api-keys.",
        indent=4,  # printed output of 2026
    )


@backed(recorded("an answer to a wrong key", "2023-08"))
def wrong_key(key: str) -> ApiError:
    """Return 401 for a key that is not accepted; how the key is masked is inferred."""
    masked = key[:3] + "*" * max(len(key) - 7, 3) + key[-4:] if len(key) > 8 else "*" * len(key)
    text = f"Incorrect API key provided: {masked}. You can find your API key at https://platform.openai.com/account/api-keys."
    return ApiError(401, text, code="invalid_api_key")


@backed(printed("answers to clients that name another organization than their key's", "2024, 2025"))
def mismatched_organization() -> ApiError:
    """Return 401 for an organization that is not the key's."""
    text = "OpenAI-Organization header should match organization for API key"
    return ApiError(401, text, code="mismatched_organization")


@backed(vendor("text and code in the tests of clients of the service", "2025"))
def mismatched_project() -> ApiError:
    """Return 401 for a project that is not the key's."""
    return ApiError(401, "OpenAI-Project header should match project for API key", code="mismatched_project")


@backed(printed("an answer for a path that is no route", "2024"))
def unknown_url(method: str, path: str) -> ApiError:
    """Return 404 for a path that is not a route."""
    text = (
        f"Unknown request URL: {method} {path}. Please check the URL for typos, "
        "or see the docs at https://platform.openai.com/docs/api-reference/."
    )
    return ApiError(404, text, code="unknown_url")


@backed(recorded("GET /v1/files/", "2023-08"))
def invalid_url(method: str, path: str) -> ApiError:
    """Return 404 for ``/v1/files/``."""
    return ApiError(404, f"Invalid URL ({method} {path})")


@backed(printed("an answer to a wrong method", "2023"))
def wrong_method(method: str, path: str) -> ApiError:
    """Return 405 for a method that the route does not take."""
    return ApiError(
        405, f"Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)"
    )


@backed(printed("answers to broken JSON", "2023 to 2025"))
def not_json() -> ApiError:
    """Return 400 for a body that does not parse."""
    return ApiError(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
        "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have trouble "
        "figuring out how to fix this, please contact us through our help center at help.openai.com.)",
    )


@backed(printed("answers to JSON under another type: openai/openai-openapi issues 194 and 502", "2024-02"))
def unsupported_type(content_type: str) -> ApiError:
    """Return 400 for a body that says it is something else than JSON."""
    text = (
        f"Unsupported content type: '{content_type}'. This API method only accepts 'application/json' requests, "
        f"but you specified the header 'Content-Type: {content_type}'. Please try again with a supported content type."
    )
    return ApiError(400, text, code="unsupported_content_type")


@backed(printed("an upload of a sound: StanGirard/speechdigest issue 1", "2023-06"))
def too_large(limit: int) -> ApiError:
    """Return 413 for a body past a limit, by which it is told no later than at the first byte too many."""
    text = f"Maximum content size limit ({limit}) exceeded ({limit + 1} bytes read)"
    return ApiError(413, text, type="server_error")


@backed(printed("creation refusing a field", "2023, 2024-09"))
def invalid_field(name: str, shown: str) -> ApiError:
    """Return 400 of creation's family ``invalid NAME: VALUE, MESSAGE``."""
    return ApiError(400, f"invalid {name}{shown}", param=name)


@backed(recorded("ExceptionThrownOnInvalidFileName", "2025-09"))
def unknown_file_of_job(param: str, value: str) -> ApiError:
    """Return 400 for a training or validation file that is not there."""
    return ApiError(400, f"invalid {param}: {value}", param=param)


@backed(recorded("ExceptionThrownOnInvalidModelName", "2025-09"))
def model_not_available(model: str) -> ApiError:
    """Return 400 for a model that cannot be fine-tuned."""
    return ApiError(
        400, f"Model {model} is not available for fine-tuning or does not exist.", code="model_not_available"
    )


@backed(printed("creation with too few examples", "2023"))
def too_few_examples(file: str, examples: int, least: int) -> ApiError:
    """Return 400 for a training file that is too short; since 2024 such a job fails instead."""
    return ApiError(400, f"{file} has {examples} example(s), but must have at least {least} examples")


@backed(inferred("that creation is refused with a permission error was reported in 2026-05, the body was not"))
def fine_tuning_closed() -> ApiError:
    """Return 403 for a job of an organization for which fine-tuning has ended."""
    return ApiError(403, "Your organization can no longer create fine-tuning jobs.")


@backed(recorded("creation of one job too many", "2023-08, 2023-10"))
def too_many_jobs(limit: int, running: int, pending: int, model: str) -> ApiError:
    """Return 429 for one active job too many; no retry-after."""
    text = (
        "This fine-tune request has been rate-limited. Your organization has reached the maximum of "
        f"{limit} active requests ({running} running, {pending} pending) for the model '{model}'."
    )
    return ApiError(429, text, code="rate_limit_exceeded")


@backed(printed("creation of one job too many for a day: johny-b/llmcomp issue 58", "2026-02"))
def too_many_jobs_today(limit: int, model: str) -> ApiError:
    """Return 429 for one job of a model too many for a day; that a day is 24 hours is inferred."""
    text = (
        "This fine-tune request has been rate-limited. Your organization has reached the maximum of "
        f"{limit} fine-tuning requests per day for the model '{model}'."
    )
    return ApiError(429, text, code="daily_rate_limit_exceeded")


@backed(recorded("retrieve, cancel and events of an unknown job", "2023-11"))
def unknown_job(identifier: str) -> ApiError:
    """Return 404 for a job that is not there; that pause, resume and checkpoints say the same is inferred."""
    text = f"Could not find fine tune: {identifier}"
    return ApiError(404, text, param="fine_tune_id", code="fine_tune_not_found")


@backed(inferred("the old route's text, recorded in 2023-02; the current route's is unknown"))
def illegal_state(verb: str, identifier: str, status: str) -> ApiError:
    """Return 400 for cancel, pause or resume in the wrong state."""
    return ApiError(400, f'Cannot {verb} a job {identifier} that already has status "{status}".')


@backed(inferred("the text for an unknown job"))
def unknown_checkpoint(identifier: str) -> ApiError:
    """Return 404 for a checkpoint that is not there, to be copied as only Azure can."""
    return ApiError(404, f"Could not find checkpoint: {identifier}")


@backed(inferred("that Microsoft's guide asks for the header"))
def missing_header(name: str, value: str) -> ApiError:
    """Return 400 for a request without the header that a preview feature of Azure needs."""
    return ApiError(400, f"The header {name} must be {value}.")


@backed(
    inferred("a fragment that a client's live test forgives; the rest of the text, and status 400, were never seen")
)
def already_completed() -> ApiError:
    """Return 400 for the cancellation of a job that is over."""
    return ApiError(400, "Job has already completed and cannot be cancelled.")


@backed(vendor("Azure's text, reported by users; the service's is unknown", "2023"))
def unknown_cursor() -> ApiError:
    """Return 400 for an `after` that names nothing."""
    return ApiError(400, "Given after argument was not found in items.", param="after")


@backed(recorded("FilesTests: get, delete, content", "2026-05"))
def unknown_file(identifier: str) -> ApiError:
    """Return 404 for a file that is not there."""
    return ApiError(404, f"No such File object: {identifier}", param="id")


@backed(recorded("UploadFileCanParseServiceError", "2026-05"))
def bad_purpose(purpose: str) -> ApiError:
    """Return 400 for an unknown purpose."""
    text = f"'{purpose}' is not one of ['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals'] - 'purpose'"
    return ApiError(400, text, param="purpose")


@backed(
    printed("uploads whose file did not arrive, for one because Content-Type lacked the boundary", "2024-04, 2024-10")
)
def missing_part(name: str) -> ApiError:
    """Return 400 for an upload without *name*."""
    return ApiError(400, f"'{name}' is a required property")


@backed(
    printed(
        "uploads with forms of expires_after that there are not; that others are refused is spec", "2025-09, 2026-07"
    )
)
def unexpected_parts(names: Sequence[str]) -> ApiError:
    """Return 400 for an upload with unknown fields."""
    shown = ", ".join(map(repr, names))
    verb = "was" if len(names) == 1 else "were"
    return ApiError(400, f"Additional properties are not allowed ({shown} {verb} unexpected)")


@backed(sdk("a client's live tests", "2023-12"))
def not_jsonl_name() -> ApiError:
    """Return 400 for a fine-tune file of another kind."""
    return ApiError(400, "Invalid file format for Fine-Tuning API. Must be .jsonl")


@backed(printed("answers to a file that is no JSONL; other faults are inferred", "2024"))
def bad_file(message: str) -> ApiError:
    """Return 400 for content that does not fit the purpose."""
    return ApiError(400, message)


@backed(printed("an upload of a sound: langgenius/dify issue 10694", "2024-11"))
def bad_multipart() -> ApiError:
    """Return 400 for a form that cannot be read."""
    return ApiError(400, "Could not parse multipart form")


@backed(printed("an upload of training data as JSON: alexrudall/ruby-openai issue 170", "2023-01"))
def not_multipart(content_type: str) -> ApiError:
    """Return 400 for a file that is sent as something else than a form."""
    text = (
        f"Invalid Content-Type header ({content_type[:200]}), expected multipart/form-data. "
        "(HINT: If you're using curl, you can pass -H 'Content-Type: multipart/form-data')"
    )
    return ApiError(400, text)


@backed(printed("answers to downloads", "2024, 2025"))
def not_downloadable(purpose: str) -> ApiError:
    """Return 400 for the content of a file that may not be read back."""
    return ApiError(400, f"Not allowed to download files of purpose: {purpose}")


@backed(recorded("ModelsTests: get, delete", "2025-09"))
def unknown_model(identifier: str) -> ApiError:
    """Return 404 for a model that is not there, or is not the account's."""
    return ApiError(404, f"The model '{identifier}' does not exist", param="model", code="model_not_found")


@backed(printed("an answer to a chat with an unknown model", "2024"))
def no_such_model_to_ask(model: str) -> ApiError:
    """Return 404 of inference for an unknown model: backticks, no param."""
    text = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(404, text, code="model_not_found")


@backed(printed("chats and completions: danielmiessler/Fabric issue 239, google/centaur issue 3", "2023-02, 2024-03"))
def no_model() -> ApiError:
    """Return 400 of inference for a request that names no model."""
    return ApiError(400, "you must provide a model parameter")


@backed(printed("a chat without messages: SilasMarvin/lsp-ai issue 108", "2025-09"))
def missing_parameter(name: str) -> ApiError:
    """Return 400 for a parameter that is required."""
    return ApiError(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


@backed(printed("a chat with an argument of another route: teabranch/open-responses-server issue 41", "2025-06"))
def unknown_parameter(name: str) -> ApiError:
    """Return 400 for a parameter that there is not."""
    return ApiError(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


@backed(printed("a chat, a grader: pydantic/pydantic-ai issue 2653, openai/openai-java issue 647", "2025-08, 2025-11"))
def invalid_type(name: str, expected: str, got: str) -> ApiError:
    """Return 400 for a value of another JSON type; both with their article."""
    text = f"Invalid type for '{name}': expected {expected}, but got {got} instead."
    return ApiError(400, text, param=name, code="invalid_type")


@backed(printed("a chat with an unknown response format: epuerta9/deep-research-py issue 19", "2025-02"))
def invalid_value(name: str, value: str, supported: Sequence[str]) -> ApiError:
    """Return 400 for a value that is none of those there are, each shown as it is written."""
    *others, last = supported
    comma = "," if len(others) > 1 else ""
    listed = f"{', '.join(others)}{comma} and {last}" if others else last
    text = f"Invalid value: {value}. Supported values are: {listed}."
    return ApiError(400, text, param=name, code="invalid_value")


@backed(
    printed(
        "chats for too many choices, too few tokens: thisisartium/continuous-alignment-testing issue 25, "
        "OpenBMB/ChatDev issue 446",
        "2024-09, 2025-03",
    )
)
def out_of_range(name: str, bound: float, value: float, *, is_maximum: bool) -> ApiError:
    """Return 400 for a number that is too large or too small; of decimals the text is inferred."""
    kind = "integer" if isinstance(value, int) and isinstance(bound, int) else "decimal"
    where, sign, side = ("above maximum", "<=", "above_max") if is_maximum else ("below minimum", ">=", "below_min")
    text = f"Invalid '{name}': {kind} {where} value. Expected a value {sign} {bound}, but got {value} instead."
    return ApiError(400, text, param=name, code=f"{kind}_{side}_value")


@backed(
    printed(
        "chats with too many tools, too long a description, no message: vishalmysore/Tools4AI issue 16, "
        "FoundationAgents/OpenManus issue 820, danny-avila/LibreChat issue 10408",
        "2024-05 to 2025-11",
    )
)
def wrong_length(name: str, kind: str, bound: int, length: int, *, is_maximum: bool) -> ApiError:
    """Return 400 for an array or a string that is too long or too short; what is short but not empty is inferred."""
    a_kind = f"an {kind}" if kind == "array" else f"a {kind}"
    what, limit, side = ("long", "maximum", "above_max") if is_maximum else ("short", "minimum", "below_min")
    wanted = f"Expected {a_kind} with {limit} length {bound}"
    if not length:
        text = f"Invalid '{name}': empty {kind}. {wanted}, but got an empty {kind} instead."
        return ApiError(400, text, param=name, code=f"empty_{kind}")
    text = f"Invalid '{name}': {kind} too {what}. {wanted}, but got {a_kind} with length {length} instead."
    return ApiError(400, text, param=name, code=f"{kind}_{side}_length")


@backed(inferred("the answer for an unknown file"))
def unknown_upload(identifier: str) -> ApiError:
    """Return 404 for an upload that is not there."""
    return ApiError(404, f"No such Upload object: {identifier}", param="upload_id")


@backed(inferred("no refusal by the uploads' routes was ever seen"))
def closed_upload(identifier: str, status: str) -> ApiError:
    """Return 400 for a part, a completion or a cancellation that comes too late."""
    return ApiError(400, f"Upload {identifier} is {status} and can no longer be changed.")


@backed(inferred("no refusal by the uploads' routes was ever seen"))
def incomplete_upload(reason: str, param: str) -> ApiError:
    """Return 400 for a completion that does not add up."""
    return ApiError(400, reason, param=param)


@backed(inferred("the answer for an unknown file"))
def unknown_permission(identifier: str) -> ApiError:
    """Return 404 for a permission that is not there."""
    return ApiError(404, f"No such checkpoint permission: {identifier}", param="permission_id")


@backed(printed("a grant in the documents of mkdev-me/terraform-provider-openai", "2025-04"))
def owning_project(project: str) -> ApiError:
    """Return 400 for a grant to the project that the model belongs to; param and code were not printed."""
    return ApiError(400, f"Cannot modify checkpoint permissions for the owning project: {project}")


@backed(inferred("nothing like it was seen"))
def invalid_grader(message: str) -> ApiError:
    """Return 400 for a grader that can never work."""
    return ApiError(400, message, param="grader")


@backed(inferred("what the service says of a bug of its own is not imitated"))
def internal(reason: str) -> ApiError:
    """Return 500 for a bug of the fake. The text says so, since no service would."""
    text = f"fake-fine-tuning has a bug, please report it; the account is unchanged: {reason}"
    return ApiError(500, text, type="server_error")


@backed(inferred("what the service says of a full disk of its own is not imitated"))
def no_resources(status: int, reason: str) -> ApiError:
    """Return 507 or 503 if this machine lacks disk space, descriptors or memory. The text says so."""
    text = f"fake-fine-tuning cannot take the request, the account is unchanged: {reason}"
    return ApiError(status, text, type="server_error")


SERVER = "server_error"
QUOTA = "insufficient_quota"

RATE = 3
"""Requests a minute, as the texts of a rate limit say (printed, of 2024-01): an organization that pays nothing."""


@backed(printed("chats that were one too many", "2024-01, 2024-08"))
def rate_limited(organization: str, model: str, wait: str) -> ApiError:
    """Return 429 for too many requests a minute; for a request that names no *model* the text is inferred."""
    text = (
        f"Rate limit reached {f'for {model} ' if model else ''}in organization {organization} on requests per min "
        f"(RPM): Limit {RATE}, Used {RATE}, Requested 1. Please try again in {wait}. "
        "Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    return ApiError(429, text, type="requests", code="rate_limit_exceeded")


@backed(printed("chats without quota", "2023 to 2025"))
def no_quota() -> ApiError:
    """Return 429 for an organization that has used up what it may spend."""
    text = (
        "You exceeded your current quota, please check your plan and billing details. For more information on this "
        "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
    )
    return ApiError(429, text, type=QUOTA, code=QUOTA)


@backed(printed("chats without credits", "2026"))
def no_credits() -> ApiError:
    """Return 429 for an organization that has used up what it has paid."""
    return ApiError(429, "You have no credits remaining.", type=QUOTA, code="credit_balance_exhausted")


@backed(printed("completions that failed: LlmKira/Openaibot issue 177, ai-genie/chatgpt-vscode issue 100", "2023"))
def server_error() -> ApiError:
    """Return 500; others say more, and name the request."""
    return ApiError(500, "The server had an error while processing your request. Sorry about that!", type=SERVER)


@backed(printed("chats: waylaidwanderer/node-chatgpt-api issue 34, PawanOsman/ChatGPT-Official issue 5", "2023-02"))
def overloaded() -> ApiError:
    """Return 503; most name the request as well."""
    text = (
        "That model is currently overloaded with other requests. You can retry your request, or contact us through our "
        "help center at help.openai.com if the error persists."
    )
    return ApiError(503, text, type=SERVER)


@backed(inferred("the phrase of the status, in the envelope of all errors"))
def refused_with(status: int) -> ApiError:
    """Return any other status from 400 to 599."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else f"Status {status}"
    return ApiError(status, phrase, type=SERVER if status >= 500 else INVALID)


SERVICE_FAILURES = (rate_limited, no_quota, no_credits, server_error, overloaded, refused_with)
"""Errors that say nothing about the request: the service is overloaded, broken, or wants to be paid."""
