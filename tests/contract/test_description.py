"""The OpenAPI document also describes the responses of the real service."""

from __future__ import annotations

import json

import pytest

from fine_tuning_fakeserver.web.in_process import InProcessResponse
from openapi_checks import check

from .recordings import ABSENT, DOTNET, RecordedExchange, exchanges

pytestmark = pytest.mark.skipif(not DOTNET.is_dir(), reason=ABSENT)

RECORDED = exchanges("FineTuningClientTests", "FilesTests", "ModelsTests", "UploadsTests")


@pytest.mark.parametrize("exchange", RECORDED, ids=lambda exchange: exchange.name)
def test_recorded_answers_are_as_described(exchange: RecordedExchange) -> None:
    """Status, members and types of each recorded response conform to the OpenAPI document."""
    headers = [(b"content-type", exchange.headers["content-type"].encode())]

    check(
        exchange.method,
        exchange.target,
        InProcessResponse(exchange.status, headers, [json.dumps(exchange.json).encode()]),
    )
