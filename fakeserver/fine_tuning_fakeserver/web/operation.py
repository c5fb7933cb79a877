"""Operations: one declaration each, from which routing, documents, assertions and rules are derived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from fine_tuning_formats.api_paths import API_PATHS, AZURE_PATHS, path_parameters
from fine_tuning_formats.lazy_dataclass import dataclass

from ..api.json_bodies import JSON_BYTES_AT_MOST
from ..api.schemas.object_schema import ObjectSchema, Schema
from ..evidence import Evidence

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .request import ApiRequest

Header: TypeAlias = tuple[bytes, bytes]

ID = "$response.body#/id"
FIRST_ID = "$response.body#/data/0/id"

_ID_NAMES = {"model": "model_id"}
_ROUTES = {each.operation: (each.operation, each.method, f"/v1{each.path}") for each in (*API_PATHS, *AZURE_PATHS)}


@dataclass(frozen=True, slots=True)
class RouteGroup:
    """The common form of the responses of one group of operations.

    Args:
        newline: whether a JSON body ends with a newline.
        identity: whether headers name organisation and project.
        upstream: whether a header says how long the service behind the gateway took.
        error_detail: whether an error is repeated beside ``error``, under ``detail``.
        headers: further headers.
    """

    newline: bool
    identity: bool
    upstream: bool = False
    error_detail: bool = False
    headers: tuple[Header, ...] = ()


# recording: openai-dotnet 2025-09 (fine_tuning, models) and 2026-05 (files), header by header; what belongs to the
# content delivery network in front of the service (cf-*, alt-svc, server, cookies) is not the API's and left out.
_ANY_ORIGIN = (b"access-control-allow-origin", b"*")
_EXPOSED = (b"access-control-expose-headers", b"CF-Ray")
FINE_TUNING = RouteGroup(newline=False, identity=True, upstream=True)
FILES = RouteGroup(newline=True, identity=True, error_detail=True, headers=(_ANY_ORIGIN, _EXPOSED))
UPLOADS = RouteGroup(newline=True, identity=True, upstream=True, headers=(_ANY_ORIGIN,))
MODELS = RouteGroup(newline=False, identity=False, upstream=True)
MODEL_DELETED = RouteGroup(newline=True, identity=True, upstream=True, headers=(_ANY_ORIGIN,))
INFERENCE = RouteGroup(newline=True, identity=True)  # printed outputs; its x-ratelimit-* are left out
GATEWAY = RouteGroup(newline=True, identity=False, headers=(_ANY_ORIGIN,))
CONTROL = RouteGroup(newline=True, identity=False)


@dataclass(frozen=True, slots=True)
class Link:
    """An operation that can follow an answer: its parameters, and a body, as OpenAPI's runtime expressions."""

    operation: str
    parameters: Mapping[str, str]
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation: its request and response, the evidence for them, and the function that runs it.

    Args:
        name: its name, such as ``create_job``.
        method: its HTTP method.
        path: its path, with parameters in braces.
        run: runs it for a request; returns JSON, or a whole response.
        group: what its answers have in common with others.
        prepare: returns what to do for a request before `run`, without the account's lock, because it takes long.
        seldom_prepares: whether *prepare* changes nothing and mostly finds nothing to do, so that a request can be
            decided on in one step.
        body: where in this package the model of its JSON body is; pydantic is imported when the first is needed.
        form: the schema of its form, where it takes one instead.
        file_bytes_at_most: the size limit of the form's file; 0 where it takes no form.
        query: the schemas of its query parameters.
        response: the schema of its JSON answer.
        other_media: schemas of successful answers by further media types.
        makes: the object that a success adds to the account.
        made_id: the name of that object's id among those that a recorded call is about.
        links: the operations that can follow a success.
        evidence: what backs its answers, by status and, of several with one status, which: ``"400 unknown field"``.
        has_usage_errors: whether it may refuse with ``fake_error`` what concerns the fake alone.
        body_bytes_at_most: how large a body may be that is no form.
        runs_code: whether it runs code that a request brings, where `Settings.run_python_graders` lets it.
        is_open: whether other machines and pages of other sites may request a control route.
        of_server: whether it is about other accounts of the server than the one whose route it is.
    """

    name: str
    method: str
    path: str
    run: Callable[[ApiRequest], Any]
    group: RouteGroup
    prepare: Callable[[ApiRequest], Callable[[], Any] | None] | None = None
    seldom_prepares: bool = False
    body: str = ""
    form: Schema | None = None
    file_bytes_at_most: int = 0
    query: Mapping[str, Schema] = field(default_factory=dict)
    response: ObjectSchema | None = None
    other_media: Mapping[str, Schema] = field(default_factory=dict)
    makes: ObjectSchema | None = None
    made_id: str = ""
    links: tuple[Link, ...] = ()
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    has_usage_errors: bool = False
    body_bytes_at_most: int = JSON_BYTES_AT_MOST
    runs_code: bool = False
    is_open: bool = False
    of_server: bool = False

    @property
    def request(self) -> type[BaseModel] | None:
        """The model of its JSON body, if it takes one."""
        if not self.body:
            return None
        module, _, name = self.body.rpartition(".")
        model: type[BaseModel] = getattr(import_module(f"..{module}", __package__), name)
        return model

    @property
    def lists(self) -> ObjectSchema | None:
        """The objects that it lists, if it does."""
        return self.response.items if self.response and self.method == "GET" else None

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """The names of its path's parameters, in order."""
        return path_parameters(self.path)

    @property
    def fields(self) -> tuple[str, ...] | None:
        """The names of ids and options that a call can have; None if the fake does not know them all."""
        request = self.request
        if request and request.model_config.get("extra") != "forbid":
            return None
        ids = [*map(id_name, self.path_parameters), *([self.made_id] if self.made_id else [])]
        body = [*request.model_fields] if request else []
        form = self.form["properties"] if self.form else {}
        texts = [name for name, schema in form.items() if schema.get("format") != "binary"]
        return (*ids, *self.query, *body, *texts, *(["filename", "bytes"] if form else []))


def id_name(parameter: str) -> str:
    """Return the name of the id that a path parameter takes, which says what it identifies: ``model_id``."""
    return _ID_NAMES.get(parameter, parameter)


def api_route(operation: str) -> tuple[str, str, str]:
    """Return name, method and path of an operation of the API, the first arguments of `Operation`."""
    return _ROUTES[operation]


def links_by(parameter: str, expression: str) -> tuple[Link, ...]:
    """Link each operation whose path takes *parameter* and no other."""
    return links_to((each.operation for each in API_PATHS if each.parameters == (parameter,)), parameter, expression)


def links_to(operations: Iterable[str], parameter: str, expression: str) -> tuple[Link, ...]:
    """Link *operations*, each by one parameter."""
    return tuple(Link(operation, {parameter: expression}) for operation in operations)
