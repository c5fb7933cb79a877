"""Ids that a recorder has replaced by one placeholder: the objects of a list are told apart again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson

from .observed_objects import CHECKPOINT, EVENT, FILE, JOB
from .recording import Json, RecordedExchange

TELLING = ("created_at", "seed", "step_number", "filename", "message")
"""Members by which objects with one id are told apart."""


def tell_apart(exchanges: Iterable[RecordedExchange]) -> tuple[RecordedExchange, ...]:
    """Return *exchanges* with an id of its own for each object of a list; those without a placeholder are unchanged.

    A cursor that is a placeholder becomes the id of the last object of the page before.
    """
    known: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    told: list[RecordedExchange] = []
    last: dict[str, str] = {}
    for exchange in exchanges:
        if (cursor := exchange.query.get("after", "")) in last:
            exchange = replace(exchange, url=_with_cursor(exchange.url, last[cursor]))
        items = [item for item in exchange.items if _kind_and_id(item)]
        if len({item["id"] for item in items}) < len(items):
            data = [_with_own_id(item, known) if _kind_and_id(item) else item for item in exchange.members["data"]]
            answer = {**exchange.members, "data": data}
            body = orjson.dumps(answer, option=orjson.OPT_INDENT_2)
            last[str(items[-1]["id"])] = str(data[-1]["id"])
            exchange = replace(exchange, json=answer, body=body, is_reparsed=True)
        told.append(exchange)
    return tuple(told)


def _kind_and_id(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and item.get("object") in (JOB, FILE, EVENT, CHECKPOINT)
        and isinstance(item.get("id"), str)
    )


def _with_own_id(item: Json, known: dict[tuple[str, str], list[tuple[Any, ...]]]) -> Json:
    identities = known.setdefault((item["object"], item["id"]), [])
    identity = tuple(str(item.get(name)) for name in TELLING)
    if identity not in identities:
        identities.append(identity)
    place = identities.index(identity)
    return {**item, "id": f"{item['id']}-{place + 1}"} if place else item


def _with_cursor(url: str, cursor: str) -> str:
    split = urlsplit(url)
    pairs = [(name, cursor if name == "after" else value) for name, value in parse_qsl(split.query)]
    return urlunsplit(split._replace(query=urlencode(pairs)))
