"""Which calls make the same request."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from ..account.recorded_calls import Call

K = TypeVar("K", bound=Hashable)

FILES = ("training_file", "validation_file")


def group_calls(calls: Iterable[Call], key: Callable[[Call], K]) -> Mapping[K, list[Call]]:
    """Group *calls* by *key*, in the order in which the keys first occur."""
    groups: dict[K, list[Call]] = {}
    for call in calls:
        groups.setdefault(key(call), []).append(call)
    return groups


def uploads_by_file(calls: Iterable[Call]) -> Mapping[str, Call]:
    """Return the uploads that succeeded, by the id of the file."""
    return {call.file_id: call for call in calls if call.operation == "upload_file" and call.accepted and call.file_id}


def is_reupload(file: object, other: object, since: Call, uploads: Mapping[str, Call]) -> bool:
    """Whether *other* looks like *file* uploaded again after the call *since*: same name, same size."""
    if not (isinstance(file, str) and isinstance(other, str) and {file, other} <= uploads.keys()):
        return False
    same = all(uploads[file].options.get(name) == uploads[other].options.get(name) for name in ("filename", "bytes"))
    return same and uploads[other].number > since.number


def is_same_job(first: Call, second: Call, uploads: Mapping[str, Call]) -> bool:
    """Whether two creates ask for the same job; the second may have its files uploaded anew."""
    if first.sent == second.sent:
        return True
    if not (first.whole and second.whole):
        return False
    for old, new in ((first.options.get(name), second.options.get(name)) for name in FILES):
        if old != new and not is_reupload(old, new, first, uploads):
            return False
    return {**first.options, **dict.fromkeys(FILES)} == {**second.options, **dict.fromkeys(FILES)}


def join_chains(links: Iterable[Sequence[Call]]) -> list[tuple[Call, ...]]:
    """Join *links* to chains: a link goes on with the chain that ends with the call it begins with."""
    chains: dict[int, tuple[Call, ...]] = {}
    for first, *rest in links:
        chain = (*chains.pop(first.number, (first,)), *rest)
        chains[chain[-1].number] = chain
    return list(chains.values())
