"""What can go wrong, by whose fault it is.

FineTuningError                  everything below; ``job`` is the last known job, if any
├─ ConfigurationError            unknown provider, no key, bad address, bad file
├─ UnsupportedOperationError     the provider has no such verb; nothing was sent
├─ APIError                      something was sent: provider, request_id, status_code, body, message
│  ├─ APIConnectionError         no answer came back
│  │  └─ APITimeoutError         … in time
│  ├─ APIResponseError           an answer came back that makes no sense
│  └─ APIStatusError             the service refused: code, type, param, retry_after
│     ├─ BadRequestError         400
│     ├─ AuthenticationError     401
│     ├─ PermissionDeniedError   403
│     ├─ NotFoundError           404
│     ├─ ConflictError           409
│     ├─ UnprocessableEntityError 422
│     ├─ RateLimitError          429
│     └─ InternalServerError     5xx
├─ WaitTimeout                   the wait ended, the job goes on
├─ JobFailed                     only with raise_on_failure=True
└─ JobCancelled                  only with raise_on_failure=True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fine_tuning_client.models import FineTuningJobResponse


class FineTuningError(Exception):
    """Anything this package raises on purpose, a wrong argument aside."""

    def __init__(self, message: str = "", *, job: FineTuningJobResponse | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.job = job


class ConfigurationError(FineTuningError):
    """The client does not know where to send a request, or with which key."""


class UnsupportedOperationError(FineTuningError):
    """The provider does not offer the operation; nothing was sent."""


class APIError(FineTuningError):
    """A request was made and did not end well.

    ``status_code`` is 0 and ``body`` None where no answer came; a body is parsed if it was JSON, else text.
    """

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        request_id: str | None = None,
        status_code: int = 0,
        body: Any = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.request_id = request_id
        self.status_code = status_code
        self.body = body


class APIConnectionError(APIError):
    """No complete answer came back; the cause is chained."""


class APITimeoutError(APIConnectionError):
    """No complete answer came back in time."""


class APIResponseError(APIError):
    """The service accepted the request and answered something unusable."""


class APIStatusError(APIError):
    """The service refused, in what words ``body`` says."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        **answer: Any,
    ) -> None:
        super().__init__(message, **answer)
        self.code = code
        self.type = type
        self.param = param
        self.retry_after = retry_after


class BadRequestError(APIStatusError):
    """400: something in the request is wrong."""


class AuthenticationError(APIStatusError):
    """401: no key, or a wrong one."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this; fine-tuning may be closed for its organisation."""


class NotFoundError(APIStatusError):
    """404: no such job, file or model, or none this key may see."""


class ConflictError(APIStatusError):
    """409: the thing is in no state for this; asking again changes nothing."""


class UnprocessableEntityError(APIStatusError):
    """422: a field is wrong; OpenAI itself says 400."""


class RateLimitError(APIStatusError):
    """429: too many requests, too many active jobs, or no credit left."""


class InternalServerError(APIStatusError):
    """5xx: the service failed."""


class WaitTimeout(FineTuningError, TimeoutError):
    """The time given to a wait ran out; the job keeps running."""


class JobFailed(FineTuningError):
    """The job that was waited for has failed."""


class JobCancelled(FineTuningError):
    """The job that was waited for was cancelled."""


BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def error_class(status: int) -> type[APIStatusError]:
    """Choose the class that a refusal with *status* is raised as."""
    return BY_STATUS.get(status) or (InternalServerError if status >= 500 else APIStatusError)
