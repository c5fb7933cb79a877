"""Secrets by the names they go under: out of JSON, of forms, of addresses, in every spelling."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from fine_tuning_cassettes.body_decoding import decode_body
from fine_tuning_cassettes.messages import FormPart, Request, Response
from fine_tuning_cassettes.redaction import SecretMap, is_secret, scrubbed_answer, scrubbed_request, secrets_in

CANARY = "canary-0123456789-abcdef"
URL = "https://api.openai.com/v1/fine_tuning/jobs"


@pytest.mark.parametrize(
    "body",
    [
        {"api_key": CANARY},
        {"x-api-key": CANARY},
        {"api_keys": [CANARY]},
        {"hf_token": CANARY},
        {"GITHUB_TOKEN": CANARY},
        {"token": CANARY},
        {"wandb_key": CANARY},
        {"wandbKey": CANARY},
        {"openAIKey": CANARY},
        {"my_token": CANARY},
        {"accessToken": CANARY},
        {"subscription-key": CANARY},
        {"auth": CANARY},
        {"key": CANARY},
        {"client_secret": {"value": CANARY}},
        {"metadata": {"config": json.dumps({"api_key": CANARY})}},
        {"integrations": [{"type": "wandb", "wandb": {"api_key": CANARY}}]},
    ],
    ids=lambda body: json.dumps(body)[:40],
)
def test_a_secret_is_found_by_its_name(body: dict[str, Any]) -> None:
    """Under any of these names, nested in any way, a secret is taken out of the request and of what echoes it."""
    asked = Request("POST", URL, (), json.dumps(body).encode())
    assert CANARY in secrets_in(body)
    secrets = SecretMap.sent([asked])
    echo = Response(200, "OK", (), f"you sent {CANARY}".encode())
    assert CANARY.encode() not in scrubbed_request(asked, secrets).body
    assert CANARY.encode() not in scrubbed_answer(echo, secrets).body


@pytest.mark.parametrize(
    ("name", "value"), [("token", "Hello"), ("key", "team"), ("code", "invalid_training_file"), ("monkey", CANARY)]
)
def test_ordinary_words_are_no_secrets(name: str, value: str) -> None:
    """What goes under such a name is a secret only if it looks like one."""
    assert not is_secret(name, value)


def test_fields_of_forms_are_judged_by_name() -> None:
    """A secret in a field of a form, of either kind, is not written, whatever else is in it."""
    form = Request(
        "POST", URL, (), b"", (FormPart("api_key", None, CANARY.encode()), FormPart("purpose", None, b"fine-tune"))
    )
    scrubbed = scrubbed_request(form, SecretMap.sent([form])).form or ()
    assert [part.content for part in scrubbed] == [b"scrubbed", b"fine-tune"]
    kind = (("content-type", "application/x-www-form-urlencoded"),)
    coded = Request("POST", URL, kind, urlencode({"client_secret": CANARY, "a": "b"}).encode())
    assert scrubbed_request(coded, SecretMap.sent([coded])).body == b"client_secret=scrubbed&a=b"


@pytest.mark.parametrize("before", ["", "a", "ab", "user:"])
@pytest.mark.parametrize("after", ["", "z", "zz"])
def test_a_key_within_base64_is_found(before: str, after: str) -> None:
    """A key is found in base64 wherever in a longer text it stands, and in hexadecimal digits."""
    asked = Request("GET", URL, (("authorization", f"Bearer {CANARY}"),))
    secrets = SecretMap.sent([asked])
    wrapped = base64.b64encode(f"{before}{CANARY}{after}".encode()).decode()
    shown = scrubbed_answer(
        Response(200, "OK", (), f"{wrapped} {CANARY.encode().hex()}".encode()), secrets
    ).body.decode()
    assert wrapped.rstrip("=") not in shown
    assert CANARY.encode().hex() not in shown


def test_a_password_of_basic_auth_is_a_secret() -> None:
    """The password in an Authorization header is taken out of what echoes it."""
    said = base64.b64encode(f"user:{CANARY}".encode()).decode()
    secrets = SecretMap.sent([Request("GET", URL, (("authorization", f"Basic {said}"),))])
    assert secrets.out_of(f"no such user with {CANARY}") == "no such user with scrubbed"


def test_a_header_called_auth_is_a_secret() -> None:
    """A gateway's own header for keys is known by its name."""
    assert SecretMap.sent([Request("GET", URL, (("x-auth", CANARY),))]).out_of(CANARY) == "scrubbed"


def test_signed_addresses_in_answers() -> None:
    """A signature in an address that an answer has is taken out."""
    url = f"https://files.example.com/x?X-Amz-Credential={CANARY}&X-Amz-Signature={CANARY}&part=1"
    assert SecretMap({}).out_of(url) == (
        "https://files.example.com/x?X-Amz-Credential=scrubbed&X-Amz-Signature=scrubbed&part=1"
    )


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_what_a_library_has_unpacked_already_is_taken_as_it_is(coding: str) -> None:
    """urllib3 hands over plain text and the header of compressed text: the header is dropped."""
    answer = Response(200, "OK", (("content-encoding", coding), ("content-type", "application/json")), b'{"a": 1}\n')
    assert decode_body(answer, URL) == Response(200, "OK", (("content-type", "application/json"),), b'{"a": 1}\n')
