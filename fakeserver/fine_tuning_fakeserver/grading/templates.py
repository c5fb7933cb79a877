"""Templates: the ``{{ item.… }}`` and ``{{ sample.… }}`` in a grader's texts, filled from one case."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from fine_tuning_formats.lazy_dataclass import dataclass

from ..usage_errors import FakeUsageError
from .nesting import is_writable
from .result import GradingError

CHARACTERS_AT_MOST = 1_000_000
"""How long a filled text may be (ours): a request of a few megabytes could ask for terabytes."""

_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")
_NAMESPACE = re.compile(r"\s*(item|sample)\b")
_STEP = re.compile(r"""\s*(?:\.\s*([\w-]+)|\[\s*(\d{1,9})\s*\]|\[\s*'([^']*)'\s*\]|\[\s*"([^"]*)"\s*\])""")


@dataclass(frozen=True, slots=True)
class GradingInput:
    """The input of a grader: a row of data, and a model's answer to it."""

    item: Mapping[str, Any]
    sample: Mapping[str, Any]

    @classmethod
    def of(cls, item: Mapping[str, Any], text: str) -> GradingInput:
        """Build the case of a row and a model's raw text.

        Source: spec (``output_json`` is there when the text is JSON); vendor text (the other names, and that
        `choices` are those of a chat completion).
        """
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        sample: dict[str, Any] = {"output_text": text, "output_tools": [], "choices": [choice]}
        try:
            value = orjson.loads(text)
            if is_writable(value):  # a python grader gets it written again
                sample["output_json"] = value
        except orjson.JSONDecodeError:
            pass  # the spec: output_json is there only for JSON
        return cls(item, sample)

    def fill(self, template: str) -> str:
        """Return *template* with the case's values in its placeholders.

        Raises:
            GradingError: the value does not exist.
            FakeUsageError: the text would be too long.
        """
        filled: list[str] = []
        size = 0
        for index, piece in enumerate(_PLACEHOLDER.split(template)):
            text = _as_text(self._value(piece)) if index % 2 else piece  # texts and paths alternate
            filled.append(text)
            size += len(text)
            if size > CHARACTERS_AT_MOST:  # checked as it grows, before it needs the memory
                raise FakeUsageError(
                    f"a grader's text must have at most {CHARACTERS_AT_MOST} characters once it is filled; got more"
                )
        return "".join(filled)

    def _value(self, path: str) -> Any:
        namespace, steps = parse_path(path)
        value: Any = self.item if namespace == "item" else self.sample
        if namespace == "sample" and steps[0] == "output_json" and "output_json" not in self.sample:
            raise GradingError("sample_parse_error", "The model sample is not valid JSON.")
        for step in steps:
            if isinstance(step, str):
                value = value.get(step) if isinstance(value, Mapping) else None
            else:
                value = value[step] if isinstance(value, list) and step < len(value) else None
            if value is None:  # a null is treated as a missing value (inferred)
                raise GradingError("invalid_variable_error", f"There is no variable '{path.strip()}'.")
        return value


def parse_path(path: str) -> tuple[str, list[str | int]]:
    """Split a path such as ``item.a.b[0]`` into its namespace and its steps.

    Source: vendor text (two namespaces, a namespace and a variable, paths as in JSON path); that a name in brackets
    and quotes is a step is inferred.

    Raises:
        GradingError: it does not parse.
    """
    steps: list[str | int] = []
    namespace = _NAMESPACE.match(path)
    at = namespace.end() if namespace else 0
    while namespace and (step := _STEP.match(path, at)):
        steps.append(int(step[2]) if step[2] else step[1] or step[3] or step[4] or "")
        at = step.end()
    if namespace is None or not steps or path[at:].strip():
        raise GradingError("invalid_variable_error", f"'{path.strip()}' is no variable of item or sample.")
    return namespace[1], steps


def check_template(template: str) -> None:
    """Parse the path of every placeholder; raise as `parse_path` does."""
    for placeholder in _PLACEHOLDER.finditer(template):
        parse_path(placeholder[1])


def _as_text(value: Any) -> str:
    """Return a string as it is, anything else as JSON (inferred)."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:  # nested deeper than can be written
        raise GradingError("other_error", str(error)) from None
