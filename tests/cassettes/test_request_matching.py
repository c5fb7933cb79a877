"""When two requests match, and how their differences are described."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_cassettes.messages import FormPart, RecordedRequest, decode_request
from fine_tuning_cassettes.request_matching import (
    RequestKey,
    find_differences,
    find_nearest,
    render_differences,
    request_key,
)
from fine_tuning_cassettes.resources import api_path, is_api_url
from fine_tuning_cassettes.training_data import digest_content, digest_rows, placeholder_for
from fine_tuning_formats.bodies import parse_multipart

JSON = (("content-type", "application/json"),)
BASES = (
    "https://api.openai.com/v1",
    "http://127.0.0.1:4355/v1",
    "https://ours.openai.azure.com/openai/v1",
    "https://ours.openai.azure.com/openai",
    "https://gateway.example/some/where/v1",
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def shuffle_members(value: Any, seed: int) -> Any:
    """Return *value* with the members of its objects shuffled."""
    if isinstance(value, dict):
        names = list(value)
        random.Random(seed).shuffle(names)
        return {name: shuffle_members(value[name], seed) for name in names}
    return [shuffle_members(each, seed) for each in value] if isinstance(value, list) else value


def json_request(path: str = "/files", body: Any = None, base: str = BASES[0], method: str = "POST") -> RecordedRequest:
    """Return a request with a JSON body."""
    return RecordedRequest(method, base + path, JSON, b"" if body is None else json.dumps(body).encode())


def upload(
    rows: list[Any], boundary: str = "x", filename: str = "a.jsonl", is_reversed: bool = False, end: str = "\n"
) -> RecordedRequest:
    """Return a request that uploads rows."""
    content = "".join(json.dumps(row) + end for row in rows)
    parts = ['name="purpose"\r\n\r\nfine-tune', f'name="file"; filename="{filename}"\r\n\r\n{content}']
    pieces = [
        f"--{boundary}\r\nContent-Disposition: form-data; {part}\r\n"
        for part in (parts[::-1] if is_reversed else parts)
    ]
    headers = (("content-type", f"multipart/form-data; boundary={boundary}"),)
    return decode_request(
        RecordedRequest("POST", f"{BASES[0]}/files", headers, f"{''.join(pieces)}--{boundary}--\r\n".encode())
    )


@given(values, st.integers(), st.sampled_from(BASES), st.sampled_from(BASES), st.sampled_from([None, 1, 2]))
def test_the_same_request_means_the_same_everywhere(value: Any, seed: int, one: str, other: str, indent: Any) -> None:
    """Host, base path, order of members and white space do not affect the key."""
    first = RecordedRequest("POST", f"{one}/fine_tuning/jobs", JSON, json.dumps(value).encode())
    second = RecordedRequest(
        "POST", f"{other}/fine_tuning/jobs/", (), json.dumps(shuffle_members(value, seed), indent=indent).encode()
    )
    assert request_key(first).key == request_key(second).key


@given(values, values)
def test_bodies_match_if_and_only_if_nothing_differs(one: Any, other: Any) -> None:
    """Two requests have the same key exactly when they have no differences."""
    first, second = (request_key(json_request(body={"of": value})) for value in (one, other))
    assert (first.key == second.key) == (not find_differences(first, second))


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=5), st.randoms())
def test_the_order_and_the_spelling_of_a_query_do_not_count(pairs: list[tuple[str, str]], chance: Any) -> None:
    """The order of different names and the spelling of a query do not affect the key."""
    reordered = sorted(pairs, key=lambda pair: (pair[0], chance.random()))
    queries = [
        urlencode(pairs),
        urlencode(reordered, quote_via=lambda text, *_: "".join(f"%{b:02x}" for b in text.encode())),
    ]
    one, other = (request_key(RecordedRequest("GET", f"{BASES[0]}/files?{query}")) for query in queries)
    assert one.key == other.key


@given(st.lists(st.dictionaries(st.text(), values, min_size=1), min_size=1, max_size=5), st.integers(), st.booleans())
def test_a_form_means_its_parts_and_rows(rows: list[Any], seed: int, is_reversed: bool) -> None:
    """Boundary, order of parts, line ends and order of members in rows do not affect the key of an upload."""
    other = upload([shuffle_members(row, seed) for row in rows], "other", is_reversed=is_reversed, end="\r\n")
    assert request_key(upload(rows)).key == request_key(other).key


@given(st.lists(st.tuples(st.sampled_from(["file", "purpose", "é"]), st.binary()), min_size=1, max_size=4))
def test_parts_are_read_as_they_were_written(parts: list[tuple[str, bytes]]) -> None:
    """Any content of a form part is parsed unchanged."""
    boundary = "b" * 60  # in no content that is made up here
    read = parse_multipart(
        f'multipart/form-data; boundary="{boundary}"',
        b"".join(render_part(boundary, *each) for each in parts) + f"--{boundary}--\r\n".encode(),
    )
    assert read is not None
    assert [(each.name, each.content) for each in read] == parts


def render_part(boundary: str, name: str, content: bytes) -> bytes:
    """Return one part of a form."""
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + content + b"\r\n"


@pytest.mark.parametrize(
    "head", ["filename*=utf-8''tr%C3%A4in.jsonl", 'filename="träin.jsonl"', 'filename="tr%C3%A4in.jsonl"']
)
def test_a_file_name_is_read_in_every_spelling(head: str) -> None:
    """The three ways of writing a file name outside ASCII are read as the same name."""
    body = f'--x\r\nContent-Disposition: form-data; name="file"; {head}\r\n\r\na\r\n--x--\r\n'.encode()
    found = parse_multipart("multipart/form-data; boundary=x", body)
    assert found
    assert found[0].filename == "träin.jsonl"


def test_a_form_that_is_none_counts_as_a_file() -> None:
    """The content of an unreadable form is not kept in the key."""
    broken = decode_request(
        RecordedRequest("POST", f"{BASES[0]}/files", (("content-type", "multipart/form-data; boundary=x"),), b"secret")
    )
    assert "secret" not in request_key(broken).key


@given(st.lists(st.dictionaries(st.text(), values), min_size=1, max_size=5))
def test_what_stands_for_rows_has_their_marks(rows: list[Any]) -> None:
    """A placeholder for a file has the same digests as the file."""
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert digest_rows(placeholder_for(content)) == digest_rows(content)


@pytest.mark.parametrize(
    ("one", "other"),
    [({"n": 3}, {"n": 3.0}), ({}, None)],
)
def test_values_that_are_equal_match(one: Any, other: Any) -> None:
    """Numbers of equal value match, and an empty object matches an empty body."""
    assert request_key(json_request(body=one)).key == request_key(json_request(body=other)).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"n": 1}, {"n": True}),
        ({"n": None}, {}),
        ({"n": "1"}, {"n": 1}),
        ({"n": [1]}, {"n": {"0": 1}}),
        ({"n": []}, {"n": {}}),
        ({"n": f"{'x' * 500}a"}, {"n": f"{'x' * 500}b"}),
    ],
)
def test_values_that_differ_do_not_match(one: Any, other: Any) -> None:
    """Values of different type, null and missing, and long texts with different ends do not match."""
    keys = [request_key(json_request(body=body)) for body in (one, other)]
    assert keys[0].key != keys[1].key
    assert find_differences(*keys)


def test_the_version_of_azures_api_does_not_count() -> None:
    """The ``api-version`` in the query does not affect the key."""
    one, other = (
        RecordedRequest("GET", f"{BASES[3]}/files{query}") for query in ("?api-version=2024-10-21&limit=1", "?limit=1")
    )
    assert request_key(one).key == request_key(other).key


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://api.openai.com/v1/files/file-1/content?x=1", "files/file-1/content"),
        ("https://r.openai.azure.com/openai/deployments/d/chat/completions", "deployments/d/chat/completions"),
        ("https://x/v1//fine_tuning//jobs/", "fine_tuning/jobs"),
        ("https://x/v1/models/ft%3Ax%3Ay", "models/ft:x:y"),
    ],
)
def test_paths_of_the_api_are_known_at_any_base(url: str, path: str) -> None:
    """A path of the API is recognized and normalized at any base URL."""
    assert is_api_url(url)
    assert api_path(url) == path


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co/api/models/gpt2",
        "https://api.wandb.ai/files/team/run",
        "https://api.openai.com/v1/audio/speech",
        "https://example.com/v1",
        "https://example.com/",
    ],
)
def test_other_requests_are_not_taken(url: str) -> None:
    """Other paths, and base URLs without a version, are not recognized as the API."""
    assert not is_api_url(url)


def test_hosts_narrow_what_is_taken() -> None:
    """With `hosts` given, exactly these hosts are recognized, with any base path."""
    assert is_api_url("http://proxy.local/files", ["proxy.local"])
    assert not is_api_url("https://api.openai.com/v1/files", ["proxy.local"])


def test_a_miss_names_each_place() -> None:
    """Each difference is named by method, path, query or JSON pointer, with both values."""
    recorded = request_key(json_request("/fine_tuning/jobs?limit=2", {"a/b": {"n": [1, 2]}, "gone": True}))
    got = request_key(
        json_request("/fine_tuning/jobs/x?limit=3&after=y", {"a/b": {"n": [1, 3]}, "new": None}, method="PUT")
    )
    assert [str(each) for each in find_differences(recorded, got)] == [
        "method: recorded POST, requested PUT",
        "path: recorded /fine_tuning/jobs, requested /fine_tuning/jobs/x",
        "query 'limit': recorded '2', requested '3'",
        "body /a~1b/n/1: recorded 2, requested 3",
        "body /gone: recorded true, requested nothing",
        "query 'after': recorded nothing, requested 'y'",
        "body /new: recorded nothing, requested null",
    ]


def test_a_miss_names_the_row() -> None:
    """A difference in a JSONL file names the row's number, with digests instead of content."""
    rows = [{"messages": [{"role": "user", "content": f"private {n}"}]} for n in range(3)]
    other = [rows[0], {"messages": []}, rows[2], {"more": 1}]
    lines = [
        str(each)
        for each in find_differences(request_key(upload(rows)), request_key(upload(other, filename="b.jsonl")))
    ]
    assert lines[0] == "part 'file', file name: recorded 'a.jsonl', requested 'b.jsonl'"
    assert lines[1].startswith("part 'file', row 2: recorded sha256:")
    assert lines[1].endswith(", messages , 15 characters")
    assert lines[2].startswith("part 'file', row 4: recorded nothing, requested sha256:")
    assert "private" not in "".join(lines)


def test_a_miss_names_a_part_that_only_one_has() -> None:
    """A form field that only one request has is named."""
    one, other = upload([{}]), upload([{}])
    added = RecordedRequest(
        other.method,
        other.uri,
        other.headers,
        b"",
        (*(other.form or ()), (one.form or ())[0].__class__("more", None, b"x")),
    )
    assert [str(each) for each in find_differences(request_key(one), request_key(added))] == [
        "part 'more': recorded nothing, requested \"x\""
    ]


def test_a_miss_tells_parts_of_one_name_apart() -> None:
    """Of two fields with the same name the one that differs is named."""
    one, other = (
        request_key(
            RecordedRequest("POST", f"{BASES[0]}/files", (), b"", tuple(FormPart("x[]", None, each) for each in parts))
        )
        for parts in ((b"a", b"c"), (b"b", b"c"))
    )
    assert [str(each) for each in find_differences(one, other)] == ['part \'x[]\': recorded "a", requested "b"']


def test_the_nearest_is_the_one_with_the_fewest_differences() -> None:
    """A request with another body is nearer than one with another path."""
    recorded = [
        request_key(json_request(path, body))
        for path, body in [("/files", {"a": 1}), ("/fine_tuning/jobs", {"a": 2, "b": 2})]
    ]
    found = find_nearest(recorded, request_key(json_request("/fine_tuning/jobs", {"a": 1})))
    assert found
    assert found[0] == 1


def test_many_differences_are_cut_short() -> None:
    """Of seven differences five are listed, followed by "and 2 more"."""
    one, other = (request_key(json_request(body={str(n): value for n in range(7)})) for value in (1, 2))
    assert render_differences(find_differences(one, other))[5:] == ["and 2 more"]


def test_nothing_is_nearest_to_nothing() -> None:
    """An empty cassette has no nearest request."""
    assert find_nearest([], RequestKey("GET", "files", {}, {})) is None


@given(st.text(min_size=1).filter(lambda text: text not in (".", "..")))
def test_ids_are_read_in_any_spelling(name: str) -> None:
    """An id in a path is the same whether it is percent-encoded or not."""
    safe = name.replace("/", "").replace("?", "").replace("#", "").replace("%", "").replace("\\", "")
    if not safe.strip() or not safe.isprintable():
        return
    one, other = (api_path(f"{BASES[0]}/models/{each}") for each in (quote(safe, safe=""), quote(safe, safe=":@,+~")))
    assert one == other


def test_fields_of_a_form_in_a_url_are_compared_decoded() -> None:
    """An urlencoded form ``a=1&b=%20`` matches ``b=+&a=1``."""
    kind = (("content-type", "application/x-www-form-urlencoded"),)
    one, other = (
        request_key(RecordedRequest("POST", f"{BASES[0]}/files", kind, body)) for body in (b"a=1&b=%20", b"b=+&a=1")
    )
    assert one.key == other.key


@pytest.mark.parametrize("content", [b"no rows at all", b"", b'{"a": \n'])
def test_what_stands_for_content_without_rows_has_its_mark(content: bytes) -> None:
    """A file that is not JSONL has one digest, which its placeholder shares."""
    assert digest_content(content).startswith("sha256:")
    assert digest_content(placeholder_for(content)) == digest_content(content)
    assert digest_rows(content) is None


def test_rows_of_any_kind_have_marks() -> None:
    """A row that is not an object has a digest with its type."""
    assert [mark.split(", ", 1)[1] for mark in digest_rows(b'[1]\n"a"\n') or ()] == [
        "list, 3 characters",
        "str, 3 characters",
    ]


def test_content_of_different_kinds_differs() -> None:
    """A file with rows differs from an empty file, and both are described by digest."""
    one, other = upload([{"a": 1}]), upload([])
    lines = [str(each) for each in find_differences(request_key(one), request_key(other))]
    assert [line.partition(":")[0] for line in lines] == ["part 'file', row 1", "part 'file'"]
    assert lines[1].startswith("part 'file': recorded nothing, requested sha256:")


def test_a_deployment_means_something() -> None:
    """Azure requests to different deployments do not match."""
    one, other = (
        RecordedRequest(
            "POST", f"https://r.openai.azure.com/openai/deployments/{name}/chat/completions", JSON, b'{"n": 1}'
        )
        for name in ("base", "tuned")
    )
    assert request_key(one).key != request_key(other).key


@pytest.mark.parametrize("kind", ["application/jsonl", "application/octet-stream", "text/plain", "application/json"])
def test_what_is_no_json_counts_as_a_file(kind: str) -> None:
    """Rows sent without a form are kept as digests, whatever their content type."""
    row = json.dumps({"messages": [{"role": "user", "content": "secret"}]})
    found = decode_request(
        RecordedRequest("POST", f"{BASES[0]}/files", (("content-type", kind),), f"{row}\n{row}\n".encode())
    )
    assert found.body == b""
    assert "secret" not in str(request_key(found))
    assert "rows" in request_key(found).body["form"][0]


def test_one_row_is_told_from_json_by_what_it_is_called() -> None:
    """A body of one row counts as a file or as JSON by its content type."""
    assert decode_request(
        RecordedRequest("POST", f"{BASES[0]}/files", (("content-type", "application/jsonl"),), b'{"a": 1}')
    ).form
    assert decode_request(RecordedRequest("POST", f"{BASES[0]}/files", JSON, b'{"a": 1}')).form is None
