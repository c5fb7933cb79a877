"""From what was sent and received to what is written: scrubbed, put together with what there was, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from .errors import CassetteLeakError
from .exchanges import Asked, Interaction, header
from .matching import Meaning, meaning_of
from .scrubbing import Secrets, scrubbed_answer, scrubbed_request
from .storing import Header, Stored, check, dumped
from .training import MARKER, Quotations, marked, texts_of, without_data

HERE = "a server on this machine, not OpenAI"
NOBODY = Secrets({})


@dataclass(frozen=True, slots=True)
class Manner:
    """How interactions are written.

    Args:
        scrub_training_data: whether rows and prompts are replaced by marks.
        keep_headers: names of headers that are kept besides the harmless ones.
        recorded_from: what the header says of the service; empty to tell it by the addresses.
        about: a line on what is recorded.
    """

    scrub_training_data: bool = True
    keep_headers: tuple[str, ...] = ()
    recorded_from: str = ""
    about: str = ""


def meaning_of_sent(asked: Asked) -> Meaning:
    """What a request means that is about to be sent, in terms of a cassette: without secrets and training data."""
    return meaning_of(marked(scrubbed_request(asked, Secrets.sent([asked]))))


def meaning_of_stored(asked: Asked) -> Meaning:
    """What a request means that comes from a cassette, scrubbed or not."""
    return meaning_of(marked(scrubbed_request(asked, NOBODY)))


def text_for(name: str, manner: Manner, header_: Header, old: Sequence[Interaction], new: Sequence[Interaction]) -> str:
    """The cassette as text.

    Args:
        name: the file, for messages.
        manner: how to write.
        header_: what it says of itself; the service and the clients are filled in.
        old: what was in it and is kept.
        new: what has just been recorded, secrets and all.

    Raises:
        CassetteLeakError: a secret is in it after all.
        CassetteFileError: it cannot be written as YAML.
    """
    secrets = Secrets.sent([each.asked for each in new], [each.answer for each in new])
    interactions = _scrubbed([*old, *new], secrets, manner)
    stored = Stored(header_, tuple(interactions))
    text = dumped(stored)
    check(text, stored, name)
    if secrets.left_in(text):
        raise CassetteLeakError(
            f"{name}: a secret that was sent is still in what would be written: nothing was written"
        )
    return text


def _scrubbed(interactions: Sequence[Interaction], secrets: Secrets, manner: Manner) -> list[Interaction]:
    keep = {*manner.keep_headers, MARKER[0]}
    clean = [
        Interaction(scrubbed_request(each.asked, secrets, keep), scrubbed_answer(each.answer, secrets, keep))
        for each in interactions
    ]
    if not manner.scrub_training_data:
        return clean
    texts = (text for each in clean for text in texts_of(each.asked, each.answer))
    quotations = Quotations.found(texts, clean)
    return [quotations.taken_out(without_data(each)) for each in clean]


def header_of(manner: Manner, mode: str, at: float, old: Header | None, new: Iterable[Interaction]) -> Header:
    """What a cassette says of itself. What was kept of an older recording makes it as old as that."""
    new = list(new)
    secrets = Secrets.sent([each.asked for each in new])
    agents = {secrets.out_of(header(each.asked.headers, "user-agent")) for each in new} - {""}
    places = {NOBODY.out_of(_place(each.asked.uri)) for each in new}
    return Header(
        recorded_at=(old and old.recorded_at) or datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        recorded_from=manner.recorded_from or _joined(places | ({old.recorded_from} if old else set())),
        recorded_by=tuple(sorted(agents | set(old.recorded_by if old else ()))),
        mode=mode,
        training_data="scrubbed" if manner.scrub_training_data else "kept",
        about=manner.about or (old.about if old else ""),
    )


def _place(uri: str) -> str:
    split = urlsplit(scrubbed_request(Asked("GET", uri), NOBODY).uri)
    return HERE if split.hostname == "localhost" else f"{split.scheme}://{split.netloc}"


def _joined(places: set[str]) -> str:
    return ", ".join(sorted(filter(None, places)))
