"""The source of a cassette is in its file and in advice, and another source is not recorded unless requested."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from fine_tuning_cassettes import (
    CassetteError,
    CassetteExpiredError,
    CassetteFileError,
    CassetteMissError,
    use_cassette,
)

OPENAI, AZURE = "https://api.openai.com/v1", "https://acme.openai.azure.com/openai"
GATEWAY, LOCAL = "https://gateway.example.com/v1", "http://127.0.0.1:9/openai/v1"


class Services:
    """Services that record the URLs they are asked for."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def get(self, url: str) -> None:
        """Send a GET to the service at *url*."""
        with httpx.Client(transport=httpx.MockTransport(self._answer)) as client:
            client.get(url)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.urls.append(str(request.url))
        return httpx.Response(200, json={"number": len(self.urls)})


@pytest.fixture
def services() -> Services:
    """Services that record their URLs."""
    return Services()


def record(path: Path, services: Services, url: str, **options: Any) -> str:
    """Record one request anew; return the cassette's source."""
    with use_cassette(path, "rewrite", **options) as cassette:
        services.get(f"{url}/models/m")
    named = [line for line in path.read_text().splitlines() if line.startswith("source: ")]
    assert named == ([f"source: {cassette.source}"] if cassette.source else [])
    return cassette.source


@pytest.mark.parametrize(
    ("url", "options", "source"),
    [
        (OPENAI, {}, "openai"),
        ("https://eu.api.openai.com/v1", {}, "openai"),
        (AZURE, {}, "azure"),
        ("https://westeurope.api.cognitive.microsoft.com/openai", {}, "azure"),
        (GATEWAY, {}, ""),
        (LOCAL, {}, ""),
        (LOCAL, {"source": "fake"}, "fake"),
        (GATEWAY, {"source": "openai"}, "openai"),
    ],
)
def test_the_source_stands_in_the_file(
    tmp_path: Path, services: Services, url: str, options: dict[str, Any], source: str
) -> None:
    """The file's source is the argument, else follows from the URL, else is absent."""
    assert record(tmp_path / "c.yaml", services, url, **options) == source
    with use_cassette(tmp_path / "c.yaml") as cassette:
        services.get(f"{OPENAI}/models/m")
    assert cassette.header
    assert (cassette.header.source, cassette.source) == (source, source)


def test_two_providers_in_one_cassette_are_no_source(tmp_path: Path, services: Services) -> None:
    """A cassette of requests to several providers has no source, even if one was added later."""
    path = tmp_path / "c.yaml"
    with use_cassette(path, "once"):
        services.get(f"{OPENAI}/models/m")
        services.get(f"{AZURE}/models/n")
    assert "\nsource: " not in path.read_text()
    record(path, services, OPENAI)
    with use_cassette(path, "new_episodes"):
        services.get(f"{GATEWAY}/models/n")
    assert "\nsource: " not in path.read_text()


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("openai", "--fine-tuning-record=new_episodes, or rewrite, --fine-tuning-record-from=openai)"),
        ("azure", "--fine-tuning-record=new_episodes, or rewrite, --fine-tuning-record-from=azure)"),
        (
            "fake",
            "mode='rewrite') sends all anew (in pytest: --fine-tuning-record=rewrite --fine-tuning-record-from=fake)",
        ),
    ],
)
def test_the_advice_of_a_miss_repeats_the_source(tmp_path: Path, services: Services, source: Any, advice: str) -> None:
    """The errors of a miss and of an expired cassette suggest recording from the same source again."""
    path = tmp_path / "c.yaml"
    record(path, services, LOCAL, source=source)
    with pytest.raises(CassetteMissError) as missed, use_cassette(path):
        services.get(f"{LOCAL}/models/other")
    assert advice in str(missed.value)
    with pytest.raises(CassetteExpiredError) as expired:
        use_cassette(path, max_age="1d", clock=lambda: 1e11).open()
    assert f"(in pytest: --fine-tuning-record=rewrite --fine-tuning-record-from={source})" in str(expired.value)


@pytest.mark.parametrize("mode", ["new_episodes", "all", "rewrite"])
@pytest.mark.parametrize(("argument", "url"), [(None, OPENAI), ("openai", GATEWAY), ("azure", GATEWAY)])
def test_another_source_is_not_recorded(tmp_path: Path, services: Services, mode: Any, argument: Any, url: str) -> None:
    """A cassette of one source is not recorded from another: nothing is sent or written."""
    path = tmp_path / "c.yaml"
    record(path, services, LOCAL, source="fake")
    before = path.read_bytes()
    refused = pytest.raises(CassetteError, match="the source must be fake, which this cassette was recorded from, got")
    # some clients take any error for a broken connection
    with refused, use_cassette(path, mode, source=argument), suppress(CassetteError):
        services.get(f"{url}/models/other")
    assert len(services.urls) == 1
    assert path.read_bytes() == before


def test_another_source_is_recorded_if_that_is_asked_for(tmp_path: Path, services: Services) -> None:
    """With change_source another provider is recorded, and the file names it."""
    path = tmp_path / "c.yaml"
    record(path, services, LOCAL, source="fake")
    assert record(path, services, OPENAI, change_source=True) == "openai"
    assert record(path, services, GATEWAY) == ""  # nobody knows who that is
    assert record(path, services, AZURE) == "azure"


def test_requests_to_another_provider_than_the_argument_names_are_not_sent(tmp_path: Path, services: Services) -> None:
    """With source="fake" a request to a real provider is refused."""
    with pytest.raises(CassetteError, match=r"must go to the chosen service, got GET api\.openai\.com"):
        record(tmp_path / "c.yaml", services, OPENAI, source="fake")
    assert services.urls == []


def test_replay_asks_for_no_source(tmp_path: Path, services: Services) -> None:
    """A recorded request is replayed whatever host it goes to, even in a mode that records."""
    path = tmp_path / "c.yaml"
    record(path, services, LOCAL, source="fake")
    with use_cassette(path, "new_episodes") as cassette:
        services.get(f"{OPENAI}/models/m")
    assert (cassette.play_count, len(services.urls)) == (1, 1)


def test_an_unknown_source_is_refused(tmp_path: Path, services: Services) -> None:
    """An unknown source is refused in the argument and in the file, and such a file can be rewritten."""
    path = tmp_path / "c.yaml"
    with pytest.raises(ValueError, match="source must be one of None, 'openai', 'azure', 'fake', got 'bedrock'"):
        use_cassette(path, source="bedrock")  # type: ignore[arg-type]  # on purpose
    record(path, services, OPENAI)
    path.write_text(path.read_text().replace("source: openai", "source: bedrock"))
    with pytest.raises(CassetteFileError, match="`source` must be one of openai, azure, fake, got 'bedrock'"):
        use_cassette(path).open()
    assert record(path, services, AZURE) == "azure"
