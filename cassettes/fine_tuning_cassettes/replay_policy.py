"""Which recorded answer a request gets: the policy of replay, pure.

Recorded requests are of two kinds. *Writes* change something (POST and DELETE, but for inference and graders);
*reads* change nothing. Each is about a subject: one job with its events and checkpoints, one file, a list; of inference
and graders, what is asked.

- **Reads walk forward and hold.** The same request gets the recorded answers in their order, then the last of them
  again and again. What is about one subject walks together: who has seen events of step 90 does not see the job
  queued any more. Other subjects are not moved by it.
- **Reads wait for writes.** An answer that was recorded after a write about the same subject is not given before
  that write is asked for; until then the last answer before it holds. Once it is asked for, all answers from before
  it are passed.
- So an answer to one request is never followed by an older one to it, and fewer or more looks than were recorded both
  replay. A client that looks until a job is over gets there after as many looks as were recorded, or
  fewer if it looks at other things of the job in between.
- **Where nothing was recorded since a write**, the state that the write itself was answered with is what a look gets.
- **Writes play once**, in the order recorded. One that was refused (400 and above) changed nothing: it holds nobody
  up, and the last refusal is repeated.
- **Nobody waits for ever.** The same answer is an error after `patience` times where the job or file is not over in it,
  where a later one waits for a write, and in lists of a job that was never recorded as over.

A write is about a read's subject if it is about the same thing, about anything of the collection that is listed, or
about something whose id an answer about that subject names: deleting a file is about the jobs that train on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from .api_paths import CHANGE_NOTHING, Resource, changes, resource_of
from .messages import Interaction, members, parsed
from .request_matching import RequestKey, texts_in

DONE = {
    "fine_tuning.job": frozenset({"succeeded", "failed", "cancelled", "canceled"}),
    "file": frozenset({"processed", "error", "deleted", None}),
}
"""Statuses of what is over, by its kind; nobody waits for anything else."""
PATIENCE = 100
"""How often what is not over is answered without anything new."""


class NoAnswerLeft(Exception):
    """No recorded answer is left for a request that was recorded; the message says why."""


class PollingStuck(NoAnswerLeft):
    """The same answer has been given too often to somebody who waits for another."""


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """What the policy needs to know of one recorded interaction.

    Args:
        key: equal for requests that mean the same.
        is_write: whether it is there to change something.
        refused: whether it was answered with an error.
        ids: what a write is about: ids in its path, and of what it made.
        names: texts that its answer has.
        state_of: the key of the request that would look at what a write answers.
        unfinished: whether the answer shows a job, or a file, that is not over.
        over: whether it shows one that is.
    """

    key: str
    subject: Resource
    is_write: bool = False
    refused: bool = False
    ids: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    state_of: str = ""
    unfinished: bool = False
    over: bool = False
    deletes: bool = False


def step_of(interaction: Interaction, meaning: RequestKey) -> ReplayStep:
    """What the policy needs to know of a recorded interaction."""
    said = members(interaction.answer.body)
    subject = resource_of(meaning.path)
    if subject.collection in CHANGE_NOTHING:
        subject = replace(subject, id=meaning.key)
    is_write = changes(meaning.method, meaning.path)
    kind, status = str(said.get("object")), said.get("status")
    status = status if isinstance(status, str | None) else ""
    made = {said.get("id"), (said.get("file") or {}).get("id")} if is_write and _is_nested(said) else set()
    return ReplayStep(
        key=meaning.key,
        subject=subject,
        is_write=is_write,
        refused=interaction.answer.status >= 400,
        ids=frozenset(each for each in {subject.id, *made} if isinstance(each, str) and each),
        names=frozenset(texts_in(parsed(interaction.answer.body))),
        state_of=_look_at(said) if is_write else "",
        unfinished=kind in DONE and status not in DONE[kind],
        over=kind in DONE and status in DONE[kind],
        deletes=meaning.method == "DELETE",
    )


def kept_of(old: Sequence[Interaction], meanings: Sequence[RequestKey], again: Container[str]) -> list[Interaction]:
    """What stays of an older recording where what has a key in *again* was recorded anew.

    What names something that a replaced write made goes with it: that job, or file, is another one now.
    """
    kept = list(zip(old, meanings, strict=True))
    gone = [each for each in kept if each[1].key in again]
    while gone:
        kept = [each for each in kept if each not in gone]
        made = set().union(*(_made(*each) for each in gone))
        gone = [each for each in kept if any(_names(each[0], name) for name in made)]
    return [each for each, _ in kept]


def _made(interaction: Interaction, meaning: RequestKey) -> frozenset[str]:
    step = step_of(interaction, meaning)
    return step.ids - {step.subject.id}


def _names(interaction: Interaction, name: str) -> bool:
    asked = interaction.asked
    return name in unquote(asked.uri) or name.encode() in asked.body or name.encode() in interaction.answer.body


def _is_nested(said: dict[str, Any]) -> bool:
    return isinstance(said.get("file") or {}, dict)


def _look_at(said: dict[str, Any]) -> str:
    """The key of the request that looks at the job or file that *said* is."""
    collection = {"fine_tuning.job": "fine_tuning/jobs", "file": "files"}.get(str(said.get("object")))
    if collection is None or "deleted" in said:
        return ""
    return RequestKey("GET", f"{collection}/{said.get('id')}", {}, {}).key


class Replayer:
    """Gives recorded answers, by the rules above. It remembers what was asked, and knows nothing of HTTP."""

    def __init__(self, steps: Sequence[ReplayStep], patience: int = PATIENCE) -> None:
        self._steps = steps
        self._patience = patience
        self._at: defaultdict[str, list[int]] = defaultdict(list)
        for index, step in enumerate(steps):
            self._at[step.key].append(index)
        self._reached: defaultdict[Resource, int] = defaultdict(lambda: -1)
        self._written: set[int] = set()
        self._given: defaultdict[str, list[int]] = defaultdict(list)

    @property
    def unused(self) -> list[int]:
        """Reads that nobody asked for, and writes that were not repeated as often as recorded."""
        return [
            index
            for index, step in enumerate(self._steps)
            if (index not in self._written if step.is_write else step.key not in self._given)
        ]

    def answer(self, key: str) -> int | None:
        """Which recorded answer a request gets; None where no such request was recorded.

        Raises:
            OutOfAnswers: it was recorded, and no answer is left.
        """
        if key not in self._at:
            return None
        is_write = self._steps[self._at[key][0]].is_write
        index = self._write(key) if is_write else self._read(key)
        self._given[key].append(index)
        return index

    def _write(self, key: str) -> int:
        left = [index for index in self._at[key] if index not in self._written]
        if left:
            self._written.add(left[0])
            self._pass(left[0])
            return left[0]
        last = self._at[key][-1]
        if self._steps[last].refused:
            return last
        times = len(self._at[key])
        raise NoAnswerLeft(f"it was recorded {_times(times)}, has been asked {_times(times)}, and changes something")

    def _pass(self, write: int) -> None:
        if self._steps[write].refused:
            return
        for subject, writes in self._about.items():
            if write in writes:
                self._reached[subject] = max(self._reached[subject], write)

    def _read(self, key: str) -> int:
        subject = self._steps[self._at[key][0]].subject
        open_to = self._open(key, subject)
        index = next((each for each in open_to if each > self._reached[subject]), None)
        if index is None:
            index = self._held(key, subject, open_to)
        self._reached[subject] = max(self._reached[subject], index)
        return index

    def _open(self, key: str, subject: Resource) -> list[int]:
        """The answers that no write holds back. What was written before the first of them is taken as done."""
        found = self._at[key]
        ahead = (each for each in self._about[subject] if each > found[0] and each not in self._written)
        limit = next(ahead, len(self._steps))
        return [each for each in found if each < limit]

    def _held(self, key: str, subject: Resource, open_to: Sequence[int]) -> int:
        """The last that is known: the last answer there was, or what a write has told since."""
        last = open_to[-1]
        for write in self._about[subject]:
            if write in self._written and write > last:
                if self._steps[write].deletes and self._steps[write].subject == subject:
                    raise NoAnswerLeft("it has been deleted by now, and was not asked for after that in the recording")
                last = write if self._steps[write].state_of == key else last
        self._lose_patience(key, subject, last)
        return last

    def _lose_patience(self, key: str, subject: Resource, index: int) -> None:
        if self._given[key][-self._patience :] != [index] * self._patience:
            return
        ahead = next((each for each in self._about[subject] if each > index and each not in self._written), None)
        is_held = ahead is not None and self._at[key][-1] > index
        if is_held or self._steps[index].unfinished or self._is_endless(subject):
            raise PollingStuck(_why_stuck(self._patience, ahead if is_held else None))

    def _is_endless(self, subject: Resource) -> bool:
        """Whether a job was looked at, and never recorded as over."""
        about = [step for step in self._steps if step.subject == subject]
        return any(step.unfinished for step in about) and not any(step.over for step in about)

    @cached_property
    def _about(self) -> dict[Resource, list[int]]:
        """The writes that are about each subject, in their order."""
        names: defaultdict[Resource, set[str]] = defaultdict(set)
        for step in self._steps:
            names[step.subject].update(step.names)
        return {subject: list(self._writes(subject, said)) for subject, said in names.items()}

    def _writes(self, subject: Resource, names: set[str]) -> Iterator[int]:
        for index, step in enumerate(self._steps):
            if step.is_write and not step.refused and _concerns(step, subject, names):
                yield index


def _concerns(write: ReplayStep, subject: Resource, names: Iterable[str]) -> bool:
    if write.subject.collection == subject.collection and not subject.id:
        return True
    return write.subject == subject or subject.id in write.ids or not write.ids.isdisjoint(names)


def _why_stuck(patience: int, ahead: int | None) -> str:
    said = f"the same answer, which is not the end of anything, was given {patience} times"
    if ahead is not None:
        return f"{said}: later answers were recorded after the write #{ahead + 1}, which has not been asked for"
    return f"{said}, and none later was recorded"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
