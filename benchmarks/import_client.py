"""What importing the client costs, beside httpx's own import, and how much code it is.

Each import happens in an interpreter of its own, in rounds that take turns; medians of whole runs, less that of an
interpreter that imports nothing. The client imports httpx when it first sends something, so both figures count: the
client alone, and with httpx. Takes some seconds.
"""

from __future__ import annotations

import ast
import io
import statistics
import subprocess
import sys
import time
import tokenize
from pathlib import Path

import fine_tuning_client

ROUNDS = 21
IMPORTS = {
    "nothing": "pass",
    "httpx": "import httpx",
    "client": "from fine_tuning_client import FineTuningClient",
    "both": "import httpx; from fine_tuning_client import FineTuningClient",
    "openai": "import openai",
}
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def main() -> None:
    runs = milliseconds()
    bare = runs["nothing"]
    detail = f"{runs['client']:.1f} and {bare:.1f} ms"
    print(f"{'start with the client to a bare start':<52} {runs['client'] / bare:6.2f}   aim {'none':<8} {detail}")
    found = {name: spent - bare for name, spent in runs.items()}
    for what, over, aim in (("client", "httpx", "<= 0.8"), ("both", "httpx", "<= 1.6"), ("client", "openai", "<= 0.2")):
        detail = f"{found[what]:.1f} and {found[over]:.1f} ms"
        print(f"{f'import of {what} to {over}':<52} {found[what] / found[over]:6.2f}   aim {aim:<8} {detail}")
    files = sorted(Path(fine_tuning_client.__file__).parent.rglob("*.py"))
    for path in files:
        print(f"{path.name:<52} {code_lines(path.read_text()):6}   of {raw_lines(path):4} lines")
    code, raw = sum(code_lines(path.read_text()) for path in files), sum(map(raw_lines, files))
    print(f"{f'lines of code in {len(files)} modules':<52} {code:6}   of {raw:4} lines")


def milliseconds() -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for turn in range(-1, ROUNDS):  # the first round fills the caches
        for name, statement in IMPORTS.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            if turn >= 0:
                times[name].append((time.perf_counter() - begun) * 1e3)
    return {name: statistics.median(spent) for name, spent in times.items()}


def raw_lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def code_lines(source: str) -> int:
    """Lines that hold code: neither blank, nor a comment, nor a docstring."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - _docstring_lines(ast.parse(source)))


def _docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


if __name__ == "__main__":
    main()
