"""Every SDK method with every parameter of its signature, in every form that the parameter's type allows.

The SDK's own tests, which are generated from the official document, call the methods so. Here the values are made from
the signatures: a new parameter, or a new form of an old one, is sent as soon as the SDK has it. The fake speaks as the
document does, and the SDK validates the answers.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from functools import reduce
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

import pytest
from openai import Omit
from typing_extensions import get_type_hints, is_typeddict

from fine_tuning_fakeserver import FakeFineTuning

from .test_sdk_methods import CLIENTS, FILE, PERMISSION, TABLE, WAYS, Row, account, awaited, client_of, entered

pytestmark = pytest.mark.slow

SPEC = "openai-spec"
ROWS = tuple(row for row in TABLE if row.is_wrapped and row.method.startswith(("files", "uploads", "models", "fine_")))
THINGS = (
    *("file", "file_id", "model", "training_file", "fine_tuning_job_id", "fine_tuned_model_checkpoint"),
    *("permission_id", "upload_id", "part_ids", "md5", "bytes", "data"),
)
"""Parameters that name what must be there: their values are the table's."""
OF_METHOD: Mapping[str, Mapping[str, Any]] = {
    "files.list": {"purpose": "fine-tune"},
    "fine_tuning.jobs.create": {"validation_file": FILE},
    "fine_tuning.checkpoints.permissions.list": {"project_id": "proj_a"},
    "fine_tuning.checkpoints.permissions.retrieve": {"project_id": "proj_a"},
}
OF_NAME: Mapping[str, Any] = {
    "limit": 1,
    "source": "def grade(sample, item):\n    return 1.0\n",
    "calculate_output": "string",
    "seconds": 3600,
    "range": [0.0, 1.0],
    "image_url": "https://example.com/a.png",
}
"""Values of parameters, and of members within them, that not every number or text is."""


def forms(kind: Any, name: str = "") -> list[Any]:
    """Values of a type that show each of its alternatives at least once, with all members of a typed dictionary."""
    origin, inner = get_origin(kind), get_args(kind)
    if name in OF_NAME:
        return [OF_NAME[name]]
    if name == "graders":  # the SDK's type is that of a single one; the service takes them by name only
        return [{"string": form} for form in forms(kind)]
    if origin in (Required, NotRequired):
        return forms(inner[0], name)
    if origin in (Union, UnionType):
        return [form for each in inner if each not in (NoneType, Omit) for form in forms(each, name)]
    if origin is Literal:
        return list(inner)
    if is_typeddict(kind):
        members = {member: forms(each, member) for member, each in get_type_hints(kind, include_extras=True).items()}
        count = max(map(len, members.values()))
        return [{member: each[index % len(each)] for member, each in members.items()} for index in range(count)]
    if origin and issubclass(origin, Mapping):
        return [{"string": form} for form in forms(inner[1])]
    if origin and issubclass(origin, Iterable):
        return [[form] for form in forms(inner[0])]
    return [PLAIN[kind]]


PLAIN: Mapping[Any, Any] = {str: "string", int: 1, float: 1.0, bool: True, object: {"string": "string"}}


def calls_of(row: Row) -> list[dict[str, Any]]:
    """The arguments of as many calls as it takes to send every form of every parameter."""
    method = reduce(getattr, row.method.split("."), client_of("OpenAI", FakeFineTuning()))
    hints = get_type_hints(method, include_extras=True)
    names = [name for name in hints if not name.startswith("extra_") and name not in ("timeout", "return", "after")]
    things = {name: value for name, value in row.given.items() if name in THINGS}
    fixed = {**things, **OF_METHOD.get(row.method, {})}
    found = {name: [fixed[name]] if name in fixed else forms(hints[name], name) for name in names}
    count = max(map(len, found.values()), default=1)
    calls = [{name: each[index % len(each)] for name, each in found.items()} for index in range(count)]
    return [{**given, "after": AFTER} if "after" in hints else given for given in calls]


AFTER = "the first of what the list shows"


def completed(row: Row, given: Mapping[str, Any], fake: FakeFineTuning, permission: str) -> dict[str, Any]:
    """The arguments with the ids that only the account knows, and a model that can be trained so."""
    chosen: dict[str, Any] = {name: permission if value == PERMISSION else value for name, value in given.items()}
    if "after" in chosen:
        required = {name: value for name, value in row.given.items() if name != "limit"}
        with client_of("OpenAI", fake) as client:
            chosen["after"] = reduce(getattr, row.method.split("."), client)(**required).data[0].id
    if (chosen.get("method") or {}).get("type") == "reinforcement":
        chosen["model"] = "o4-mini-2025-04-16"
    return chosen


CALLS = [(row, index, given) for row in ROWS for index, given in enumerate(calls_of(row))]


def contradicts_itself(row: Row, given: Mapping[str, Any]) -> bool:
    """Whether the document, and with it the SDK's types, has no answer for what it allows to be asked.

    Its example of a paused job has a status that its list lacks, a file for evals a purpose; a multi grader has one
    grader in its type, and several by name in its example, which the service demands.
    """
    return row.method.endswith("pause") or given.get("purpose") == "evals" or "'type': 'multi'" in repr(given)


async def sent_in_every_way(row: Row, given: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    """Call a method in every way; return what the fake was sent each time."""
    sent: list[Mapping[str, Any]] = []
    for way in WAYS:
        fake, permission = account(dialect=SPEC, run_python_graders=True)
        arguments = completed(row, given, fake, permission)
        fake.requests_log.clear()
        path = row.method.split(".")
        path[-1:] = [path[-1]] if way == "plain" else [way, path[-1]]
        is_strict = not contradicts_itself(row, given)
        async with AsyncExitStack() as stack:
            client = await entered(stack, client_of(kind, fake, _strict_response_validation=is_strict))
            got = await awaited(reduce(getattr, path, client)(**arguments))
            if way == "with_streaming_response":
                got = await entered(stack, got)
            if way != "plain":
                assert await awaited(got.parse()) is not None
        (call,) = fake.calls
        assert (call.operation, call.status) == (row.asks[0], 200)
        sent.append({**call.ids, **call.options})
    return sent


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize(("row", "index", "given"), CALLS, ids=[f"{row.method}-{index}" for row, index, _ in CALLS])
def test_a_call_with_all_parameters_is_answered(row: Row, index: int, given: dict[str, Any], kind: str) -> None:
    """A call with every parameter is refused, lacks one on its way, or its answer does not validate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of methods that the SDK will drop
        first, *others = asyncio.run(sent_in_every_way(row, given, kind))
    assert all(first.keys() == each.keys() for each in others)
    body = {name for name in given if name not in THINGS and name != "metadata"}
    assert body <= {name.partition("[")[0] for name in first}
