"""Secrets are recognized by their names in JSON, forms and URLs, in every spelling."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from fine_tuning_cassettes.messages import FormPart, RecordedRequest, RecordedResponse, decode_response
from fine_tuning_cassettes.redaction import SecretMap, redact_request, redact_response
from fine_tuning_formats.secret_rules import is_secret, secrets_in

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
    """A secret under any of these names, at any depth, is removed from the request and from an echo of it."""
    request = RecordedRequest("POST", URL, (), json.dumps(body).encode())
    assert CANARY in secrets_in(body)
    secrets = SecretMap.collect([request])
    echo = RecordedResponse(200, "OK", (), f"you sent {CANARY}".encode())
    assert CANARY.encode() not in redact_request(request, secrets).body
    assert CANARY.encode() not in redact_response(echo, secrets).body


@pytest.mark.parametrize(
    ("name", "value"), [("token", "Hello"), ("key", "team"), ("code", "invalid_training_file"), ("monkey", CANARY)]
)
def test_ordinary_words_are_no_secrets(name: str, value: str) -> None:
    """A value under such a name is a secret only if it looks like one."""
    assert not is_secret(name, value)


def test_fields_of_forms_are_judged_by_name() -> None:
    """A secret in a form field, multipart or urlencoded, is not written, and other fields are."""
    form = RecordedRequest(
        "POST", URL, (), b"", (FormPart("api_key", None, CANARY.encode()), FormPart("purpose", None, b"fine-tune"))
    )
    scrubbed = redact_request(form, SecretMap.collect([form])).form or ()
    assert [part.content for part in scrubbed] == [b"scrubbed", b"fine-tune"]
    kind = (("content-type", "application/x-www-form-urlencoded"),)
    coded = RecordedRequest("POST", URL, kind, urlencode({"client_secret": CANARY, "a": "b"}).encode())
    assert redact_request(coded, SecretMap.collect([coded])).body == b"client_secret=scrubbed&a=b"


@pytest.mark.parametrize("before", ["", "a", "ab", "user:"])
@pytest.mark.parametrize("after", ["", "z", "zz"])
def test_a_key_within_base64_is_found(before: str, after: str) -> None:
    """A key is recognized in hexadecimal, and inside base64 at any offset."""
    request = RecordedRequest("GET", URL, (("authorization", f"Bearer {CANARY}"),))
    secrets = SecretMap.collect([request])
    wrapped = base64.b64encode(f"{before}{CANARY}{after}".encode()).decode()
    redacted = redact_response(
        RecordedResponse(200, "OK", (), f"{wrapped} {CANARY.encode().hex()}".encode()), secrets
    ).body.decode()
    assert wrapped.rstrip("=") not in redacted
    assert CANARY.encode().hex() not in redacted


def test_a_password_of_basic_auth_is_a_secret() -> None:
    """The password of Basic authentication is removed from a response that echoes it."""
    encoded = base64.b64encode(f"user:{CANARY}".encode()).decode()
    secrets = SecretMap.collect([RecordedRequest("GET", URL, (("authorization", f"Basic {encoded}"),))])
    assert secrets.redact(f"no such user with {CANARY}") == "no such user with scrubbed"


def test_a_header_called_auth_is_a_secret() -> None:
    """The value of an x-auth header is a secret."""
    assert SecretMap.collect([RecordedRequest("GET", URL, (("x-auth", CANARY),))]).redact(CANARY) == "scrubbed"


def test_signed_addresses_in_answers() -> None:
    """The signature in a signed URL of a response is removed."""
    url = f"https://files.example.com/x?X-Amz-Credential={CANARY}&X-Amz-Signature={CANARY}&part=1"
    assert SecretMap({}).redact(url) == (
        "https://files.example.com/x?X-Amz-Credential=scrubbed&X-Amz-Signature=scrubbed&part=1"
    )


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_what_a_library_has_unpacked_already_is_taken_as_it_is(coding: str) -> None:
    """A body that the HTTP library has already decompressed is kept, and its content-encoding dropped."""
    answer = RecordedResponse(
        200, "OK", (("content-encoding", coding), ("content-type", "application/json")), b'{"a": 1}\n'
    )
    assert decode_response(answer, URL) == RecordedResponse(
        200, "OK", (("content-type", "application/json"),), b'{"a": 1}\n'
    )
