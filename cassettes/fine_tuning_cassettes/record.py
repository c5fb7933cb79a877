"""Turn interactions into the text of a cassette: without training data and secrets, and checked for leaks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from fine_tuning_formats.lazy_dataclass import dataclass

from .errors import CassetteLeakError
from .messages import Interaction, RecordedRequest, decode_response, header_value
from .redaction import SCRUBBED, SecretMap, is_private_header, redact_request, redact_response, redact_uri
from .request_matching import RequestKey, request_key
from .resources import provider_of
from .scrub import Scrub
from .training_data import SCRUBBED_HEADER, Quotations, scrub_interaction, scrub_request, training_texts
from .yaml_format import CassetteFile, Metadata, check_round_trip, dump

LOCAL_SERVER = "a server on this machine, not OpenAI"
NO_SECRETS = SecretMap({})
NO_SCRUB = Scrub()
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]+\.[\w.-]+")

_keys: dict[tuple[bytes, Scrub], RequestKey] = {}
"""Keys by a digest of the request, so that an upload is parsed and redacted once, and no body stays in memory."""
MAX_KEYS = 1024


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """How interactions are written.

    Args:
        scrub_training_data: whether rows and prompts are replaced by digests.
        keep_headers: names of headers that are kept besides the harmless ones.
        recorded_from: the service that the header names; empty to derive it from the addresses.
        about: a line on what is recorded.
        test: the test that records, if it is one.
        source: the provider that is recorded; empty to derive it from the addresses.
        scrub: a user's own rules of what is not written.
    """

    scrub_training_data: bool = True
    keep_headers: tuple[str, ...] = ()
    recorded_from: str = ""
    about: str = ""
    test: str = ""
    source: str = ""
    scrub: Scrub = NO_SCRUB

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            if type(value) is not kind:
                raise ValueError(f"{field.name} must be of type {kind.__name__}, got {value!r}")
        for name in self.keep_headers:
            if is_private_header(name):
                raise ValueError(f"keep_headers must name headers without secrets, got {name!r}")


def redacted_key(request: RecordedRequest, scrub: Scrub = NO_SCRUB) -> RequestKey:
    """Return the key of a request, as sent or as stored, without secrets, training data and what *scrub* removes.

    It depends on the request alone, so that what else is recorded cannot change it, and not on headers: who sends a
    request, with which API key, does not matter.
    """
    # the type of a form adds only its boundary, which is never the same
    kept = ("content-type",) if request.form is None else ()
    bare = replace(request, headers=tuple(header for header in request.headers if header[0] in kept))
    place = (_digest(bare), scrub)
    key = _keys.get(place)
    if key is None:
        scrubbed = scrub_request(bare)
        redacted = scrub.change_request(redact_request(scrubbed, SecretMap.collect([scrubbed])))
        key = replace(request_key(redacted), original_key=request.original_key)
        if len(_keys) >= MAX_KEYS:
            _keys.clear()
        _keys[place] = key
    return key


def render_cassette(
    name: str,
    options: RecordOptions,
    metadata: Metadata,
    old: Sequence[Interaction],
    new: Sequence[Interaction],
    replayed: Sequence[RecordedRequest] = (),
) -> str:
    """Return the text of a cassette.

    Args:
        name: the file, for messages.
        options: how to write.
        metadata: the header.
        old: interactions of the cassette that stay.
        new: interactions that have just been recorded, secrets included.
        replayed: requests that were answered from *old*: *new* may quote their secrets and training data.

    Raises:
        CassetteLeakError: a secret is in the text after all.
        CassetteError: a response cannot be searched for secrets.
        CassetteFileError: it cannot be written as YAML.
    """
    decoded = [replace(each, response=decode_response(each.response, each.request.uri)) for each in (*old, *new)]
    requests = [*(interaction.request for interaction in decoded), *replayed]
    secrets = SecretMap.collect(requests, [interaction.response for interaction in decoded])
    metadata = _redact_metadata(metadata, secrets, options.scrub)
    file = CassetteFile(metadata, tuple(_redact_interactions(decoded, replayed, secrets, options)))
    text = dump(file)
    check_round_trip(text, file, name)
    if secrets.leaks_in(text):
        raise CassetteLeakError(f"{name}: a secret that was sent is still in the text to write; nothing was written")
    return text


def build_metadata(
    options: RecordOptions, mode: str, now: float, old: Metadata | None, new: Sequence[Interaction]
) -> Metadata:
    """Return the header of a cassette. Additions leave a recording as old as it was."""
    secrets = SecretMap.collect([interaction.request for interaction in new])
    agents = {secrets.redact(header_value(interaction.request.headers, "user-agent")) for interaction in new} - {""}
    urls = [urlsplit(redact_uri(interaction.request.uri, NO_SECRETS)) for interaction in new]
    services = {LOCAL_SERVER if url.hostname == "localhost" else f"{url.scheme}://{url.netloc}" for url in urls}
    recorded_at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    sources = {options.source or provider_of(interaction.request.uri) for interaction in new}
    if old:
        services.add(old.recorded_from)
        sources.add(old.source)
    return Metadata(
        recorded_at=(old.recorded_at if old and mode == "new_episodes" else "") or recorded_at,
        recorded_from=options.recorded_from or ", ".join(sorted(filter(None, services))),
        recorded_by=tuple(
            sorted({_EMAIL.sub(SCRUBBED, agent) for agent in agents} | set(old.recorded_by if old else ()))
        ),
        mode=mode,
        training_data="scrubbed" if options.scrub_training_data else "kept",
        about=options.about or (old.about if old else ""),
        test=options.test or (old.test if old else ""),
        source=sources.pop() if len(sources) == 1 else "",
    )


def _redact_metadata(metadata: Metadata, secrets: SecretMap, scrub: Scrub) -> Metadata:
    return replace(
        metadata,
        recorded_from=scrub.change_text(metadata.recorded_from),
        recorded_by=tuple(map(scrub.change_text, metadata.recorded_by)),
        about=scrub.change_text(secrets.redact(metadata.about)),
        test=scrub.change_text(secrets.redact(metadata.test)),
    )


def _redact_interactions(
    interactions: list[Interaction], replayed: Sequence[RecordedRequest], secrets: SecretMap, options: RecordOptions
) -> Iterator[Interaction]:
    texts: list[str] = []
    if options.scrub_training_data:
        for interaction in interactions:
            texts += training_texts(interaction.request, interaction.response)
        for request in replayed:
            texts += training_texts(request, None)
        # before the search for secrets: rows are most of a recording, and their digests hold none
        interactions = [scrub_interaction(interaction) for interaction in interactions]
    quotations = Quotations(texts, interactions)
    keep = {*options.keep_headers, SCRUBBED_HEADER[0]}
    for interaction in interactions:
        unquoted = quotations.remove_from(interaction)
        request = options.scrub.change_request(redact_request(unquoted.request, secrets, keep))
        original_key = redacted_key(interaction.request, options.scrub).key
        if redacted_key(request, options.scrub).key != original_key:
            request = replace(request, original_key=original_key)
        response = options.scrub.change_response(redact_response(unquoted.response, secrets, keep))
        yield Interaction(request, response)


def _digest(request: RecordedRequest) -> bytes:
    """Return a digest of all that the key of a request depends on."""
    parts = [replace(part, content=None) for part in request.form or ()]
    contents = [part.content for part in request.form or ()]
    sizes = [None if content is None else len(content) for content in contents]
    digest = hashlib.sha256(repr((replace(request, body=b"", form=None), request.form is None, parts, sizes)).encode())
    for content in (request.body, *contents):
        digest.update(content or b"")
    return digest.digest()
