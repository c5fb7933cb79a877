"""The results of checks as text, JSON, JUnit XML, and a badge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

from .answer_checks import CheckResult

PAGE = "docs/conform.md"


def scores(results: Sequence[CheckResult]) -> dict[str, dict[str, Any]]:
    """Return by area, and for all, how many checks passed, failed and were not run; and the score in percent."""
    areas = list(dict.fromkeys(result.area for result in results))
    by_area = {area: [result for result in results if result.area == area] for area in areas}
    return {area: _score(several) for area, several in {**by_area, "all": list(results)}.items()}


def _score(results: Sequence[CheckResult]) -> dict[str, Any]:
    passed, failed, left = (
        sum(result.outcome == outcome for result in results) for outcome in ("passed", "failed", "not run")
    )
    run = passed + failed
    return {
        "passed": passed,
        "failed": failed,
        "not_run": left,
        # rounded down, so that 100 means all
        "score": passed * 100 // run if run else None,
    }


def lines(results: Sequence[CheckResult]) -> Iterator[str]:
    """Yield the lines of a table: what failed and what was not run, and the scores."""
    for result in results:
        if result.outcome != "passed":
            evidence = f"{result.evidence.kind}: {result.evidence.source}"
            yield f"{result.outcome:8} {result.area}/{result.id}  ({evidence})"
            yield from (f"           {problem}" for problem in result.problems)
    yield f"{'area':12}{'score':>8}{'passed':>8}{'failed':>8}{'not run':>9}"
    for area, each in scores(results).items():
        score = "–" if each["score"] is None else f"{each['score']} %"
        yield f"{area:12}{score:>8}{each['passed']:>8}{each['failed']:>8}{each['not_run']:>9}"


def as_json(results: Sequence[CheckResult], url: str, dialect: str, is_fake: bool) -> dict[str, Any]:
    """Return the results as one document."""
    return {
        "url": url,
        "dialect": dialect,
        "is_fake": is_fake,
        "scores": scores(results),
        "checks": [
            {
                "id": result.id,
                "area": result.area,
                "outcome": result.outcome,
                "problems": result.problems,
                "evidence": result.evidence.kind,
                "source": result.evidence.source,
                "date": result.evidence.date,
                "page": f"{PAGE}#{result.area}",
            }
            for result in results
        ],
    }


def as_junit(results: Sequence[CheckResult], url: str) -> str:
    """Return the results as JUnit XML, with a test case for each check."""
    total = scores(results)["all"]
    counts = {"tests": len(results), "failures": total["failed"], "skipped": total["not_run"]}
    suite = ElementTree.Element("testsuite", {"name": f"conform {url}", **{name: str(n) for name, n in counts.items()}})
    for result in results:
        case = ElementTree.SubElement(suite, "testcase", classname=f"conform.{result.area}", name=result.id)
        if result.outcome != "passed":
            kind = "failure" if result.outcome == "failed" else "skipped"
            text = "".join(c if c.isprintable() else "�" for c in "; ".join(result.problems))
            ElementTree.SubElement(case, kind, message=text)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def as_badge(results: Sequence[CheckResult]) -> dict[str, Any]:
    """Return what shields.io makes a badge of."""
    total = scores(results)["all"]
    score = total["score"] or 0
    color = "brightgreen" if score == 100 else "yellow" if score >= 80 else "red"
    message = f"{score} %" + (f" ({total['not_run']} not run)" if total["not_run"] else "")
    return {"schemaVersion": 1, "label": "fine-tuning API", "message": message, "color": color}
