"""`fake-fine-tuning verify`: recorded exchanges with the service, asked again of the fake."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..domain.dialects import DIALECTS
from ..domain.dialects.dialect import RECORDED
from ..usage_errors import FakeUsageError
from ..verify import summary
from ..verify.readers import find_files, read_recording
from ..verify.recording import NotARecordingError, Recording, RecordingError
from ..verify.replay import AUTO, VerifiedRecording, verify_in_dialect

EPILOG = """\
Reads recordings of three kinds: the Azure SDK test proxy's JSON, VCR cassettes
(vcrpy's and Ruby's YAML), and HAR files. Into a fresh account goes only what
requests do not tell: ids, times, seeds, the organisation, how jobs ended.

  exact           status and body are the recorded ones, byte for byte
  same shape      the same status, members and types; ids, times and numbers
                  are others
  differs         the first difference is shown
  not applicable  the fake has no such route or state

exit codes: 0 nothing differs, 1 something does, 2 there is nothing to verify"""


def main(arguments: Sequence[str]) -> int:
    """Verify recordings; 0 when none differs, 1 when one does, 2 when one cannot be read."""
    parser = _parser()
    given = parser.parse_args(arguments)
    passed_over: list[str] = []
    try:
        verified = [_verified(recording, given.dialect) for recording in _read(given.paths, passed_over)]
    except RecordingError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    _print(verified, passed_over, given.json)
    return 1 if summary.totals(verified)["differs"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fake-fine-tuning verify",
        description="Hold the fake against recorded exchanges with the service.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a recording, or a folder of recordings")
    parser.add_argument("--json", action="store_true", help="print one JSON document for machines")
    parser.add_argument(
        "--dialect",
        choices=(*DIALECTS, AUTO),
        default=RECORDED.name,
        metavar="NAME",
        help=f"one of {', '.join(DIALECTS)}; {AUTO}: for each exchange that of its date (default %(default)s)",
    )
    return parser


def _read(paths: Iterable[Path], passed_over: list[str]) -> list[Recording]:
    """The recordings at *paths*; a file of a folder that is no recording is passed over.

    Raises:
        RecordingError: a file cannot be read, was named and is no recording, or there is none at all.
    """
    found: list[Recording] = []
    for path, is_named in find_files(paths):
        try:
            found.append(read_recording(path))
        except NotARecordingError as error:
            if is_named:
                raise
            passed_over.append(str(error))
    if not found:
        raise NotARecordingError(passed_over[0])
    return found


def _verified(recording: Recording, dialect: str) -> VerifiedRecording:
    try:
        return verify_in_dialect(recording, dialect)
    except (FakeUsageError, RecursionError) as error:
        raise RecordingError(f"{recording.path}: the fake has no account for this recording: {error}") from None


def _print(verified: Sequence[VerifiedRecording], passed_over: Sequence[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary.as_json(verified, passed_over), indent=2))
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # recordings have names that not every terminal can show
    for text in passed_over:
        print(f"passed over: {text}", file=sys.stderr)
    for each in verified:
        print(*summary.lines(each), sep="\n")
    print(summary.totals_line(summary.totals(verified)))
