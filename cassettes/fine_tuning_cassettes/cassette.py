"""What replays and records while a block of `use_cassette` lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from .api_paths import is_for_api
from .body_decoding import decode_body
from .bundled import FOLDER
from .errors import CassetteError, CassetteMissError, CassetteStuckError
from .files import write
from .messages import Interaction, Request, Response, header
from .mismatch import nearest, render_difference
from .record import RecordOptions, header_of, meaning_of_request, text_for
from .replay_policy import NoAnswerLeft, PollingStuck, Replayer, kept_of, step_of
from .request_matching import RequestKey
from .training_data import MARKER
from .yaml_format import CassetteFile, Metadata

Mode: TypeAlias = Literal["none", "once", "new_episodes", "all", "rewrite"]

HOW_TO_RECORD = (
    "to record: use_cassette(…, mode='new_episodes') sends what is missing and adds it, mode='rewrite' all anew "
    "(in pytest: --fine-tuning-record=new_episodes, or rewrite)"
)


class Cassette:
    """What replays and records inside of `use_cassette`, which gives it."""

    def __init__(
        self,
        path: Path,
        mode: Mode,
        stored: CassetteFile | None,
        manner: RecordOptions,
        hosts: frozenset[str],
        patience: int,
    ) -> None:
        self.path = path
        self.mode: Mode = mode
        self.header: Metadata | None = stored.header if stored else None
        self.play_count = 0
        self.may_ask: Callable[[str], bool] = lambda url: True
        """Whether a request to this address, which is to be recorded, may be sent."""
        self._manner = manner
        self._hosts = hosts
        self._lock = threading.Lock()
        self._old = stored.interactions if stored else ()
        self._meanings = [meaning_of_request(each.asked) for each in self._old]
        self._aliases = {replace(each, told="").key: each.key for each in self._meanings if each.told}
        """What requests mean in which what was scrubbed comes back, as ids from answers do."""
        pairs = zip(self._old, self._meanings, strict=True)
        self._plays = mode in ("none", "new_episodes") or (mode == "once" and stored is not None)
        self._player = Replayer([step_of(*each) for each in pairs] if self._plays else [], patience)
        self._new: list[Interaction] = []
        self._asked_again: list[Request] = []
        self._misses: dict[str, CassetteMissError] = {}
        self._broken: CassetteError | None = None
        self._scrubbed_served: set[str] = set()
        self._last_was_played = self._plays

    @property
    def records(self) -> bool:
        """Whether a request that is not in the cassette is sent, and recorded."""
        return self.mode != "none" and not (self.mode == "once" and self._plays)

    @property
    def plays(self) -> bool:
        """Whether what is in the cassette is answered from it."""
        return self._plays

    @property
    def is_of_azure(self) -> bool:
        """Whether there is a request to Azure in it, by the path that only Azure has."""
        return any("/openai/" in urlsplit(each.asked.uri).path for each in self._old)

    @property
    def replaying(self) -> bool:
        """Whether nobody need wait: answers come from the cassette, as the last one did."""
        return not self.records or (self._plays and self._last_was_played)

    @property
    def unused(self) -> list[str]:
        """What was recorded and not asked for: a line for each. Looks that were not needed are none of them."""
        return [self._line(index) for index in self._player.unused]

    @property
    def misses(self) -> list[CassetteMissError]:
        """The requests that were refused, each once."""
        return list(self._misses.values())

    @property
    def recorded(self) -> int:
        """How many interactions have been recorded; they are written at the end of the block."""
        return len(self._new)

    def handles(self, url: str) -> bool:
        """Whether a request to *url* is for the cassette; all others go where they were sent."""
        return is_for_api(url, self._hosts)

    def replay(self, asked: Request) -> Response | None:
        """The recorded answer; None where the request is to be sent.

        Raises:
            CassetteMissError: there is none, and the mode does not allow to send it.
        """
        if self.records and not self.may_ask(asked.uri):
            raise self._unexpected(asked)
        if not self._plays:
            return None
        with self._lock:
            meaning = meaning_of_request(asked)
            index, why = self._found(meaning)
            self._last_was_played = index is not None
            if index is not None:
                self._asked_again += [asked] if self.records else []
                return self._played(index)
            if not self.records:
                raise self._missed(meaning, why)
            return None

    def record(self, asked: Request, answer: Response) -> None:
        """Keep an interaction that has just been, until the end of the block."""
        with self._lock:
            try:
                self._new.append(Interaction(asked, decode_body(answer, asked.uri)))
            except CassetteError as error:
                self._broken = self._broken or error

    def finish(self, at: float) -> None:
        """Write what was recorded, if anything was.

        Raises:
            CassetteError: something may not be, or cannot be, written; the file is as it was.
        """
        if not self._new:
            return
        old = self._merged()
        head = header_of(self._manner, self.mode, at, self.header if old else None, self._new)
        write(self.path, text_for(str(self.path), self._manner, head, old, self._new, self._asked_again))
        self.header = head

    def check(self) -> None:
        """Raise what was refused: a client may have taken it for a broken connection.

        Raises:
            CassetteMissError: something is not in the cassette.
            CassetteError: something could not be recorded.
        """
        if self._broken:
            raise self._broken
        if len(self._misses) > 1:
            raise CassetteMissError(
                f"{len(self._misses)} requests were not in the cassette.\n" + "\n".join(self._misses)
            )
        for miss in self._misses.values():
            raise miss

    def scrubbed_answers(self) -> list[str]:
        """The addresses that were answered with marks in place of training data."""
        return sorted(self._scrubbed_served)

    def _found(self, meaning: RequestKey) -> tuple[int | None, NoAnswerLeft | None]:
        alias = self._aliases.get(meaning.key)
        keys = [meaning.key] if alias is None else [meaning.key, alias]
        try:
            return next((at for at in map(self._player.answer, keys) if at is not None), None), None
        except NoAnswerLeft as why:
            return None, why

    def _played(self, index: int) -> Response:
        self.play_count += 1
        answer = self._old[index].answer
        if header(answer.headers, MARKER[0]) == MARKER[1]:
            self._scrubbed_served.add(self._line(index))
        return answer

    def _unexpected(self, asked: Request) -> CassetteError:
        place = urlsplit(asked.uri).netloc
        error = CassetteError(
            f"{self.path}: {asked.method} {place} would be recorded, and it is not whom the recording is to be from: "
            "give this client the address in OPENAI_BASE_URL"
        )
        self._broken = self._broken or error
        return error

    def _missed(self, meaning: RequestKey, why: NoAnswerLeft | None) -> CassetteMissError:
        kind = CassetteStuckError if isinstance(why, PollingStuck) else CassetteMissError
        said = f"{meaning.method} /{meaning.path} cannot be answered from the cassette {self.path}"
        lines = [f"{said}: {why or 'nothing recorded matches it'}", *self._near(meaning, why), *self._advice()]
        error = kind("\n  ".join(lines))
        return self._misses.setdefault(str(error), error)

    def _advice(self) -> list[str]:
        """What this is a recording of, and how to record what it has not."""
        head = self.header or Metadata()
        if self.path.parent == FOLDER:
            return [f"this session comes with fine_tuning_cassettes, and is only read. It has: {head.about}"]
        return [*([f"it was recorded by {head.test}"] if head.test else []), HOW_TO_RECORD]

    def _near(self, meaning: RequestKey, why: NoAnswerLeft | None) -> list[str]:
        found = None if why else nearest(self._meanings, meaning)
        if found is None:
            return []
        index, differing = found
        return [
            f"nearest is {self._line(index)}, which differs in",
            *(f"  {line}" for line in render_difference(differing)),
        ]

    def _line(self, index: int) -> str:
        meaning = self._meanings[index]
        return f"#{index + 1} {meaning.method} /{meaning.path} ({self._old[index].answer.status})"

    def _merged(self) -> list[Interaction]:
        """What stays of an older recording: in mode "all" it is what was not asked for again."""
        if self.mode == "all":
            again = {meaning_of_request(each.asked).key for each in self._new}
            return kept_of(self._old, self._meanings, again)
        return list(self._old) if self.mode == "new_episodes" else []
