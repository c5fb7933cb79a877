"""Identifiers that are functions of what they name: nothing is drawn at read time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b

from fine_tuning_formats.lazy_dataclass import dataclass

# recording: the order the service itself uses in the time part of model ids (ModelsTests/ListModels).
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
HEX = "0123456789abcdef"
_PAIRS = {digits: [first + second for first in digits for second in digits] for digits in (ALPHABET, HEX)}
_DIGITS = {digits: {digit: value for value, digit in enumerate(digits)} for digits in (ALPHABET, HEX)}

MODEL_EPOCH = 1_576_800_000
"""Unix second 0 of the time written in a fine-tuned model's id: 2019-12-20 00:00:00 UTC."""


@dataclass(frozen=True, slots=True)
class IdShape:
    """The form of ids of one kind: a prefix, then so many digits.

    The last `masked` digits of an event's id are its ordinal, see `event_id`.
    """

    prefix: str
    width: int
    digits: str = ALPHABET
    masked: int = 7


# recording: lengths as of 2025-09; files had 24 characters until 2024-10.
SHAPES: Mapping[str, IdShape] = {
    "job": IdShape("ftjob-", 24),
    "event": IdShape("ftevent-", 24),
    "checkpoint": IdShape("ftckpt_", 24),
    "file": IdShape("file-", 22),
    "org": IdShape("org-", 24),
    "permission": IdShape("cp_", 24),
    "project": IdShape("proj_", 24),
}
_EVENT = SHAPES["event"]
_MASKS: int = 62**7


def to_digits(number: int, width: int, digits: str = ALPHABET) -> str:
    """Write *number* with these digits, padded to *width* characters; higher digits are dropped."""
    pairs, square = _PAIRS[digits], len(digits) ** 2
    number %= len(digits) ** width  # shorter numbers are quicker to divide
    written = ""
    for _ in range((width + 1) // 2):
        number, pair = divmod(number, square)
        written = pairs[pair] + written
    return written[-width:]


def from_digits(text: str, digits: str = ALPHABET) -> int | None:
    """Read *text* as a number with these digits; None if a character is not among them."""
    values, base, number = _DIGITS[digits], len(digits), 0
    for character in text:
        if (digit := values.get(character)) is None:
            return None
        number = number * base + digit
    return number


def derived_number(*parts: object) -> int:
    """Return a 256-bit number that depends on *parts* and nothing else."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest())


def derived_id(kind: str, *parts: object, shapes: Mapping[str, IdShape] = SHAPES) -> str:
    """Return the id of a *kind* (job, checkpoint, file, org) named by *parts*."""
    shape = shapes[kind]
    return shape.prefix + to_digits(derived_number(kind, *parts), shape.width, shape.digits)


@lru_cache(128)
def account_ids(seed: int) -> tuple[str, str]:
    """Return the ids of organization and project of an account; tests begin many of one seed."""
    return derived_id("org", seed), derived_id("project", seed)


def timed_id(prefix: str, at: float, *parts: object) -> str:
    """Return an id of the newer kind: *prefix*, 8 hex digits of Unix time, and 24 derived ones.

    Source: recordings UploadsTests (``upload_68cb2a7db1008191…``: the digits 13 to 15 are always 819).
    """
    noise = derived_number(prefix, *parts)
    return f"{prefix}{int(at):08x}{noise >> 240:04x}819{noise % 16**17:017x}"


def request_id(seed: int, ordinal: int | str) -> tuple[str, int]:
    """Return the ``x-request-id`` of the account's *ordinal*-th request, and 16 more derived bits."""
    number = derived_number("request", seed, ordinal)
    return f"req_{number >> 128:032x}", number & 0xFFFF


def event_id(job_id: str, ordinal: int, shape: IdShape = _EVENT) -> str:
    """Return the id of the *ordinal*-th event of a job; `event_ordinal` leads back.

    Most characters are a tag derived from job and ordinal, the last ones are the ordinal itself, masked by the tag:
    the id looks random, and is a page cursor that needs no search.
    """
    tag = to_digits(derived_number("event", job_id, ordinal), shape.width - shape.masked, shape.digits)
    return f"{shape.prefix}{tag}{to_digits(ordinal + _mask(job_id, tag), shape.masked, shape.digits)}"


def event_ordinal(job_id: str, identifier: str, shape: IdShape = _EVENT) -> int | None:
    """Return the ordinal of the job's event with this id; None if the job has no such event."""
    body, tag = identifier.removeprefix(shape.prefix), shape.width - shape.masked
    masked = from_digits(body[tag:], shape.digits)
    if len(body) != shape.width or masked is None:
        return None
    ordinal: int = (masked - _mask(job_id, body[:tag])) % len(shape.digits) ** shape.masked
    return ordinal if event_id(job_id, ordinal, shape) == identifier else None


def _mask(job_id: str, tag: str) -> int:
    return derived_number("event-mask", job_id, tag) % _MASKS


TICKS_A_SECOND = 10_000_000
TICKS_AT_UNIX_EPOCH = 62_135_596_800 * TICKS_A_SECOND
TICKS_WIDTH = 15


def ticks(at: float, ordinal: int) -> int:
    """Return a time as .NET counts it, in tenths of a microsecond since the year 1, *ordinal* of them later.

    So events of one instant differ, too.
    """
    seconds = int(at)
    return TICKS_AT_UNIX_EPOCH + seconds * TICKS_A_SECOND + int((at - seconds) * TICKS_A_SECOND) + ordinal


def ticks_id(shape: IdShape, at: int) -> str:
    """Return an id made of a time in ticks, twice (printed outputs of Azure's events of training steps)."""
    return f"{shape.prefix}{'0' * (shape.width - 2 * TICKS_WIDTH)}{f'{at:0{TICKS_WIDTH}x}' * 2}"


def ticks_of(shape: IdShape, identifier: str) -> int | None:
    """Return the ticks of which an id is made; None if it is another one."""
    half = from_digits(identifier[-TICKS_WIDTH:], HEX)
    return half if half is not None and ticks_id(shape, half) == identifier else None


MODELS_A_SECOND: int = 62**3
_MODEL_STRIDE = 147_263
"""From the digits of one job's model to those of the next job's: it shares no factor with `MODELS_A_SECOND`."""
_STRIDE_INVERSE = pow(_MODEL_STRIDE, -1, MODELS_A_SECOND)


def model_token(created_at: float, noise: int) -> str:
    """Return the last 8 characters of a model id: 5 of time, 3 of *noise* (recording: 20 models of a list)."""
    return to_digits(int(created_at) - MODEL_EPOCH, 5) + to_digits(noise, 3)


def model_noise(job_number: int, *parts: object) -> int:
    """Return the noise of a job's model: of `MODELS_A_SECOND` jobs of an account, each with the same *parts*, no two
    have the same.
    """
    return _first_noise(*parts) + job_number * _MODEL_STRIDE


@lru_cache(256)
def _first_noise(*parts: object) -> int:
    return derived_number("model", *parts) % MODELS_A_SECOND


def model_makers(model: str, organization: str, jobs: int) -> range:
    """Return which of so many jobs of an organization, by their numbers, may have made a model; see `model_noise`."""
    name, is_checkpoint, step = model.partition(":ckpt-step-")
    token = name.rpartition(":")[2]
    noise = from_digits(token[5:])
    is_step = step.isascii() and step.isdecimal() and len(step) < 16
    if noise is None or len(token) != 8 or (is_checkpoint and not is_step):
        return range(0)
    first = _first_noise(organization, int(step) if is_checkpoint else None)
    return range((noise - first) * _STRIDE_INVERSE % MODELS_A_SECOND, jobs, MODELS_A_SECOND)


def model_time(model: str) -> int | None:
    """Return the Unix second written in a fine-tuned model's id, with or without ``:ckpt-step-N``."""
    name = model.partition(":ckpt-step-")[0]
    token = name.rpartition(":")[2][:5] if name.count(":") >= 4 else ""  # a suffix may have colons of its own
    seconds = from_digits(token)
    return None if seconds is None or len(token) < 5 else seconds + MODEL_EPOCH
