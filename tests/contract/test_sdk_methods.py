"""A table of every SDK method for the fake's routes, with its result, called in every way.

The methods are found by inspecting the SDK: a new one fails the tests until it is in the table.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import reprlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property, reduce
from inspect import isawaitable, isfunction
from typing import Any

import httpx2
import openai
import pytest
from openai import HttpxBinaryResponseContent

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web.operations import OPERATIONS

from .session import IN_PROCESS, KEY, ROWS

pytestmark = pytest.mark.slow

RESOURCES = ("files", "uploads", "models", "fine_tuning", "chat", "completions")
"""The members of a client that have methods on the fake's routes, themselves or in what is inside them."""
CLIENTS = ("OpenAI", "AsyncOpenAI")
WAYS = ("plain", "with_raw_response", "with_streaming_response")

FILE, RUNNING, PAUSED, DONE = "file-training", "ftjob-running", "ftjob-paused", "ftjob-done"
MODEL = "ft:gpt-4o-mini-2024-07-18:personal::7ZiVhZ0a"
UPLOAD, EMPTY, PART, PERMISSION = "upload_known", "upload_empty", "part_known", "the permission that there is"
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Cold?"}]}
SAID = f"{MODEL} was asked: Cold?"
GRADER = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "reference": "a",
    "operation": "eq",
}
ON_MODEL = {"fine_tuned_model_checkpoint": MODEL}


@dataclass(frozen=True, slots=True)
class Row:
    """A method, its arguments and its result.

    Args:
        method: its path from the client on.
        given: its arguments.
        result: the type that it gives, without ``Sync`` and ``Async``; or the error that it raises.
        facts: what the result shows, by path.
        asks: the operations of the fake that it asks, in order.
        is_wrapped: whether it can be had as a raw and as a streaming response.
        is_deprecated: whether the SDK warns of it.
    """

    method: str
    given: Mapping[str, Any]
    result: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    asks: tuple[str, ...] = ()
    is_wrapped: bool = True
    is_deprecated: bool = False

    @property
    def name(self) -> str:
        """The row's name in test ids."""
        return f"{self.method}{' (stream)' if self.given.get('stream') else ''}"

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to call the method."""
        return WAYS if self.is_wrapped else WAYS[:1]

    def __str__(self) -> str:
        """The row as a line: method, ways to call it, operations, result."""
        name = f"{self.name}{' (deprecated)' if self.is_deprecated else ''}"
        asks = " + ".join(dict.fromkeys(self.asks)) or "no route"
        facts = ", ".join(f"{path} {reprlib.repr(value)}".strip() for path, value in self.facts.items())
        return f"{name:<58}{len(self.ways) * len(CLIENTS)} ways  {asks:<50} {self.result}{': ' * bool(facts)}{facts}"


def _of_job(verb: str, job: str, status: str) -> Row:
    facts = {"id": job, "status": status}
    return Row(f"fine_tuning.jobs.{verb}", {"fine_tuning_job_id": job}, "FineTuningJob", facts, (f"{verb}_job",))


def _not_here(method: str, given: Mapping[str, Any]) -> Row:
    """A row for a method of stored completions, which the fake does not support."""
    return Row(f"chat.completions.{method}", given, "NotFoundError", {"code": "unknown_url"})


STORED = {"completion_id": "chatcmpl-none"}
PART_SIZE = 400
PARTS = -(-len(ROWS) // PART_SIZE)

TABLE = (
    Row(
        "files.create", {"file": ("a.jsonl", ROWS), "purpose": "fine-tune"},
        "FileObject", {"filename": "a.jsonl", "status": "processed"}, ("upload_file",),
    ),
    Row("files.list", {"limit": 1}, "CursorPage[FileObject]", {"data.0.id": FILE}, ("list_files",)),
    Row("files.retrieve", {"file_id": FILE}, "FileObject", {"id": FILE, "bytes": len(ROWS)}, ("retrieve_file",)),
    Row("files.delete", {"file_id": FILE}, "FileDeleted", {"id": FILE, "deleted": True}, ("delete_file",)),
    Row("files.content", {"file_id": FILE}, "bytes", {"": ROWS}, ("download_file",)),
    Row(
        "files.retrieve_content", {"file_id": FILE},
        "str", {"": ROWS.decode()}, ("download_file",), is_deprecated=True,
    ),
    Row(
        "files.wait_for_processing", {"id": FILE},
        "FileObject", {"id": FILE, "status": "processed"}, ("retrieve_file",), is_wrapped=False,
    ),
    Row(
        "uploads.create",
        {"filename": "a.jsonl", "purpose": "fine-tune", "bytes": len(ROWS), "mime_type": "text/jsonl"},
        "Upload", {"status": "pending", "file": None}, ("create_upload",),
    ),
    Row("uploads.cancel", {"upload_id": UPLOAD}, "Upload", {"id": UPLOAD, "status": "cancelled"}, ("cancel_upload",)),
    Row(
        "uploads.complete", {"upload_id": UPLOAD, "part_ids": [PART], "md5": hashlib.md5(ROWS).hexdigest()},
        "Upload", {"status": "completed", "file.bytes": len(ROWS)}, ("complete_upload",),
    ),
    Row(
        "uploads.upload_file_chunked",
        {
            "file": ROWS, "filename": "a.jsonl", "bytes": len(ROWS), "mime_type": "text/jsonl",
            "purpose": "fine-tune", "part_size": PART_SIZE,
        },
        "Upload", {"status": "completed", "file.filename": "a.jsonl"},
        ("create_upload", *["add_upload_part"] * PARTS, "complete_upload"), is_wrapped=False,
    ),
    Row(
        "uploads.parts.create", {"upload_id": EMPTY, "data": ROWS},
        "UploadPart", {"upload_id": EMPTY}, ("add_upload_part",),
    ),
    Row("models.list", {}, "Page[Model]", {"data.-1.id": MODEL}, ("list_models",)),
    Row("models.retrieve", {"model": MODEL}, "Model", {"id": MODEL, "owned_by": "personal"}, ("retrieve_model",)),
    Row("models.delete", {"model": MODEL}, "ModelDeleted", {"id": MODEL, "deleted": True}, ("delete_model",)),
    Row(
        "fine_tuning.jobs.create", {"model": "gpt-4o-mini", "training_file": FILE},
        "FineTuningJob", {"status": "validating_files", "training_file": FILE}, ("create_job",),
    ),
    Row("fine_tuning.jobs.list", {"limit": 1}, "CursorPage[FineTuningJob]", {"data.0.id": PAUSED}, ("list_jobs",)),
    _of_job("retrieve", DONE, "succeeded"),
    _of_job("cancel", RUNNING, "cancelled"),
    _of_job("pause", RUNNING, "paused"),
    _of_job("resume", PAUSED, "queued"),
    Row(
        "fine_tuning.jobs.list_events", {"fine_tuning_job_id": RUNNING},
        "CursorPage[FineTuningJobEvent]", {"data.0.message": "Fine-tuning job started"}, ("list_job_events",),
    ),
    Row(
        "fine_tuning.jobs.checkpoints.list", {"fine_tuning_job_id": DONE},
        "CursorPage[FineTuningJobCheckpoint]", {"data.0.fine_tuned_model_checkpoint": MODEL}, ("list_job_checkpoints",),
    ),
    Row(
        "fine_tuning.checkpoints.permissions.create", {**ON_MODEL, "project_ids": ["proj_b"]},
        "Page[PermissionCreateResponse]", {"data.0.project_id": "proj_b"}, ("grant_permissions",),
    ),
    Row(
        "fine_tuning.checkpoints.permissions.list", ON_MODEL,
        "ConversationCursorPage[PermissionListResponse]", {"data.0.project_id": "proj_a"}, ("list_permissions",),
    ),
    Row(
        "fine_tuning.checkpoints.permissions.retrieve", ON_MODEL,
        "PermissionRetrieveResponse", {"data.0.project_id": "proj_a"}, ("list_permissions",), is_deprecated=True,
    ),
    Row(
        "fine_tuning.checkpoints.permissions.delete", {**ON_MODEL, "permission_id": PERMISSION},
        "PermissionDeleteResponse", {"deleted": True}, ("revoke_permission",),
    ),
    Row(
        "fine_tuning.alpha.graders.run", {"grader": GRADER, "model_sample": "a"},
        "GraderRunResponse", {"reward": 1.0, "metadata.name": "same"}, ("run_grader",),
    ),
    Row(
        "fine_tuning.alpha.graders.validate", {"grader": GRADER},
        "GraderValidateResponse", {"grader.name": "same"}, ("validate_grader",),
    ),
    Row(
        "chat.completions.create", ASK,
        "ChatCompletion", {"choices.0.message.content": SAID}, ("create_chat_completion",),
    ),
    Row(
        "chat.completions.create", {**ASK, "stream": True},
        "Stream", {"0.object": "chat.completion.chunk", "1.choices.0.delta.content": MODEL},
        ("create_chat_completion",),
    ),
    Row(
        "chat.completions.parse", ASK,
        "ParsedChatCompletion", {"choices.0.message.content": SAID}, ("create_chat_completion",),
    ),
    Row(
        "chat.completions.stream", ASK,
        "ChatCompletionStream", {"-1.type": "content.done", "-1.content": SAID}, ("create_chat_completion",),
        is_wrapped=False,
    ),
    Row("chat.completions.list", {}, "APIStatusError", {"status_code": 405}),
    _not_here("retrieve", STORED),
    _not_here("update", {**STORED, "metadata": {}}),
    _not_here("delete", STORED),
    _not_here("messages.list", STORED),
    Row(
        "completions.create", {"model": MODEL, "prompt": "Cold?"},
        "Completion", {"choices.0.text": SAID}, ("create_completion",),
    ),
    Row(
        "completions.create", {"model": MODEL, "prompt": "Cold?", "stream": True},
        "BadRequestError", {"param": "stream"}, ("create_completion",),
    ),
)  # fmt: skip


def account(**settings: Any) -> tuple[FakeFineTuning, str]:
    """An account with the objects that the table names, and the id of a permission in it."""
    fake = FakeFineTuning(pace="manual", start=1_760_000_000, api_keys=[KEY], **settings)
    fake.add_file(ROWS, id=FILE)
    fake.add_job(FILE, id=DONE, status="succeeded", fine_tuned_model=MODEL)
    fake.add_job(FILE, id=RUNNING, status="running")
    fake.add_job(FILE, id=PAUSED, status="paused", metadata={"string": "string"})
    with client_of("OpenAI", fake) as client:
        for upload in (EMPTY, UPLOAD):
            fake.name_next("upload", upload)
            client.uploads.create(filename="a.jsonl", purpose="fine-tune", bytes=len(ROWS), mime_type="text/jsonl")
        fake.name_next("part", PART)
        client.uploads.parts.create(UPLOAD, data=ROWS)
        granted = client.fine_tuning.checkpoints.permissions.create(MODEL, project_ids=["proj_a"])
    fake.requests_log.clear()
    return fake, granted.data[0].id


def client_of(kind: str, fake: FakeFineTuning, **options: Any) -> Any:
    """A client of the account, in process."""
    http = (httpx2.Client if kind == "OpenAI" else httpx2.AsyncClient)(transport=fake.transport(httpx2))
    return getattr(openai, kind)(base_url=IN_PROCESS, api_key=KEY, max_retries=0, http_client=http, **options)


def methods_of(resource: Any, path: str) -> Iterator[tuple[str, bool]]:
    """Every method of a resource and its sub-resources, and whether it has a raw response."""
    members = {name: member for each in type(resource).__mro__ for name, member in vars(each).items()}
    for name, member in members.items():
        if name.startswith("_") or name in WAYS:
            continue
        if isinstance(member, cached_property):
            yield from methods_of(getattr(resource, name), f"{path}.{name}")
        elif isfunction(member):
            wrapped = {hasattr(getattr(resource, way), name) for way in WAYS[1:]}
            assert len(wrapped) == 1, f"{path}.{name} has one way and not the other"
            yield f"{path}.{name}", wrapped.pop()


async def outcome(row: Row, kind: str, way: str, fake: FakeFineTuning, permission: str) -> Any:
    """The parsed result of a call, by a blocking or an async client."""
    given = {name: permission if value == PERMISSION else value for name, value in row.given.items()}
    path = row.method.split(".")
    path[-1:] = [path[-1]] if way == "plain" else [way, path[-1]]
    async with AsyncExitStack() as stack:
        client = await entered(stack, client_of(kind, fake))
        got = await awaited(reduce(getattr, path, client)(**given))
        if way == "with_streaming_response" or row.method == "chat.completions.stream":
            got = await entered(stack, got)
        if way == "plain":
            return await _collected(got)
        assert got.status_code == 200
        assert got.headers["openai-version"] == "2020-10-01"
        return await _collected(await awaited(got.parse()))


async def awaited(value: Any) -> Any:
    """The value, or what awaiting it gives."""
    return await value if isawaitable(value) else value


async def entered(stack: AsyncExitStack, manager: Any) -> Any:
    """What a context manager of either kind gives, as long as *stack* is open."""
    if hasattr(manager, "__aenter__"):
        return await stack.enter_async_context(manager)
    return stack.enter_context(manager)


async def _collected(value: Any) -> Any:
    """A stream as its type and items, content as bytes, anything else unchanged."""
    if isinstance(value, HttpxBinaryResponseContent):
        return value.read()
    if not type(value).__name__.endswith("Stream"):
        return value
    items = [item async for item in value] if hasattr(value, "__aiter__") else list(value)
    return Streamed(_type_name(value), items)


@dataclass(frozen=True, slots=True)
class Streamed:
    """The type and items of a stream."""

    kind: str
    items: list[Any]


_UNBOUND = re.compile(r"\[(~\w+|TypeVar)\]")
"""How a Python names a parameter that is left open: 3.11 as it is printed, 3.13 by its type."""


def _type_name(value: Any) -> str:
    """The type's name, without Async and Sync, and without an unbound type parameter."""
    if isinstance(value, Streamed):
        return value.kind
    return _UNBOUND.sub("", type(value).__name__.removeprefix("Async").removeprefix("Sync"))


def reached(value: Any, path: str) -> Any:
    """The member of *value* at a path; a number is an index into a list."""
    for step in path.split(".") if path else ():
        value = value[int(step)] if step.lstrip("-").isdecimal() else getattr(value, step)
    return value


CALLS = [(row, kind, way) for row in TABLE for kind in CLIENTS for way in row.ways]


@pytest.mark.parametrize(("row", "kind", "way"), CALLS, ids=[f"{row.name}, {kind}, {way}" for row, kind, way in CALLS])
def test_a_method_gives_what_the_table_says(row: Row, kind: str, way: str) -> None:
    """A call returns the table's type and facts, and sends the table's requests."""
    fake, permission = account()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", DeprecationWarning)
        try:
            result = asyncio.run(outcome(row, kind, way, fake, permission))
        except openai.APIStatusError as error:
            result = error

    assert _type_name(result) == row.result
    shown = result.items if isinstance(result, Streamed) else result
    assert {path: reached(shown, path) for path in row.facts} == row.facts
    assert [each.operation for each in fake.requests if each.operation] == list(row.asks)
    assert bool(warned) == row.is_deprecated


@pytest.mark.parametrize("kind", CLIENTS)
def test_the_table_has_every_method(kind: str) -> None:
    """The table has exactly the methods of the SDK, with the ways to call them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client = client_of(kind, FakeFineTuning())
        found = {method for name in RESOURCES for method in methods_of(getattr(client, name), name)}

    assert found == {(row.method, row.is_wrapped) for row in TABLE}


def test_every_route_is_asked_by_some_method() -> None:
    """Every operation of the fake is called by some method of the table, but for one that the SDK lacks."""
    print("", *TABLE, sep="\n")

    asked = {operation for row in TABLE for operation in row.asks}
    assert asked == {operation.name for operation in OPERATIONS} - {"model_limits"}
