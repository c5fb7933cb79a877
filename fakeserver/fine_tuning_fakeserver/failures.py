"""What the service says when it fails, and when it will not have so many requests."""

from __future__ import annotations

from http import HTTPStatus

from .errors import INVALID, ApiError
from .evidence import backed, inferred, printed

SERVER = "server_error"
QUOTA = "insufficient_quota"

RATE = 3
"""Requests a minute, as the texts of a rate limit say (printed, of 2024-01): an organization that pays nothing."""


@backed(printed("chats that were one too many", "2024-01, 2024-08"))
def rate_limited(organization: str, model: str, wait: str) -> ApiError:
    """429 for too many requests a minute; for a request that names no *model* the text is inferred."""
    text = (
        f"Rate limit reached {f'for {model} ' if model else ''}in organization {organization} on requests per min "
        f"(RPM): Limit {RATE}, Used {RATE}, Requested 1. Please try again in {wait}. "
        "Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    return ApiError(429, text, type="requests", code="rate_limit_exceeded")


@backed(printed("chats without quota", "2023 to 2025"))
def no_quota() -> ApiError:
    """429 for an organization that has used up what it may spend."""
    text = (
        "You exceeded your current quota, please check your plan and billing details. For more information on this "
        "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
    )
    return ApiError(429, text, type=QUOTA, code=QUOTA)


@backed(printed("chats without credits", "2026"))
def no_credits() -> ApiError:
    """429 for an organization that has used up what it has paid."""
    return ApiError(429, "You have no credits remaining.", type=QUOTA, code="credit_balance_exhausted")


@backed(inferred("the guide to error codes has how it begins; no body is at hand"))
def server_error() -> ApiError:
    """500."""
    return ApiError(500, "The server had an error while processing your request. Sorry about that!", type=SERVER)


@backed(inferred("the guide to error codes has the text; no body is at hand"))
def overloaded() -> ApiError:
    """503."""
    return ApiError(503, "The engine is currently overloaded, please try again later", type=SERVER)


@backed(inferred("the phrase of the status, in the envelope of all errors"))
def refused_with(status: int) -> ApiError:
    """Any other status from 400 to 599."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else f"Status {status}"
    return ApiError(status, phrase, type=SERVER if status >= 500 else INVALID)
