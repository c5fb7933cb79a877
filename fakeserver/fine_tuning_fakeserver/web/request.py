"""One request: its connection, path, query, headers and body, how they are read, and the checks operations share."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any, Literal, Self, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from fine_tuning_formats.lazy_dataclass import dataclass

from ..account.armed_faults import ArmedFaults
from ..account.request_log import RequestLog
from ..account.script_queue import ScriptStack
from ..account.service import Service
from ..account.world import World
from ..api.json_bodies import JSON_BYTES_AT_MOST, parse_json
from ..api_errors import (
    ApiError,
    invalid_type,
    invalid_value,
    mismatched_organization,
    mismatched_project,
    no_key,
    out_of_range,
    too_large,
    unsupported_type,
    wrong_key,
)
from ..settings import is_accepted_key
from .upload_form import FILE_PARTS, FormReader, UploadForm

CONNECTION_KEY = "fine_tuning_fakeserver.connection"
"""Where a request's ``scope["state"]``, which a server copies for each request, has its connection."""

T = TypeVar("T")

Ending: TypeAlias = Literal["timeout", "disconnect", "refuse"]
"""How a request ends without a whole response: the client has waited too long, was disconnected, or never let in."""


class ClientGoneError(Exception):
    """The client disconnected before its request was complete."""


@dataclass(slots=True)
class ApiRequest:
    """A request whose body has been read: `body`, or `form` of an operation that takes one.

    The parts of the world are those of when the request came; a reset replaces them.

    Args:
        world: the world.
        service: its account.
        requests: its request log.
        faults: its armed faults.
        scripts: its scripts.
        scope: the request, as ASGI has it.
        path: the parameters in its path.
        begun_at: when it came, in virtual Unix seconds.
        body: its body.
        form: its form.
        read_ahead_result: what `Operation.prepare` made of a large body.
        took_effect: whether its operation succeeded, whatever a fault makes of the answer.
        usage_error: what the fake's user did wrong, which is the answer unless a fault makes something else of it.
        is_abandoned: whether the client has disconnected while `Operation.prepare`'s work was under way.
    """

    world: World
    service: Service
    requests: RequestLog
    faults: ArmedFaults
    scripts: ScriptStack
    scope: Scope
    path: dict[str, str]
    begun_at: float = 0.0
    body: bytes = b""
    form: UploadForm | None = None
    read_ahead_result: Any = None
    took_effect: bool = False
    usage_error: str = ""
    is_abandoned: bool = False

    def renew(self) -> Self:
        """Begin the operation again, with the parts of the world as they are now; return the request."""
        world = self.world
        self.service, self.requests, self.faults, self.scripts = (
            world.service,
            world.requests,
            world.faults,
            world.scripts,
        )
        self.took_effect, self.usage_error = False, ""
        return self

    def abandon(self) -> None:
        """Note that nobody waits for the answer any more."""
        self.is_abandoned = True

    def header(self, name: bytes) -> str:
        """Return a header by its name in lower case; empty if it was not sent."""
        return next((value.decode("latin-1") for known, value in self.scope["headers"] if known == name), "")

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded; of several values the last counts."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))


def form_fields(form: UploadForm) -> dict[str, Any]:
    """Return the texts of a form by name, and ``filename`` and ``bytes`` of its file; never the content."""
    fields: dict[str, Any] = {}
    for name, part in form.parts.items():
        if part.filename is not None:
            fields |= {"filename": part.filename, "bytes": part.content.size}
        elif name in FILE_PARTS:
            fields["bytes"] = part.content.size
        else:
            fields[name] = form.text(name)
    return fields


def json_body(request: ApiRequest) -> Any:
    """Parse a JSON body; one without a content type counts as JSON (inferred), and so does one with a charset.

    Raises:
        ApiError: the content type is another, or the body does not parse.
    """
    content_type = request.header(b"content-type")
    if content_type.partition(";")[0].strip().lower() not in ("", "application/json"):
        raise unsupported_type(content_type)
    return parse_json(request.body)


async def read_body(receive: Receive, limit: int = JSON_BYTES_AT_MOST) -> bytes:
    """Read the whole body.

    Raises:
        ApiError: it is larger than *limit* bytes; all of it was read, so that the client gets the answer.
        ClientGoneError: the client disconnected before.
    """
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        chunk, more = await _next(receive)
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
    if size > limit:
        raise too_large(limit)
    return b"".join(chunks)


async def drop_body(receive: Receive) -> None:
    """Read the body and drop it, so that the client gets the answer.

    Raises:
        ClientGoneError: the client disconnected before.
    """
    more = True
    while more:
        _, more = await _next(receive)


async def read_form(receive: Receive, content_type: str, file_bytes_at_most: int) -> UploadForm:
    """Read the form in the body.

    Raises:
        ApiError: it is malformed or too large; all of it was read, so that the client gets the answer.
        ClientGoneError: the client disconnected before.
    """
    try:
        reader = FormReader(content_type, file_bytes_at_most)
    except ApiError:
        await drop_body(receive)
        raise
    more = True
    while more:
        chunk, more = await _next(receive)
        reader.feed(chunk)
    return reader.finish()


async def _next(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message.get("body", b""), message.get("more_body", False)


def check_api_key(authorization: str, accepted: frozenset[str]) -> None:
    """Refuse a request without an accepted key; an empty set accepts any.

    Raises:
        ApiError: 401: the key is missing or wrong.
    """
    key = api_key_of(authorization)
    if not key:
        raise no_key()
    if accepted and not is_accepted_key(key, accepted):
        raise wrong_key(key)


def check_account(request: ApiRequest) -> None:
    """Refuse a request that names another organization or project than the account was given; Azure reads neither.

    Raises:
        ApiError: 401: a header contradicts the account's settings.
    """
    account, settings = request.service.account, request.service.settings
    if account.dialect.http.key_header:
        return
    if settings.organization_id and request.header(b"openai-organization") not in ("", settings.organization_id):
        raise mismatched_organization()
    if settings.project and request.header(b"openai-project") not in ("", settings.project):
        raise mismatched_project()


def api_key_of(authorization: str) -> str:
    """Return the key in an Authorization header: a bearer token, or the password of basic authentication."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value).decode().partition(":")[2]
    except ValueError:  # neither base64 nor UTF-8
        return ""


def by_id(parameter: str, function: Callable[..., Any]) -> Callable[[ApiRequest], Any]:
    """Adapt a function of the account and one id, which the path has as *parameter*."""
    return lambda request: function(request.service, request.path[parameter])


def limit_of(query: dict[str, str], default: int, most: int) -> int:
    """Return the ``limit`` of a list, from 0 to *most* (inferred: *most*, and that all lists answer as batches do).

    Raises:
        ApiError: 400 for anything else.
    """
    text = query.get("limit", str(default))
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 16):
        raise invalid_type("limit", "an integer", "a string")
    limit = int(text)
    if limit < 0:
        raise out_of_range("limit", 0, limit, is_maximum=False)
    if limit > most:
        raise out_of_range("limit", most, limit, is_maximum=True)
    return limit


def metadata_of(query: dict[str, str]) -> dict[str, str]:
    """Return the ``metadata[key]=value`` pairs of a query."""
    return {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[") and name.endswith("]")}


def choice_of(query: dict[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """Return the value of *name*, the first of *allowed* if the query lacks it.

    Raises:
        ApiError: 400 for a value that is not allowed (inferred).
    """
    value = query.get(name, allowed[0])
    if value not in allowed:
        raise invalid_value(name, f"'{value[:200]}'", [f"'{choice}'" for choice in allowed])
    return value


class Connection:
    """The connection of a server that is not the fake's own: it can be delayed, and not closed."""

    __slots__ = ()

    can_close = False
    in_callers_thread = False
    """Whether the client waits in the thread that answers, and sees an exception that is raised there."""

    def set_client_error(self, names: tuple[str, ...], text: str) -> None:
        """Set what the client raises if it gets no response: the first of *names* that its library has.

        This works in process only; over a socket a client raises what it makes of the connection.
        """

    async def delay(self, seconds: float, receive: Receive, pass_time: Callable[[float], object]) -> bool:
        """Delay the response; return False if the client does not wait that long.

        On a socket these are real seconds. In process only virtual time passes, by a call of *pass_time*.
        """
        try:
            async with asyncio.timeout(seconds):
                await wait_disconnected(receive)
        except TimeoutError:
            return True
        return False

    async def run_in_thread(
        self, work: Callable[[], T], receive: Receive, abandon: Callable[[], object], *, grades: bool = False
    ) -> T:
        """Run *work*, which takes long, while other requests go on; in process, where nothing may wait, at once.

        On the fake's own server *abandon* is called if the client disconnects meanwhile: *work* may then end early.
        Work that *grades* has threads of its own there, so that other work does not wait for slow graders.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # a server that runs on another library, or none
            return work()
        return await asyncio.to_thread(work)

    async def close(self, receive: Receive, *, reset: bool) -> None:
        """Close the connection, or with *reset* abort it, like a closed port."""
        raise NotImplementedError


_FOREIGN = Connection()


def connection_of(scope: Scope) -> Connection:
    """Return the connection of a request."""
    connection = scope.get("state", {}).get(CONNECTION_KEY)
    return connection if isinstance(connection, Connection) else _FOREIGN


async def wait_disconnected(receive: Receive) -> None:
    """Wait until the client, whose request has been read, disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
