"""Count what a newcomer has to read: lines, modules, functions, helpers used once, names used twice.

``python scripts/figures.py [ROOT]`` prints a line a figure; ROOT is a checkout, by default this one.
``--once`` lists the private helpers that are used once, ``--long`` the functions over 40 lines.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median, quantiles

SOURCES = ("client", "fakeserver", "pytest_plugin", "cassettes")
LONG = 40

Function = ast.FunctionDef | ast.AsyncFunctionDef
Place = tuple[Path, Function]


def modules(root: Path) -> list[Path]:
    """Return the product's Python files."""
    return sorted(path for source in SOURCES for path in (root / source).rglob("*.py") if "egg-info" not in str(path))


def functions(trees: dict[Path, ast.Module]) -> list[Place]:
    """Return every function and method, nested ones too."""
    return [(path, node) for path, tree in trees.items() for node in ast.walk(tree) if isinstance(node, Function)]


def length(function: Function) -> int:
    """Return the number of lines from `def` to the end."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def used_once(trees: dict[Path, ast.Module]) -> list[Place]:
    """Return private functions of a module whose name is read once in that module."""
    found: list[Place] = []
    for path, tree in trees.items():
        private = {
            node.name: (path, node)
            for node in ast.walk(tree)
            if isinstance(node, Function) and node.name.startswith("_") and not node.name.startswith("__")
        }
        reads = Counter(
            node.id if isinstance(node, ast.Name) else node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
        )
        found += [place for name, place in private.items() if reads[name] == 1]
    return found


def class_names(trees: dict[Path, ast.Module]) -> dict[str, list[Path]]:
    """Return the classes of each name that is used more than once."""
    places: defaultdict[str, list[Path]] = defaultdict(list)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path)
    return {name: paths for name, paths in places.items() if len(paths) > 1}


def module_names(paths: list[Path]) -> dict[str, list[Path]]:
    """Return the modules of each name that is used more than once."""
    places: defaultdict[str, list[Path]] = defaultdict(list)
    for path in paths:
        if path.stem != "__init__":
            places[path.stem].append(path)
    return {name: found for name, found in places.items() if len(found) > 1}


def main(arguments: list[str]) -> None:
    """Print the figures of a checkout."""
    flags = {argument for argument in arguments if argument.startswith("--")}
    rest = [argument for argument in arguments if argument not in flags]
    root = Path(rest[0]) if rest else Path(__file__).resolve().parents[1]
    paths = modules(root)
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    every = functions(trees)
    lengths = [length(function) for _, function in every]
    once = used_once(trees)
    long = [place for place in every if length(place[1]) > LONG]
    print(f"lines                {sum(len(path.read_text(encoding='utf-8').splitlines()) for path in paths)}")
    print(f"modules              {len(paths)}")
    print(f"functions            {len(every)}")
    print(f"function median/p90  {median(lengths):g}/{quantiles(lengths, n=10)[-1]:g}")
    print(f"over {LONG} lines        {len(long)}")
    print(f"helpers used once    {len(once)} ({len(once) / len(every):.1%})")
    print(f"class names twice    {named_twice(class_names(trees))}")
    print(f"module names twice   {named_twice(module_names(paths))}")
    for flag, places in (("--once", once), ("--long", long)):
        for path, function in places if flag in flags else ():
            print(f"  {path.relative_to(root)}:{function.lineno} {function.name} ({length(function)} lines)")


def named_twice(names: dict[str, list[Path]]) -> str:
    """Return how many names there are, and which."""
    return f"{len(names)}  {', '.join(sorted(names))}".rstrip()


if __name__ == "__main__":
    main(sys.argv[1:])
