"""From what was sent and received to what is written: scrubbed, put together with what there was, and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from urllib.parse import urlsplit

from .body_decoding import decode_body
from .errors import CassetteLeakError
from .messages import Interaction, Request, Response, header
from .quotations import Quotations
from .redaction import SCRUBBED, SecretMap, scrubbed_answer, scrubbed_request
from .request_matching import RequestKey, request_key
from .training_data import MARKER, mark_rows, texts_of, without_data
from .yaml_format import CassetteFile, Metadata, check, dump

HERE = "a server on this machine, not OpenAI"
NOBODY = SecretMap({})
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]+\.[\w.-]+")


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """How interactions are written.

    Args:
        scrub_training_data: whether rows and prompts are replaced by marks.
        keep_headers: names of headers that are kept besides the harmless ones.
        recorded_from: what the header says of the service; empty to tell it by the addresses.
        about: a line on what is recorded.
        test: the test that records, if it is one.
    """

    scrub_training_data: bool = True
    keep_headers: tuple[str, ...] = ()
    recorded_from: str = ""
    about: str = ""
    test: str = ""


def meaning_of_request(asked: Request) -> RequestKey:
    """What a request means, sent or stored, without its secrets and training data.

    It is told by the request alone, and not by its headers: who asks, with which key, means nothing, and what else is
    recorded cannot change what a request means.
    """
    bare = replace(mark_rows(asked), headers=tuple(each for each in asked.headers if each[0] == "content-type"))
    return replace(request_key(scrubbed_request(bare, SecretMap.sent([bare]))), told=asked.meaning)


def text_for(
    name: str,
    manner: RecordOptions,
    header_: Metadata,
    old: Sequence[Interaction],
    new: Sequence[Interaction],
    played: Sequence[Request] = (),
) -> str:
    """The cassette as text.

    Args:
        name: the file, for messages.
        manner: how to write.
        header_: what it says of itself; the service and the clients are filled in.
        old: what was in it and is kept.
        new: what has just been recorded, secrets and all.
        played: requests that were answered from *old*: their secrets and training data may be told in *new*.

    Raises:
        CassetteLeakError: a secret is in it after all.
        CassetteError: an answer cannot be searched for secrets.
        CassetteFileError: it cannot be written as YAML.
    """
    everything = [Interaction(each.asked, decode_body(each.answer, each.asked.uri)) for each in (*old, *new)]
    secrets = SecretMap.sent([*(each.asked for each in everything), *played], [each.answer for each in everything])
    head = replace(header_, about=secrets.out_of(header_.about), test=secrets.out_of(header_.test))
    stored = CassetteFile(head, tuple(_written(everything, played, secrets, manner)))
    text = dump(stored)
    check(text, stored, name)
    if secrets.left_in(text):
        raise CassetteLeakError(
            f"{name}: a secret that was sent is still in what would be written: nothing was written"
        )
    return text


def _written(
    everything: Sequence[Interaction], played: Sequence[Request], secrets: SecretMap, manner: RecordOptions
) -> Iterator[Interaction]:
    # marks first: rows are most of what there is, and nothing of them is to be searched
    bare = [without_data(each) for each in everything] if manner.scrub_training_data else everything
    texts = chain(*(texts_of(*each) for each in _open_forms(everything, played))) if manner.scrub_training_data else ()
    quotations = Quotations.found(texts, bare)
    keep = {*manner.keep_headers, MARKER[0]}
    for without in bare:
        clean = quotations.taken_out(without)
        asked = scrubbed_request(clean.asked, secrets, keep)
        yield Interaction(_told(asked, without.asked), scrubbed_answer(clean.answer, secrets, keep))


def _open_forms(
    everything: Iterable[Interaction], played: Iterable[Request]
) -> Iterator[tuple[Request, Response | None]]:
    yield from ((each.asked, each.answer) for each in everything)
    yield from ((each, None) for each in played)


def _told(written: Request, sent: Request) -> Request:
    """*written* with a digest of what *sent* means, where it does not tell so itself."""
    meaning = meaning_of_request(sent).key
    return written if meaning_of_request(written).key == meaning else replace(written, meaning=meaning)


def header_of(
    manner: RecordOptions, mode: str, at: float, old: Metadata | None, new: Iterable[Interaction]
) -> Metadata:
    """What a cassette says of itself. What is added to an older recording leaves it as old as it is."""
    new = list(new)
    secrets = SecretMap.sent([each.asked for each in new])
    agents = {_EMAIL.sub(SCRUBBED, secrets.out_of(header(each.asked.headers, "user-agent"))) for each in new} - {""}
    places = {NOBODY.out_of(_place(each.asked.uri)) for each in new}
    kept = old if mode == "new_episodes" else None
    return Metadata(
        recorded_at=(kept and kept.recorded_at) or datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        recorded_from=manner.recorded_from or _join_fields(places | ({old.recorded_from} if old else set())),
        recorded_by=tuple(sorted(agents | set(old.recorded_by if old else ()))),
        mode=mode,
        training_data="scrubbed" if manner.scrub_training_data else "kept",
        about=manner.about or (old.about if old else ""),
        test=manner.test or (old.test if old else ""),
    )


def _place(uri: str) -> str:
    split = urlsplit(scrubbed_request(Request("GET", uri), NOBODY).uri)
    return HERE if split.hostname == "localhost" else f"{split.scheme}://{split.netloc}"


def _join_fields(places: set[str]) -> str:
    return ", ".join(sorted(filter(None, places)))
