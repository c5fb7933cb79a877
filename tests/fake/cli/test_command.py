"""The command `fake-fine-tuning`: help, version, options and environment variables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest

from fine_tuning_fakeserver import cli
from fine_tuning_fakeserver.cli import commands, main, serve
from recorded_session import session, write
from serve_process import COMMAND, LONGEST_S
from snapshots import assert_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
JOBS = import_module("fine_tuning_fakeserver.cli.jobs").command
CLIENT, SERVER, FAKE = "fine_tuning_client", "uvicorn", "fine_tuning_fakeserver.web.app"
HEAVY = {CLIENT, SERVER, FAKE, "httpx", "pydantic", "rich"}


def every_command() -> Iterator[tuple[str, click.Command]]:
    """The name and the click command of each command."""
    for name in cli.COMMANDS:
        yield name, import_module(f"fine_tuning_fakeserver.cli.{name}").command
    for name, command in JOBS.commands.items():
        yield f"jobs {name}", command


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings that `serve` was called with; no socket is bound and nothing is served."""
    told: dict[str, Any] = {}

    def bind(host: str, port: int) -> None:
        told.update(host=host, port=port)
        raise OSError("no socket in this test")

    def create_fake(**settings: Any) -> None:
        told.update(settings)

    def create_accounts(main: None, store: str | None, **options: Any) -> None:
        told.update(options, store=store)

    monkeypatch.setattr("fine_tuning_fakeserver.web.server.bind", bind)

    def create_fake_from_setup(path: str, defaults: dict[str, Any], **settings: Any) -> None:
        told.update(defaults, setup=path, **settings)

    monkeypatch.setattr(serve, "create_fake", create_fake)
    monkeypatch.setattr(serve, "create_fake_from_setup", create_fake_from_setup)
    monkeypatch.setattr(serve, "create_accounts", create_accounts)
    for parameter in serve.OPTIONS:
        if parameter.envvar:
            monkeypatch.delenv(str(parameter.envvar), raising=False)
    return told


@pytest.mark.parametrize(
    ("words", "code", "modules"),
    [
        ("--help", 0, []),
        ("jobs create --help", 0, []),
        *((f"{name} --help", 0, []) for name in cli.COMMANDS),
        ("serve --port http", 2, []),
        ("jobs show a/b --provider fake", 2, [CLIENT, "httpx", "rich"]),
        ("serve --port 0 --host 192.0.2.1", 2, [SERVER, FAKE]),
    ],
    ids=str,
)
def test_commands_import_what_they_need(words: str, code: int, modules: list[str]) -> None:
    """Help and wrong usage import no heavy modules, `jobs` no server, and `serve` no client."""
    program = (
        "import sys\n"
        "from fine_tuning_fakeserver.cli import main\n"
        f"assert main({words.split()}) == {code}\n"
        f"print('\\n', *({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert set(done.stdout.splitlines()[-1].split()) <= set(modules)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the distribution's version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fake-fine-tuning {version('fake-fine-tuning')}\n"


@pytest.mark.parametrize("words", [[], ["jobs"]], ids=str)
def test_without_a_command_there_is_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the commands are listed on stderr, and the exit code is 2."""
    assert main(words) == 2
    shown = capsys.readouterr()
    assert all(f"  {command} " in shown.err for command in (JOBS.commands if words else cli.COMMANDS))
    assert shown.out == ""


@pytest.mark.parametrize("words", ["", "jobs", *(words for words, _ in every_command())])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help(words: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``-h`` and ``--help`` after a command print its help, at most 80 columns wide."""
    assert main([*words.split(), flag]) == 0

    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: fake-fine-tuning {words}".strip())
    assert max(map(len, shown.splitlines())) <= 80


def test_help_in_our_own_words() -> None:
    """The help texts of commands and options are as in the snapshot."""
    text = f"{cli.cli.help}\n\n{cli.cli.epilog}\n"
    for words, command in every_command():
        text += f"== {words}\n{command.help}\n\n"
        for parameter in command.params:
            names = " ".join((*parameter.opts, *parameter.secondary_opts))
            text += f"{names}: {getattr(parameter, 'help', None) or ''}\n"
        text += f"\n{command.epilog or ''}\n"

    assert_snapshot(text.replace("\b\n", ""), SNAPSHOTS / "help.txt")


def test_short_help_is_the_commands_own() -> None:
    """The one-line help of each command is not truncated."""
    context = click.Context(cli.cli)

    assert all(not command.get_short_help_str(64).endswith("...") for command in cli.cli.commands.values())
    assert set(cli.cli.list_commands(context)) == set(cli.COMMANDS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train"], "unknown command; expected one of: serve, ready, exec, env, accounts, jobs, "),
        (["serve", "--port", "99999"], "--port must be a whole number from 0 to 65535, got '99999'"),
        (["serve", "--port", "-1"], "--port must be a whole number from 0 to 65535, got '-1'"),
        (["serve", "--port", "http"], "--port must be a whole number from 0 to 65535, got 'http'"),
        (["serve", "--pace", "fast"], "Error: --pace must be 'polls', 'manual', 'instant', or "),
        (["serve", "--pace", "my pace is"], "got 'my pace is'"),
        (["serve", "--pace", "0"], "Error: --pace must be "),
        (["serve", "--seed", "1.5"], "--seed must be a whole number, got '1.5'"),
        (["serve", "--seed", "9" * 30], "seed"),
        (["serve", "--dialect", "klingon"], "--dialect must be one of openai-2025-09, "),
        (["serve", "--dialect", "azure"], "got 'azure' (did you mean 'azure-2025'?)"),
        (["serve", "--organization", "old"], "--organization must be one of new, inactive, active, got 'old'"),
        (["serve", "--host", ""], "cannot listen on  port 4355: host must be an address or a name, got ''"),
        (["serve", "--host", "ü..b"], "host must be an address or a name, got 'ü..b'"),
        (["serve", "--as-of", "soon"], "Error: --as-of must be a date from 1970 on, as in '2026-07-02', got 'soon'"),
        (["serve", "--organization", "new"], "Error: --organization 'new' requires --as-of, a date"),
        (["serve", "--webhook", "nowhere"], "nowhere"),
        (
            ["serve", "--webhook", "http://seed.invalid/"],
            "--webhook http://seed.invalid/: only with --allow-remote-web",
        ),
        (
            ["serve", "--log-format", "jason"],
            "--log-format must be one of text, json, got 'jason' (did you mean 'json'?)",
        ),
        (["serve", "--drain", "-1"], "--drain must be a number from 0 on, got '-1'"),
        (["serve", "--setup", "team.yaml"], "Error: a setup file must be named .toml or .json, got 'team.yaml'"),
        (["serve", "--setup", "none.toml"], "Error: none.toml cannot be read: No such file or directory"),
        (["serve", "--webhook-secret", "s"], "--webhook-secret requires --webhook"),
        (["serve", "extra"], "unexpected argument (not shown"),
        (["serve", "--prot", "1"], "--port"),
        (["serve", "--sed=sk-secret"], "--seed"),
        (["demo", "one.jsonl", "two.jsonl"], "unexpected argument (not shown"),
    ],
    ids=str,
)
def test_wrong_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is refused with exit code 2 and named, and an unknown argument's value is not shown."""
    assert main(words) == 2

    shown = capsys.readouterr()
    assert said in shown.err.splitlines()[-1]
    assert shown.out == ""
    assert "sk-secret" not in shown.err
    assert "extra" not in shown.err


HOSTILE = "\x1b[2J\u202e\u200b\x85\u2028\nx"
ESCAPED = r"\x1b[2J\u202e\u200b\x85\u2028\nx"
OPTIONS = ("--host", "--port", "--pace", "--seed", "--dialect", "--as-of", "--organization", "--webhook", "--setup")


@pytest.mark.parametrize(
    "words",
    [
        *((["serve", option, HOSTILE], ESCAPED) for option in OPTIONS),
        (["serve", f"--{HOSTILE}"], "No such option"),
        (["exec", "--pace", HOSTILE, "--", "x"], ESCAPED),
        (["exec", "--", HOSTILE], ESCAPED),
        (["exec", HOSTILE], "the command must follow --"),
        (["demo", HOSTILE], ESCAPED),
        (["verify", HOSTILE], ESCAPED),
        (["fidelity", "--markdown", HOSTILE], ESCAPED),
        (["jobs", "list", "--provider", HOSTILE], ESCAPED),
        (["jobs", "list", "--limit", HOSTILE], ESCAPED),
        (["jobs", "create", HOSTILE, "--model", "m", "--base-url", "http://127.0.0.1:9/v1"], ESCAPED),
        ([HOSTILE], "unknown command"),
    ],
    ids=lambda words: " ".join(words[0]).encode("unicode_escape").decode(),
)
def test_a_terminal_obeys_no_argument(
    words: tuple[list[str], str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An argument quoted in an error stays on one line, with control characters escaped."""
    monkeypatch.setenv("OPENAI_API_KEY", "any")

    assert main(words[0]) in (2, 127)
    out, err = capsys.readouterr()
    assert words[1] in err.splitlines()[-1]
    assert out == ""
    assert [line for line in err.splitlines() if not line.isprintable()] == []


def test_defaults(settings: dict[str, Any]) -> None:
    """By default `serve` uses port 4355 on loopback, pace 60 and seed 0."""
    assert main(["serve"]) == 2

    assert settings == {
        "host": "127.0.0.1",
        "port": 4355,
        "pace": 60,
        "seed": 0,
        "dialect": "openai-2025-09",
        "as_of": None,
        "organization_class": "active",
        "webhooks": [],
        "allow_remote_webhooks": False,
        "patience": None,
        "account_per_key": False,
        "account_ttl": None,
        "max_accounts": 10_000,
        "store": None,
    }


VARIABLES = {
    "HOST": ("0.0.0.0", "host", "0.0.0.0"),
    "PORT": ("0", "port", 0),
    "LOAD": ("", "seed", 0),
    "PACE": ("polls", "pace", "polls"),
    "SEED": ("7", "seed", 7),
    "DIALECT": ("azure-2025", "dialect", "azure-2025"),
    "AS_OF": ("2026-07-02", "as_of", "2026-07-02"),
    "ORGANIZATION": ("new", "organization_class", "new"),
    "SETUP": ("team.toml", "setup", "team.toml"),
    "WEBHOOK": ("http://127.0.0.1/", "webhooks", [{"url": "http://127.0.0.1/", "secret": None}]),
    "WEBHOOK_SECRET": ("", "webhooks", []),
    "ALLOWED_HOST": ("fake host.docker.internal", "seed", 0),
    "CONTROL_TOKEN": ("token", "seed", 0),
    "ACCOUNT_TTL": ("12h", "account_ttl", "12h"),
    "MAX_ACCOUNTS": ("3", "max_accounts", 3),
    "DATA": ("", "store", None),
    "STORE": ("", "store", None),
    "WORKERS": ("1", "seed", 0),
    "TIMEOUT": ("5", "seed", 0),
    "DRAIN": ("5", "seed", 0),
    "LOG_FORMAT": ("json", "seed", 0),
    "FORWARDED_ALLOW_IPS": ("10.0.0.1", "seed", 0),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_beat_defaults(name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment variable is read like its option, and an empty one counts as unset."""
    text, setting, value = VARIABLES[name]
    monkeypatch.setenv(f"FAKE_FINE_TUNING_{name}", text)

    assert main(["serve"]) == 2
    assert settings[setting] == value


def test_every_variable_is_tested() -> None:
    """`VARIABLES` has every environment variable of `serve` and `exec`."""
    variables = {str(option.envvar) for option in (*serve.OPTIONS, *commands.ACCOUNT_OPTIONS) if option.envvar}

    assert variables == {f"FAKE_FINE_TUNING_{name}" for name in VARIABLES}


def test_options_beat_variables(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An option wins over its variable, which is then not even parsed."""
    monkeypatch.setenv("FAKE_FINE_TUNING_PACE", "60")
    monkeypatch.setenv("FAKE_FINE_TUNING_PORT", "nonsense")

    assert main(["serve", "--pace", "manual", "-p", "7"]) == 2
    assert (settings["pace"], settings["port"]) == ("manual", 7)


def test_a_wrong_variable_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid variable is refused with exit code 2, by its own name."""
    monkeypatch.setenv("FAKE_FINE_TUNING_SEED", "many")

    assert main(["serve"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "Error: FAKE_FINE_TUNING_SEED must be a whole number, got 'many'"


def test_a_wrong_variable_of_the_account_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable whose value the fake itself refuses is named as it was set, and so is an option that it requires."""
    monkeypatch.setenv("FAKE_FINE_TUNING_ORGANIZATION", "new")

    assert main(["serve"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "Error: FAKE_FINE_TUNING_ORGANIZATION 'new' requires --as-of, a date"


OUTPUTS = ["fidelity", "demo", "serve --help", "verify ."]


@pytest.mark.slow
@pytest.mark.parametrize("words", OUTPUTS)
def test_a_stdout_that_takes_nothing(words: str, tmp_path: Path) -> None:
    """A full stdout is one line on stderr and exit code 1; a closed pipe is silent with exit code 0."""
    write(tmp_path, "vcr.yaml", session())
    command = [COMMAND, *words.split()]
    with open("/dev/full", "w") as full:
        failed = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    read, pipe = os.pipe()
    os.close(read)
    gone = subprocess.run(command, cwd=tmp_path, stdout=pipe, stderr=subprocess.PIPE, text=True)
    os.close(pipe)

    assert (failed.returncode, failed.stderr) == (1, "fake-fine-tuning: [Errno 28] No space left on device\n")
    assert (gone.returncode, gone.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("words", [*OUTPUTS, "jobs create --help"])
def test_any_encoding_will_do(words: str, tmp_path: Path) -> None:
    """Characters that stdout's encoding lacks are replaced."""
    write(tmp_path, "vcr.yaml", session())
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([COMMAND, *words.split()], cwd=tmp_path, env=environ, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An interrupt, even during imports, ends a command silently with exit code 130."""

    def interrupted(*arguments: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(import_module("fine_tuning_fakeserver.cli.demo_session"), "run", interrupted)
        assert main(["demo"]) == 130
    with monkeypatch.context() as patch:
        patch.setattr(cli, "import_module", interrupted)
        assert main(["demo"]) == 130
    shown = capsys.readouterr()
    assert (shown.out, shown.err.strip()) == ("", "")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("fake-fine-tuning se", "serve"),
        ("fake-fine-tuning jobs ch", "checkpoints"),
        ("fake-fine-tuning jobs wait --ti", "--timeout"),
        ("fake-fine-tuning jobs create --method d", "dpo"),
        ("fake-fine-tuning serve --dialect azure-2026", "azure-2026-02"),
    ],
)
def test_shells_complete(words: str, completed: str) -> None:
    """Shell completion offers commands, options and their values."""
    asked = {"_FAKE_FINE_TUNING_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [COMMAND], env={**os.environ, **asked}, capture_output=True, text=True, timeout=LONGEST_S, check=True
    )

    assert done.stdout == f"plain,{completed}\n"
