"""`FakeFineTuning`: the fake as one object, with or without pytest, with or without a socket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Unpack

from ..account.service import Service
from ..api import graders, inference, jobs, webhooks
from ..control import seeding, seeds, steering
from ..control.seeds import FileSeedFields, JobSeedFields
from ..domain.dialects.dialect import to_dialect
from ..domain.plan import Plan, PlanFields
from ..domain.webhook_events import EVENTS, WebhookConfig, WebhookDelivery, WebhookEndpoint
from ..settings import Settings, SettingsFields
from ..usage_errors import FakeUsageError
from ..web.app import create_app
from ..web.fault_injector import ArmedFaults
from ..web.request_log import LogEntry, RequestLog
from ..web.scripting.player import ScriptStack
from ..web.webhook_sender import PATIENCE_S, WebhookSender
from .assertions import Assertions
from .clients import Clients
from .dashboard import OutsideChanges
from .faults import FaultControl
from .report import Report
from .scripting import ScriptControl
from .time_control import TimeControl

_CALLED_HERE = {
    "app": "the ASGI application is `asgi_app`",
    "deliveries": "what webhooks were told is `webhook_deliveries`",
}


class FakeFineTuning(TimeControl, Clients, FaultControl, OutsideChanges, ScriptControl, Report, Assertions):
    """A fake of the fine-tuning API with one account.

    Args:
        faults: what goes wrong from the beginning: mappings, as ``POST /_fake/faults`` takes them.
        settings: any field of `Settings`, by name: ``seed``, ``pace``, ``plan``, ``start``, …

    Example::

        fake = FakeFineTuning()
        with fake.serving() as url:
            client = openai.OpenAI(base_url=url, api_key="any")
    """

    def __init__(self, *, faults: Iterable[Mapping[str, Any]] = (), **settings: Unpack[SettingsFields]) -> None:
        self.requests_log = RequestLog()
        self._urls: list[str] = []
        self._taken = 0
        self._service = Service(Settings().changed(settings))
        self._courier = WebhookSender(self._service)
        self._faults = ArmedFaults(faults, self._service.created_at)
        self._scripts = ScriptStack()
        self._entered = []
        self._app = create_app(
            self._service, self.requests_log, self._faults, self._scripts, afterwards=self._courier.wake
        )
        self._reachable = self._handed_out = self._retired = False

    def reset(self, *, faults: Iterable[Mapping[str, Any]] | None = None, **settings: Unpack[SettingsFields]) -> None:
        """Begin a fresh account, with the settings and the faults it was born with but for those given."""
        armed = self._faults.parse(faults)
        self._service.reset(settings)
        self.requests_log.clear()
        self._taken = 0
        self._scripts.clear()
        self._reachable, self._retired = self._handed_out or bool(self._urls), False
        self._faults.reset(armed, self._service.created_at)
        self._courier.reset()

    def begin_anew(self, *, faults: Iterable[Mapping[str, Any]] = (), **settings: Unpack[SettingsFields]) -> None:
        """Be as a fake that is made with these arguments: also a later `reset` comes back to them."""
        armed, born_with = self._faults.parse(faults), Settings().changed(settings)
        self._service.set_defaults(born_with)
        self._faults.set_defaults(armed)
        self.reset()

    def finish_test(self) -> None:
        """Be of no use to assertions any more, until `reset`: what it was for is over. No webhook is sent, either."""
        self._retired = True
        self._courier.stop()

    if not TYPE_CHECKING:  # a type checker knows what there is

        def __getattr__(self, name: str) -> Any:
            """What others call otherwise is named with what it is called here."""
            if hasattr(type(self), name):  # a property with an error of its own, which is to be seen
                return object.__getattribute__(self, name)
            hint = f": {_CALLED_HERE[name]}" if name in _CALLED_HERE else ""
            raise AttributeError(f"FakeFineTuning has no {name!r}{hint}", name=name, obj=self)

    @property
    def settings(self) -> Settings:
        """What the account was born with."""
        return self._service.settings

    @property
    def born(self) -> float:
        """When the account began, in virtual Unix seconds."""
        return self._service.created_at

    @property
    def plan(self) -> Plan:
        """How jobs go that have no plan of their own. Can be set, to a `Plan` or a mapping of its fields."""
        return self._service.account.plan

    @plan.setter
    def plan(self, plan: Plan | PlanFields) -> None:
        steering.set_plan(self._service, plan)

    def plan_all(self, **changes: Unpack[PlanFields]) -> Plan:
        """Let all jobs that are made from now on go otherwise, field by field of `Plan`; the rest of `plan` stays."""
        return steering.set_plan(self._service, self.plan.changed(changes))

    def plan_next(self, **changes: Unpack[PlanFields]) -> Plan:
        """Let the next job that is made go otherwise, field by field of `Plan`; called twice, the next two."""
        return steering.plan_next(self._service, changes)

    def plan_job(self, job: str, **changes: Unpack[PlanFields]) -> Plan:
        """Change how one job goes on, field by field of `Plan`; what has happened stays."""
        plan = steering.set_job_plan(self._service, job, changes)
        self._courier.wake()
        return plan

    def add_file(self, content: str | bytes, **seed: Unpack[FileSeedFields]) -> dict[str, Any]:
        """Put a file into the account; fields of `FileSeed`. Returns it as the service would."""
        try:
            text = content.decode() if isinstance(content, bytes) else content
        except UnicodeDecodeError as error:
            raise FakeUsageError(f"content is no UTF-8 text: {error}") from None
        return self._to_dialect(seeding.seed_file(self._service, seeds.FileSeed.parse({"content": text, **seed})))

    def add_job(self, training_file: str, **seed: Unpack[JobSeedFields]) -> dict[str, Any]:
        """Put a job into the account, in any state; fields of `JobSeed`. Returns it as the service would."""
        given = {"training_file": training_file, **seed}
        seeded = self._to_dialect(seeding.seed_job(self._service, seeds.JobSeed.parse(given)))
        self._courier.wake()
        return seeded

    def add_webhook(self, url: str | None = None, secret: str | None = None, events: Iterable[str] = EVENTS) -> str:
        """Tell *url* of each job that is over from now on; return the secret that deliveries are signed with.

        Without a URL they are collected in `webhook_deliveries`, and sent nowhere.
        """
        endpoint = webhooks.add(self._service, WebhookConfig(url, secret, tuple(events)))
        self._courier.wake()
        return endpoint.secret

    @property
    def webhooks(self) -> list[WebhookEndpoint]:
        """The webhooks there are, oldest first; each with its id, URL, secret and events.

        What they were told is in `webhook_deliveries`.
        """
        return webhooks.list_endpoints(self._service)

    @property
    def webhook_deliveries(self) -> list[WebhookDelivery]:
        """What webhooks were told, or are being told, oldest first; each with its body, headers and attempts."""
        return webhooks.list_deliveries(self._service)

    def deliver_webhooks(self, timeout_s: float = PATIENCE_S) -> list[WebhookDelivery]:
        """Wait until every webhook that is due has been tried, or for *timeout_s*; return all deliveries."""
        webhooks.list_deliveries(self._service)
        self._courier.flush(timeout_s)
        return self.webhook_deliveries

    def replies(self, *texts: str) -> None:
        """Let models answer chat completions with these texts, in this order, before they make up their own."""
        inference.set_replies(self._service, texts)

    def grader_scores(self, scores: Iterable[float | None]) -> None:
        """Let models that judge give these numbers next, before they make up their own; None: no number at all."""
        if not isinstance(scores, Iterable):
            raise FakeUsageError(f"scores is {scores!r}: a collection of numbers is wanted, as in grader_scores([0.5])")
        graders.set_scores(self._service, list(scores))

    def name_next(self, kind: str, identifier: str, seed: int | None = None) -> None:
        """Give the next "file" or "job" that is made this id instead of a derived one; a job this seed, too."""
        seeding.reserve_next_id(self._service, kind, identifier, seed)

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """All jobs as the service would answer them now, newest first; looking moves no time."""
        return [self._to_dialect(job) for job in jobs.snapshot(self._service)]

    @property
    def requests(self) -> list[LogEntry]:
        """The requests so far, newest last, keys redacted; control calls are not among them."""
        return self.requests_log.find()

    def _to_dialect(self, answer: dict[str, Any]) -> dict[str, Any]:
        """*answer* in the account's dialect; a copy, to be changed at will."""
        copy: dict[str, Any] = to_dialect(self._service.account.dialect, deepcopy(answer))
        return copy

    def state(self) -> dict[str, Any]:
        """A summary of the account."""
        return steering.account_summary(self._service)
