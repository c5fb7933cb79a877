"""The handle of an account of a running server: the verbs of `FakeFineTuning`, over the control API.

Assertions, findings and faults are those of the local handle, on a world that asks the server (`RemoteWorld`). What the
local handle does to its account itself is a control request here. What needs the account in this process raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from types import ModuleType
from typing import Any, NoReturn, Self, Unpack, cast

from fine_tuning_formats.text import Duration, show_value

from ..account.armed_faults import ArmedFault
from ..account.log_format import entry_from_json
from ..account.named_accounts import MAIN
from ..account.request_log import FailedAssertion, LogEntry
from ..account.script_queue import Script
from ..account.service import Service
from ..account.world import FLUSH_WITHIN_S, VirtualWaits, World
from ..clock import Pace, is_own_thread
from ..control.seeding import FileSeedFields, JobSeedFields
from ..domain.checks import parse_seconds, require_id
from ..domain.dialects import DIALECTS
from ..domain.dialects.dialect import Dialect
from ..domain.fault_spec import FaultSpec
from ..domain.plan import Plan, PlanFields
from ..domain.webhook_events import EVENTS, DeliveryAttempt, WebhookDelivery, WebhookEndpoint
from ..settings import Settings, SettingsFields
from ..usage_errors import FakeUsageError
from ..web.operations import PATHS, check_operation
from .control_client import ControlClient, list_of, path_of
from .fake_fine_tuning import FakeFineTuning
from .report import describe_fault, usage_errors_in

REQUESTS_SHOWN = 20
_LOG_HEAD = "/requests?details=true&limit=0"


def _refuse(what: str) -> NoReturn:
    raise FakeUsageError(
        f"{what} cannot be had of a running server: it needs the account itself, which is in another process; make a "
        "FakeFineTuning in this one"
    )


class _Remote:
    """Something of a server's that is only there in part: the rest raises."""

    def __init__(self, control: ControlClient) -> None:
        self._control = control

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse(f"what uses {name!r}")


class _RemoteAccount(_Remote):
    @property
    def pace(self) -> Pace:
        pace: Pace = self._control.send("GET", "/clock")["pace"]
        return pace

    @property
    def dialect(self) -> Dialect:
        return DIALECTS[self._control.send("GET")["account"]["dialect"]]


class _RemoteService(_Remote):
    def set_pace(self, pace: object) -> None:
        self._control.send("PATCH", "/clock", {"pace": pace})

    def set_dialect(self, name: object) -> None:
        self._control.send("PUT", "/dialect", {"dialect": name})


class _RemoteSender(_Remote):
    def wake(self) -> None:
        """Do nothing: the server wakes its own."""


class _RemoteLog(_Remote):
    """The request log of a server's account, and how far this handle has read usage errors."""

    errors_read_to = 0

    def __init__(self, control: ControlClient) -> None:
        super().__init__(control)
        self._notes: dict[str, None] = {}
        """Usage errors of this process that no answer shows."""

    def note(self, text: str) -> None:
        self._notes[text] = None

    def add_failed_assertion(self, failed: FailedAssertion) -> None:
        self._control.send("POST", "/requests/failed_assertions", asdict(failed))

    def find(self, operation: str | None = None, status: int | None = None, limit: int | None = None) -> list[LogEntry]:
        chosen = {"details": "true", "operation": operation, "status": status, "limit": limit}
        query = "&".join(f"{name}={value}" for name, value in chosen.items() if value is not None)
        found = self._control.send("GET", f"/requests?{query}")
        return [entry_from_json(entry) for entry in found["requests"]]

    @property
    def count(self) -> int:
        return int(self._control.send("GET", _LOG_HEAD)["total"])

    @property
    def forgotten(self) -> int:
        return int(self._control.send("GET", _LOG_HEAD)["forgotten"])

    @property
    def notes(self) -> list[str]:
        return [*self._control.send("GET", _LOG_HEAD)["notes"], *self._notes]

    def take_notes(self) -> list[str]:
        own, self._notes = self._notes, {}
        return [*self._control.send("DELETE", "/requests/notes")["notes"], *own]


class RemoteFault(ArmedFault):
    """A fault that is armed on a server; how often it has fired is asked of the server."""

    def __init__(self, control: ControlClient, shown: Mapping[str, Any]) -> None:
        names = {field.name for field in fields(FaultSpec)}
        self.number = shown["number"]
        self.spec = FaultSpec.parse({name: value for name, value in shown.items() if name in names}, PATHS)
        self._control = control
        self._shown = dict(shown)

    def as_json(self) -> dict[str, Any]:
        """Return the fault as the control API shows it; as it did last, if it was forgotten."""
        for shown in self._control.send("GET", "/faults")["faults"]:
            if shown["number"] == self.number and _spec_of(shown) == _spec_of(self._shown):
                self._shown = shown
        return dict(self._shown)

    @property
    def fired(self) -> int:  # type: ignore[override]  # here it can be read only
        """How many calls it has hit."""
        return int(self.as_json()["fired"])

    @property
    def requests(self) -> list[int]:  # type: ignore[override]
        """Their numbers in the request log."""
        return list(self.as_json()["requests"])

    @property
    def exhausted(self) -> bool:
        """Whether it will never fire again."""
        return bool(self.as_json()["exhausted"])

    def __repr__(self) -> str:
        return f"<RemoteFault {self._shown}>"


def _spec_of(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in ("fired", "requests", "exhausted")}


class _RemoteFaults(_Remote):
    def arm(self, fault: Mapping[str, object], now: float) -> ArmedFault:
        return RemoteFault(self._control, self._control.send("POST", "/faults", fault))

    def all(self, now: float) -> list[ArmedFault]:
        return self._listed("/faults")

    def unfired(self, now: float) -> list[ArmedFault]:
        return self._listed("/faults/unfired")

    def disarm(self, now: float) -> None:
        self._control.send("DELETE", "/faults")

    def _listed(self, path: str) -> list[ArmedFault]:
        return [RemoteFault(self._control, fault) for fault in self._control.send("GET", path)["faults"]]


class RemoteScript(Script):
    """A script in use on a server, or one that has ended there."""

    def __init__(self, control: ControlClient, number: int) -> None:
        self._control = control
        self.number = number

    @property
    def _shown(self) -> dict[str, Any]:
        scripts = self._control.send("GET", "/scripts")["scripts"]
        found: dict[str, Any] | None = next((each for each in scripts if each["number"] == self.number), None)
        if found is None:
            raise FakeUsageError(f"script {self.number} is not there any more: the account was reset")
        return found

    @property
    def strict(self) -> bool:  # type: ignore[override]  # here it can be read only
        """Whether a call that no answer is left for is an error."""
        return bool(self._shown["strict"])

    @property
    def calls(self) -> int:  # type: ignore[override]
        """How many calls it has answered."""
        return int(self._shown["calls"])

    @property
    def left(self) -> list[tuple[str | None, Any]]:
        """The items that were never used, each with its operation; None for any operation."""
        return [(operation, item) for operation, item in self._shown["left"]]

    def prevent_stray(self) -> Self:
        """Make every call that no answer is left for an error from now on."""
        self._control.send("POST", f"/scripts/{self.number}/strict")
        return self

    def stop(self) -> Self:
        """End the script, and those that were begun after it; without effect if it has ended."""
        self._control.send("DELETE", f"/scripts/{self.number}")
        return self


class _RemoteScripts(_Remote):
    @property
    def scripts(self) -> list[Script]:
        return self._listed(in_use=True)

    @property
    def ended(self) -> list[Script]:
        return self._listed(in_use=False)

    def _listed(self, *, in_use: bool) -> list[Script]:
        shown = self._control.send("GET", "/scripts")["scripts"]
        return [RemoteScript(self._control, script["number"]) for script in shown if script["in_use"] is in_use]


class RemoteWorld(_Remote):
    """The world of an account of a server, as far as a handle needs it."""

    is_reachable = is_handed_out = True

    def __init__(self, control: ControlClient) -> None:
        super().__init__(control)
        self.urls = [f"{control.root}/v1"]
        self.is_finished = False
        self.account = _RemoteAccount(control)
        self.service = _RemoteService(control)
        self.sender = _RemoteSender(control)
        self.requests = _RemoteLog(control)
        self.faults = _RemoteFaults(control)
        self.scripts = _RemoteScripts(control)
        self.checks: list[Callable[[], object]] = []

    @property
    def now(self) -> float:
        """Virtual time, in Unix seconds."""
        return float(self._control.send("GET", "/clock")["now"])

    def finish(self) -> None:
        """Let assertions fail until the next reset."""
        self.is_finished = True


class RemoteFake(FakeFineTuning):
    """The handle of an account of a running server; see `FakeFineTuning.connect`.

    As a context manager it closes its connections at the end; the account stays until `delete_account`.
    """

    def __init__(self, url: str, token: str | None = None, account: str | None = None) -> None:
        self._control = ControlClient(url, token, account)
        self._world = cast(World, RemoteWorld(self._control))
        self._servers = []
        self._description = f"{self._control.root}: the handle is closed"
        try:
            if account not in (None, MAIN):
                self._control.send("PUT", path_of("accounts", account), of_server=True)
            self._control.send("GET")
        except FakeUsageError:
            self._control.close()
            raise

    @property
    def is_remote(self) -> bool:
        """Whether the account is a running server's, in another process: it is."""
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the control API."""
        self._control.close()

    def delete_account(self) -> None:
        """Let the server forget the account.

        Raises:
            FakeUsageError: it is ``main``, or is not there.
        """
        self._control.send("DELETE", path_of("accounts", self._control.name or MAIN), of_server=True)

    # ---- time

    def advance(self, duration: Duration) -> float:
        """Move time forward; see `FakeFineTuning.advance`."""
        return self._moved("/clock/advance", {"seconds": parse_seconds(duration, "advance")})

    def advance_to(self, status: str | None = None, job: str | None = None, *, step: int | None = None) -> float:
        """Move time to where a job has a status or has done a step; see `FakeFineTuning.advance_to`."""
        return self._moved("/clock/advance", {"to": status, "job": job, "step": step})

    def _moved(self, path: str, body: Mapping[str, Any]) -> float:
        now = float(self._control.send("POST", path, body)["now"])
        self.deliver_webhooks()
        return now

    def _sleep(self, seconds: float) -> float:
        if is_own_thread():
            return max(seconds, 0)
        return float(self._control.send("POST", "/clock/sleep", {"seconds": seconds})["real_seconds"])

    def _note_moved_clock(self) -> None:
        """Do nothing: no waits are virtual here."""

    def bind_waits(self, waits: VirtualWaits | None) -> None:
        """Raise: waits of this process cannot pass the time of another's account at once."""
        _refuse("virtual time")

    def pass_waited_time(self, seconds: float) -> None:
        """Raise, as `bind_waits` does."""
        _refuse("virtual time")

    @property
    def born(self) -> float:
        """When the account began, in virtual Unix seconds."""
        return float(self._outcome()["born"])

    # ---- how jobs go

    @property
    def plan(self) -> Plan:
        """The plan of jobs that have none of their own. Can be set."""
        return Plan().changed(self._control.send("GET")["plan"])

    @plan.setter
    def plan(self, plan: Plan | PlanFields) -> None:
        self._control.send("PUT", "/plan", plan)

    def plan_all(self, **changes: Unpack[PlanFields]) -> Plan:
        """Change the plan of all jobs created from now on; see `FakeFineTuning.plan_all`."""
        return self._planned("PUT", "/plan", self.plan.changed(changes))

    def plan_next(self, **changes: Unpack[PlanFields]) -> Plan:
        """Change the plan of the next job that is created; see `FakeFineTuning.plan_next`."""
        return self._planned("POST", "/plan/next", changes)

    def plan_when(
        self,
        *,
        model: str | None = None,
        suffix: str | None = None,
        metadata: Mapping[str, str] | None = None,
        **changes: Unpack[PlanFields],
    ) -> Plan:
        """Change the plan of every new job that matches; see `FakeFineTuning.plan_when`."""
        given = {"model": model, "suffix": suffix, "metadata": metadata}
        when = {name: value for name, value in given.items() if value is not None}
        rule = self._control.send("POST", "/plans", {"when": when, **changes})
        return Plan().changed({name: value for name, value in rule.items() if name != "when"})

    def plan_job(self, job: str, **changes: Unpack[PlanFields]) -> Plan:
        """Change how one job goes on; see `FakeFineTuning.plan_job`."""
        require_id(job, "job")
        return self._planned("PUT", path_of("jobs", job, "plan"), changes)

    def _planned(self, method: str, path: str, plan: object) -> Plan:
        return Plan().changed(self._control.send(method, path, plan))

    # ---- what is in the account

    def reset(
        self,
        *,
        defaults: Mapping[str, Any] | Settings | None = None,
        faults: Iterable[Mapping[str, Any]] | None = None,
        **settings: Unpack[SettingsFields],
    ) -> None:
        """Begin a fresh account, with the server's settings but for *settings*; see `FakeFineTuning.reset`."""
        if defaults is not None:
            _refuse("a change of defaults")
        named: dict[str, Any] = {**settings}
        for name, value in named.items():
            if value is None and getattr(Settings(), name, None) is not None:
                raise FakeUsageError(f"{name} must be a value where it is sent to a running server, got None")
        if "api_keys" in named:
            named["api_keys"] = list_of(named["api_keys"], "api_keys")
        if "webhooks" in named:
            named["webhooks"] = list_of(named["webhooks"], "webhooks")
        if faults is not None:
            named["faults"] = list_of(faults, "faults")
        self._control.send("POST", "/reset", named)
        self._world.is_finished = False
        self._world.requests.errors_read_to = 0
        self._world.checks = []

    @property
    def settings(self) -> Settings:
        """Raise: a server does not show all of them."""
        _refuse("settings")

    def add_file(self, content: str | bytes, **seed: Unpack[FileSeedFields]) -> dict[str, Any]:
        """Put a file into the account; see `FakeFineTuning.add_file`."""
        return self._seeded("/files", {"content": content, **seed})

    def add_job(self, training_file: str, **seed: Unpack[JobSeedFields]) -> dict[str, Any]:
        """Put a job into the account, in any state; see `FakeFineTuning.add_job`."""
        return self._seeded("/jobs", {"training_file": training_file, **seed})

    def _seeded(self, path: str, seed: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self._control.send("POST", path, seed)
        return made

    def name_next(self, kind: str, identifier: str, seed: int | None = None) -> None:
        """Give the next thing of a kind this id; see `FakeFineTuning.name_next`."""
        self._control.send("POST", "/next", {"kind": kind, "id": identifier, "seed": seed})

    def replies(self, *texts: str) -> None:
        """Let models answer the next chat completions with these texts, in this order."""
        self._control.send("PUT", "/replies", {"replies": texts})

    def grader_scores(self, scores: Iterable[float | None]) -> None:
        """Let grading models give these scores next, in this order; None: an answer without a score."""
        self._control.send("PUT", "/graders", {"scores": list_of(scores, "scores", "a collection of numbers")})

    def _as_outsider(self, verb: Callable[[Service, str], Any], identifier: str, noun: str) -> dict[str, Any]:
        require_id(identifier, noun)
        deletes = verb.__name__ == "delete"
        path = path_of(f"{noun}s", identifier) if deletes else path_of(f"{noun}s", identifier, verb.__name__)
        changed: dict[str, Any] = self._control.send("DELETE" if deletes else "POST", path)
        return changed

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """All jobs as the service would answer them now, newest first; reading them moves no time."""
        return list(self._control.send("GET", "/jobs")["jobs"])

    @property
    def files(self) -> list[dict[str, Any]]:
        """All files as the service would answer them now, newest first."""
        return list(self._control.send("GET", "/files")["files"])

    def state(self) -> dict[str, Any]:
        """Return a summary of the account."""
        return {name: value for name, value in self._control.send("GET").items() if name != "version"}

    # ---- saved accounts

    def account_file(self, contents_at_most: int | None = None) -> bytes:
        """Return what `save` writes; see `FakeFineTuning.account_file`."""
        query = "" if contents_at_most is None else f"?contents_at_most={contents_at_most}"
        return self._control.download(f"/export{query}")

    def rewind_to(self, *, request: int | None = None, time: float | None = None) -> None:
        """Take the account back to where it was; see `FakeFineTuning.rewind_to`."""
        self._control.send("POST", "/rewind", {"request": request, "time": time})
        log = self._world.requests
        log.errors_read_to = min(log.errors_read_to, log.count)

    @classmethod
    def load(cls, path: object, **options: Any) -> NoReturn:
        """Raise: the server loads an account by ``POST /_fake/import``, and this process by `FakeFineTuning.load`."""
        _refuse("load")

    @classmethod
    def from_setup(cls, path: object, **options: Any) -> NoReturn:
        """Raise: a server begins so by ``serve --setup``."""
        _refuse("from_setup")

    def fork(self) -> NoReturn:
        """Raise: `save` the account, and `FakeFineTuning.load` it here."""
        _refuse("a copy")

    @property
    def has_happened(self) -> bool:
        """Whether any request, file or job has come since the account began; not once the handle is closed."""
        return not self._control.is_closed and bool(self._world.requests.count or self.files or self.jobs)

    # ---- webhooks

    def add_webhook(self, url: str | None = None, secret: str | None = None, events: Iterable[str] = EVENTS) -> str:
        """Send *url* an event for each job that ends from now on, from the server; see `FakeFineTuning.add_webhook`."""
        webhook = {"url": url, "secret": secret, "events": list_of(events, "events")}
        return str(self._control.send("POST", "/webhooks", webhook)["secret"])

    @property
    def webhooks(self) -> list[WebhookEndpoint]:
        """The webhooks, oldest first; times are in whole seconds."""
        shown = self._control.send("GET", "/webhooks")["webhooks"]
        return [WebhookEndpoint(**{**webhook, "events": tuple(webhook["events"])}) for webhook in shown]

    @property
    def webhook_deliveries(self) -> list[WebhookDelivery]:
        """The deliveries of webhooks, oldest first; each with its body, headers and attempts."""
        return self._deliveries(self._control.send("GET", "/webhooks/deliveries"))

    def deliver_webhooks(self, timeout_s: float = FLUSH_WITHIN_S) -> list[WebhookDelivery]:
        """Wait until every webhook that is due has been tried, or for *timeout_s*; return all deliveries."""
        body = {"timeout": timeout_s}
        return self._deliveries(self._control.send("POST", "/webhooks/deliver", body, waits_s=timeout_s))

    def _deliveries(self, shown: Mapping[str, Any]) -> list[WebhookDelivery]:
        if not shown["deliveries"]:
            return []
        endpoints = {endpoint.id: endpoint for endpoint in self.webhooks}
        return [_delivery(each, endpoints) for each in shown["deliveries"]]

    # ---- scripts, calls, report

    def __call__(self, responses: Any = None, *, strict: bool = False) -> Script:
        """Answer with *responses* from now on, which must be JSON; see `FakeFineTuning`."""
        for operation in responses if isinstance(responses, Mapping) else ():
            check_operation(operation)
        if isinstance(responses, str | bytes):
            raise FakeUsageError(f"the script must be a list of answers, got {show_value(responses)}")
        shown = self._control.send("POST", "/scripts", {"responses": responses, "strict": strict})
        return RemoteScript(self._control, shown["number"])

    def _outcome(self) -> Mapping[str, Any]:
        outcome: Mapping[str, Any] = self._control.send("GET", "/outcome")
        return outcome

    def describe(self) -> str:
        """Return what happened so far: clock, jobs, the newest requests, faults; shorter than of a fake in process.

        Once the handle is closed it is what it was when it was last described.
        """
        if not self._control.is_closed:
            self._description = self._describe()
        return self._description

    def _describe(self) -> str:
        state, entries, calls = self.state(), self.requests, self.calls[-REQUESTS_SHOWN:]
        refused = usage_errors_in(entries)
        clock, account = state["clock"], state["account"]
        return "\n".join(
            [
                f"{self._control.root}: {clock['now'] - self.born:.1f} s after the account began; "
                f"pace {clock['pace']}, seed {account['seed']}, dialect {account['dialect']}",
                *(f"job {job['id']}: {job['status']}" for job in state["jobs"]),
                *map(str, calls),
                *(f"fault {describe_fault(fault)}" for fault in self.faults),
                *(f"refused by the fake itself: request {number}: {text}" for number, text in refused),
            ]
        )

    def begin_run(self, combination: object, limits: object, virtual: object) -> NoReturn:
        """Raise: an exploration disturbs requests in this process."""
        _refuse("exploration")

    def explore(self, program: Callable[[], object], **options: Any) -> NoReturn:
        """Raise, as `begin_run` does."""
        _refuse("exploration")

    # ---- clients

    @property
    def _app(self) -> NoReturn:
        _refuse("the application, its transports and another server of it")

    @property
    def _client_url(self) -> str:
        return self.base_url

    def _client_transport(self, library: ModuleType) -> None:
        """Return none: clients use the network."""


def _delivery(shown: Mapping[str, Any], endpoints: Mapping[str, WebhookEndpoint]) -> WebhookDelivery:
    """Return a delivery that the control API shows so."""
    import json

    event = json.loads(shown["body"])
    attempts = tuple(DeliveryAttempt(**attempt) for attempt in shown["attempts"])
    endpoint = endpoints.get(shown["webhook"]) or WebhookEndpoint(shown["webhook"], shown["url"], "", (), 0.0)
    return WebhookDelivery(shown["id"], endpoint, event["id"], shown["type"], shown["job"], shown["due_at"], attempts)
