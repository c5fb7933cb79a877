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
Reads the Azure SDK test proxy's JSON, VCR cassettes (vcrpy's and Ruby's YAML), and HAR files. Into a fresh account goes
only what requests do not say: ids, times, seeds, the organisation, how jobs ended.

\b
  exact           status and body are the recorded ones, byte for byte
  same shape      the same but for ids, times and numbers
  differs         the first difference is shown
  not applicable  the fake has no such route or state

Exit codes: 0 nothing differs, 1 something does, 2 there is nothing to verify.
"""


@click.command(cls=Command, epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")
@click.option("--dialect", **DIALECT, type=OneOf((*DIALECTS, AUTO)), show_default=True)
def command(paths: Sequence[Path], as_json: bool, dialect: str) -> int:
    """Compare the fake with recorded exchanges with the service.

    PATH is a recording, or a folder of recordings. The dialect "auto" is, for each exchange, that of its date.
    """
    from ..verify import replay  # here and below, so that help is quick
    from ..verify.recording import RecordingError

    passed_over: list[str] = []
    try:
        verified = [_verify(recording, dialect) for recording in _read(paths, passed_over)]
    except RecordingError as error:
        return print_error(error)
    totals = replay.totals(verified)
    if as_json:
        print(json.dumps(replay.results_as_json(verified, passed_over), indent=2))
    else:
        for text in passed_over:
            print_note(f"passed over: {text}")
        for recording in verified:
            print(*map(printable, replay.result_lines(recording)), sep="\n")
        print(replay.totals_line(totals))
    return 1 if totals["differs"] else 0


def _read(paths: Iterable[Path], passed_over: list[str]) -> list[Recording]:
    """Read the recordings at *paths*; pass over files of a folder that are not recordings. Raise RecordingError."""
    from ..verify.readers import find_files, read_recording
    from ..verify.recording import NotARecordingError

    recordings: list[Recording] = []
    for path, is_named in find_files(paths):
        try:
            recordings.append(read_recording(path))
        except NotARecordingError as error:
            if is_named:
                raise
            passed_over.append(str(error))
    if not recordings:
        raise NotARecordingError(passed_over[0])
    return recordings


def _verify(recording: Recording, dialect: str) -> VerifiedRecording:
    from ..verify.recording import RecordingError
    from ..verify.replay import verify_in_dialect

    try:
        return verify_in_dialect(recording, dialect)
    except (FakeUsageError, RecursionError) as error:
        raise RecordingError(f"{recording.path}: the fake has no account for this recording: {error}") from None
