"""The file format of a cassette: a round trip is exact, and invalid files are refused by name."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import vcr  # type: ignore[import-untyped]  # it has no types
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from fine_tuning_cassettes import CassetteFileError, Metadata, use_cassette, yaml_format
from fine_tuning_cassettes.cassette import write_atomically
from fine_tuning_cassettes.messages import FormPart, Interaction, RecordedRequest, RecordedResponse
from fine_tuning_cassettes.yaml_format import CassetteFile, check_round_trip, dump, load, load_metadata

URL = "https://api.openai.com/v1"
HEAD = Metadata("2026-11-25T03:40:00Z", URL, ("OpenAI/Python 3.57.0",), "once", about="one line")
SMALL = CassetteFile(
    HEAD,
    (
        Interaction(
            RecordedRequest("GET", f"{URL}/models/m", (("openai-beta", "a"),)),
            RecordedResponse(200, "OK", (("content-type", "application/json"),), b'{\n  "id": "m"\n}\n'),
        ),
    ),
)
TEXT = dump(SMALL)

texts = st.text(st.characters(exclude_categories=["Cs"]))
lines = st.lists(st.sampled_from(["", " ", "a", "a ", " a", "\ta", "...", "---", "é", "\r", "- a: b", "#"]), max_size=5)
contents = st.binary() | texts.map(str.encode) | lines.map("\n".join).map(str.encode)
names = st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True)
headers = st.dictionaries(names, texts, max_size=2).map(lambda found: tuple(found.items()))
parts = st.builds(FormPart, texts, st.none() | texts, contents) | st.builds(
    FormPart, texts, st.none() | texts, st.none(), st.lists(texts, min_size=1, max_size=2).map(tuple)
)
requests = st.builds(RecordedRequest, st.just("POST"), texts, headers, contents) | st.builds(
    RecordedRequest, st.just("POST"), texts, headers, st.just(b""), st.lists(parts, max_size=2).map(tuple)
)
answers = st.builds(RecordedResponse, st.integers(100, 599), texts, headers, contents)
interactions = st.lists(st.builds(Interaction, requests, answers), max_size=3).map(tuple)


OPEN_ENDED = Interaction(RecordedRequest("GET", URL), RecordedResponse(200, "OK", (), b"a\n\n"))
"""An interaction after whose body PyYAML ends the document."""


@example(HEAD, (OPEN_ENDED, OPEN_ENDED))
@given(st.builds(Metadata, texts, texts, st.just(()), texts, texts, texts), interactions)
def test_what_is_written_is_read_back(head: Metadata, recorded: tuple[Interaction, ...]) -> None:
    """Any interaction is read back as it was written, bodies included."""
    stored = CassetteFile(head, recorded)
    assert load(dump(stored), "c.yaml") == stored


@example((OPEN_ENDED,), 2)
@given(interactions, st.integers(1, 3))
def test_interactions_are_written_as_yaml_writes_the_list(recorded: tuple[Interaction, ...], times: int) -> None:
    """Interactions, of which equal ones are dumped once, are written as the list of all would be dumped."""
    rendered = [yaml_format._render_interaction(interaction) for interaction in recorded * times]
    whole = yaml_format._dump({"interactions": rendered})
    assert dump(CassetteFile(HEAD, recorded * times)).endswith(f"training_data: scrubbed\n{whole}...\n")


@given(lines.map("\n".join) | st.text("ab \n:#-", max_size=9))
def test_what_is_known_to_be_a_block_is_one_for_yaml(text: str) -> None:
    """A text that is known to be a block, without a look at each character, is one by PyYAML's analysis."""
    dumper = yaml_format._Dumper(io.StringIO(), allow_unicode=True)
    ours, theirs = dumper.analyze_scalar(text), yaml.emitter.Emitter.analyze_scalar(dumper, text)
    for name in ("empty", "multiline", "allow_block", "allow_double_quoted"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_bodies_are_blocks_that_people_can_read() -> None:
    """The header comes first, and a JSON body is a readable block of lines."""
    assert TEXT.splitlines() == [
        "fine_tuning_cassette: 1",
        "about: one line",
        "recorded_at: '2026-11-25T03:40:00Z'",
        "recorded_from: https://api.openai.com/v1",
        "recorded_by:",
        "  - OpenAI/Python 3.57.0",
        "mode: once",
        "training_data: scrubbed",
        "interactions:",
        "  - request:",
        "      method: GET",
        "      uri: https://api.openai.com/v1/models/m",
        "      headers:",
        "        openai-beta: a",
        "    response:",
        "      status:",
        "        code: 200",
        "        message: OK",
        "      headers:",
        "        content-type: application/json",
        "      body: |",
        "        {",
        '          "id": "m"',
        "        }",
        "...",
    ]


def test_asterisks_in_a_body_are_no_aliases() -> None:
    """A body with text like YAML anchors and aliases is read back unchanged."""
    response = RecordedResponse(200, "*OK", (("x", "&a"),), b"&a [*a, *b]\n*a\n- &b *b\n")
    stored = CassetteFile(HEAD, (Interaction(SMALL.interactions[0].request, response),))
    assert load(dump(stored), "c.yaml") == stored


def test_the_header_is_read_alone() -> None:
    """The header can be read without the interactions."""
    assert load_metadata(TEXT, "c.yaml") == HEAD


@given(st.integers(0, len(TEXT) - 1))
def test_a_file_that_was_cut_short_is_refused(length: int) -> None:
    """A truncated file is refused, whatever its length."""
    with pytest.raises(CassetteFileError, match=r"^c\.yaml: "):
        load(TEXT[:length], "c.yaml")


ALIASES = [
    "a: &a [x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(10 * ['*' + chr(97 + n)])}]\n" for n in range(9)),
    TEXT.replace("body: |", "extra: &itself [*itself]\n      body: |"),
    TEXT.replace("code: 200", "code: &code 200").replace("message: OK", "message: *code"),
    "version: 1\ninteractions: &all\n- *all\n",
    "a: &a {b: c}\nd: {<<: [*a, *a]}\n",
]
"""A value in one place that stands in another: nine lines for a thousand million values, or a value in itself."""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ("- a\n", "the first line of a cassette must be `fine_tuning_cassette: 1`"),
        ("a: b\n", "the first line of a cassette must be `fine_tuning_cassette: 1`"),
        ("just text", "the first line of a cassette must be"),
        ("{[", "not YAML, or cut short"),
        ("a: !!python/object/apply:os.system [x]\n", "not YAML, or cut short"),
        *((text, "aliases are not read, got one for the value in line") for text in ALIASES),
        (f"a: {'1:' * 40}1\n", "a number must have at most 64 characters, got 81 in line 1"),
        (f"a: b\nb: 1.{'0' * 64}\n", "a number must have at most 64 characters, got 66 in line 2"),
        ("a: !!timestamp x\n", "not YAML, or cut short: AttributeError"),
        ("a: !!bool x\n", "not YAML, or cut short: KeyError"),
        (TEXT.replace("cassette: 1", "cassette: 2"), "the version must be 1, which this package reads, got 2"),
        (TEXT.replace("cassette: 1", "cassette: one"), "got 'one'"),
        ("version: 1\ninteractions: 3\n", "`interactions` must be a list"),
        (
            "version: 1\ninteractions:\n- request: {}\n  response: {}\n",
            "interaction 1 is broken: KeyError: 'uri'",
        ),
        ("version: 1\ninteractions: [x]\n", "interaction 1 is broken"),
        (TEXT.replace("code: 200", "code: fine"), "interaction 1 is broken: ValueError"),
        (TEXT.replace("code: 200", "code: 99999"), "status must be from 100 to 599, got 99999"),
        (
            TEXT.replace("body: |", "body: {string: {string: a}}\n      x: |"),
            "body must be a string, got {'string': 'a'}",
        ),
        (TEXT.replace("message: OK", "message: 5"), "message must be a string, got 5"),
        (TEXT.replace("uri: https:", "uri: http://["), "interaction 1 is broken: ValueError"),
        (TEXT.replace("api.openai.com/v1/", "api.openai.com:99999/v1/"), "Port out of range"),
        (
            TEXT.replace("recorded_by:\n  - OpenAI/Python 3.57.0", "recorded_by: 5"),
            "`recorded_by` must be a list, got 5",
        ),
        (
            TEXT.replace("method: GET", "method: GET\n      form: [{name: file, filename: 5, content: a}]"),
            "filename must be a string, got 5",
        ),
        (TEXT.replace("headers:\n        content", "headers: 3\n      content"), "interaction 1 is broken"),
    ],
)
@pytest.mark.parametrize("mode", ["none", "once", "new_episodes", "all"])
def test_what_is_no_cassette_is_refused_by_name(tmp_path: Path, text: str, why: str, mode: object) -> None:
    """An invalid file is refused with its name and the reason, and is not changed."""
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(CassetteFileError) as caught:
        use_cassette(path, mode).__enter__()  # type: ignore[arg-type]  # modes are parameters here
    assert str(caught.value).startswith(f"{path}: ")
    assert why in str(caught.value)
    assert path.read_text() == text


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused."""
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(CassetteFileError, match="must be UTF-8 text"):
        use_cassette(tmp_path / "c.yaml").__enter__()


def test_a_folder_is_no_cassette(tmp_path: Path) -> None:
    """A folder is refused, both for replay and for recording."""
    with pytest.raises(CassetteFileError, match="cannot be read: Is a directory"):
        use_cassette(tmp_path).__enter__()
    with pytest.raises(CassetteFileError, match="must be a file, got a folder"):
        use_cassette(tmp_path, "rewrite").__enter__()


def test_a_broken_file_can_be_recorded_anew(tmp_path: Path) -> None:
    """Mode "rewrite" replaces a broken file."""
    path = tmp_path / "c.yaml"
    path.write_text("{[")
    with use_cassette(path, "rewrite"):
        send_request()
    assert len(load(path.read_text(), "c").interactions) == 1


def test_a_cassette_of_plain_vcrpy_is_replayed(tmp_path: Path) -> None:
    """A cassette recorded by plain vcrpy is replayed."""
    answer = {"status": {"code": 200, "message": "OK"}, "headers": {"A": ["b"]}, "body": {"string": '{"id": "old"}'}}
    asked = {"method": "GET", "uri": "http://x/v1/models/m", "body": None, "headers": {"Authorization": ["Bearer sk"]}}
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "interactions": [{"request": asked, "response": answer}]}))
    with use_cassette(path):
        assert httpx.get(f"{URL}/models/m").json() == {"id": "old"}


def test_uploads_and_compressed_answers_of_plain_vcrpy_are_replayed(tmp_path: Path) -> None:
    """An upload that plain vcrpy kept as text matches, and its compressed response is decompressed."""
    path, url = tmp_path / "c.yaml", f"{URL}/files"

    def respond(request: httpx.Request) -> httpx.Response:
        body = gzip.compress(b'{"id": "file-1"}')
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(body))

    def send(client: httpx.Client) -> str:
        return str(client.post(url, files={"file": ("a.jsonl", b'{"a": 1}\n')}).json()["id"])

    with httpx.Client(transport=httpx.MockTransport(respond)) as client, vcr.use_cassette(str(path)):
        send(client)
    assert load(path.read_text(), "c").interactions[0].response.body == b'{"id": "file-1"}'
    with use_cassette(path), httpx.Client() as client:
        assert send(client) == "file-1"


@pytest.mark.parametrize("change", [lambda text: text.replace(b"\n", b"\r\n"), lambda text: b"\xef\xbb\xbf" + text])
def test_a_checkout_may_end_lines_otherwise(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """A cassette with other line ends, or with a byte order mark, is replayed."""
    path = tmp_path / "c.yaml"
    path.write_bytes(change(TEXT.encode()))
    with use_cassette(path):
        assert httpx.get(f"{URL}/models/m").content == b'{\n  "id": "m"\n}\n'


def test_what_yaml_would_change_is_not_written() -> None:
    """A text that does not parse to what is to be stored is not written."""
    with pytest.raises(CassetteFileError, match="without a change; nothing was written"):
        check_round_trip(TEXT, CassetteFile(HEAD, ()), "c.yaml")


def test_half_a_file_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If writing fails, the old file is unchanged and no other file is left."""
    path = tmp_path / "c.yaml"
    path.write_text("old")

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CassetteFileError, match="No space left on device; the file is unchanged"):
        write_atomically(path, "new" * 1000)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"c.yaml": "old"}


def test_a_place_that_takes_no_file_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """If the path cannot be written, entering the block is refused before a request is sent."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CassetteFileError, match="cannot be recorded: nothing can be written to"):
        use_cassette(tmp_path / "file" / "sub" / "c.yaml", "once").__enter__()
    with pytest.raises(CassetteFileError, match="cannot be recorded: nothing can be written to"):
        use_cassette("/proc/none/c.yaml", "rewrite").__enter__()


def test_folders_are_made_when_something_is_written(tmp_path: Path) -> None:
    """Folders are made only when something is written."""
    path = tmp_path / "a" / "b" / "c.yaml"
    with use_cassette(path, "once"):
        assert list(tmp_path.iterdir()) == []
        send_request()
    assert path.is_file()
    assert [each.name for each in path.parent.iterdir()] == ["c.yaml"]


def test_a_cassette_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    """A cassette has the file permissions of any new file."""
    (tmp_path / "any").touch()
    with use_cassette(tmp_path / "c.yaml", "once"):
        send_request()
    assert (tmp_path / "c.yaml").stat().st_mode == (tmp_path / "any").stat().st_mode


def send_request() -> None:
    """Send one request to a mock transport."""
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"id": "m"}))
    with httpx.Client(transport=transport) as client:
        client.get(f"{URL}/models/m")
