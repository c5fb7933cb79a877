"""`fake-fine-tuning fidelity`: how much of what the fake answers is backed by what."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..evidence import KINDS
from ..web import fidelity_report

BEGIN, END = "<!-- routes: scripts/ledger writes this table -->", "<!-- routes end -->"

EPILOG = "\n".join(
    [
        *(f"  {kind:9} {meaning}" for kind, meaning in KINDS.items()),
        "",
        "exit codes: 0 all went well, 2 there is no such file, or it has no markers",
    ]
)


def main(arguments: Sequence[str]) -> int:
    """Show the ledger's figures, or write its table of routes into a file; 2 when that has no place for it."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.markdown:
        try:
            given.markdown.write_text(filled(given.markdown.read_text()))
        except (OSError, ValueError) as error:
            print(f"{parser.prog}: {given.markdown}: {error}", file=sys.stderr)
            return 2
    elif given.json:
        print(json.dumps(fidelity_report.fidelity(), indent=2))
    else:
        Console().print(_table(fidelity_report.fidelity()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fake-fine-tuning fidelity",
        description="Show how much of what the fake answers is backed by what.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the whole ledger, entry by entry")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table of routes between FILE's markers"
    )
    return parser


def filled(text: str) -> str:
    """*text* with the table of routes between its markers.

    Raises:
        ValueError: it has no markers.
    """
    table = fidelity_report.markdown()
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?({re.escape(END)})", re.DOTALL)
    written, count = pattern.subn(lambda found: found[1] + table + found[2], text)
    if count != 1:
        raise ValueError(f"the markers are wanted once: {BEGIN} and {END}")
    return written


def _table(ledger: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for heading in ("entries", *KINDS):
        table.add_column(heading, justify="right")
    for area, figures in {**ledger["areas"], "all": ledger["total"]}.items():
        table.add_row(area, str(figures["entries"]), *_shares(figures), style="bold" if area == "all" else None)
    return table


def _shares(figures: Mapping[str, Any]) -> Iterator[str]:
    for kind in KINDS:
        share = figures[kind]
        yield f"{share['percent']:.1f} %" if share["count"] else "–"
