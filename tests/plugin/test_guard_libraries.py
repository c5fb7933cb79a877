"""The guard with libraries that have network code of their own: aiohttp, niquests (urllib3-future) and uvloop."""

from __future__ import annotations

from pathlib import Path

import pytest

from downstream_project import project, run

pytestmark = pytest.mark.slow

AIOHTTP = """
import asyncio
import pytest
from project import *

HEADERS = {"Authorization": "Bearer sk-a-key-that-costs-money"}
OPENAI = "https://api.openai.com/v1/"
AZURE = "https://westeurope.api.cognitive.microsoft.com/openai"


def asked(url, /, method="get", session=dict, **options):
    import aiohttp  # first in a test, while the guard is active

    async def ask():
        async with aiohttp.ClientSession(**session()) as client:
            async with getattr(client, method)(url, **{"headers": HEADERS, **options}) as answer:
                return answer.status, await answer.json()

    return asyncio.run(ask())


@pytest.mark.parametrize("url", [OPENAI + "models", "http://API.openai.com./v1/models", "https://api。openai。com/v1/models"])
def test_named(fake_fine_tuning, url):
    assert asked(url)[1]["object"] == "list"
    fake_fine_tuning.assert_called("list_models", times=1)
    assert "costs-money" not in fake_fine_tuning.describe()


def test_base_url_of_the_session(fake_fine_tuning):
    assert asked("files?limit=1", params={"purpose": "x"}, session=lambda: {"base_url": OPENAI})[0] == 200
    assert fake_fine_tuning.requests[0].query == "limit=1&purpose=x"


def test_upload(fake_fine_tuning):
    import aiohttp

    form = aiohttp.FormData()
    form.add_field("purpose", "fine-tune")
    form.add_field("file", (ROW * 10).encode(), filename="train.jsonl")
    assert asked(OPENAI + "files", "post", data=form)[1]["bytes"] == len(ROW) * 10


@pytest.mark.parametrize("name", ["host", "HOST"])
def test_host_header(fake_fine_tuning, name):
    assert asked(OPENAI + "models", headers={name: "api.openai.com", **HEADERS})[0] == 200
    assert fake_fine_tuning.requests[0].headers["host"] in fake_fine_tuning.base_url


@pytest.mark.parametrize("options", [{"proxy": "http://127.0.0.1:9", "proxy_headers": {"a": "b"}}, {"ssl": False}])
def test_proxy(fake_fine_tuning, options):
    assert asked(OPENAI + "models", **options)[0] == 200


@pytest.mark.parametrize("dialect", [
    pytest.param(name, marks=pytest.mark.fake_fine_tuning(dialect=name)) for name in ("openai-2025-09", "azure-2025")])
def test_azure(fake_fine_tuning, dialect):
    url = AZURE + "/fine_tuning/jobs?api-version=2025-04-01-preview"
    assert asked(url, headers={"api-key": "any"})[1]["data"] == []
    fake_fine_tuning.assert_called("list_jobs", times=1)


def test_client_of_the_sdk(fake_fine_tuning):
    import openai

    async def ask():
        http_client = openai.DefaultAioHttpClient()
        async with openai.AsyncOpenAI(base_url=OPENAI, api_key="any", http_client=http_client) as client:
            file = await client.files.create(file=("train.jsonl", (ROW * 10).encode()), purpose="fine-tune")
            return await client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")

    assert asyncio.run(ask()).id == fake_fine_tuning.jobs[0]["id"]


def test_within_a_cassette(fake_fine_tuning, tmp_path):
    import vcr

    with vcr.use_cassette(str(tmp_path / "cassette.yaml"), record_mode="new_episodes"):
        assert asked(OPENAI + "models")[0] == 200
    assert list(tmp_path.iterdir()) == []


def other_connector():
    import aiohttp

    return {"connector": type("Connector", (aiohttp.TCPConnector,), {})()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # aiohttp wants no classes derived from its own
@pytest.mark.parametrize("session", [lambda: {"proxy": "http://127.0.0.1:9"}, other_connector])
def test_refused(fake_fine_tuning, session):
    with pytest.raises(RuntimeError, match="api.openai.com would have left"):
        asked(OPENAI + "models", session=session)
    assert len(fake_fine_tuning.take_usage_errors()) == 1


@pytest.mark.fake_fine_tuning(allowed_hosts=["api.openai.com"])
def test_others(fake_fine_tuning):
    import aiohttp

    for url in ("http://127.0.0.1:9/v1", "http://[::1", 7):
        with pytest.raises((aiohttp.ClientError, TypeError)):
            asked(url)
    assert fake_fine_tuning.take_usage_errors() == []
"""


def test_aiohttp_that_names_a_provider_reaches_the_fake(tmp_path: Path) -> None:
    """aiohttp and the SDK on it reach the fake, and requests that would bypass it are refused."""
    assert run(project(tmp_path, AIOHTTP), "-W", "error", beside=["aiohttp"]) == {"passed": 16}


BLOCKED = """
import asyncio
import aiohttp
import pytest

def test_refused(fake_fine_tuning):
    async def ask():
        async with aiohttp.ClientSession() as client, client.get("https://api.openai.com/v1/models"):
            pass

    with pytest.raises(RuntimeError, match="api.openai.com would have left"):
        asyncio.run(ask())
    fake_fine_tuning.take_usage_errors()
"""


def test_aiohttp_is_refused_where_the_fake_has_no_socket(tmp_path: Path) -> None:
    """If the fake has no socket, aiohttp is refused with the host in the error."""
    assert run(project(tmp_path, BLOCKED), "--disable-socket", "--allow-unix-socket", beside=["aiohttp"]) == {
        "passed": 1
    }


OTHERS = """
import asyncio
import socket
import niquests
import pytest
import uvloop

@pytest.fixture
def proxy():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.setblocking(False)
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        with connection:
            assert connection.recv(1) == b"", "something was sent"

@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxied", [False, True])
def test_niquests(fake_fine_tuning, proxy, scheme, proxied):
    with niquests.Session() as session, pytest.raises(RuntimeError, match="would have left"):
        session.get(f"{scheme}://api.openai.com/v1", proxies={scheme: proxy} if proxied else {}, timeout=5)
    assert fake_fine_tuning.take_usage_errors()

@pytest.mark.parametrize("options", [{}, {"ssl": True}])
def test_uvloop(fake_fine_tuning, options):
    with pytest.raises(RuntimeError, match="would have left"):
        uvloop.run(asyncio.open_connection("api.openai.com", 443, **options))
    assert fake_fine_tuning.take_usage_errors()
"""


def test_niquests_and_uvloop_are_refused(tmp_path: Path) -> None:
    """niquests and uvloop send nothing to a guarded host, not even CONNECT to a proxy."""
    assert run(project(tmp_path, OTHERS), beside=["niquests-uvloop"]) == {"passed": 6}
