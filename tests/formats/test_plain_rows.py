"""The commonest rows of training files are found by their bytes; a full check would refuse none of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fine_tuning_formats.plain_rows import find_plain_rows, plain_text
from fine_tuning_formats.row_rules import FORMATS, ROLES
from fine_tuning_formats.training_file import NotJsonlError, TrainingFileScan, parse_json

FIRST = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
SOUND = ("a", " ", "_", "<", "|", "<|endoftext|>", "é", "\u2028", "{", "}", "]", ",", ":", "messages", "role", "\x7f")
ESCAPED = ("\\\\", '\\"', "\\n", "\\/", "\\u00e9", "\\u003C", "\\u007c", "\\ud83d", "\\uDE00", "\\u12", "\\x", "\\")
RAW = ("\n", "\r", "\t", "\0", '"')
RAW_TEXTS = st.lists(st.sampled_from((*SOUND, *ESCAPED, *RAW)), max_size=6).map("".join)
"""Texts as they stand in a file, between quotes; some of them are none."""


def raw_row(messages: Iterable[tuple[str, str]], space: str, end: str) -> str:
    """A row as its bytes are, be it JSON or not."""
    parts = [f'{{"role":{space}"{role}",{space}"content":{space}"{text}"}}' for role, text in messages]
    return f'{{"messages":{space}[{f",{space}".join(parts)}]}}{end}'


messages = st.lists(st.tuples(st.sampled_from([*ROLES, "assistant", "robot"]), RAW_TEXTS), max_size=4)
raw_rows = st.builds(raw_row, messages, st.sampled_from(["", " ", "  "]), st.sampled_from(["", "", "\r", " ", "x"]))
blocks = st.lists(raw_rows | st.sampled_from(["", " ", "{}", "[]", "1", '{"messages": []}']), max_size=5)
SCANS: list[Callable[[], TrainingFileScan]] = [
    lambda: TrainingFileScan(orjson.loads),
    lambda: TrainingFileScan(parse_json, FORMATS, is_first_only=False),
    lambda: TrainingFileScan(parse_json, formats=("reinforcement",), is_first_only=False),
    lambda: TrainingFileScan(orjson.loads, formats=(), counter=None),
]


def refusals(scan: TrainingFileScan, *lines: bytes) -> Iterator[str]:
    """Check lines one by one; yield why some are refused."""
    for line in lines:
        try:
            scan.add_line(line)
        except NotJsonlError as error:
            yield str(error)


@given(blocks, st.sampled_from(SCANS))
@example([raw_row([("user", "a\nb"), ("assistant", "c")], "", "")], SCANS[0])
@example([raw_row([("assistant", "a\\ud83d\\ude00\\\\")], "", "")] * 3, SCANS[0])
@example([raw_row([("assistant", "a")], " ", ""), ""], SCANS[1])
def test_lines_are_the_same_alone_and_in_blocks(block: list[str], new_scan: Callable[[], TrainingFileScan]) -> None:
    """Many lines at once are judged, counted and refused as one after the other."""
    at_once, one_by_one = new_scan(), new_scan()
    lines = "\n".join(block).encode()

    refused = [refusal for part in (FIRST, lines) for refusal in at_once.add_lines(part)]

    assert refused == [*refusals(one_by_one, FIRST, *lines.split(b"\n"))]
    assert at_once == one_by_one


def is_found(row: bytes) -> bool:
    """Whether a row is found without being parsed."""
    text = plain_text(row)
    return text is not None and find_plain_rows(text, 0) == (1, len(row) + 1)


@given(raw_rows)
@example(raw_row([("assistant", "\\ud83d\\ud83d\\ude00")], "", ""))
def test_what_is_found_is_sound(row: str) -> None:
    """A row that is found without being parsed is sound by a full check, and has neither tools nor images."""
    line = row.encode()
    if is_found(line):
        scan = TrainingFileScan(parse_json, formats=("chat",))
        scan.add_line(line)
        assert (scan.examples, scan.format, scan.faults) == (1, "chat", {})
        assert (scan.has_tools, scan.has_images) == (False, False)


@pytest.mark.parametrize("ensure_ascii", [True, False])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("text", ["plain", 'say "é" \\ \n\t/ 😀', "”…—", "a < b | c"])
def test_what_libraries_write_is_found(text: str, separators: tuple[str, str], ensure_ascii: bool) -> None:
    """A chat as libraries write it is found without being parsed."""
    chat = [{"role": role, "content": text} for role in ("system", "user", "assistant", "user")]
    row = json.dumps({"messages": chat}, separators=separators, ensure_ascii=ensure_ascii)

    assert is_found(row.encode())
