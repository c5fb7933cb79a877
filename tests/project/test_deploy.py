"""What runs the server for a team agrees with the command, as far as a machine without Docker can tell."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import signal
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from fine_tuning_fakeserver.cli.ready import ATTEMPT_WITHIN_S
from fine_tuning_fakeserver.web import DEFAULT_PORT, DRAIN_S
from serve_process import COMMAND, LONGEST_S, end, line, started

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each with its text on one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).strip().splitlines()
    return [(name, rest) for name, _, rest in (each.partition(" ") for each in lines if each)]


def instruction(name: str) -> str:
    """The last instruction of this name, which the image has."""
    return [rest for each, rest in instructions() if each == name][-1]


def environment() -> dict[str, str]:
    """The variables of the command that the image sets."""
    variables = dict(each.split("=", 1) for each in shlex.split(instruction("ENV")))
    return {name: value for name, value in variables.items() if name.startswith("FAKE_FINE_TUNING_")}


def parse(words: Sequence[str], variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The parameters that a command line of ours gives with these variables, all of which the command must know."""
    name, *rest = words
    command: click.Command = import_module(f"fine_tuning_fakeserver.cli.{name}").command
    known = {parameter.envvar for parameter in command.params}
    for variable in [each for each in os.environ if each.startswith("FAKE_FINE_TUNING_")]:
        monkeypatch.delenv(variable)
    for variable, value in variables.items():
        assert variable in known
        monkeypatch.setenv(variable, value)
    with command.make_context(name, [*rest]) as context:
        return context.params


def test_the_image_runs_a_command_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image's command line and variables are the command's: all addresses, the port it exposes, JSON logs."""
    assert json.loads(instruction("ENTRYPOINT")) == ["fake-fine-tuning"]
    chosen = parse(json.loads(instruction("CMD")), environment(), monkeypatch)

    assert (chosen["host"], chosen["port"], chosen["log_format"]) == ("0.0.0.0", DEFAULT_PORT, "json")
    assert int(instruction("EXPOSE")) == DEFAULT_PORT
    assert instruction("STOPSIGNAL") == "SIGTERM"


def test_the_image_checks_its_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """The health check is `ready` on the default port, and has the time that one attempt takes."""
    options, _, words = instruction("HEALTHCHECK").partition(" CMD ")
    program, *rest = json.loads(words)

    assert program == "fake-fine-tuning"
    assert parse(rest, {}, monkeypatch) == {"url": None, "wait": 0}
    assert int(re.findall(r"--timeout=(\d+)s", options)[0]) > ATTEMPT_WITHIN_S


def test_the_image_has_two_stages_and_no_root() -> None:
    """The image is built in another stage, and runs as a user that is a number and not root's."""
    assert len([name for name, _ in instructions() if name == "FROM"]) == 2
    assert all(int(number) >= 1000 for number in instruction("USER").split(":"))


def test_the_image_gets_all_that_the_package_is_built_of() -> None:
    """Everything that pyproject.toml names for the wheel is copied, and nothing that is copied is ignored."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    copies = [rest.split() for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    copied = [source for *sources, _ in copies for source in sources]
    needed = [
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
        project["tool"]["hatch"]["version"]["path"],
        *project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
    ]
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert [path for path in needed if path.split("/")[0] not in copied] == []
    assert {text[1:] for text in lines if text.startswith("!")} == set(copied)
    assert all((ROOT / path).exists() for path in copied)
    extras = re.findall(r'"\.\[([\w,-]+)\]"', instruction("RUN"))[0].split(",")
    assert set(extras) <= set(project["project"]["optional-dependencies"])


def test_compose_agrees_with_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """compose.yaml has two servers with variables and options of the command, one port on loopback, and a database."""
    fake, gateway, database = COMPOSE["fake"], COMPOSE["gateway"], COMPOSE["db"]
    variables = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in fake["environment"].items()}
    chosen = parse(fake["command"], {**environment(), **variables}, monkeypatch)

    assert fake["deploy"]["replicas"] == 2
    assert "ports" not in fake
    assert gateway["ports"] == [f"127.0.0.1:{DEFAULT_PORT}:{DEFAULT_PORT}"]
    assert gateway["command"][-1] == f"fake:{chosen['port']}"
    login = database["environment"]
    account = f"{login['POSTGRES_USER']}:{login['POSTGRES_PASSWORD']}@db/{login['POSTGRES_DB']}"
    assert chosen["store"] == f"postgresql://{account}"
    assert float(chosen["pace"]) == 60
    assert not chosen["control_token"]
    assert seconds(fake["stop_grace_period"]) > DRAIN_S + 1


def seconds(text: str | int) -> float:
    """A duration such as ``15s``."""
    return float(str(text).removesuffix("s"))


def documented(language: str) -> str:
    """The page's block of this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_unit_of_systemd_runs_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented unit starts the server, waits for it, and gives it the time to drain."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(documented("ini"))
    service = unit["Service"]
    for key, wanted in (("ExecStart", "serve"), ("ExecStartPost", "ready")):
        program, *words = shlex.split(service[key])
        assert program.endswith("/bin/fake-fine-tuning")
        assert words[0] == wanted
        parse(words, {}, monkeypatch)

    assert seconds(service["TimeoutStopSec"]) > DRAIN_S + 1


def test_the_manifest_of_kubernetes_runs_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented manifest runs two replicas, with options, variables, port, probes and times of the command's."""
    deployment, service = yaml.safe_load_all(documented("yaml"))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {variable["name"]: "token" for variable in container["env"]}
    chosen = parse(container["args"], {**environment(), **variables}, monkeypatch)
    volumes = {volume["name"] for volume in pod["volumes"]}

    assert deployment["spec"]["replicas"] == 2
    assert chosen["store"]
    assert container["ports"][0]["containerPort"] == service["spec"]["ports"][0]["port"] == chosen["port"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("readiness", "liveness")} == {"/ready", "/health"}
    assert pod["terminationGracePeriodSeconds"] > DRAIN_S + 1
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert chosen["setup"].startswith(container["volumeMounts"][0]["mountPath"])
    assert str(pod["securityContext"]["runAsUser"]) == instruction("USER").split(":")[0]


@pytest.mark.slow
def test_the_image_would_serve() -> None:
    """The image's command line and variables serve; the health check is content; SIGTERM ends it with 0."""
    _, *options = json.loads(instruction("CMD"))
    with started(*options, "--port", "0", life_s=LONGEST_S, **environment()) as process:
        url = line(process.stdout)
        checked = subprocess.run([COMMAND, "ready", url, "--wait", "60"], capture_output=True, text=True)
        process.send_signal(signal.SIGTERM)
        errors = end(process)

    assert (checked.returncode, checked.stderr) == (0, "")
    assert process.returncode == 0
    assert all(json.loads(text)["time"] for text in errors.splitlines())
