"""What a user's scrub rules match is not written, and does not count in matching."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cassette_service import URL, JsonService
from fine_tuning_cassettes import CassetteError, Mode, ScrubRule, use_cassette
from fine_tuning_cassettes.messages import FormPart, RecordedRequest, RecordedResponse
from fine_tuning_cassettes.scrub import Scrub

SECRET = "Kunde Müller"
"""Something that no rule of our own knows for a secret, and that JSON and URLs spell otherwise."""


def hide(text: str, name: str) -> str:
    """Return the text, or "hidden" for the member "tenant"."""
    return "hidden" if name == "tenant" else text


RULES: list[ScrubRule] = [re.compile("Kunde M.ller"), r"Kunde\.M[^l]+ller", hide]


def traces(text: str) -> list[str]:
    """The occurrences of the secret in *text*, in any spelling."""
    return re.findall(r"M(?:ü|\\+u00fc|%C3%BC|\\+xfc)ller|acme-7", text, re.IGNORECASE)


def session(tag: str = "1") -> None:
    """Send the secret in every place of a request, to a service that repeats it."""
    answers = {
        "models/m": {
            "id": "m",
            "description": f"of {SECRET}",
            SECRET: [SECRET, {"deep": json.dumps({"a": SECRET})}, f"see {URL}?a={quote(SECRET)}"],
        },
        "jobs": {"error": {"message": f"{SECRET}: no", "tenant": "acme-7"}},
        "files": {"id": "file-1", "filename": f"{SECRET}.jsonl"},
    }
    service = JsonService(answers, {"location": f"{URL}/files?owner={httpx.QueryParams({'a': SECRET})}"})
    service.get(f"/models/m/{SECRET}", params={"tenant": "acme-7", "q": SECRET})
    service.post("/fine_tuning/jobs", json={"metadata": {"tenant": "acme-7", SECRET: SECRET}, "suffix": f"x{SECRET}"})
    fields = {"purpose": "fine-tune", "tenant": "acme-7", "note": SECRET}
    service.post("/files", data=fields, files={"file": (f"{SECRET} {tag}.jsonl", b'{"a": 1}\n')})
    service.post("/fine_tuning/jobs", content=f"{SECRET} as text", headers={"content-type": "text/plain"})


def test_what_the_rules_name_is_not_written(tmp_path: Path) -> None:
    """Scrub rules apply to URLs, headers, JSON at any depth, forms and file names, and the session replays."""
    path = tmp_path / "c.yaml"
    with use_cassette(path, "once", scrub=RULES, about=f"for {SECRET}", recorded_from=f"the cloud of {SECRET}"):
        session()
    assert traces(path.read_text()) == []
    assert "about: for scrubbed\n" in path.read_text()
    with use_cassette(path, scrub=RULES, on_unplayed="fail") as cassette:
        session()
    assert cassette.play_count == 4


def test_without_rules_it_is_written(tmp_path: Path) -> None:
    """Without rules the secret of these tests is written."""
    with use_cassette(tmp_path / "c.yaml", "once"):
        session()
    assert len(traces((tmp_path / "c.yaml").read_text())) > 10


def test_old_recordings_are_scrubbed_when_new_ones_are_added(tmp_path: Path) -> None:
    """A cassette recorded before the rules replays under them, and is scrubbed when it is written again."""
    path = tmp_path / "c.yaml"
    with use_cassette(path, "once"):
        session()
    with use_cassette(path, "new_episodes", scrub=RULES) as cassette:
        session()
        JsonService().get("/models/new")
    assert (cassette.play_count, cassette.recorded) == (4, 1)
    assert traces(path.read_text()) == []


def test_what_is_scrubbed_does_not_count_in_matching(tmp_path: Path) -> None:
    """Requests that differ only where a rule matches match each other; other differences are misses."""
    path = tmp_path / "c.yaml"
    rules = [r"run-\d+"]
    with use_cassette(path, "once", scrub=rules):
        JsonService().post("/fine_tuning/jobs", json={"suffix": "run-1", "seed": 1})
    with use_cassette(path, scrub=rules):
        JsonService().post("/fine_tuning/jobs", json={"suffix": "run-22", "seed": 1})
    with pytest.raises(CassetteError, match="recorded 1, requested 2"), use_cassette(path, scrub=rules):
        JsonService().post("/fine_tuning/jobs", json={"suffix": "run-1", "seed": 2})


def test_a_function_may_give_another_result_each_time_it_is_applied(tmp_path: Path) -> None:
    """A scrub function that is not idempotent, such as a reversal, is recorded and replayed."""
    path = tmp_path / "c.yaml"
    rules = [lambda text, name: text[::-1] if name == "suffix" else text]
    modes: list[Mode] = ["once", "none"]
    for mode in modes:
        with use_cassette(path, mode, scrub=rules):
            JsonService().post("/fine_tuning/jobs", json={"suffix": "abc"})
    assert '"cba"' in path.read_text()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(texts | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner))


@given(values, texts, texts)
def test_rules_that_find_nothing_change_nothing(value: Any, query: str, text: str) -> None:
    """Rules without a match leave requests and responses unchanged, byte for byte."""
    scrub = Scrub.parse(["\0{9}", lambda text, name: text])
    body = json.dumps(value, ensure_ascii=False).encode()
    uri = str(httpx.URL(f"{URL}/files", params={"a": query}))
    form = (FormPart("note", None, text.encode()), FormPart("file", text, body))
    for request in (RecordedRequest("POST", uri, (("a", text),), body), RecordedRequest("POST", uri, (), b"", form)):
        assert scrub.change_request(request) == request
    response = RecordedResponse(200, "OK", (("a", text),), body)
    assert scrub.change_response(response) == response


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ("Kunde", r"several patterns or functions, got 'Kunde'; write scrub=\['Kunde'\]"),
        (5, "several patterns or functions, got 5"),
        (["("], r"regular expressions, got '\('"),
        (["a*"], r"patterns that do not match the empty text, got 'a\*'"),
        ([b"a"], "patterns of text and functions, got b'a'"),
        ([re.compile(b"a")], "patterns of text and functions, got"),
        ([None], "patterns of text and functions, got None"),
    ],
)
def test_what_is_no_rule_is_refused(rules: Any, problem: str) -> None:
    """A rule that is neither a pattern nor a function is refused before a request is sent."""
    with pytest.raises(ValueError, match=f"^scrub must (be|have) {problem}"):
        use_cassette("c.yaml", scrub=rules)


@pytest.mark.parametrize(
    ("function", "problem"),
    [(lambda text, name: None, "must return a string, got None"), (lambda text: text, "raised TypeError")],
)
def test_a_function_that_fails_writes_nothing(tmp_path: Path, function: Any, problem: str) -> None:
    """An exception in a scrub function is raised at the end with the rule's name, and nothing is written."""
    failed = pytest.raises(CassetteError, match=f"scrub: .*<lambda> {problem}")
    with failed, use_cassette(tmp_path / "c.yaml", "once", scrub=[function]):
        JsonService().get("/models/m")
    assert list(tmp_path.iterdir()) == []
