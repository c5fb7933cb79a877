"""Scripts: answers that a test has prepared, in queues, and the stack of those in use.

An item is taken in order. One that does not fit the operation is an error that names both, and stays. When a script has
run out the fake answers as usual, or the call is an error if the script is strict. What an item means on the wire is in
`web.script_player`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import field
from inspect import iscoroutinefunction
from itertools import islice
from typing import Any, Self

import orjson

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import show_value

from ..usage_errors import FakeUsageError


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A request as a script's function gets it.

    Args:
        operation: the name of the operation, such as ``create_job``.
        ids: the ids in the path: ``job_id``, ``file_id``, ``model_id``.
        options: as a `Call` has them: the members of the query and of a JSON body, or the fields of a form.
        index: how many calls this script has answered before.
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
        """The training file in the body."""
        return self.options.get("training_file")

    @property
    def model(self) -> Any:
        """The model in the body or in the path."""
        return self.options.get("model", self.ids.get("model_id"))


class Script:
    """Prepared answers, in use until `stop`; as a context manager, while the context lasts.

    Made by calling a `FakeFineTuning`.

    Args:
        stack: the account's scripts; this one is put on top.
        responses: items for all operations in one queue, a mapping of operation to its own items, a function that is
            called for every request, or None.
        strict: whether a call that no answer is left for is an error.

    Raises:
        FakeUsageError: *responses* have another type.
    """

    def __init__(self, stack: ScriptStack, responses: Any = None, *, strict: bool = False) -> None:
        self.number = len(stack.ended) + len(stack.scripts) + 1
        """Its place among the account's scripts, from 1."""
        self.strict = strict
        self.calls = 0
        """How many calls it has answered."""
        self._stack = stack
        self._function: Callable[[ScriptedCall], Any] | None = None
        self._queue: deque[Any] = deque()
        self._queues: dict[str, deque[Any]] = {}
        if isinstance(responses, Mapping):
            self._queues = {name: _queue(items, name) for name, items in responses.items()}
        elif callable(responses) and not isinstance(responses, type):
            if iscoroutinefunction(responses):
                raise FakeUsageError(
                    f"the script {responses!r} is async: a plain function is wanted, it is not awaited"
                )
            self._function = responses
        elif responses is not None:
            self._queue = _queue(responses, "the script")
        stack.scripts.append(self)

    def prevent_stray(self) -> Self:
        """Make every call that no answer is left for an error from now on."""
        self.strict = True
        return self

    def stop(self) -> Self:
        """End the script, and those that were begun after it; without effect if it has ended."""
        self._stack.end(self)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def exhausted(self) -> bool:
        """Whether every answer was given, and every function called."""
        return not self.left

    @property
    def left(self) -> list[tuple[str | None, Any]]:
        """The items and functions that were never used, each with its operation; None for any operation."""
        queues = ((name, queue) for name, queue in self._queues.items() if not getattr(queue, "was_called", False))
        uncalled = [(None, self._function)] if self._function and not self.calls else []
        return [*uncalled, *((name, item) for name, queue in [(None, self._queue), *queues] if queue for item in queue)]

    def store(self, *, is_ended: bool) -> StoredScript:
        """Return the script as it is now; of one that has ended, only what was never used.

        Raises:
            FakeUsageError: it is a function or an iterator, or has one: these cannot be stored.
        """
        queues = [self._queue, *self._queues.values()]
        if (self._function or not all(type(queue) is deque for queue in queues)) and not is_ended:
            which = "is a function, or has one" if self._function else "has a function or an iterator"
            raise FakeUsageError(
                f"a script that is in use {which}, which cannot be stored; end it first (script.stop()), or write its "
                "answers as a list"
            )
        left = {name: tuple(queue) for name, queue in self._queues.items() if type(queue) is deque}
        queue = tuple(self._queue) if type(self._queue) is deque else ()
        return StoredScript(self.strict, self.calls, is_ended, queue, left)

    def as_json(self) -> dict[str, Any]:
        """Return the script as the control API shows it; what is no JSON in it as Python shows it."""
        left = [[operation, item if is_json(item) else repr(item)] for operation, item in self.left]
        is_in_use = self in self._stack.scripts
        return {"number": self.number, "in_use": is_in_use, "strict": self.strict, "calls": self.calls, "left": left}

    def has_answer(self, operation: str) -> bool:
        """Return whether an item for *operation* is left, or a function to call."""
        return self._function is not None or bool(self._queues.get(operation, self._queue))

    def has_own_queue(self, operation: str) -> bool:
        """Return whether *operation* has a queue of its own."""
        return operation in self._queues

    def next_item(self, operation: str) -> Any:
        """Return the item that answers *operation* next, or the function; it stays until `take`."""
        queue = self._queues.get(operation, self._queue)
        return queue[0] if queue else self._function

    def take(self, operation: str) -> None:
        """Count a call of *operation* that was answered, and drop its item."""
        if queue := self._queues.get(operation, self._queue):
            queue.popleft()
        self.calls += 1


@dataclass(frozen=True, slots=True)
class StoredScript:
    """A script at one moment: the items that are left, in one queue or by operation, and how many calls it answered."""

    strict: bool
    calls: int
    is_ended: bool
    queue: Sequence[Any] = ()
    queues: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredScripts:
    """The scripts of an account at one moment, the innermost last; see `ScriptStack` for the rest."""

    scripts: Sequence[StoredScript] = ()
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    events: int = 0


class ScriptStack:
    """The scripts of an account, and the members they have set, which later answers must agree with.

    Attributes:
        scripts: those in use, the innermost last.
        ended: those that have ended.
        overrides: members that scripts have given to objects, by the object's id.
        events: how many scripted events there have been.
    """

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.ended: list[Script] = []
        self.overrides: dict[str, dict[str, Any]] = {}
        self.events = 0

    @property
    def was_used(self) -> bool:
        """Whether there ever was a script."""
        return bool(self.scripts or self.ended or self.overrides)

    def store(self) -> StoredScripts:
        """Return the scripts as they are now.

        Raises:
            FakeUsageError: one of them is a function or an iterator, which only this process has.
        """
        ended = [script.store(is_ended=True) for script in self.ended]
        scripts = [script.store(is_ended=False) for script in self.scripts]
        overrides = {identifier: dict(members) for identifier, members in self.overrides.items()}
        return StoredScripts([*ended, *scripts], overrides, self.events)

    @classmethod
    def restored(cls, stored: StoredScripts) -> ScriptStack:
        """Return the scripts that were stored."""
        stack = cls()
        for each in stored.scripts:
            script = Script(stack, each.queues or each.queue, strict=each.strict)
            script.calls = each.calls
            if each.is_ended:
                stack.end(script)
        stack.overrides = {identifier: dict(members) for identifier, members in stored.overrides.items()}
        stack.events = stored.events
        return stack

    def end(self, script: Script) -> None:
        """End *script*, and those begun after it; without effect if it has ended."""
        if script in self.scripts:
            place = self.scripts.index(script)
            self.ended += self.scripts[place:]
            del self.scripts[place:]


def is_json(value: Any) -> bool:
    """Return whether a value can be sent as JSON."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def _queue(items: Any, where: str) -> deque[Any]:
    if callable(items) and not isinstance(items, type):
        return _FunctionQueue([items])
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        raise FakeUsageError(f"{where} must be a list of answers, got {show_value(items)}; write [{show_value(items)}]")
    return deque(items) if isinstance(items, Sized) else _LazyQueue(items)


class _LazyQueue(deque[Any]):
    """A queue of an iterator, which may never end: the next item is made when it is needed."""

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__()
        self._items = iter(items)

    def __bool__(self) -> bool:
        if not len(self):
            try:
                self.extend(islice(self._items, 1))
            except Exception as error:
                raise FakeUsageError(f"the script's next answer cannot be made: {error!r}") from None
        return len(self) > 0


class _FunctionQueue(deque[Any]):
    """A queue of one function, which is called again and again."""

    was_called = False

    def popleft(self) -> Any:
        """Return the function, which stays."""
        self.was_called = True
        return self[0]
