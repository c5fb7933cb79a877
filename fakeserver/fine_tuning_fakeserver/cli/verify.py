"""`fake-fine-tuning verify`: replay recorded exchanges with the service against the fake."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fine_tuning_formats.text import printable

from ..domain.dialects import DIALECTS
from ..usage_errors import FakeUsageError
from ..verify import AUTO
from .commands import DIALECT, Command, OneOf
from .output import print_error, print_note

if TYPE_CHECKING:
    from ..verify.recording import Recording
    from ..verify.replay import VerifiedRecording

EPILOG = """\
Reads the Azure SDK test proxy's JSON, VCR cassettes (vcrpy's and Ruby's, in YAML and JSON), and HAR files. Into a fresh
account goes only what requests do not say: ids, times, seeds, the organisation, how jobs ended.

\b
  exact           status and body are the recorded ones, byte for byte
  same shape      the same but for ids, times and numbers
  differs         the first difference is shown
  not applicable  the fake has no such route or state, or the body is unknown
  unreadable      of a file: why; the others are verified all the same

Exit codes: 0 nothing differs, 1 something does (with --strict: something is not exact), 2 a file is unreadable, or
there is nothing to verify.
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")
@click.option("--strict", is_flag=True, help="Fail unless every answer that can be compared is exact.")
@click.option("--dialect", **DIALECT, type=OneOf((*DIALECTS, AUTO)), show_default=True)
def command(paths: Sequence[Path], as_json: bool, strict: bool, dialect: str) -> int:
    """Compare the fake with recorded exchanges with the service.

    PATH is a recording, or a folder of recordings. The dialect "auto" is, for each exchange, that of its provider, by
    host and path, and of its date.
    """
    from ..verify import replay  # here and below, so that help is quick
    from ..verify.recording import RecordingError

    passed_over: list[str] = []
    unreadable: dict[Path, str] = {}
    try:
        recordings = _read(paths, passed_over, unreadable)
    except RecordingError as error:
        return print_error(error)
    verified = [each for each in (_verify(recording, dialect, unreadable) for recording in recordings) if each]
    totals = replay.totals(verified)
    if as_json:
        print(json.dumps(replay.results_as_json(verified, passed_over, unreadable), indent=2))
    else:
        for text in passed_over:
            print_note(f"passed over: {text}")
        for each in verified:
            print(*map(printable, replay.result_lines(each)), sep="\n")
        for path, reason in unreadable.items():
            print(printable(str(path)), printable(f"  unreadable: {reason}"), sep="\n")
        print(replay.totals_line(totals, len(unreadable)))
    if unreadable:
        return 2
    return 1 if totals["differs"] or (strict and totals["same shape"]) else 0


def _read(paths: Iterable[Path], passed_over: list[str], unreadable: dict[Path, str]) -> list[Recording]:
    """Read the recordings at *paths*; pass over files of a folder that are not recordings, note those that are broken.

    Raises:
        RecordingError: a path does not exist, or no file is a recording.
    """
    from ..verify.readers import find_files, read_recording
    from ..verify.recording import NotARecordingError, RecordingError

    recordings: list[Recording] = []
    for path, is_named in find_files(paths):
        try:
            recordings.append(read_recording(path))
        except RecordingError as error:
            if isinstance(error, NotARecordingError) and not is_named:
                passed_over.append(str(error))
            else:
                unreadable[path] = str(error).removeprefix(f"{path}: ")
    if not recordings and not unreadable:
        raise NotARecordingError(passed_over[0])
    return recordings


def _verify(recording: Recording, dialect: str, unreadable: dict[Path, str]) -> VerifiedRecording | None:
    """Verify a recording; return None, and note why, if it cannot be replayed."""
    from ..verify.replay import verify_in_dialect

    try:
        return verify_in_dialect(recording, dialect)
    except (FakeUsageError, RecursionError) as error:
        unreadable[recording.path] = f"the fake has no account for this recording: {error}"
    except Exception as error:  # whatever a broken recording has led to: the others are verified all the same
        unreadable[recording.path] = f"it cannot be replayed: {type(error).__name__}: {error}"
    return None
