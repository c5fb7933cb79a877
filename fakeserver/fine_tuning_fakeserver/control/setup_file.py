"""A setup file, TOML or JSON: the settings of an account, and what is in it from the beginning."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import printable, show_value

from ..account.service import Service
from ..domain.checks import check_names
from ..domain.fault_spec import FaultSpec
from ..domain.plan import JobFilter, Plan
from ..domain.webhook_events import WebhookConfig, check_webhook_url
from ..settings import FIELDS, Settings
from ..usage_errors import FakeUsageError, wrong_value
from . import seeding, steering
from .toml_lines import line_of

T = TypeVar("T")

SETTINGS = tuple(name for name in FIELDS if name not in ("plan", "webhooks", "models"))
"""The settings of ``[settings]``: plan and webhooks have lists of their own, and base models no text."""
LISTS = ("plan", "file", "job", "fault", "webhook")
"""The members of a setup that are lists of tables."""
SCHEMA = "$schema"
"""The member by which an editor finds the JSON Schema; it has no other meaning."""


class FileTable(seeding.FileSeed):
    """A file to put into the account: its content, or the path of a file that has it."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["content"]}, {"required": ["path"]}]})

    content: str = ""
    path: Annotated[str, Field(description="Relative to the setup file; its name is the default of filename.")] = ""


class SetupError(FakeUsageError):
    """A setup file that makes no sense; the message names file, line and field."""


@dataclass(frozen=True)
class SetupDocument:
    """What a setup file says, and where it says it.

    Args:
        path: the file.
        members: its members.
        text: the TOML text; empty for JSON, whose lines are not known.
    """

    path: Path
    members: Mapping[str, Any]
    text: str = ""

    def section(self, name: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
        """Return the tables of a list, with their places."""
        return enumerate(self.members.get(name, ()))

    @property
    def name(self) -> str:
        """The file's path, for messages."""
        return printable(str(self.path))

    @contextmanager
    def locating(self, *place: str | int) -> Generator[None, None, None]:
        """Let an error of the fake's user name the file, the line and the table at *place*.

        Raises:
            SetupError: there was such an error.
        """
        try:
            yield
        except FakeUsageError as error:
            message = str(error)
            line = line_of(self.text, (*place, *self._named_member(place, message))) if self.text else None
            table = "".join(f"[{part}]" if isinstance(part, int) else part for part in place)
            where = ", ".join([self.name, *([f"line {line}"] if line else []), *([table] if table else [])])
            raise SetupError(f"{where}: {message}") from None

    def _named_member(self, place: tuple[str | int, ...], message: str) -> tuple[str, ...]:
        """Return the member of the table at *place* that a message is about: it names the member, or else its value."""
        table: Any = self.members
        for part in place:
            table = table[part]
        if not isinstance(table, Mapping):
            return ()
        subject = message.partition(", got ")[0].partition(" (did you mean ")[0]
        named = [word for word in re.findall(r"[\w$-]+", subject) if word in table]
        named += [name for name, value in table.items() if isinstance(value, str) and repr(value) in subject]
        return tuple(named[:1])


@dataclass(frozen=True)
class Setup:
    """A setup: what an account is born with, and what is put into it.

    Args:
        settings: settings, by name; the default plan and the webhooks are among them.
        faults: faults that are armed at the start, as mappings.
        plans: plans by match, in the order in which they are added: filters and changes, with the place in the file.
        files: files to put into the account.
        jobs: jobs to put into the account.
        document: the file, for errors.
    """

    settings: Mapping[str, Any]
    faults: tuple[Mapping[str, Any], ...]
    plans: tuple[tuple[int, Mapping[str, Any]], ...]
    files: tuple[seeding.FileSeed, ...]
    jobs: tuple[seeding.JobSeed, ...]
    document: SetupDocument

    def fill(self, service: Service) -> None:
        """Put plans, files and jobs into a fresh account.

        Raises:
            SetupError: one of them does not go with the others, or with the settings.
        """
        for place, table in self.plans:
            with self.document.locating("plan", place):
                steering.plan_when(service, table["when"], _without(table, "when"))
        for place, file in enumerate(self.files):
            with self.document.locating("file", place):
                seeding.seed_file(service, file)
        for place, job in enumerate(self.jobs):
            with self.document.locating("job", place):
                seeding.seed_job(service, job, over_for_s=1.0)


def read_setup(path: str | Path, operations: Mapping[str, str], *, remote_allowed: bool = False) -> Setup:
    """Read a setup file, and check all of it that can be checked without an account.

    Args:
        path: a ``.toml`` or ``.json`` file; paths in it are relative to its folder.
        operations: the paths of all operations, by name.
        remote_allowed: whether webhooks may be on other machines though the file does not say so.

    Raises:
        SetupError: it cannot be read, or makes no sense.
    """
    document = _read_document(Path(path))
    with document.locating():
        check_names("member", document.members, ("settings", *LISTS, SCHEMA))
        for name in LISTS:
            _check_list(name, document.members.get(name, []))
    with document.locating("settings") if "settings" in document.members else document.locating():
        settings = _parse_settings(document.members.get("settings", {}))
    default_plan = _parse_plans(document)
    remote_allowed = remote_allowed or settings.get("allow_remote_webhooks", False)
    webhooks = _each(document, "webhook", lambda table: _webhook(table, remote_allowed))
    _each(document, "fault", lambda table: FaultSpec.parse(table, operations))
    return Setup(
        settings={
            **settings,
            **({"plan": default_plan} if default_plan else {}),
            **({"webhooks": webhooks} if webhooks else {}),
        },
        faults=tuple(table for _, table in document.section("fault")),
        plans=tuple((place, table) for place, table in document.section("plan") if "when" in table),
        files=_each(document, "file", lambda table: _file_seed(table, document.path.parent)),
        jobs=_each(document, "job", seeding.JobSeed.parse),
        document=document,
    )


def _parse_plans(document: SetupDocument) -> Plan | None:
    """Check all plans; return the default one, if there is one."""
    default: Plan | None = None
    for place, table in document.section("plan"):
        with document.locating("plan", place):
            plan = Plan().changed(_without(table, "when"))
            if "when" in table:
                JobFilter.parse(table["when"])
            elif default:
                raise FakeUsageError("only one plan can be without when, for all jobs that no other plan is for")
            else:
                default = plan
    return default


def _each(document: SetupDocument, name: str, parse: Callable[[Mapping[str, Any]], T]) -> tuple[T, ...]:
    parsed = []
    for place, table in document.section(name):
        with document.locating(name, place):
            parsed.append(parse(table))
    return tuple(parsed)


def _read_document(path: Path) -> SetupDocument:
    if path.suffix not in (".toml", ".json"):
        raise SetupError(f"a setup file must be named .toml or .json, got {show_value(str(path))}")
    name = printable(str(path))
    text = _read_text(path, name)
    try:
        if path.suffix == ".toml":
            return SetupDocument(path, tomllib.loads(text), text.replace("\r\n", "\n"))
        members = json.loads(text, object_pairs_hook=_members_once)
    except tomllib.TOMLDecodeError as error:
        reason, _, line = str(error).partition(" (at line ")
        if not line:  # at its end
            raise SetupError(f"{name}, line {text.count(chr(10)) + 1}: {error}") from None
        raise SetupError(f"{name}, line {line.partition(',')[0]}: {reason}") from None
    except json.JSONDecodeError as error:
        raise SetupError(f"{name}, line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise SetupError(f"{name} must be nested less deeply") from None
    except FakeUsageError as error:
        raise SetupError(f"{name}: {error}") from None
    if not isinstance(members, dict):
        raise SetupError(f"{name} must hold a JSON object, got a {type(members).__name__}")
    return SetupDocument(path, members)


def _read_text(path: Path, name: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SetupError(f"{name} cannot be read: {error.strerror}") from None
    except ValueError as error:  # a path can hold NUL; so can text be no UTF-8
        raise SetupError(f"{name} must be UTF-8 text: {error}") from None


def _members_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object, none of which may be there twice: the first would be lost."""
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise FakeUsageError(f"the member {show_value(name)} is there twice")
        members[name] = value
    return members


def _check_list(name: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(table, Mapping) for table in value):
        raise wrong_value(name, f"a list of tables, as in [[{name}]]", value)


def _parse_settings(table: Any) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise wrong_value("settings", "a table", table)
    for name, remedy in (("plan", "[[plan]]"), ("webhooks", "[[webhook]]")):
        if name in table:
            raise FakeUsageError(f"{name} must be said by {remedy}, beside settings")
    check_names("setting", table, SETTINGS)
    Settings().changed(table)
    return dict(table)


def _file_seed(table: Mapping[str, Any], folder: Path) -> seeding.FileSeed:
    """Return the seed of a file whose content is given, or is at a path relative to *folder*."""
    check_names("member", table, FileTable.model_fields)
    if ("path" in table) == ("content" in table):
        raise FakeUsageError("a file requires either content or path")
    if "path" not in table:
        return seeding.FileSeed.parse(table)
    path = table["path"]
    if not isinstance(path, str) or not path:
        raise wrong_value("path", "the path of a file", path)
    content = _read_text(folder / path, f"path {path!r}")
    return seeding.FileSeed.parse({"filename": Path(path).name, **_without(table, "path"), "content": content})


def _webhook(table: Mapping[str, Any], remote_allowed: bool) -> WebhookConfig:
    config = WebhookConfig.parse(table)
    check_webhook_url(config, remote_allowed=remote_allowed)
    return config


def _without(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {member: value for member, value in table.items() if member != name}
