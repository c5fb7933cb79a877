"""`fake-fine-tuning fidelity`: which evidence backs the fake's responses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from ..evidence import KINDS
from .commands import Command
from .output import print_error

BEGIN, END = "<!-- routes: scripts/ledger writes this table -->", "<!-- routes end -->"

MEANINGS = "\n".join(f"{kind:9} {meaning}" for kind, meaning in KINDS.items())
EPILOG = f"\b\n{MEANINGS}\n\nExit codes: 0 success, 2 the file does not exist or has no markers."


@click.command(cls=Command, epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print the whole ledger, entry by entry.")
@click.option("--markdown", "page", type=click.Path(path_type=Path), help="Write the table of routes into a file.")
def command(as_json: bool, page: Path | None) -> int:
    """Show which evidence backs the fake's responses."""
    from ..web import documents  # here, so that help is quick

    if page:
        try:
            page.write_text(fill_table(page.read_text()))
        except (OSError, ValueError) as error:
            return print_error(f"{page}: {error}")
    elif as_json:
        print(json.dumps(documents.fidelity(), indent=2))
    else:
        ledger = documents.fidelity()
        print(f"{'':16}{'entries':>8}", *(f"{kind:>8}" for kind in KINDS))
        for area, figures in {**ledger["areas"], "all": ledger["total"]}.items():
            shares = (f"{figures[kind]['percent']:.1f} %" if figures[kind]["count"] else "–" for kind in KINDS)
            print(f"{area:16}{figures['entries']:>8}", *(f"{share:>8}" for share in shares))
    return 0


def fill_table(text: str) -> str:
    """Return *text* with the table of routes between its markers; raise ValueError if it does not have them once."""
    from ..web import documents

    table = documents.markdown()
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?({re.escape(END)})", re.DOTALL)
    filled, count = pattern.subn(lambda match: match[1] + table + match[2], text)
    if count != 1:
        raise ValueError(f"the file must have these markers once: {BEGIN} and {END}")
    return filled
