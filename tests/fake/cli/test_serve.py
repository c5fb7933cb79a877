"""`fake-fine-tuning serve` as a process: its output and its end."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from starlette.types import Message

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.cli import main, serve_log
from fine_tuning_fakeserver.cli.line_queue import LineQueue
from fine_tuning_fakeserver.cli.serve import AccessLog
from fine_tuning_fakeserver.cli.serve_log import address_for_others
from fine_tuning_fakeserver.web.in_process import transport
from fine_tuning_fakeserver.web.server import bind
from serve_process import ENVIRON, KEY, end, line, started
from strategies import ROWS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Generator[tuple[str, list[str]], None, None]:
    """A quiet server: its base URL, and the further lines of stdout."""
    with started("--port", "0", "--pace", "polls", "--seed", "7", "-q") as process:
        url, *exports = (line(process.stdout) for _ in range(5))
        yield url, exports
        process.send_signal(signal.SIGINT)
        errors = end(process)
        assert errors == ""


def test_the_first_line_is_the_base_url(server: tuple[str, list[str]]) -> None:
    """The first line of stdout is the API's base URL on loopback, and it responds."""
    url, _ = server

    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/v1")
    assert httpx.get(f"{url}/fine_tuning/jobs", headers=KEY, trust_env=False).json()["data"] == []


def test_the_export_lines_work(server: tuple[str, list[str]]) -> None:
    """The export lines set the variables that SDKs read in a shell, and the key is accepted."""
    url, exports = server
    script = "\n".join([*exports, 'echo "$OPENAI_BASE_URL $OPENAI_API_KEY $NO_PROXY $no_proxy"'])
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    exported, key, *unproxied = done.stdout.split()

    assert exported == url
    assert [hosts.split(",")[0] for hosts in unproxied] == ["127.0.0.1"] * 2
    answer = httpx.get(f"{url}/models", headers={"authorization": f"Bearer {key}"}, trust_env=False)
    assert answer.status_code == 200


def test_env_prints_the_variables_of_an_account(
    server: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """`env` prints what `serve` does, for `eval`, with the address of the account; where no fake is, it says so."""
    url, exports = server

    assert main(["env", "--url", url]) == 0
    assert capsys.readouterr().out.splitlines() == exports
    assert main(["env", "--url", url, "--account", "mine"]) == 0
    own = url.replace("/v1", "/accounts/mine/v1")
    assert capsys.readouterr().out.splitlines() == [line.replace(url, own) for line in exports]
    assert main(["env", "--url", url, "--account", "a/b"]) == 2
    with mock.patch.dict(os.environ, FAKE_FINE_TUNING_PORT=str(urlsplit(url).port)):
        assert main(["env"]) == 0
    assert capsys.readouterr().out.splitlines() == exports
    assert main(["env", "--url", "http://127.0.0.1:1"]) == 2
    assert "no fake answers at http://127.0.0.1:1" in capsys.readouterr().err


def test_a_proxy_does_not_get_in_the_way(server: tuple[str, list[str]]) -> None:
    """A client in a shell with the export lines reaches the server despite proxy variables."""
    _, exports = server
    program = "import openai; print(openai.OpenAI(max_retries=0).fine_tuning.jobs.list().data)"
    script = "\n".join([*exports, shlex.join([sys.executable, "-c", program])])
    nowhere = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(["sh", "-c", script], env={**ENVIRON, **nowhere}, capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_accounts_by_key_and_by_name() -> None:
    """`--account-per-key`, `--account-ttl` and `--max-accounts` apply; the log shows an account's path, and no key."""
    options = ("--account-per-key", "--account-ttl", "1h", "--max-accounts", "2")
    with started("--port", "0", *options) as process:
        url = line(process.stdout)
        with httpx.Client(trust_env=False) as client:
            files = {"purpose": (None, "fine-tune"), "file": ("t.jsonl", ROWS)}
            for key in ("sk-alice-0123456789", "sk-bob-0123456789"):
                made = client.post(f"{url}/files", files=files, headers={"authorization": f"Bearer {key}"})
                assert made.status_code == 200
                assert len(client.get(f"{url}/files", headers={"authorization": f"Bearer {key}"}).json()["data"]) == 1
            refused = client.post(url.replace("/v1", "/accounts/c/v1/files"), files=files, headers=KEY)
            listed = client.get(url.replace("/v1", "/_fake/accounts")).json()["accounts"]
        process.send_signal(signal.SIGINT)
        log = end(process)

    assert "at most 2 accounts besides main" in refused.json()["fake_error"]
    assert [account["files"] for account in listed] == [0, 1, 1]
    assert "POST /accounts/c/v1/files" in log
    assert "sk-" not in log + str(listed)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--account-ttl", "soon"], "--account-ttl must be a number of seconds, a text such as '90s'"),
        (["--max-accounts", "-1"], "--max-accounts must be a whole number from 0 on, got '-1'"),
    ],
)
def test_wrong_limits_of_accounts_are_refused(options: list[str], said: str) -> None:
    """A limit that makes no sense is refused with exit code 2, by the name of its option."""
    with started("--port", "0", *options) as process:
        assert said in end(process)
    assert process.returncode == 2


def test_the_flags_reach_the_account(server: tuple[str, list[str]]) -> None:
    """`--pace` and `--seed` apply to the account."""
    url, _ = server
    state = httpx.get(url.replace("/v1", "/_fake"), trust_env=False).text

    assert '"pace": "polls"' in state
    assert '"seed": 7' in state


def test_a_dialect_has_its_own_address() -> None:
    """With Azure's dialect `serve` prints Azure's base URL and variables."""
    with started("--port", "0", "-q", "--dialect", "azure-2025") as process:
        url, endpoint, key = (line(process.stdout) for _ in range(3))
        listed = httpx.get(f"{url}/fine_tuning/jobs", headers={"api-key": key.partition("=")[2]}, trust_env=False)
        process.send_signal(signal.SIGINT)

    assert url.endswith("/openai/v1")
    assert endpoint == f"export AZURE_OPENAI_ENDPOINT={url.removesuffix('/openai/v1')}"
    assert key.startswith("export AZURE_OPENAI_API_KEY=")
    assert listed.json()["data"] == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(stop: signal.Signals) -> None:
    """SIGINT and SIGTERM end the server with exit code 0, even with a client connected."""
    with started(FAKE_FINE_TUNING_PORT="0") as process, httpx.Client(headers=KEY, trust_env=False) as client:
        url = line(process.stdout)
        client.get(f"{url}/models")
        client.get(f"{url.removesuffix('/v1')}/_fake/ui/data/jobs").raise_for_status()  # is in no log
        process.send_signal(stop)
        errors = end(process)

    assert process.returncode == 0
    told, page, logged = errors.splitlines()
    assert "pace 60" in told
    assert page.endswith(f"{url.removesuffix('/v1')}/_fake/ui/")
    assert logged.endswith("GET /v1/models")


def test_a_connection_without_a_request_is_closed() -> None:
    """A connection without a request is closed after `--timeout` seconds."""
    with started("--port", "0", "-q", FAKE_FINE_TUNING_TIMEOUT="0.05") as process:
        place = urlsplit(line(process.stdout))
        with socket.create_connection((place.hostname, place.port), 10) as connection:
            assert connection.recv(1) == b""
        process.send_signal(signal.SIGINT)
        assert end(process) == ""


def test_it_stops_before_it_is_up() -> None:
    """An interrupt right after the first line ends the server with exit code 0."""
    with started("--port", "0") as process:
        line(process.stdout)
        process.send_signal(signal.SIGINT)
        errors = end(process)

    assert (process.returncode, "Traceback" in errors) == (0, False)


def test_a_taken_port() -> None:
    """A port in use is one line on stderr that suggests `--port`, and exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with started("--port", port) as process:
            out, errors = process.communicate()

    assert (process.returncode, out) == (2, "")
    assert errors.count("\n") == 1
    assert f"port {port} on 127.0.0.1 is taken" in errors
    assert "--port" in errors


def test_an_address_of_another_machine() -> None:
    """An address of another machine is one line on stderr that names it, and exit code 2."""
    with started("--host", "192.0.2.1", "--port", "0") as process:
        out, errors = process.communicate()

    assert (process.returncode, out) == (2, "")
    assert errors.startswith("fake-fine-tuning serve: cannot listen on 192.0.2.1 port 0: ")
    assert errors.count("\n") == 1


def test_other_machines_are_warned_of() -> None:
    """On all addresses the printed URL can be connected to, and a warning says who has access, even with -q."""
    with started("--host", "0.0.0.0", "--port", "0", "--quiet") as process:
        url = line(process.stdout)
        assert httpx.get(f"{url}/models", headers=KEY, trust_env=False).status_code == 200
        process.send_signal(signal.SIGINT)
        errors = end(process)

    assert url.startswith("http://127.0.0.1:")
    warned, others = errors.splitlines()
    assert warned == (
        "warning: 0.0.0.0 lets other machines in; control (/_fake) accepts nobody without --control-token"
    )
    assert others.startswith("other machines reach it at http://")
    assert others.endswith(f":{httpx.URL(url).port}/v1")
    assert "//0.0.0.0:" not in others


def test_the_address_for_others_is_this_machines() -> None:
    """The address shown for other machines is one of this machine's own, or the chosen one."""
    with bind("0.0.0.0") as everywhere, bind() as here:
        told, port = address_for_others(everywhere).rsplit(":", 1)
        assert address_for_others(here) == f"127.0.0.1:{here.getsockname()[1]}"
    with suppress(socket.gaierror), socket.create_server((told, 0)) as again:  # a name that only other machines resolve
        assert again.getsockname()[0] != "0.0.0.0"
    assert int(port) > 0


def test_without_a_network_others_are_told_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network route the address shown for other machines is the host name."""

    def connect(self: socket.socket, address: object) -> None:
        raise OSError("Network is unreachable")

    with bind("0.0.0.0") as listener:
        monkeypatch.setattr(socket.socket, "connect", connect)
        assert address_for_others(listener) == f"{socket.gethostname()}:{listener.getsockname()[1]}"


def test_a_webhook_that_nobody_takes_is_logged() -> None:
    """An undelivered webhook is logged with event, job, target without query, reason, and next attempt."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        target = f"http://127.0.0.1:{gone.getsockname()[1]}/hook"
    arguments = ("--port", "0", "--pace", "10000", "--webhook", f"{target}?token=secret")
    with started(*arguments) as process:
        url = line(process.stdout)
        with openai.OpenAI(base_url=url, api_key="any") as client:
            file = client.files.create(file=("train.jsonl", b"{}\n"), purpose="fine-tune")
            job = client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")
        told = next(text for _ in range(9) if "webhook" in (text := line(process.stderr)))
        process.terminate()

    _, said = told.split(" ", 1)
    begin = f"webhook fine_tuning.job.failed of {job.id} not delivered to {target}: ConnectError: "
    assert said.startswith(begin)
    assert said.endswith("; again in 10 virtual seconds")


def test_logs_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters in a log record are escaped."""
    record = logging.LogRecord("x", logging.ERROR, "", 0, "bug: %s", ("\x1b[2J\u202e",), None)
    serve_log.NoteHandler().handle(record)

    assert capsys.readouterr().err == "bug: \\x1b[2J\\u202e\n"


def test_the_token_is_given_on_the_command_line() -> None:
    """On all addresses the control API needs the token of `--control-token`, which is never shown."""
    with started("--host", "0.0.0.0", "--port", "0", "--quiet", "--control-token", "secret-token") as process:
        control = line(process.stdout).replace("/v1", "/_fake")
        without = httpx.get(control, trust_env=False)
        with_token = httpx.get(control, headers={"authorization": "Bearer secret-token"}, trust_env=False)
        process.send_signal(signal.SIGINT)
        errors = end(process)

    assert (without.status_code, with_token.status_code) == (403, 200)
    assert "accepts clients with the token" in errors
    assert "secret-token" not in errors


def test_no_variable_of_uvicorn_opens_control() -> None:
    """Environment variables of uvicorn have no effect."""
    with started("--port", "0", "-q", FORWARDED_ALLOW_IPS="*", WEB_CONCURRENCY="x") as process:
        control = line(process.stdout).replace("/v1", "/_fake")
        claimed = httpx.get(control, headers={"x-forwarded-for": "10.9.9.1"}, trust_env=False)
        process.send_signal(signal.SIGINT)
        errors = end(process)

    assert (claimed.status_code, errors) == (200, "")


def test_a_proxy_is_believed_if_it_is_named() -> None:
    """With `--forwarded-allow-ips` the peer is the last address that is not itself a trusted proxy."""
    with started("--port", "0", "-q", "--forwarded-allow-ips", "127.0.0.1") as process:
        control = line(process.stdout).replace("/v1", "/_fake")
        statuses = [
            httpx.get(control, headers={"x-forwarded-for": peers}, trust_env=False).status_code
            for peers in ("10.9.9.1", "127.0.0.1, 10.9.9.1", "127.0.0.1")
        ]
        process.send_signal(signal.SIGINT)
        end(process)

    assert statuses == [403, 403, 200]


def test_no_forwarded_name_stands_for_requests_in_process() -> None:
    """What a proxy forwards for is a peer whatever it is called, and steers the fake with the token only."""
    options = ("--host", "0.0.0.0", "--control-token", "secret-token", "--forwarded-allow-ips", "127.0.0.1")
    with started(*options, "--port", "0", "-q") as process:
        control = line(process.stdout).replace("/v1", "/_fake")
        claimed = httpx.get(control, headers={"x-forwarded-for": "testclient"}, trust_env=False)
        process.send_signal(signal.SIGINT)
        end(process)

    assert claimed.status_code == 403


def test_hosts_are_allowed_on_the_command_line() -> None:
    """`--allowed-host` can be repeated, and requests for other hosts are refused and logged."""
    with started("--port", "0", "--allowed-host", "fake", "--allowed-host", "Host.Docker.Internal") as process:
        url = line(process.stdout)
        statuses = [
            httpx.get(f"{url}/models", headers={**KEY, "host": host}, trust_env=False).status_code
            for host in ("fake:4355", "host.docker.internal", "evil.example")
        ]
        process.send_signal(signal.SIGINT)
        errors = end(process)

    assert statuses == [200, 200, 403]
    assert " 403 " in errors.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--allowed-host", "http://fake:80"],
            "--allowed-host must be a collection of host names without scheme and port",
        ),
        (["--control-token", "two words"], "--control-token must be printable ASCII without spaces"),
        (["--forwarded-allow-ips", "*"], "--forwarded-allow-ips must be the addresses of proxies, got '*'"),
        (
            ["--forwarded-allow-ips", "10.0.0.1,proxy"],
            "--forwarded-allow-ips must be the addresses of proxies, got 'proxy'",
        ),
    ],
)
def test_rules_that_cannot_be_meant(options: list[str], said: str) -> None:
    """A host with a scheme, an invalid token, or trust in all proxies is refused with exit code 2."""
    with started("--port", "0", *options) as process:
        out, errors = process.communicate()

    assert (process.returncode, out) == (2, "")
    assert said in errors
    assert "two words" not in errors


def test_a_log_that_nobody_reads_is_no_failure() -> None:
    """A server whose stderr is closed still responds, and ends with exit code 0."""
    with started("--port", "0", PYTHONUNBUFFERED="") as process, httpx.Client(headers=KEY, trust_env=False) as client:
        url = line(process.stdout)
        assert process.stderr
        line(process.stderr)
        process.stderr.close()
        assert client.get(f"{url}/models").status_code == 200
        process.send_signal(signal.SIGINT)
        process.wait()

    assert process.returncode == 0


def logged(method: str, path: str) -> str:
    """The access log of one request to a new server."""
    accounts, out = FakeAccounts(pace="manual"), StringIO()
    accounts.main.advance("1h")
    log = AccessLog(accounts.moment_of, accounts.asgi_app, LineQueue(out))
    with httpx.Client(transport=transport(log), base_url="http://fake") as client:
        client.request(method, path, headers=KEY)
    return out.getvalue()


def test_the_log_has_a_line_a_request() -> None:
    """A log line has time, virtual time, status, milliseconds, method, path and query."""
    text = logged("GET", "/v1/fine_tuning/jobs?limit=2")
    time, virtual, status, milliseconds, unit, method, target = text.split()

    assert time.count(":") == 2
    assert (virtual, status, unit) == ("+1:00:00", "200", "ms")
    assert float(milliseconds) >= 0
    assert (method, target) == ("GET", "/v1/fine_tuning/jobs?limit=2")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models?api-key=secret&x=1", "/v1/models/sk-secret-0123456789abc"])
def test_the_log_has_no_keys(path: str) -> None:
    """Neither headers nor keys in the query get into the log."""
    text = logged("GET", path)

    assert "secret" not in text
    assert ("x=1" in text) == ("x=1" in path)


def test_the_log_cannot_be_forged() -> None:
    """A path with a line break or an escape sequence is one printable log line."""
    text = logged("GET", "/v1/%0a%1b[31mforged")

    assert text.count("\n") == 1
    assert text.strip().isprintable()
    assert " 404 " in text


def test_the_log_passes_on_what_is_no_request() -> None:
    """Lifespan messages are answered and not logged."""
    accounts, out = FakeAccounts(), StringIO()
    said: list[str] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        said.append(message["type"])

    asyncio.run(AccessLog(accounts.moment_of, accounts.asgi_app, LineQueue(out))({"type": "lifespan"}, receive, send))

    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert out.getvalue() == ""


def test_a_closed_log_fails_no_request() -> None:
    """A closed log does not affect requests."""

    class Closed(StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    accounts = FakeAccounts()
    log = AccessLog(accounts.moment_of, accounts.asgi_app, LineQueue(Closed()))
    with httpx.Client(transport=transport(log)) as client:
        assert client.get("http://fake/v1/models", headers=KEY).status_code == 200


class CountedWrites(StringIO):
    """A log that counts what is written to it at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        """Write a piece."""
        self.pieces += [text] if text else []
        return super().write(text)


def test_lines_of_a_loop_are_written_together() -> None:
    """Lines that come one after the other while a loop runs are written in one piece, by the loop itself."""
    out = CountedWrites()
    lines = LineQueue(out)

    async def log(number: int) -> None:
        for each in range(number):
            lines.add(f"line {each}")
        written = len(out.pieces)
        while len(out.pieces) == written:
            await asyncio.sleep(0)  # until the loop's timer has come

    asyncio.run(log(3))
    asyncio.run(log(1))

    assert out.pieces == ["line 0\nline 1\nline 2\n", "line 0\n"]


def test_lines_that_wait_come_before_what_is_logged_later() -> None:
    """A record that is logged while lines wait follows them."""
    out = CountedWrites()
    lines = LineQueue(out)

    async def log() -> None:
        lines.add("a request")
        lines.flush()
        out.write("a record\n")
        lines.add("another")

    asyncio.run(log())
    lines.flush()  # what the loop has left
    assert out.getvalue() == "a request\na record\nanother\n"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_line_is_lost_at_the_end(log_format: str) -> None:
    """A server that is stopped as soon as it has answered has logged every request."""
    with started("--port", "0", "--log-format", log_format) as process:
        with httpx.Client(base_url=line(process.stdout), headers=KEY, trust_env=False) as http:
            for number in range(20):
                http.get(f"/models/{number}")
            process.send_signal(signal.SIGTERM)
        log = end(process)

    assert re.findall(r"/v1/models/(\d+)", log) == [str(number) for number in range(20)]
    assert process.returncode == 0


def test_a_saved_account_goes_on_in_a_server(tmp_path: Path) -> None:
    """`serve --load FILE` answers other bytes than the account that was saved."""
    fake = FakeFineTuning(pace="polls", seed=7)
    row = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    job = fake.add_job(fake.add_file(row * 10)["id"], status="queued")["id"]
    fake.save(tmp_path / "account.zip")

    with started("--port", "0", "-q", "--load", str(tmp_path / "account.zip")) as process:
        url = line(process.stdout)
        answer = httpx.get(f"{url}/fine_tuning/jobs/{job}", headers=KEY, trust_env=False)
        process.send_signal(signal.SIGINT)
        assert end(process) == ""

    with httpx.Client(transport=fake.transport(), base_url=f"{url}/") as client:
        assert answer.content == client.get(f"fine_tuning/jobs/{job}", headers=KEY).content


def test_a_digest_is_no_key_to_paste(tmp_path: Path) -> None:
    """`serve --load FILE` prints a digest of a key as if it were one, or does not say that a key has to be set."""
    FakeFineTuning(api_keys=["secret-key"]).save(tmp_path / "account.zip")

    with started("--port", "0", "--load", str(tmp_path / "account.zip")) as process:
        url, address, *unproxied = (line(process.stdout) for _ in range(4))
        process.send_signal(signal.SIGINT)
        log = end(process)

    assert address == f"export OPENAI_BASE_URL={url}"
    assert [text.partition("=")[0] for text in unproxied] == ["export NO_PROXY", "export no_proxy"]
    assert "set OPENAI_API_KEY to a key of the account: its file has none, only digests of keys" in log


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--load", "/nowhere/a.zip"],
            "Error: --load: the account cannot be loaded from '/nowhere/a.zip': No such file",
        ),
        (
            ["--load", __file__],
            f"Error: --load: {__file__}: the file must be a whole zip of a saved account: File is not",
        ),
        (
            ["--load", "a.zip", "--seed", "3"],
            "Error: --seed cannot be set with --load: the file has the account's setti",
        ),
    ],
)
def test_what_cannot_be_loaded_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be loaded, or an option that its settings contradict, is not refused with exit code 2."""
    assert main(["serve", *arguments]) == 2
    assert message in capsys.readouterr().err
