"""Exempt the fake's traffic from vcrpy: cassettes of the user or of another plugin do not see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from fine_tuning_fakeserver.import_hook import ImportHook

from .import_environment import PLACEHOLDER_HOST
from .provider_hosts import ProviderHosts

VCR = "vcr.cassette"


@contextmanager
def exempt_from_vcr(url: str, hosts: ProviderHosts | None) -> Generator[None, None, None]:
    """Let vcrpy record nothing that the fake answers, while the context lasts.

    Requests to the host and port of *url* are neither replayed nor refused. Those to guarded *hosts*, which also go to
    the fake, may be replayed, as vcrpy comes first. If vcrpy is not imported yet, it is patched once it is.
    """
    with ExitStack() as stack:
        if VCR in sys.modules:
            _patch(stack, sys.modules[VCR], url, hosts)
        else:
            stack.callback(ImportHook({VCR: lambda module: _patch(stack, module, url, hosts)}).end)
        yield


def _patch(stack: ExitStack, module: ModuleType, url: str, hosts: ProviderHosts | None) -> None:
    """Patch the three methods by which vcrpy decides on a request."""
    from unittest.mock import patch  # slow to import, and few tests import vcrpy

    address, cassette = urlsplit(url).netloc, module.Cassette
    can_play, filter_request, append_original = cassette.can_play_response_for, cassette.filter_request, cassette.append

    def is_ours(request: Any) -> bool:
        return bool(urlsplit(request.uri).netloc == address)

    def append(tape: Any, request: Any, response: Any) -> None:
        host = urlsplit(request.uri).hostname or ""
        is_guarded = host == PLACEHOLDER_HOST or (hosts is not None and host in hosts)
        if not is_ours(request) and not is_guarded:
            append_original(tape, request, response)

    detours: dict[str, Callable[..., Any]] = {
        "can_play_response_for": lambda tape, request: not is_ours(request) and can_play(tape, request),
        "filter_request": lambda tape, request: None if is_ours(request) else filter_request(tape, request),
        "append": append,
    }
    for name, detour in detours.items():
        stack.enter_context(patch.object(cassette, name, detour))
