"""The documents are true: their code runs, their tables are complete, their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.domain.plan import FIELDS
from fine_tuning_fakeserver.findings.rules import CODES
from fine_tuning_fakeserver.web.control_endpoints import CONTROL_OPERATIONS
from fine_tuning_fakeserver.web.endpoints import OPERATIONS
from strategies import ROWS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def blocks(page: Path, language: str = "python") -> list[str]:
    """The page's code in this language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def findings_of(code: str) -> list[str]:
    """The codes of the findings after *code* has run against a fake of its own."""
    fake = FakeFineTuning(pace="manual", seed=7, start=1_700_000_000)
    with fake.openai() as client:
        context: dict[str, Any] = {"fake": fake, "client": client, "openai": openai, "ROWS": ROWS}
        context["file"] = fake.add_file(ROWS)["id"]
        exec(compile(code, "docs", "exec"), context)
    return [finding.code for finding in fake.findings]


@pytest.mark.parametrize("code", CODES)
def test_each_finding_has_a_page_whose_examples_are_true(code: str) -> None:
    """The page's flawed code has this finding and no other, and its mended code has none."""
    flawed, mended = blocks(DOCS / "findings" / f"{code}.md")

    assert findings_of(flawed) == [code]
    assert findings_of(mended) == []


def test_the_table_of_findings_is_complete() -> None:
    """The index lists each finding with its page, and no other."""
    listed = re.findall(r"^\| \[`(\w+)`\]\(\1\.md\) \|", (DOCS / "findings/index.md").read_text(), re.MULTILINE)

    assert sorted(listed) == sorted(CODES)


def test_links_lead_to_pages() -> None:
    """Each relative link of a page leads to a file."""
    for page in [*PAGES, *ROOT.glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_the_control_api_and_the_plan_are_documented_whole() -> None:
    """The docs name every control route, every field of a plan and every operation."""
    server, plans = (DOCS / "server.md").read_text(), (DOCS / "pytest.md").read_text()
    for operation in CONTROL_OPERATIONS:
        path = operation.path.replace("{job_id}", "{id}")
        assert path in server if path in ("/health", "/ready") else f"`{operation.method} {path}`" in server
    for field in FIELDS:
        assert f"`{field}`" in plans
    for route in OPERATIONS:
        assert f"`{route.name}`" in (DOCS / "faults.md").read_text()
