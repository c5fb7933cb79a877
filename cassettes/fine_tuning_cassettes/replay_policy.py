"""Which recorded response answers a request: the policy of replay, without any I/O.

*Writes* change something (every method but GET, HEAD and OPTIONS, except inference and graders); *reads* do not. Each
is about a subject: one job with its events and checkpoints, one file, a list; for inference and graders, the request
itself.

- **Reads walk forward and hold.** Equal requests get the recorded responses in their order, then the last one again
  and again. All reads about one subject walk together: after the events of step 90, a retrieve returns no older status.
- **Reads wait for writes.** A response recorded after a write about the same subject is not used before that write is
  requested; until then the last response before it holds. Afterwards all responses from before it are passed.
- So no response is followed by an older one, and both fewer and more reads than were recorded replay. Polling a job
  until it is finished takes as many reads as were recorded, or fewer with other reads about the job in between.
- **Where nothing was recorded since a write**, a read gets the state that the write was answered with.
- **Writes play once**, in the order recorded. A refused one (400 and above) changed nothing: no read waits for it,
  and the last refusal is repeated.
- **No polling is endless.** The same response is an error after `patience` times if it shows a job or file that is not
  finished, if a later one waits for a write, and for lists of a job that was never recorded as finished.

A write is about a read's subject if it is about the same thing, about anything in the collection that is listed, or
about something whose id a response about that subject contains: deleting a file is about the jobs trained on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from fine_tuning_formats.job_rules import TERMINAL_STATUSES
from fine_tuning_formats.lazy_dataclass import dataclass

from .messages import Interaction, parse_json, texts_in
from .request_matching import RequestKey
from .resources import STATELESS, Resource, is_write, parse_resource

FINISHED = {
    "fine_tuning.job": TERMINAL_STATUSES | {"canceled"},
    "file": frozenset({"processed", "error", "deleted", None}),
}
"""Final statuses, by the kind of object. Objects of other kinds are not polled."""
COLLECTIONS = {"fine_tuning.job": "fine_tuning/jobs", "file": "files"}
PATIENCE = 100
"""How often an unfinished state is repeated without anything new."""


class NoAnswerLeft(Exception):
    """A request that was recorded, and whose recorded responses are used up; the message says why."""


class PollingStuck(NoAnswerLeft):
    """A response that was repeated too often to a client that waits for another."""


@dataclass(frozen=True, slots=True)
class ReplayStep:
    """The facts of one recorded interaction that the policy uses.

    Args:
        key: equal for requests that match.
        subject: what the request is about.
        is_write: whether the request changes something.
        refused: whether the response is an error.
        ids: what a write is about: the id in its path, and those of what it created.
        texts: all strings in the response.
        state_key: the key of the request that reads the object that a write was answered with.
        unfinished: whether the response is a job or file that is not finished.
        finished: whether it is one that is.
        deletes: whether the request deletes its subject.
    """

    key: str
    subject: Resource
    is_write: bool = False
    refused: bool = False
    ids: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    state_key: str = ""
    unfinished: bool = False
    finished: bool = False
    deletes: bool = False


def replay_step(interaction: Interaction, key: RequestKey) -> ReplayStep:
    """Return what the policy needs to know of an interaction and the key of its request."""
    value = parse_json(interaction.response.body)
    answer = value if isinstance(value, dict) else {}
    kind, status = str(answer.get("object")), answer.get("status")
    final = FINISHED.get(kind)
    is_final = final is not None and (status is None or isinstance(status, str)) and status in final
    subject = parse_resource(key.path)
    if subject.collection in STATELESS:
        subject = replace(subject, id=key.key)
    state_key, changes = "", is_write(key.method, key.path)
    ids: list[Any] = [subject.id]
    if changes:
        nested = answer.get("file")
        ids += [answer.get("id"), nested.get("id") if isinstance(nested, dict) else None]
        if kind in COLLECTIONS and "deleted" not in answer:
            state_key = RequestKey("GET", f"{COLLECTIONS[kind]}/{answer.get('id')}", {}, {}).key
    return ReplayStep(
        key=key.key,
        subject=subject,
        is_write=changes,
        refused=interaction.response.status >= 400,
        ids=frozenset(name for name in ids if isinstance(name, str) and name),
        texts=frozenset(texts_in(value)),
        state_key=state_key,
        unfinished=final is not None and not is_final,
        finished=is_final,
        deletes=key.method == "DELETE",
    )


def remaining_interactions(
    recording: Sequence[Interaction], keys: Sequence[RequestKey], recorded_again: Container[str]
) -> list[Interaction]:
    """Return what stays of a recording when the requests with some keys have been recorded again.

    Whatever names something that a replaced write created goes as well: that job, or file, has another id now.
    """
    remaining = list(zip(recording, keys, strict=True))
    replaced = [pair for pair in remaining if pair[1].key in recorded_again]
    while replaced:
        remaining = [pair for pair in remaining if pair not in replaced]
        steps = [replay_step(*pair) for pair in replaced]
        created = {name for step in steps for name in step.ids if name != step.subject.id}
        replaced = []
        for pair in remaining:
            request, response = pair[0].request, pair[0].response
            text = b"\n".join([unquote(request.uri).encode(), request.body, response.body])
            if any(name.encode() in text for name in created):
                replaced.append(pair)
    return [interaction for interaction, _ in remaining]


class Replayer:
    """Chooses recorded responses by the rules above, from the steps of a recording and the keys of requests."""

    def __init__(self, steps: Sequence[ReplayStep], patience: int = PATIENCE) -> None:
        self._steps = steps
        self._patience = patience
        self._indices: defaultdict[str, list[int]] = defaultdict(list)  # the recorded steps, by key
        for index, step in enumerate(steps):
            self._indices[step.key].append(index)
        self._reached: defaultdict[Resource, int] = defaultdict(lambda: -1)  # the last step a client knows of
        self._done: set[int] = set()  # the writes that were requested
        self._answered: defaultdict[str, list[int]] = defaultdict(list)  # the steps used as answers, by key

    @property
    def unused(self) -> list[int]:
        """The indices of reads that were never requested, and of writes not repeated as often as recorded."""
        return [
            index
            for index, step in enumerate(self._steps)
            if (index not in self._done if step.is_write else step.key not in self._answered)
        ]

    def answer(self, key: str) -> int | None:
        """Return the index of the response to a request; None if no such request was recorded.

        Raises:
            NoAnswerLeft: it was recorded, and no response is left.
        """
        if key not in self._indices:
            return None
        is_write = self._steps[self._indices[key][0]].is_write
        index = self._answer_write(key) if is_write else self._answer_read(key)
        self._answered[key].append(index)
        return index

    def _answer_write(self, key: str) -> int:
        indices = self._indices[key]
        index = next((index for index in indices if index not in self._done), None)
        if index is None:
            if self._steps[indices[-1]].refused:
                return indices[-1]
            times = "once" if len(indices) == 1 else f"{len(indices)} times"
            raise NoAnswerLeft(f"it changes something, was recorded {times}, and has been requested {times} already")
        self._done.add(index)
        for subject, writes in self._writes_about.items():
            if index in writes:
                self._reached[subject] = max(self._reached[subject], index)
        return index

    def _answer_read(self, key: str) -> int:
        indices = self._indices[key]
        subject = self._steps[indices[0]].subject
        # writes recorded before the first response are taken as done: the client may have the id from elsewhere
        blocking = next((write for write in self._pending_writes(subject) if write > indices[0]), len(self._steps))
        available = [index for index in indices if index < blocking]
        index = next((index for index in available if index > self._reached[subject]), None)
        if index is None:
            index = self._latest_state(key, subject, available[-1])
            self._check_patience(key, subject, index)
        self._reached[subject] = max(self._reached[subject], index)
        return index

    def _latest_state(self, key: str, subject: Resource, index: int) -> int:
        """Return the index of the latest response: *index*, or that of a write since then."""
        latest = index
        for write in self._writes_about[subject]:
            if write in self._done and write > latest:
                step = self._steps[write]
                if step.deletes and step.subject == subject:
                    raise NoAnswerLeft("it has been deleted by now, and was not requested after that in the recording")
                latest = write if step.state_key == key else latest
        return latest

    def _check_patience(self, key: str, subject: Resource, index: int) -> None:
        """Raise if the response at *index* was repeated too often, and is not the end of anything."""
        if self._answered[key][-self._patience :] != [index] * self._patience:
            return
        about = [step for step in self._steps if step.subject == subject]
        never_finishes = any(step.unfinished for step in about) and not any(step.finished for step in about)
        write = next((write for write in self._pending_writes(subject) if write > index), None)
        reason = f"the same answer, which is not the end of anything, was given {self._patience} times"
        if write is not None and self._indices[key][-1] > index:
            raise PollingStuck(f"{reason}: later answers were recorded after write #{write + 1}, not requested so far")
        if self._steps[index].unfinished or never_finishes:
            raise PollingStuck(f"{reason}, and none later was recorded")

    def _pending_writes(self, subject: Resource) -> Iterator[int]:
        return (write for write in self._writes_about[subject] if write not in self._done)

    @cached_property
    def _writes_about(self) -> dict[Resource, list[int]]:
        """The accepted writes about each subject, in their order."""
        texts: defaultdict[Resource, set[str]] = defaultdict(set)
        for step in self._steps:
            texts[step.subject].update(step.texts)
        writes = [(index, step) for index, step in enumerate(self._steps) if step.is_write and not step.refused]
        return {
            subject: [
                index
                for index, write in writes
                if write.subject == subject
                or (write.subject.collection == subject.collection and not subject.id)
                or subject.id in write.ids
                or not write.ids.isdisjoint(names)
            ]
            for subject, names in texts.items()
        }
