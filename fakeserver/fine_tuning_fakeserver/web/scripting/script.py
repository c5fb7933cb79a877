"""Which item answers which call: one queue for all operations, a queue for each, or a function.

The rules: an item is taken in order; one that is no answer to the operation is an error that names both, and stays;
what has run out leaves the twin to answer, or is an error when the script is strict.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass
from inspect import iscoroutinefunction
from itertools import islice
from typing import Any

from ...usage_errors import FakeUsageError
from ..operations import check_operation
from .exceptions import response_for_exception
from .items import InvalidScriptItem, ScriptItem, parse_item

HINT = "; None lets the twin answer, and {'create_job': […]} keeps answers for one operation"


class UnexpectedCallError(FakeUsageError):
    """A strict script has no answer left for what was asked."""


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """What a script's function is told of a request.

    Args:
        operation: the name of what is asked for, such as ``create_job``.
        ids: what the path names: ``job_id``, ``file_id``, ``model_id``.
        options: as a `Call` has them: the members of the query and of a JSON body, or the fields of a form.
        index: how many calls this script was asked before.
    """

    operation: str
    ids: Mapping[str, str]
    options: Mapping[str, Any]
    index: int

    @property
    def job_id(self) -> str | None:
        """The job in the path."""
        return self.ids.get("job_id")

    @property
    def file_id(self) -> str | None:
        """The file in the path."""
        return self.ids.get("file_id")

    @property
    def training_file(self) -> Any:
        """What a job is to be trained with."""
        return self.options.get("training_file")

    @property
    def model(self) -> Any:
        """The model in the body or in the path."""
        return self.options.get("model", self.ids.get("model_id"))


class Script:
    """Prepared answers, in the order they are given.

    Args:
        responses: items for all operations in one queue, a mapping of operation to its own items, a function that is
            asked about every call, or None.
        strict: whether a call that nothing is left for is an error.
    """

    def __init__(self, responses: Any = None, *, strict: bool = False) -> None:
        self.strict = strict
        self._calls = 0
        self._function: Callable[[ScriptedCall], Any] | None = None
        self._queue: deque[Any] = deque()
        self._queues: dict[str, deque[Any]] = {}
        if isinstance(responses, Mapping):
            self._queues = {check_operation(name): _items(items, name) for name, items in responses.items()}
        elif callable(responses) and not isinstance(responses, type):
            if iscoroutinefunction(responses):
                raise FakeUsageError(
                    f"the script {responses!r} is async: a plain function is wanted, it is not awaited"
                )
            self._function = responses
        elif responses is not None:
            self._queue = _items(responses, "the script")

    def next(self, operation: str, ids: Mapping[str, str], options: Mapping[str, Any]) -> ScriptItem:
        """What answers this call; None leaves it to the twin.

        Raises:
            FakeUsageError: the next item is no answer to it; it stays.
        """
        call = ScriptedCall(operation, ids, options, self._calls)
        queue = self._queues.get(operation, self._queue)
        item = queue[0] if queue else self._function
        try:
            said = _resolved(parse_item(item, operation), call)
        except InvalidScriptItem as error:
            kept = "" if callable(item) else f", which is kept{HINT if queue is self._queue else ''}"
            raise InvalidScriptItem(f"{error}{kept}") from None
        if queue:
            queue.popleft()
        self._calls += 1
        return said

    def has_answer(self, operation: str) -> bool:
        """Whether an answer to *operation* is left, or a function to be asked."""
        return self._function is not None or bool(self._queues.get(operation, self._queue))

    @property
    def left(self) -> list[tuple[str | None, Any]]:
        """The items, and functions, that nobody has asked for yet, each with its operation; None for any."""
        queues = ((name, queue) for name, queue in self._queues.items() if not getattr(queue, "was_asked", False))
        unasked = [(None, self._function)] if self._function and not self._calls else []
        return [*unasked, *((name, item) for name, queue in [(None, self._queue), *queues] if queue for item in queue)]


def _resolved(said: ScriptItem, call: ScriptedCall) -> ScriptItem:
    """What a function says about *call*; an error it raises is its answer."""
    if not callable(said):
        return said
    try:
        answer = said(call)
    except FakeUsageError:
        raise
    except Exception as error:
        return response_for_exception(error)
    if callable(answer) and not isinstance(answer, type):
        raise FakeUsageError(f"the script's function answered {call.operation} with another function, {answer!r}")
    return parse_item(answer, call.operation)


def _items(items: Any, where: str) -> deque[Any]:
    if callable(items) and not isinstance(items, type):
        return _Forever([items])
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        raise FakeUsageError(f"{where}: {items!r} is no list of answers: write [{items!r}]")
    return deque(items) if isinstance(items, Sized) else _Pulled(items)


class _Pulled(deque[Any]):
    """A queue of what is made as it is asked for, and may never end; it has the next item, once somebody asks."""

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__()
        self._items = iter(items)

    def __bool__(self) -> bool:
        if not len(self):
            try:
                self.extend(islice(self._items, 1))
            except Exception as error:
                raise FakeUsageError(f"the script's next answer cannot be had: {error!r}") from None
        return len(self) > 0


class _Forever(deque[Any]):
    """A queue of one function, which is asked again and again."""

    was_asked = False

    def popleft(self) -> Any:
        """The function, which stays."""
        self.was_asked = True
        return self[0]
