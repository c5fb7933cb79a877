"""Which host names are guarded, however they are spelt, and which functions refuse them."""

from __future__ import annotations

import _socket
import asyncio
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fine_tuning_fakeserver import FakeFineTuning
from pytest_fine_tuning.network_guard import BlockedRequestError, install_guard
from pytest_fine_tuning.provider_hosts import PROVIDERS, ProviderHosts

HOST = "api.openai.com"
GUARDED = ProviderHosts(guarded=["*.example.org"], allowed=["except.example.org"])


@pytest.fixture
def fake() -> Iterator[FakeFineTuning]:
    """A fake without a socket, behind a guard for the default hosts."""
    fake = FakeFineTuning()
    with fake.reached_at("http://fake-fine-tuning.invalid/v1"), install_guard(fake, ProviderHosts()):
        yield fake


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens on this machine and accepts nothing by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.mark.parametrize(
    "host",
    [
        "gov.api.openai.com",
        "mtls-eu.api.openai.com",
        "southcentralus.privatelink.api.openai.com",
        "mine.azure.openai.com",
        "westeurope.api.cognitive.microsoft.com",
        "api.cognitive.microsoft.com",
        "mine.privatelink.openai.azure.com",
        "usgovvirginia.api.cognitive.microsoft.us",
        "mine.services.ai.azure.us",
        "mine.cognitiveservices.azure.us",
        "mine.openai.azure.cn",
        "mine.services.ai.azure.cn",
        "mine.cognitiveservices.azure.cn",
        "chinaeast2.api.cognitive.azure.cn",
        "bedrock-mantle.us-gov-west-1.api.aws",
        "bedrock-mantle-fips.us-east-1.api.aws",
        "bedrock-mantle.cn-north-1.api.amazonwebservices.com.cn",
        "vpce-1-2.bedrock-mantle.us-east-1.vpce.amazonaws.com",
        "api.tokenfactory.us-central1.nebius.com",
        "api.studio.nebius.com",
        "oai.helicone.ai",
        "gateway.ai.cloudflare.com",
    ],
)
def test_a_region_or_sovereign_cloud_of_a_provider_is_guarded(host: str) -> None:
    """Regional, government, Chinese, private-link and gateway hosts of a provider are guarded."""
    assert host in GUARDED


@pytest.mark.parametrize(
    "host",
    [
        "mine.blob.core.windows.net",
        "login.microsoftonline.com",
        "api.bing.microsoft.com",
        "westeurope.stt.speech.microsoft.com",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "mantle.us-east-1.api.aws",
        "nebius.com",
        "xapi.cognitive.microsoft.com",
        "except.example.org",
    ],
)
def test_a_neighbour_of_a_provider_is_not_guarded(host: str) -> None:
    """Hosts in the same domains without a fine-tuning API are not guarded."""
    assert host not in GUARDED


def test_every_provider_has_patterns_with_a_source() -> None:
    """Each row of the provider table has patterns and names its source."""
    assert all("(" in source or "docstring" in source for source in PROVIDERS)
    assert all(PROVIDERS.values())


SPELLINGS = (
    "API.OpenAI.com",
    "api.openai.com.",
    "api。openai。com",
    "api．openai｡com",
    "ａｐｉ.openai.com",
    "api.open\u00adai.com",
    "api\u2024openai.com",
)


@pytest.mark.parametrize("host", [*SPELLINGS, "api%2Eopenai.com", "api%E3%80%82openai.com"])
def test_a_host_is_guarded_however_it_is_spelt(host: str) -> None:
    """A host is guarded in upper case, with a final dot, other dots, wide letters, invisible characters or escapes."""
    assert host in ProviderHosts()
    assert host not in ProviderHosts(allowed=[HOST])


@pytest.mark.parametrize("host", ["ü.example.org", "xn--tda.example.org"])
def test_an_international_name_is_compared_in_ascii(host: str) -> None:
    """An international name is guarded in both of its forms, and one that is too long is not an error."""
    assert host in GUARDED
    assert f"{'ü' * 70}.com" not in GUARDED


def udp_socket() -> socket.socket:
    """Make a UDP socket."""
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def connect_by_name(method: str, host: str | bytes) -> None:
    """Call a socket's *method* with the name."""
    with socket.socket() as connection:
        getattr(connection, method)((host, 443))


def send_by_name(*arguments: Any, method: str = "sendto") -> None:
    """Send a datagram to the name."""
    with udp_socket() as connection:
        getattr(connection, method)(*arguments, (HOST, 443))


def connect_ssl_by_name() -> None:
    """Connect a TLS socket by name."""
    context = ssl.create_default_context()
    with socket.socket() as plain, context.wrap_socket(plain, server_hostname="example.com") as connection:
        connection.connect((HOST, 443))


async def connect_by_loop() -> None:
    """Connect a socket by name through asyncio."""
    with socket.socket() as connection:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (HOST, 443))


async def resolve_by_loop() -> None:
    """Resolve the name through asyncio."""
    await asyncio.get_running_loop().getaddrinfo(HOST, 443)


async def send_by_loop() -> None:
    """Open a datagram endpoint to the name through asyncio."""
    await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(HOST, 443))


BY_NAME: dict[str, Callable[[], object]] = {
    "connect": lambda: connect_by_name("connect", HOST),
    "connect, bytes": lambda: connect_by_name("connect", HOST.encode()),
    "connect_ex": lambda: connect_by_name("connect_ex", HOST),
    "connect, as IDNA": lambda: connect_by_name("connect", "api。openai。com"),
    "bind": lambda: connect_by_name("bind", HOST),
    "sendto": lambda: send_by_name(b"data"),
    "sendto, flags": lambda: send_by_name(b"data", 0),
    "sendmsg": lambda: send_by_name([b"data"], [], 0, method="sendmsg"),
    "SSL socket": connect_ssl_by_name,
    "getaddrinfo, as IDNA": lambda: socket.getaddrinfo("api。openai。com", 443),
    "getaddrinfo of _socket": lambda: _socket.getaddrinfo(HOST, 443),
    "gethostbyname of _socket": lambda: _socket.gethostbyname(HOST),
    "gethostbyaddr": lambda: socket.gethostbyaddr(HOST),
    "getfqdn": lambda: socket.getfqdn(HOST),
    "loop, connect": lambda: asyncio.run(connect_by_loop()),
    "loop, getaddrinfo": lambda: asyncio.run(resolve_by_loop()),
    "loop, datagram": lambda: asyncio.run(send_by_loop()),
}


@pytest.mark.parametrize("way", BY_NAME)
def test_a_socket_cannot_be_led_to_a_guarded_host_by_its_name(fake: FakeFineTuning, way: str) -> None:
    """Every function of `socket` and asyncio that takes a guarded name refuses it, and the fake records it."""
    if way == "sendmsg" and not hasattr(socket.socket, "sendmsg"):
        pytest.skip("there is no sendmsg on Windows")
    with pytest.raises(BlockedRequestError, match=r"^a request to api\.openai\.com would have left"):
        BY_NAME[way]()
    assert len(fake.take_usage_errors()) == 1


def test_sockets_reach_what_is_not_guarded(fake: FakeFineTuning, listener: socket.socket) -> None:
    """Connections, datagrams and look-ups of this machine work by name and by address."""
    port = listener.getsockname()[1]
    with socket.create_connection(("localhost", port)), socket.socket() as connection, udp_socket() as receiver:
        assert connection.connect_ex(("127.0.0.1", port)) == 0
        receiver.bind(("127.0.0.1", 0))
        with udp_socket() as sender:
            sender.sendto(b"data", receiver.getsockname())
            assert receiver.recv(10) == b"data"
    assert socket.gethostbyaddr("127.0.0.1")
    with pytest.raises(TypeError):
        socket.socket.connect()  # type: ignore[call-arg]  # as without a guard
    assert fake.take_usage_errors() == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets")
def test_a_unix_socket_is_reached(fake: FakeFineTuning, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The path of a Unix socket is not treated as a host name."""
    path = str(tmp_path_factory.mktemp("u") / HOST)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connection:
        listener.bind(path)
        listener.listen()
        connection.connect(path)


def test_tls_with_a_guarded_host_does_not_begin(fake: FakeFineTuning, listener: socket.socket) -> None:
    """A TLS handshake for a guarded host is refused before anything is sent, even to a bare address."""
    context = ssl.create_default_context()
    with (
        socket.create_connection(listener.getsockname()) as plain,
        pytest.raises(BlockedRequestError, match="would have left"),
    ):
        context.wrap_socket(plain, server_hostname=HOST)
    with pytest.raises(BlockedRequestError, match="would have left"):
        context.wrap_bio(
            ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=HOST
        )  # as asyncio, uvloop, trio and anyio do
    connection, _ = listener.accept()
    with connection:
        assert connection.recv(1) == b""


class Connection:
    """A connection class like urllib3-future's, which does not derive from `http.client`'s."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._tunnel_host: str | None = None

    def putrequest(self, method: str, url: str) -> str:
        """Begin a request."""
        return "sent"

    def set_tunnel(self, host: str, port: int | None = None) -> str:
        """Prepare a CONNECT."""
        return "sent"


class Loop:
    """An event loop like uvloop's, which resolves names in C."""

    def getaddrinfo(self, host: str, port: int) -> str:
        """Resolve a name."""
        return "sent"

    def create_connection(self, factory: object, host: str, port: int) -> str:
        """Connect to a name."""
        return "sent"

    def create_datagram_endpoint(self, factory: object, local_addr: object = None, remote_addr: object = None) -> str:
        """Open a datagram socket."""
        return "sent"

    def sock_connect(self, sock: object, address: object) -> str:
        """Connect a socket."""
        return "sent"


OWN_NETWORK_CODE: dict[str, Callable[[str], str]] = {
    "urllib3-future": lambda host: Connection(host).putrequest("GET", "/v1"),
    "urllib3-future, CONNECT": lambda host: Connection("127.0.0.1").set_tunnel(host, 443),
    "urllib3-future, HTTP proxy": lambda host: Connection("127.0.0.1").putrequest("GET", f"HTTP://{host}/v1"),
    "uvloop, getaddrinfo": lambda host: Loop().getaddrinfo(host, 443),
    "uvloop, connection": lambda host: Loop().create_connection(None, host, 443),
    "uvloop, datagrams": lambda host: Loop().create_datagram_endpoint(None, remote_addr=(host, 443)),
    "uvloop, socket": lambda host: Loop().sock_connect(None, (host, 443)),
}


@pytest.mark.parametrize("way", OWN_NETWORK_CODE)
def test_libraries_with_network_code_of_their_own_are_refused(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections of urllib3-future, with and without a proxy, and uvloop loops refuse a guarded host."""
    ask = OWN_NETWORK_CODE[way]
    modules: dict[str, dict[str, object]] = {
        "urllib3_future.connection": {"HTTPConnection": Connection},
        "uvloop": {"Loop": Loop},
    }
    for name, members in modules.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    fake, before = FakeFineTuning(), [dict(vars(kind)) for kind in (Connection, Loop)]

    with fake.reached_at("http://a.invalid/v1"), install_guard(fake, ProviderHosts()):
        with pytest.raises(BlockedRequestError, match="would have left"):
            ask(HOST)
        assert ask("example.com") == "sent"

    assert ask(HOST) == "sent"
    assert [dict(vars(kind)) for kind in (Connection, Loop)] == before


UVLOOP = """
class Loop:
    def getaddrinfo(self, host): return []
    create_connection = create_datagram_endpoint = sock_connect = getaddrinfo
"""


def test_a_library_that_is_imported_in_the_test_is_guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library imported while a guard is active is guarded, and restored afterwards."""
    (tmp_path / "uvloop.py").write_text(UVLOOP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "uvloop", ModuleType("uvloop"))  # restored after the test
    del sys.modules["uvloop"]
    fake, finders = FakeFineTuning(), list(sys.meta_path)

    with fake.reached_at("http://a.invalid/v1"), install_guard(fake, ProviderHosts()):
        loop = import_module("uvloop").Loop()
        with pytest.raises(BlockedRequestError, match="would have left"):
            loop.getaddrinfo(HOST)
        assert loop.getaddrinfo("example.com") == []

    assert loop.getaddrinfo(HOST) == []
    assert sys.meta_path == finders
