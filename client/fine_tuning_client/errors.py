"""The exceptions of the client.

FineTuningError                  everything below; ``job`` is the last known job, if any
├─ ConfigurationError            unknown provider, no key, bad address, bad file
├─ UnsupportedOperationError     the provider has no such operation; nothing was sent
├─ APIError                      a request was sent: provider, request_id, status_code, body, message
│  ├─ APIConnectionError         no response came
│  │  └─ APITimeoutError         … in time
│  ├─ APIResponseError           a response came that cannot be used
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
    """The base of every exception of this package but those for wrong arguments."""

    def __init__(self, message: str = "", *, job: FineTuningJobResponse | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.job = job


class ConfigurationError(FineTuningError):
    """No usable address or key is configured, or a setting is wrong."""


class UnsupportedOperationError(FineTuningError):
    """The provider does not offer the operation; nothing was sent."""


class APIError(FineTuningError):
    """A request that was sent, and failed.

    ``status_code`` is 0 and ``body`` None if no response came; a body is parsed if it was JSON, else text.
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
    """No complete response came; the cause is chained."""


class APITimeoutError(APIConnectionError):
    """No complete response came in time."""


class APIResponseError(APIError):
    """The service accepted the request, and its response cannot be used."""


class APIStatusError(APIError):
    """The service refused; ``body`` has its words."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        **common: Any,
    ) -> None:
        super().__init__(message, **common)
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
    """404: the job, file or model does not exist, or this key may not see it."""


class ConflictError(APIStatusError):
    """409: the state of the object does not allow it; repeating changes nothing."""


class UnprocessableEntityError(APIStatusError):
    """422: a field is wrong; OpenAI itself answers 400."""


class RateLimitError(APIStatusError):
    """429: too many requests, too many active jobs, or no credit left."""


class InternalServerError(APIStatusError):
    """5xx: the service failed."""


class WaitTimeout(FineTuningError, TimeoutError):
    """The timeout of a wait has passed; the job keeps running."""


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
    """Return the class of the error for a refusal with *status*."""
    return BY_STATUS.get(status) or (InternalServerError if status >= 500 else APIStatusError)
