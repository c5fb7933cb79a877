"""Secrets and training data are in no byte of any cassette, whatever the mode and whatever fails."""

from __future__ import annotations

import base64
import gzip
import json
import re
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fine_tuning_cassettes import CassetteError, CassetteWarning, use_cassette
from fine_tuning_cassettes.messages import RecordedRequest, RecordedResponse
from fine_tuning_cassettes.redaction import SecretMap, redact_request, redact_response
from fine_tuning_cassettes.training_data import is_result_file

NO_SECRETS = SecretMap({})
URL = "https://acmeresource.openai.azure.com/openai/v1"
CANARY = 'zq+C4n/RY=Ke"y!'
"""A key with what JSON, URLs and YAML write otherwise."""

ORG, PROJECT, COOKIE, SIG = "org-CANARYorg123", "proj_CANARYproj1", "CANARYcookie1", "CANARYsig%2B123"
WANDB = "CANARYwandb0123456789"
SENTENCE, SHORT = 'the CANARY row says: no, never, "not" at all', "CANARYrow1"
ROWS = "".join(
    json.dumps({"messages": [{"role": "user", "content": SENTENCE}, {"role": "assistant", "content": f"{SHORT} {n}"}]})
    + "\n"
    for n in range(10)
)
HEADERS = {
    "authorization": f"Bearer {CANARY}",
    "api-key": "CANARYapikey1",
    "openai-organization": ORG,
    "openai-project": PROJECT,
    "cookie": f"session={COOKIE}; theme=CANARYtheme",
    "x-my-secret-thing": "CANARYheader1",
}


def leaky_response(request: httpx.Request) -> httpx.Response:
    """Respond with every secret in every place, partly compressed."""
    facts = {
        "object": "fine_tuning.job",
        "id": "ftjob-1",
        "status": "failed",
        "organization_id": "CANARYorganization",
        "fine_tuned_model": "ft:gpt-4o-mini:CANARYslug:s:1",
        "owned_by": "CANARYslug",
        "user": "user-CANARYuser0123456789",
        "client_secret": "CANARYclientsecret",
        "error": {"message": f"Wrong key {CANARY}, {quote(CANARY)}; example 3 is {ROWS.splitlines()[3]}"},
        "url": f"https://me:{quote(CANARY)}@acmeresource.blob.core.windows.net/c?sv=1&sig={SIG}",
    }
    headers = {
        "content-type": "application/json",
        "set-cookie": f"__cf_bm={COOKIE}; path=/",
        "x-request-id": "req_CANARY",
        "apim-request-id": "CANARY",
        "cf-ray": "CANARY",
        "x-ms-region": "CANARY",
        "openai-organization": ORG,
    }
    body = json.dumps(facts, indent=2).encode()
    if request.url.path.endswith("/content"):
        body, headers["content-type"] = ROWS.encode(), "application/octet-stream"
    if request.method == "POST":
        headers["content-encoding"] = "gzip"
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(gzip.compress(body)))
    return httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))


def send_everything() -> None:
    """Send every kind of secret and training data."""
    with httpx.Client(transport=httpx.MockTransport(leaky_response), headers=HEADERS, base_url=URL) as client:
        client.post("/files", files={"file": ("train.jsonl", ROWS.encode())}, data={"purpose": "fine-tune"})
        client.post("/uploads/upload_1/parts", files={"data": ("blob", ROWS[30:-40].encode())})
        wandb = [{"type": "wandb", "wandb": {"project": "p", "api_key": WANDB}}]
        client.post("/fine_tuning/jobs", json={"model": "m", "training_file": "file-1", "integrations": wandb})
        client.get("/fine_tuning/jobs/ftjob-1", params={"api-key": CANARY, "sig": "CANARYsignature"})
        client.get("/files/file-1/content")
        client.post("/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": SENTENCE}]})
        client.post("/files", headers={"content-type": "multipart/form-data"}, content=ROWS)


def send_everything_and_fail() -> None:
    """Send every kind of secret, then raise an error."""
    send_everything()
    raise ZeroDivisionError


def find_leaks(path: Path) -> list[str]:
    """The secrets found in the files of a folder, in any spelling."""
    raw = b"".join(each.read_bytes() for each in path.rglob("*") if each.is_file()).decode()
    spelt = {raw, raw.replace("\\", ""), decode_base64_words(raw)}
    wanted = [
        "CANARY",
        CANARY,
        quote(CANARY),
        quote(CANARY, safe=""),
        json.dumps(CANARY)[1:-1],
        "acmeresource",
        "never",
    ]
    wanted.append(base64.b64encode(CANARY.encode()).decode().rstrip("="))
    return [each for each in wanted if any(each in text for text in spelt)]


def decode_base64_words(text: str) -> str:
    """Decode the long words of *text* that are base64."""
    found = []
    for word in text.split():
        with suppress(ValueError):
            found.append(base64.b64decode(word + "=" * (-len(word) % 4), validate=True).decode("utf-8", "replace"))
    return "".join(found)


@pytest.mark.parametrize("mode", ["once", "new_episodes", "all", "rewrite"])
def test_no_secret_and_no_row_is_written_in_any_mode(tmp_path: Path, mode: Any) -> None:
    """Keys, organizations, cookies, signatures, rows and prompts are in no byte of the recording."""
    with use_cassette(tmp_path / "c.yaml", mode) as cassette:
        send_everything()
    assert cassette.recorded == 7
    assert (tmp_path / "c.yaml").stat().st_size > 3000
    assert find_leaks(tmp_path) == []


@pytest.mark.parametrize("mode", ["once", "new_episodes", "all", "rewrite"])
def test_no_secret_is_written_when_the_test_crashes_half_way(tmp_path: Path, mode: Any) -> None:
    """A block that raises writes no file."""
    with pytest.raises(ZeroDivisionError) as caught, use_cassette(tmp_path / "c.yaml", mode):
        send_everything_and_fail()
    assert list(tmp_path.iterdir()) == []
    assert "7 recorded interactions were not written" in caught.value.__notes__[0]


def test_what_was_scrubbed_is_replayed_to_the_same_requests(tmp_path: Path) -> None:
    """Requests with secrets and rows match their own scrubbed recording."""
    with use_cassette(tmp_path / "c.yaml", "once"):
        send_everything()
    warns = pytest.warns(CassetteWarning, match="answered with digests in place of its rows")
    with warns, use_cassette(tmp_path / "c.yaml", on_unplayed="fail") as cassette:
        send_everything()
    assert cassette.play_count == 7


def test_an_old_cassette_of_vcrpy_is_scrubbed_when_it_is_added_to(tmp_path: Path) -> None:
    """The secrets in a cassette of plain vcrpy are removed when it is written again."""
    old = {
        "version": 1,
        "interactions": [
            {
                "request": {
                    "method": "GET",
                    "uri": f"{URL}/models?api-key=CANARYinurl",
                    "body": None,
                    "headers": {"authorization": ["Bearer sk-CANARY123"]},
                },
                "response": {
                    "status": {"code": 200, "message": "OK"},
                    "headers": {"X": ["CANARY"]},
                    "body": {"string": "{}"},
                },
            }
        ],
    }
    (tmp_path / "c.yaml").write_text(json.dumps(old))
    with use_cassette(tmp_path / "c.yaml", "new_episodes"):
        send_everything()
    assert find_leaks(tmp_path) == []


def test_training_data_is_kept_if_asked_for(tmp_path: Path) -> None:
    """With scrub_training_data=False rows are written and keys are not, and the cassette replays."""
    with use_cassette(tmp_path / "c.yaml", "once", scrub_training_data=False):
        send_everything()
    assert SHORT in (tmp_path / "c.yaml").read_text()
    assert CANARY not in (tmp_path / "c.yaml").read_text()
    with use_cassette(tmp_path / "c.yaml", on_unplayed="fail"):
        send_everything()


def test_headers_that_are_asked_for_are_kept_without_secrets(tmp_path: Path) -> None:
    """`keep_headers` writes a header, with secrets in its value removed."""

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"x-note": f"for {CANARY}", "x-other": "1"}, json={})

    with use_cassette(tmp_path / "c.yaml", "once", keep_headers=["X-Note"]):
        httpx.Client(transport=httpx.MockTransport(respond), headers=HEADERS).get(f"{URL}/models")
    text = (tmp_path / "c.yaml").read_text()
    assert "x-note: for scrubbed" in text
    assert "x-other" not in text


@pytest.mark.parametrize("name", ["Authorization", "api-key", "Set-Cookie", "x-goog-token", "openai-organization"])
def test_headers_with_secrets_cannot_be_kept(name: str) -> None:
    """`keep_headers` refuses the name of a header that holds a secret."""
    with pytest.raises(ValueError, match=f"keep_headers must name headers without secrets, got '{name.lower()}'"):
        use_cassette("c.yaml", keep_headers=[name])


SPELLINGS: list[Callable[[str], str]] = [
    str,
    lambda text: quote(text, safe=""),
    lambda text: json.dumps({"a": text}),
    lambda text: json.dumps({"a": text}, ensure_ascii=False),
    lambda text: json.dumps({"a": json.dumps({"b": text})}),
    lambda text: base64.b64encode(text.encode()).decode(),
]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=8), st.sampled_from(SPELLINGS))
@example('c\\"ö/+ %\n12', SPELLINGS[4])
def test_what_was_sent_as_a_key_is_taken_out_in_every_spelling(key: str, spell: Callable[[str], str]) -> None:
    """A sent key is removed in every spelling: plain, in URLs, in JSON, in nested JSON and in base64."""
    if any(part in "sk-scrubbed" for part in (key, key.strip())):
        return
    secrets = SecretMap({key: "sk-scrubbed"})
    assert spell(key) not in secrets.redact(f"<{spell(key)}>") or spell(key) == spell("")
    assert secrets.leaks_in(secrets.redact(spell(key))) == []


@given(st.lists(st.text("ab1-", min_size=3, max_size=20), max_size=4), st.data())
def test_secrets_among_many_are_taken_out_in_order(keys: list[str], data: st.DataObject) -> None:
    """Whatever else is a secret, a text is redacted as by one replacement after another, the longest first."""
    secrets = SecretMap({key: f"<{number}>" for number, key in enumerate(keys)})
    redacted = text = "".join(data.draw(st.lists(st.sampled_from(["", "-", "ab1", *keys]), max_size=6)))
    for key in sorted(secrets.texts, key=lambda key: (-len(key), key)):
        redacted = redacted.replace(key, secrets.texts[key])
    assert secrets.redact(text) == redacted
    assert set(secrets.leaks_in(text)) == {key for key in keys if key in text}


bodies = st.text() | st.from_regex(r"(sk-|org-|proj_|Bearer |ft:a:|user-|eyJ|https://)[a-zA-Z0-9:.*/@_-]{0,40}")


@given(bodies)
def test_scrubbing_twice_is_scrubbing_once(text: str) -> None:
    """Redacting a redacted text does not change it."""
    once = NO_SECRETS.redact(text)
    assert NO_SECRETS.redact(once) == once


@pytest.mark.parametrize(
    "text",
    [
        '{"status": "succeeded", "trained_tokens": 100, "id": "ftjob-8Vn4TphxqWgcT9sLmbiDeTIM"}',
        '{"max_tokens": 5, "model": "ft:gpt-4o-mini-2024-07-18:personal::COgmpru1", "owned_by": "openai"}',
        "You can find your API key at https://platform.openai.com/account/api-keys.",
        "step,train_loss\n1,0.5\n",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Ids, counts and the service's own addresses are not redacted."""
    assert NO_SECRETS.redact(text) == text


SECRETS = {
    "an id of a request": "(Please include the request ID req_0f1e2d3c4b5a69788796a5b4c3d2e1f0 in your email.)",
    "a key by its ends": "Incorrect API key provided: sk-proj-abcd…wxyz",
    "a key by its ends, in JSON": '"sk-proj-abcd\\u2026wxyz"',
    "GitHub's fine-grained token": "github_pat_11ABCDEFG0abcdefghijkl",
    "GitLab's": "glpat-abcdefghij0123456789",
    "Slack's": "xoxb-123456789012-abcdefghijkl",
    "Google's": "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "a webhook's": "whsec_abcdefghijklmnopqrst",
    "an organisation's name": "by org-acme-corp-1",
    "a project's name": "in proj-acme123",
    "an entity of W&B": '{"wandb": {"entity": "acme-corp"}}',
    "a key of OpenAI": "sk-proj-Abc123Abc123Abc123",
    "a key on a line of its own, in JSON": '"see:\\nsk-proj-Abc123Abc123Abc123"',
    "an organisation on a line of its own, in JSON": '"see:\\norg-acme-corp-1"',
    "a key in a query": "https://x/files?accessToken=q7fJ39xkLm02pQvZ",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
def test_secrets_are_known_by_their_form(text: str) -> None:
    """A text in the form of a known kind of secret is removed, even if it was never sent."""
    secrets = re.findall(r"[\w-]*(?:[a-z]\d|\d[a-z]|abcd|acme)[\w-]*", text, re.IGNORECASE)
    assert secrets
    assert [each for each in secrets if each in NO_SECRETS.redact(text)] == []


def test_a_url_in_a_query_has_no_secrets() -> None:
    """An address that a query holds is written without its user and the secrets in its own query."""
    address = quote("https://me:word@host.example/?api_key=word&page=2", safe="")
    request = RecordedRequest("GET", f"{URL}/models?url={address}")
    uri = redact_request(request, SecretMap.collect([request])).uri
    assert unquote(uri).endswith("/models?url=https://host.example/?api_key=scrubbed&page=2")


@pytest.mark.parametrize("shown", ["q7fJ39...tR8w", "q7fJ39xk**tR8w", "q7fJ39…R8w"])
def test_the_ends_of_a_key_are_not_shown(shown: str) -> None:
    """A sent key is recognized by its ends in an error that shows only these."""
    sent = SecretMap.collect(
        [RecordedRequest("GET", f"{URL}/models", (("authorization", "Bearer q7fJ39xkLm02pQvZtR8w"),))]
    )
    assert sent.redact(f"Incorrect key: {shown}.") == "Incorrect key: sk-****bbed."


@pytest.mark.parametrize("before", ["a line\n", "\t", "é\n", "C:\\", ""])
def test_the_ends_of_a_key_leave_json_as_it_is(before: str) -> None:
    """Where JSON spells the character before a key as an escape, only the key is replaced."""
    assert json.loads(NO_SECRETS.redact(json.dumps(f"{before}sk-ab****wxyz"))) == f"{before}sk-****bbed"


DIFFERENT = [
    ("my-org-support", "my-org-billing"),
    ("sk-learn-v1", "sk-learn-v2"),
    ("org-support", "org-billing"),
    ('Bearer realm="x"', 'Bearer realm="y"'),
    ("training...", "other..."),
    ("**bold** word", "**bold** name"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_people_call_things_stays(one: str, other: str) -> None:
    """Two different names that begin like a secret are not redacted."""
    assert [NO_SECRETS.redact(each) for each in (one, other)] == [one, other]


@pytest.mark.parametrize("letter", ["a", "-", "sk-a", "*", ".", "/", "x-", "A1", "eyJ", '"', "\\", "\\nsk-", "%20"])
def test_long_words_cost_what_they_are_long(letter: str) -> None:
    """The time to redact a text grows about linearly with its length."""
    short, long = (f'"{letter * (length // len(letter))}" ' for length in (20_000, 320_000))
    assert any(seconds_to_redact([long]) < 4 * seconds_to_redact([short] * 16) for _ in range(10))


def seconds_to_redact(texts: list[str]) -> float:
    """Return the processor time of this thread, which other processes do not affect."""
    start = time.thread_time()
    for text in texts:
        NO_SECRETS.redact(text)
    return time.thread_time() - start


def test_a_base_path_may_be_a_secret(tmp_path: Path) -> None:
    """Of the path before the API's path only the version part is written."""
    request = RecordedRequest("GET", "https://gateway.example/q7fJ39xkLm02pQvZ/openai/v1/files/a/content?x=1")
    assert redact_request(request, NO_SECRETS).uri == "https://gateway.example/openai/v1/files/a/content?x=1"


def test_folders_and_addresses_of_people_are_not_written(tmp_path: Path) -> None:
    """File names are written without folders, and client names without e-mail addresses."""
    client = httpx.Client(
        transport=httpx.MockTransport(lambda request: httpx.Response(200, json={"filename": "/home/bob/acme/a.jsonl"})),
        headers={"user-agent": "bot/1 (bob@acme.com)"},
    )
    with client, use_cassette(tmp_path / "c.yaml", "once"):
        client.post(f"{URL}/files", files={"file": ("/home/bob/acme/a.jsonl", b"{}")})
    text = (tmp_path / "c.yaml").read_text()
    assert "bob" not in text
    assert text.count("a.jsonl") == 2


def test_a_word_for_an_organisation_is_not_searched_for() -> None:
    """An organization called "personal" does not remove that word elsewhere."""
    request = RecordedRequest("GET", f"{URL}/models", (("openai-organization", "personal"),))
    assert SecretMap.collect([request]).redact("a personal note") == "a personal note"


def test_a_short_key_is_not_searched_for() -> None:
    """The key "any" is not removed from the word "company", and is not written as a header."""
    request = RecordedRequest("GET", f"{URL}/models", (("authorization", "Bearer any"),))
    assert SecretMap.collect([request]).redact("a company") == "a company"
    assert redact_request(request, SecretMap.collect([request])).headers == ()


def test_addresses_of_this_machine_have_no_port() -> None:
    """The port of a local server is not written."""
    request = RecordedRequest("GET", "http://user:pass@127.0.0.1:39121/v1/models?limit=1")
    assert redact_request(request, NO_SECRETS).uri == "http://localhost/v1/models?limit=1"


def test_an_answer_says_its_new_length() -> None:
    """The content-length of a changed body is corrected."""
    found = redact_response(RecordedResponse(200, "", (("content-length", "99"),), b'{"api_key": "abc"}'), NO_SECRETS)
    assert found.body == b'{"api_key": "scrubbed"}'
    assert found.headers == (("content-length", "23"),)


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("deflate, gzip", lambda body: gzip.compress(zlib.compress(body))),
        ("br", lambda body: pytest.importorskip("brotli").compress(body)),
        ("zstd", lambda body: pytest.importorskip("zstandard").compress(body)),
    ],
)
def test_compressed_answers_are_written_plain(tmp_path: Path, coding: str, compress: Callable[[bytes], bytes]) -> None:
    """A compressed response is searched, written and replayed in plain form."""
    body = json.dumps({"id": "m", "api_key": "CANARY", "text": "é" * 50}).encode()

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": coding}, stream=httpx.ByteStream(compress(body)))

    with use_cassette(tmp_path / "c.yaml", "once"):
        httpx.Client(transport=httpx.MockTransport(respond)).get(f"{URL}/models/m")
    with use_cassette(tmp_path / "c.yaml"):
        replayed = httpx.get(f"{URL}/models/m")
    assert replayed.json()["text"] == "é" * 50
    assert find_leaks(tmp_path) == []


@pytest.mark.parametrize(
    ("coding", "why"),
    [
        ("compress", "cannot be searched for secrets: it is unknown"),
        ("zstd", "'zstd' and cannot be searched for secrets: none of .* is installed"),
        ("br", "'br' and cannot be searched"),
        ("gzip", "must be gzip, as its header"),
    ],
)
def test_what_cannot_be_searched_is_not_written(
    tmp_path: Path, coding: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response whose compression is unknown or wrong is not written."""
    for library in ("brotli", "brotlicffi", "compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, library, None)

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": coding}, stream=httpx.ByteStream(b"\0CANARY"))

    client = httpx.Client(transport=httpx.MockTransport(respond))
    refused = pytest.raises(CassetteError, match=why)
    with client, refused, use_cassette(tmp_path / "c.yaml", "once"), suppress(httpx.DecodingError):
        client.get(f"{URL}/models")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        (b"step,train_loss,valid_loss\n1,0.5,\n2,0.4,0.6\n", True),
        (base64.b64encode(b"step,train_loss\n1,0.5\n"), True),
        (b"step,text\n1,a private row\n", False),
        (b'{"messages": []}\n', False),
        (b"", False),
    ],
)
def test_only_numbers_by_step_are_results(content: bytes, is_one: bool) -> None:
    """Only tables of numbers by step count as result files."""
    assert is_result_file(content) is is_one
