"""Which calls ask for the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from ..account.recorded_calls import Call

K = TypeVar("K", bound=Hashable)

FILES = ("training_file", "validation_file")


def grouped(calls: Iterable[Call], key: Callable[[Call], K]) -> Mapping[K, list[Call]]:
    """*calls* by *key*, in the order in which keys came first."""
    found: dict[K, list[Call]] = {}
    for call in calls:
        found.setdefault(key(call), []).append(call)
    return found


def uploads_of(own: Iterable[Call]) -> Mapping[str, Call]:
    """The uploads that made a file, by its id."""
    return {call.file_id: call for call in own if call.operation == "upload_file" and call.accepted and call.file_id}


def is_reupload(file: object, other: object, since: Call, uploads: Mapping[str, Call]) -> bool:
    """Whether *other* is what *file* was, uploaded again after the call *since*: same name, same size."""
    if not (isinstance(file, str) and isinstance(other, str) and {file, other} <= uploads.keys()):
        return False
    same = all(uploads[file].options.get(name) == uploads[other].options.get(name) for name in ("filename", "bytes"))
    return same and uploads[other].number > since.number


def is_same_job(first: Call, second: Call, uploads: Mapping[str, Call]) -> bool:
    """Whether a create asks for what an earlier one did, be it with its files uploaded anew."""
    if first.sent == second.sent:
        return True
    files = [(first.options.get(name), second.options.get(name)) for name in FILES]
    if not (
        first.whole and second.whole and all(old == new or is_reupload(old, new, first, uploads) for old, new in files)
    ):
        return False
    return {**first.options, **dict.fromkeys(FILES)} == {**second.options, **dict.fromkeys(FILES)}


def chains(links: Iterable[Sequence[Call]]) -> list[tuple[Call, ...]]:
    """*links* joined to chains: one that begins with the call that another ends with goes on with it."""
    chains: dict[int, tuple[Call, ...]] = {}
    for first, *rest in links:
        chain = (*chains.pop(first.number, (first,)), *rest)
        chains[chain[-1].number] = chain
    return list(chains.values())
