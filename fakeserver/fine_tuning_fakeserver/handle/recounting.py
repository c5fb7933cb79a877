"""What there is to tell of an account: all of it as a text, and what it refused because it made no sense."""

from __future__ import annotations

from ..edge.faults import Faults
from ..edge.scripted.stage import Scripts
from .core import Core
from .scene import Scene
from .story import refusals, story


class Recounting(Core):
    """Tells people what happened."""

    _faults: Faults
    _scripts: Scripts
    _taken: int
    """Up to which request `take_usage_errors` has looked."""

    def describe(self) -> str:
        """What happened so far, in lines: clock, the newest jobs with their course, the newest requests, faults.

        And the last request that failed, or else the last that changed something, as command lines to be tried on
        ``fake-fine-tuning serve``. No keys are in it. The text is for people and changes between versions.
        """
        service = self._service
        with service.lock:
            now, jobs = service.clock.now(), list(service.account.jobs.values())
            faults = self._faults.armed(now)
            pace, settings = service.account.pace, service.settings
            files = dict(service.account.files)
        is_scripted = bool(self._scripts or self._scripts.ended)
        text = story(
            Scene(settings, service.born, now, pace, jobs, self.requests_log.find(), faults, files, is_scripted)
        )
        notes = self.requests_log.notes
        return "\n".join(
            [text, *(["refused, and no answer tells it:"] if notes else []), *(f"  {note}" for note in notes)]
        )

    def take_usage_errors(self) -> list[str]:
        """What clients were told with ``fake_error`` since this was asked last: no service would refuse so.

        Among them are magic metadata that makes no plan, a scripted answer that fits no operation, and a path outside
        of ``/v1`` or of a part of the API that the fake has not; also where a fault has kept the answer from the
        client. Under the fixture `fake_fine_tuning` they are joined by requests that the guard refused. Code under test
        may have taken them for errors of the API, or swallowed them, so there a test fails at its end unless it has
        taken them.
        """
        log = self.requests_log.find()
        texts = [f"request {number}: {text}" for number, text in refusals(log) if number > self._taken]
        self._taken = log[-1].number if log else self._taken
        return [*texts, *self.requests_log.take_notes()]
