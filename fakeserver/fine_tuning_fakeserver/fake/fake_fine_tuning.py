"""`FakeFineTuning`: the fake as one object, with or without pytest, with or without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from copy import deepcopy
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from ..account.request_log import LogEntry, RequestLog
from ..account.service import Service
from ..account.world import FLUSH_WITHIN_S, World
from ..api import files, jobs, webhooks
from ..api_errors import ApiError
from ..control import steering
from ..domain.checks import require_id
from ..domain.dialects.dialect import to_dialect
from ..domain.plan import Plan, PlanFields
from ..domain.webhook_events import EVENTS, WebhookConfig, WebhookDelivery, WebhookEndpoint
from ..settings import DEFAULT_SETTINGS, FIELDS, Settings, SettingsFields
from ..usage_errors import FakeUsageError, did_you_mean
from ..web.operations import PATHS
from ..web.webhook_sender import WebhookSender
from .assertions import Assertions
from .clients import Clients
from .explore_control import ExploreControl
from .faults import FaultControl
from .report import Report
from .saving import Saving
from .scripting import ScriptControl
from .time_control import TimeControl

if TYPE_CHECKING:
    from ..control.seeding import FileSeedFields, JobSeedFields
    from .remote_fake import RemoteFake

_OTHER_NAMES = {
    "app": "the ASGI application is `asgi_app`",
    "deliveries": "webhook deliveries are `webhook_deliveries`",
    "clock": "the stand-in for the module `time` is `time_module`",
    "begin_anew": "new defaults are given by `reset(defaults={…})`",
    "stop": "a script is ended by its own `stop()`: script = fake([…]); script.stop()",
    "prevent_stray": "a script is made strict by its own `prevent_stray()`: fake([…]).prevent_stray()",
}
"""What a name is called here that others have, or that had another meaning before."""


class OutsideChanges:
    """Does as a colleague does in the dashboard: the account changes, and no request is in the log."""

    _world: World

    def cancel_job(self, job: str) -> dict[str, Any]:
        """Cancel an unfinished job; return it as the service would.

        Raises:
            FakeUsageError: the job does not exist, or is over; the other methods raise it likewise.
        """
        return self._as_outsider(jobs.cancel, job, "job")

    def pause_job(self, job: str) -> dict[str, Any]:
        """Pause a running job."""
        return self._as_outsider(jobs.pause, job, "job")

    def resume_job(self, job: str) -> dict[str, Any]:
        """Resume a paused job."""
        return self._as_outsider(jobs.resume, job, "job")

    def delete_file(self, file: str) -> dict[str, Any]:
        """Delete a file; a job that still needs it fails."""
        return self._as_outsider(files.delete, file, "file")

    def _as_outsider(self, verb: Callable[[Service, str], Any], identifier: str, noun: str) -> dict[str, Any]:
        require_id(identifier, noun)
        try:
            return self._to_dialect(verb(self._world.service, identifier))
        except ApiError as error:
            raise FakeUsageError(f"{verb.__name__} {identifier}: {error.message}") from None

    def _to_dialect(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of *answer* in the account's dialect."""
        copy: dict[str, Any] = to_dialect(self._world.account.dialect, deepcopy(answer))
        return copy


class FakeFineTuning(
    TimeControl, Clients, FaultControl, OutsideChanges, ScriptControl, Saving, ExploreControl, Report, Assertions
):
    """A fake of the fine-tuning API with one account.

    As a context manager it serves on a free port of this machine, like `serving`; in process it needs none.

    Args:
        faults: what goes wrong from the beginning: mappings, as ``POST /_fake/faults`` takes them.
        settings: any field of `Settings`, by name: ``seed``, ``pace``, ``plan``, ``start``, …

    Example::

        with FakeFineTuning() as fake:
            client = openai.OpenAI(base_url=fake.base_url, api_key="any")
    """

    @property
    def is_remote(self) -> bool:
        """Whether the account is a running server's, in another process; see `connect`."""
        return False

    def __init__(self, *, faults: Iterable[Mapping[str, Any]] = (), **settings: Unpack[SettingsFields]) -> None:
        self._world = World(DEFAULT_SETTINGS.changed(settings), faults, paths=PATHS, sender=WebhookSender)
        self._servers: list[ExitStack] = []

    @classmethod
    def from_setup(
        cls,
        path: str | PathLike[str],
        *,
        defaults: SettingsFields | None = None,
        sends_webhooks: bool = True,
        **settings: Unpack[SettingsFields],
    ) -> Self:
        """Return a fake that begins as a setup file says, and begins so again at each reset.

        Args:
            path: a file of TOML or JSON, named ``.toml`` or ``.json``.
            defaults: settings for what the file does not say.
            sends_webhooks: False where this fake only shows how others begin.
            settings: settings that win over those of the file.

        Raises:
            FakeUsageError: the file cannot be read or makes no sense; the message names file, line and field.
        """
        from ..control.setup_file import read_setup  # here, since few fakes begin so

        setup = read_setup(Path(path), PATHS, remote_allowed=settings.get("allow_remote_webhooks", False))
        fake = cls()
        if not sends_webhooks:
            fake._world.send_nothing()
        fake._world.reset(
            defaults={**(defaults or {}), **setup.settings, **settings, "faults": setup.faults}, fill=setup.fill
        )
        return fake

    @classmethod
    def connect(cls, url: str, token: str | None = None, account: str | None = None) -> RemoteFake:
        """Return a handle of an account of a running server, with the verbs of this one.

        Args:
            url: the server's, such as ``http://127.0.0.1:4355``; what `serve` prints will do, and that of an account.
            token: the server's ``--control-token``, if it has one.
            account: the account's name; it is made if the server does not have it. None: the account of *url*.

        Raises:
            FakeUsageError: no fake answers there, or it refuses.
        """
        from .remote_fake import RemoteFake

        return RemoteFake(url, token, account)

    @classmethod
    def of_world(cls, world: World) -> Self:
        """Return a handle of an account that is there already, such as one of several on a server."""
        fake = cls.__new__(cls)
        fake._world, fake._servers = world, []
        return fake

    def reset(
        self,
        *,
        defaults: Mapping[str, Any] | Settings | None = None,
        faults: Iterable[Mapping[str, Any]] | None = None,
        **settings: Unpack[SettingsFields],
    ) -> None:
        """Begin a fresh account, as a new fake has it.

        Args:
            defaults: settings, by name or as `Settings`, and ``faults``, instead of those that the fake was made with;
                later resets return to them as well.
            faults: faults for this account, instead of the defaults.
            settings: settings of this account that differ from the defaults.

        Raises:
            FakeUsageError: an argument makes no sense; then nothing has changed.
        """
        self._world.reset(settings, faults, defaults)

    def finish_test(self) -> None:
        """Refuse assertions until the next `reset`, and send no more webhooks: the test is over."""
        self._world.finish()

    if not TYPE_CHECKING:  # a type checker knows the names

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property with an error of its own, which is to be seen
                return object.__getattribute__(self, name)
            raise AttributeError(f"FakeFineTuning has no {name!r}{_hint(name)}", name=name, obj=self)

        def __setattr__(self, name: str, value: Any) -> None:
            known = getattr(type(self), name, None)
            if name.startswith("_") or getattr(known, "fset", None):
                object.__setattr__(self, name, value)
                return
            if name in FIELDS:
                text = f"{name} is a setting: FakeFineTuning({name}={value!r}) or fake.reset({name}={value!r})"
            elif isinstance(known, property):
                text = f"{name} is read-only"
            elif known is not None:
                text = f"{name} is a method: call fake.{name}(...)"
            else:
                text = f"FakeFineTuning has no {name!r}{_hint(name, FIELDS)}"
            raise AttributeError(text, name=name, obj=self)

    @property
    def settings(self) -> Settings:
        """What the account was born with."""
        return self._world.service.settings

    @property
    def dialect(self) -> str:
        """The dialect of answers, by name. Can be set: what there is keeps its ids, and the paths it had stay."""
        return self._world.account.dialect.name

    @dialect.setter
    def dialect(self, name: str) -> None:
        self._world.service.set_dialect(name)

    @property
    def born(self) -> float:
        """When the account began, in virtual Unix seconds."""
        return self._world.service.created_at

    @property
    def plan(self) -> Plan:
        """The plan of jobs that have none of their own. Can be set, to a `Plan` or a mapping of its fields."""
        return self._world.account.plan

    @plan.setter
    def plan(self, plan: Plan | PlanFields) -> None:
        steering.set_plan(self._world.service, plan)

    def plan_all(self, **changes: Unpack[PlanFields]) -> Plan:
        """Change the plan of all jobs created from now on, field by field of `Plan`; the rest of `plan` stays."""
        return steering.set_plan(self._world.service, self.plan.changed(changes))

    def plan_next(self, **changes: Unpack[PlanFields]) -> Plan:
        """Change the plan of the next job that is created, field by field of `Plan`; called twice, the next two."""
        return steering.plan_next(self._world.service, changes)

    def plan_when(
        self,
        *,
        model: str | None = None,
        suffix: str | None = None,
        metadata: Mapping[str, str] | None = None,
        **changes: Unpack[PlanFields],
    ) -> Plan:
        """Change the plan of every new job that has this model, suffix and metadata, field by field of `Plan`.

        The newest such plan that is for a job has it; `plan_next` wins over all of them. What is not changed is as in
        `plan` now.

        Args:
            model: as the request names it, or its dated name.
            suffix: the suffix of the model's name.
            metadata: pairs that are among the job's.
            changes: fields of `Plan`.

        Raises:
            FakeUsageError: neither model, suffix nor metadata is given, or a value does not fit.
        """
        given = {"model": model, "suffix": suffix, "metadata": metadata}
        when = {name: value for name, value in given.items() if value is not None}
        return steering.plan_when(self._world.service, when, changes).plan

    def plan_job(self, job: str, **changes: Unpack[PlanFields]) -> Plan:
        """Change how one job goes on, field by field of `Plan`; what has happened stays."""
        plan = steering.set_job_plan(self._world.service, job, changes)
        self._world.sender.wake()
        return plan

    def add_file(self, content: str | bytes, **seed: Unpack[FileSeedFields]) -> dict[str, Any]:
        """Put a file into the account; fields of `FileSeed`. Return it as the service would."""
        from ..control import seeding  # on demand: pydantic takes its time

        try:
            text = content.decode() if isinstance(content, bytes) else content
        except UnicodeDecodeError as error:
            raise FakeUsageError(f"content must be UTF-8 text: {error}") from None
        parsed = seeding.FileSeed.parse({"content": text, **seed})
        return self._to_dialect(seeding.seed_file(self._world.service, parsed))

    def add_job(self, training_file: str, **seed: Unpack[JobSeedFields]) -> dict[str, Any]:
        """Put a job into the account, in any state; fields of `JobSeed`. Return it as the service would."""
        from ..control import seeding

        parsed = seeding.JobSeed.parse({"training_file": training_file, **seed})
        job = self._to_dialect(seeding.seed_job(self._world.service, parsed))
        self._world.sender.wake()
        return job

    def name_next(self, kind: str, identifier: str, seed: int | None = None) -> None:
        """Give the next "file" or "job" that is created this id instead of a derived one; a job also this seed."""
        from ..control import seeding

        seeding.reserve_next_id(self._world.service, kind, identifier, seed)

    def add_webhook(self, url: str | None = None, secret: str | None = None, events: Iterable[str] = EVENTS) -> str:
        """Send *url* an event for each job that ends from now on; return the secret that deliveries are signed with.

        Without a URL they are collected in `webhook_deliveries`, and sent nowhere.
        """
        endpoint = webhooks.add(self._world.service, WebhookConfig(url, secret, tuple(events)))
        self._world.sender.wake()
        return endpoint.secret

    @property
    def webhooks(self) -> list[WebhookEndpoint]:
        """The webhooks, oldest first; each with its id, URL, secret and events. Deliveries: `webhook_deliveries`."""
        return webhooks.list_endpoints(self._world.service)

    @property
    def webhook_deliveries(self) -> list[WebhookDelivery]:
        """The deliveries of webhooks, oldest first; each with its body, headers and attempts."""
        return webhooks.list_deliveries(self._world.service)

    def deliver_webhooks(self, timeout_s: float = FLUSH_WITHIN_S) -> list[WebhookDelivery]:
        """Wait until every webhook that is due has been tried, or for *timeout_s*; return all deliveries."""
        webhooks.list_deliveries(self._world.service)
        self._world.sender.flush(timeout_s)
        return self.webhook_deliveries

    def replies(self, *texts: str) -> None:
        """Let models answer the next chat completions with these texts, in this order."""
        from ..api.inference import set_replies  # here, since few tests chat

        set_replies(self._world.service, texts)

    def grader_scores(self, scores: Iterable[float | None]) -> None:
        """Let grading models give these scores next, in this order; None: an answer without a score."""
        from ..api import graders

        if not isinstance(scores, Iterable):
            raise FakeUsageError(f"scores must be a collection of numbers, got {scores!r}; as in grader_scores([0.5])")
        graders.set_scores(self._world.service, list(scores))

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """All jobs as the service would answer them now, newest first; reading them moves no time."""
        return [self._to_dialect(job) for job in jobs.snapshot(self._world.service)]

    @property
    def files(self) -> list[dict[str, Any]]:
        """All files as the service would answer them now, newest first."""
        return [self._to_dialect(file) for file in files.snapshot(self._world.service)]

    @property
    def requests_log(self) -> RequestLog:
        """The request log of the account."""
        return self._world.requests

    @property
    def requests(self) -> list[LogEntry]:
        """The requests so far, newest last, keys redacted; control requests are not among them."""
        return self._world.requests.find()

    def state(self) -> dict[str, Any]:
        """Return a summary of the account."""
        return steering.account_summary(self._world.service)


def _hint(name: str, also: Iterable[str] = ()) -> str:
    """Return what an unknown *name* is called here, or the nearest of the public names and *also*."""
    if name in _OTHER_NAMES:
        return f": {_OTHER_NAMES[name]}"
    if name.startswith("_"):  # of a tool that looks for its own marks
        return ""
    return did_you_mean(name, [*(known for known in dir(FakeFineTuning) if not known.startswith("_")), *also])
