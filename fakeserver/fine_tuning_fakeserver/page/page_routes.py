"""The routes of the page: static files, which anybody may have, and views, for those who may steer the account."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from ..usage_errors import FakeUsageError
from ..web import PAGE_PATH
from ..web.accounts_app import ACCOUNTS_KEY
from ..web.app import HANDLER_KEY, create_router
from ..web.operation import CONTROL, Operation
from ..web.request import ApiRequest, ClientGoneError, drop_body
from ..web.response import ApiResponse, dump, whole_response
from . import account_views, file_views, job_views, replay_writer, request_views
from .revision import revision
from .static_files import StaticFile, static_files

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
)
"""Headers of all that the page is made of: it runs no script of others, is shown in no frame, and is asked for anew."""


def get_static_file(request: ApiRequest) -> ApiResponse:
    """Return a file of the page."""
    path = request.path.get("path", "")
    file = static_files().get(path or "index.html")
    if file is None:
        raise FakeUsageError(f"the page has no file {path!r}; it begins at {PAGE_PATH}/")
    return _unless_known(request, file.etag, partial(_file_response, file))


def _file_response(file: StaticFile) -> ApiResponse:
    return whole_response(file.content, (b"content-type", file.media_type))


def redirect_to_page(request: ApiRequest) -> ApiResponse:
    """Lead to the page's own folder, so that what it refers to is below it."""
    return ApiResponse(307, [(b"location", b"ui/"), (b"content-length", b"0")], b"")


def _view(look: Callable[[ApiRequest], Any]) -> Callable[[ApiRequest], ApiResponse]:
    """Return the endpoint that answers with what *look* returns as JSON, and with 304 where nothing has changed."""

    def answer(request: ApiRequest) -> ApiResponse:
        etag = revision(request.world, request.scope.get(ACCOUNTS_KEY))
        return _unless_known(request, etag, lambda: whole_response(dump(look(request))))

    answer.__doc__ = look.__doc__
    return answer


def _unless_known(request: ApiRequest, etag: bytes, respond: Callable[[], ApiResponse]) -> ApiResponse:
    is_known = request.header(b"if-none-match").encode("latin-1") == etag
    response = ApiResponse(304, [], b"") if is_known else respond()
    response.headers += [(b"etag", etag), *HEADERS]
    return response


def get_file_content(request: ApiRequest) -> ApiResponse:
    """Return the bytes of a file."""
    response = file_views.download(request)
    response.headers += HEADERS
    return response


_DATA = f"{PAGE_PATH}/data"
VIEWS = tuple(
    Operation(f"GET {_DATA}{path}", "GET", f"{_DATA}{path}", _view(look), CONTROL)
    for path, look in (
        ("/account", account_views.get_overview),
        ("/jobs", job_views.list_jobs),
        ("/jobs/{job_id}", job_views.get_job),
        ("/jobs/{job_id}/events", job_views.list_events),
        ("/requests", request_views.list_requests),
        ("/requests/{number}", request_views.get_request),
        ("/findings", request_views.list_findings),
        ("/files", file_views.list_files),
        ("/files/{file_id}", file_views.get_file),
        ("/test", replay_writer.get_test),
    )
)
PAGE_OPERATIONS = (
    *VIEWS,
    Operation(
        f"GET {_DATA}/files/{{file_id}}/content",
        "GET",
        f"{_DATA}/files/{{file_id}}/content",
        get_file_content,
        CONTROL,
        prepare=file_views.write_result_ahead,
    ),
    Operation(f"GET {PAGE_PATH}", "GET", PAGE_PATH, redirect_to_page, CONTROL, is_open=True),
    Operation(f"GET {PAGE_PATH}/", "GET", f"{PAGE_PATH}/", get_static_file, CONTROL, is_open=True),
    Operation(f"GET {PAGE_PATH}/{{path}}", "GET", f"{PAGE_PATH}/{{path:path}}", get_static_file, CONTROL, is_open=True),
)


class RootEndpoint:
    """The path ``/``: leads a browser to the page; to others it is unknown, as it is to the service."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
        if scope["method"] not in ("GET", "HEAD") or b"text/html" not in accepted:
            await scope[HANDLER_KEY].handle_unknown_route((), scope, receive, send)
            return
        try:
            await drop_body(receive)
        except ClientGoneError:
            return
        location = PAGE_PATH.removeprefix("/").encode() + b"/"  # relative: an account's root is below its name
        await ApiResponse(307, [(b"location", location), (b"content-length", b"0"), *HEADERS], b"").send(send)


@cache
def router() -> Router:
    """Return the routes of the page."""
    routes = create_router(PAGE_OPERATIONS)
    routes.routes.append(Route("/", endpoint=RootEndpoint()))
    return routes
