"""Exempt the fake's traffic from vcrpy: cassettes of the user or of another plugin do not see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

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
            ahead = _ImportHook(lambda module: _patch(stack, module, url, hosts))
            sys.meta_path.insert(0, ahead)
            stack.callback(ahead.end)
        yield


def _patch(stack: ExitStack, module: ModuleType, url: str, hosts: ProviderHosts | None) -> None:
    """Patch the three methods by which vcrpy decides on a request."""
    address, cassette = urlsplit(url).netloc, module.Cassette
    can_play, filter_request, append_original = cassette.can_play_response_for, cassette.filter_request, cassette.append

    def is_ours(request: Any) -> bool:
        return bool(urlsplit(request.uri).netloc == address)

    def append(tape: Any, request: Any, response: Any) -> None:
        is_guarded = hosts is not None and (urlsplit(request.uri).hostname or "") in hosts
        if not is_ours(request) and not is_guarded:
            append_original(tape, request, response)

    detours: dict[str, Callable[..., Any]] = {
        "can_play_response_for": lambda tape, request: not is_ours(request) and can_play(tape, request),
        "filter_request": lambda tape, request: None if is_ours(request) else filter_request(tape, request),
        "append": append,
    }
    for name, detour in detours.items():
        stack.enter_context(mock.patch.object(cassette, name, detour))


class _ImportHook(MetaPathFinder):
    """Calls a function with vcrpy's cassette module as soon as it is imported."""

    def __init__(self, then: Callable[[ModuleType], None]) -> None:
        self._then = then
        self._is_over = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find vcrpy's module as usual, and patch it after it is executed; ignore other modules."""
        if name != VCR:
            return None
        self.leave()
        spec = find_spec(name)
        loader: Any = spec and spec.loader

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # restore the method of its class
            loader.exec_module(module)
            if not self._is_over:
                self._then(module)

        if loader is not None:
            loader.exec_module = exec_module
        return spec

    def end(self) -> None:
        """Disable the hook, even for an import that is under way."""
        self._is_over = True
        self.leave()

    def leave(self) -> None:
        """Remove the hook."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
