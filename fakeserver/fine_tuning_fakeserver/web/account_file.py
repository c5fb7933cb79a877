"""An account as one file: a zip of settings, records, request log and contents.

``account.json`` has the version, the settings and what is no record; ``records.jsonl`` a record a line;
``requests.jsonl`` the request log, redacted; ``blobs/`` the contents, named by their sha256. API keys are in it as
digests only, and secrets of webhooks not at all.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from typing import IO, Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.token_estimate import ESTIMATE

from ..account.blobs import CHUNK_BYTES, Blob, BlobWriter
from ..account.log_format import read_entry, write_entry
from ..account.record_format import check_version, read_record, write_record
from ..account.records import FileUploaded, Record, WebhookAdded, content_of
from ..account.request_log import FailedAssertion, StoredLog, secrets_of
from ..account.settings_format import read_settings, write_settings
from ..account.stored_account import StoredAccount
from ..clock import elapsed
from ..domain.webhook_events import WebhookConfig, check_webhook_url, derived_secret
from ..settings import Settings
from ..usage_errors import FakeUsageError
from ..version import VERSION
from .script_format import read_scripts, write_scripts

FILE_VERSION = 1
KNOWN_VERSIONS: Mapping[int, object] = {1: "the first"}
ACCOUNT, RECORDS, REQUESTS, BLOBS = "account.json", "records.jsonl", "requests.jsonl", "blobs/"

UNPACKED_AT_MOST = 4 * 1024**3
"""How many bytes a file may unpack to: more than anyone's training files, and less than a disk."""
TEXT_AT_MOST = 1024**3
"""How many bytes each of the three texts may have: they are read into memory."""
MEMBERS_AT_MOST = 100_000

_FIXED_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of all members: the same account gives the same bytes."""
_BLOB_NAME = re.compile(r"blobs/[0-9a-f]{64}")


class AccountFileError(FakeUsageError):
    """A file is no saved account, or one that cannot be read."""


class _FailedAssertion(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    text: str
    request: int | None
    problems: list[str]


class _Requests(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    count: int
    forgotten: int
    slept_s: float
    errors_read_to: int
    notes: list[str]
    failed_assertions: list[_FailedAssertion] = []


class _Account(BaseModel):
    """``account.json``, but for its version."""

    model_config = ConfigDict(extra="forbid", strict=True)

    written_by: str
    settings: dict[str, Any]
    born: float
    now: float
    awaited: float
    beginning: int
    requests: _Requests
    in_vain: dict[str, dict[str, int]]
    scripts: dict[str, Any]
    real_s: float
    left_out: list[str]


# ---- writing


class _ContentsWriter:
    """Puts contents into a zip, each once; from *at_most* bytes in all on, only their digests are kept."""

    def __init__(self, archive: zipfile.ZipFile, at_most: float) -> None:
        self._archive, self._left = archive, at_most
        self._known: dict[str, None] = {}
        self.left_out: list[str] = []

    def put(self, content: Blob) -> str:
        digest = hashlib.sha256()
        for chunk in content.chunks():
            digest.update(chunk)
        name = digest.hexdigest()
        if name not in self._known:
            self._known[name] = None
            if content.size > self._left:
                self.left_out.append(name)
            else:
                self._left -= content.size
                with _member(self._archive, BLOBS + name) as member:
                    for chunk in content.chunks():
                        member.write(chunk)
        return name


def account_file(stored: StoredAccount, contents_at_most: int | None = None) -> bytes:
    """Return an account as a file; see `write_account`."""
    out = BytesIO()
    write_account(stored, out, UNPACKED_AT_MOST if contents_at_most is None else contents_at_most)
    return out.getvalue()


def write_account(stored: StoredAccount, out: IO[bytes], contents_at_most: float = UNPACKED_AT_MOST) -> None:
    """Write an account to a file.

    Args:
        stored: the account.
        out: the file, which can be sought in.
        contents_at_most: how many bytes of contents are kept; of the rest, only the digests.

    Raises:
        FakeUsageError: a script holds what cannot be stored.
    """
    scripts, log = write_scripts(stored.scripts), stored.log
    known = secrets_of(log.entries)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        contents = _ContentsWriter(archive, contents_at_most)
        # all at first: they put contents into the zip, which has one member open at a time
        size = sum(content.size for record in stored.records if (content := content_of(record)))
        records = map(_with_tokens, stored.records) if size > contents_at_most else stored.records
        lines = [write_record(_without_secret(record), contents) for record in records]
        _write_lines(archive, RECORDS, iter(lines))
        _write_lines(archive, REQUESTS, (write_entry(entry, known) for entry in log.entries))
        account = _Account(
            written_by=VERSION,
            settings=write_settings(stored.settings),
            born=stored.born,
            now=stored.now,
            awaited=stored.awaited,
            beginning=stored.beginning,
            requests=_Requests(
                count=log.count,
                forgotten=log.forgotten,
                slept_s=log.slept_s,
                errors_read_to=log.errors_read_to,
                notes=[*log.notes],
                failed_assertions=[_failed_assertion(failed.redacted(known)) for failed in log.failed_assertions],
            ),
            in_vain={job: dict(looks) for job, looks in stored.in_vain.items()},
            scripts=scripts,
            real_s=elapsed(),
            left_out=contents.left_out,
        )
        members = {"format": "fake-fine-tuning account", "version": FILE_VERSION, **account.model_dump()}
        with _member(archive, ACCOUNT) as member:
            member.write(orjson.dumps(members, option=orjson.OPT_INDENT_2))


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    info = zipfile.ZipInfo(name, _FIXED_DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return archive.open(info, "w", force_zip64=True)


def _write_lines(archive: zipfile.ZipFile, name: str, lines: Iterator[bytes]) -> None:
    with _member(archive, name) as member:
        for line in lines:
            member.write(line + b"\n")


def _failed_assertion(failed: FailedAssertion) -> _FailedAssertion:
    return _FailedAssertion(text=failed.text, request=failed.request, problems=[*failed.problems])


def _without_secret(record: Record) -> Record:
    if isinstance(record, WebhookAdded):
        return WebhookAdded(replace(record.endpoint, secret=""))
    return record


def _with_tokens(record: Record) -> Record:
    """Return the record of a file with its tokens, which cannot be counted any more where its content is left out."""
    if not isinstance(record, FileUploaded) or record.file.dataset is None or record.file.dataset.tokens is not None:
        return record
    file, dataset = record.file, record.file.dataset
    if file.content.is_dropped:  # no job can need them
        return record
    counted = replace(dataset, tokens=file.content.count_tokens(ESTIMATE))
    return FileUploaded(replace(file, dataset=counted))


# ---- reading


@dataclass(slots=True)
class _ContentsReader:
    """Gets contents out of a zip, each once."""

    archive: zipfile.ZipFile
    left_out: frozenset[str]
    known: dict[str, Blob]

    def get(self, digest: str, size: int) -> Blob:
        if digest in self.left_out:
            return Blob.dropped(size)
        if digest not in self.known:
            self.known[digest] = self._read(digest, size)
        return self.known[digest]

    def _read(self, digest: str, size: int) -> Blob:
        name = f"{BLOBS}{digest}"
        if not _BLOB_NAME.fullmatch(name) or name not in self.archive.namelist():
            raise AccountFileError(f"the file has no contents of the digest {digest!r}")
        found, writer = hashlib.sha256(), BlobWriter()
        with self.archive.open(name) as member:
            while chunk := member.read(CHUNK_BYTES):
                found.update(chunk)
                writer.write(chunk)
        if found.hexdigest() != digest or writer.size != size:
            raise AccountFileError(f"the contents of the digest {digest} are others than those that were saved")
        return writer.seal()


def read_account(source: IO[bytes], *, allow_remote_webhooks: bool = False) -> StoredAccount:
    """Read an account from a file that `write_account` has written.

    Args:
        source: the file, which can be sought in.
        allow_remote_webhooks: whether the account's webhooks may go to another machine.

    Raises:
        FakeUsageError: it is not a saved account, a newer version has written it, it is damaged, or it is too large.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            _check_members(archive)
            return _read(archive, allow_remote_webhooks)
    except FakeUsageError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise AccountFileError(f"the file must be a whole zip of a saved account: {error}") from None
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise AccountFileError(f"the file is a damaged account: {type(error).__name__}: {error}") from None


def _check_members(archive: zipfile.ZipFile) -> None:
    """Refuse a zip with other members than an account's, or too large ones; nothing is unpacked by their names.

    Raises:
        AccountFileError: it is such a zip.
    """
    members = archive.infolist()
    names = [member.filename for member in members]
    for name in names:
        if name not in (ACCOUNT, RECORDS, REQUESTS) and not _BLOB_NAME.fullmatch(name):
            raise AccountFileError(f"a saved account has no member {name[:200]!r}")
    if len(set(names)) < len(names):
        raise AccountFileError("a saved account has no member twice")
    if missing := [name for name in (ACCOUNT, RECORDS, REQUESTS) if name not in names]:
        raise AccountFileError(f"the file must be a zip of a saved account, which has a member {missing[0]}")
    texts = [member for member in members if not member.filename.startswith(BLOBS)]
    if max(text.file_size for text in texts) > TEXT_AT_MOST or len(members) > MEMBERS_AT_MOST:
        raise AccountFileError(f"the texts of a saved account must unpack to at most {TEXT_AT_MOST} bytes each")
    if (size := sum(member.file_size for member in members)) > UNPACKED_AT_MOST:
        raise AccountFileError(f"a saved account must unpack to at most {UNPACKED_AT_MOST} bytes, got {size}")


def _read(archive: zipfile.ZipFile, allow_remote_webhooks: bool) -> StoredAccount:
    members = orjson.loads(archive.read(ACCOUNT))
    if not isinstance(members, dict) or members.pop("format", None) != "fake-fine-tuning account":
        raise AccountFileError(f"{ACCOUNT} must be that of an account of fake-fine-tuning")
    check_version(members.pop("version", None), "a saved account", KNOWN_VERSIONS)
    try:
        account = _Account.model_validate(members)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise AccountFileError(f"{ACCOUNT}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    settings = read_settings(account.settings, allow_remote_webhooks=allow_remote_webhooks)
    contents = _ContentsReader(archive, frozenset(account.left_out), {})
    with archive.open(RECORDS) as lines:
        records = [read_record(line, contents) for line in lines]
    with archive.open(REQUESTS) as lines:
        passed_s, requests = elapsed() - account.real_s, account.requests
        entries = [read_entry(line, passed_s) for line in lines]
    failed = [FailedAssertion(each.text, each.request, tuple(each.problems)) for each in requests.failed_assertions]
    log = StoredLog(entries, **{**requests.model_dump(), "failed_assertions": failed})
    return StoredAccount(
        settings=settings,
        born=account.born,
        now=account.now,
        awaited=account.awaited,
        records=list(_with_secrets(records, settings)),
        beginning=account.beginning,
        log=log,
        scripts=read_scripts(account.scripts),
        in_vain=account.in_vain,
    )


def _with_secrets(records: list[Record], settings: Settings) -> Iterator[Record]:
    """Give the webhooks their derived secrets: that of one which was given is not in the file.

    Raises:
        FakeUsageError: a webhook is on another machine, and that is not allowed.
    """
    made = len(settings.webhooks)
    for record in records:
        if isinstance(record, WebhookAdded):
            endpoint = record.endpoint
            config = WebhookConfig(endpoint.url, None, endpoint.events)
            check_webhook_url(config, remote_allowed=settings.allow_remote_webhooks)
            yield WebhookAdded(replace(endpoint, secret=derived_secret(settings.seed, made)))
            made += 1
        else:
            yield record
