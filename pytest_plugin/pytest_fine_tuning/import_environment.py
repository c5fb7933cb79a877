"""A placeholder key and address for clients that are made while tests are collected, in a checkout without a key.

They are in the environment during collection only. A client that has them is answered by the fake of a fixture (see
`network_guard`); without a fixture its requests are refused.

Runs that use no fake import this module, too, so it imports pytest and the standard library only.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from fine_tuning_fakeserver.import_hook import ImportHook

from .environment import AZURE_VARIABLES, EnvironmentPatch
from .markers import IMPORT_ENV, SECTION

DIALECT = "fake_fine_tuning_dialect"
PLACEHOLDER_HOST = "placeholder.fake-fine-tuning.invalid"
"""A host that no name server knows (RFC 6761)."""
KEY = "fake-fine-tuning-placeholder-key"
VARIABLES: Mapping[str, str] = {"OPENAI_BASE_URL": f"http://{PLACEHOLDER_HOST}/v1", "OPENAI_API_KEY": KEY}
AZURE: Mapping[str, str] = dict(zip(AZURE_VARIABLES, (f"http://{PLACEHOLDER_HOST}", KEY), strict=True))
REAL_SERVICE: Mapping[str, tuple[str, ...]] = {
    "fine_tuning": ("record", "live"),
    "fine_tuning_record": ("once", "new_episodes", "all", "rewrite"),
}
"""Values of options with which clients made during collection are to reach the service."""
REFUSAL = (
    "a client that was made while tests were collected sent a request, and no fixture of the fake is active; request "
    "fake_fine_tuning, fake_fine_tuning_module or fake_fine_tuning_session (its address is the placeholder of the ini "
    f"key {IMPORT_ENV})"
)
HINT = f"for a client that is made on import, set the ini key {IMPORT_ENV} = true: a placeholder key and URL"
AZURE_HINT = f"{HINT}; Azure's with {DIALECT} = azure-2025"
NAMES = re.compile("(AZURE_)?OPENAI_(API_KEY|BASE_URL|ENDPOINT)", re.IGNORECASE)

_refusals = 0
"""How many runs refuse requests to the placeholder now; a run of pytest may be inside of another."""


def has_placeholder() -> bool:
    """Return whether clients may have the placeholder."""
    return _refusals > 0


def is_wanted(config: pytest.Config) -> bool:
    """Return whether the ini key is true.

    Raises:
        pytest.UsageError: it is neither true nor false.
    """
    value = config.getini(IMPORT_ENV)
    wanted = {"true": True, "false": False, "": False}.get(str(value).lower())
    if wanted is None:
        raise pytest.UsageError(f"ini key {IMPORT_ENV} must be true or false, got {value!r}")
    return wanted


def uses_real_service(config: pytest.Config) -> bool:
    """Return whether tests of this run may reach the service, for which clients need their real keys."""
    options = config.known_args_namespace
    return any(getattr(options, name, None) in values for name, values in REAL_SERVICE.items())


@contextmanager
def placeholder_environment(config: pytest.Config) -> Generator[None, None, None]:
    """Set the placeholders while the context lasts, if the ini key says so.

    They are refused until the end of the run. Values that were there are replaced: an import is not to use a real key.
    """
    if not is_wanted(config) or uses_real_service(config):
        yield
        return
    _refuse_placeholder(config)
    has_azure = str(config.getini(DIALECT)).startswith("azure")
    azure = {name: value for name, value in AZURE.items() if has_azure or name in os.environ}
    environment = EnvironmentPatch({**VARIABLES, **azure})
    try:
        yield
    finally:
        environment.restore_again()  # what a module has set meanwhile stays


_REFUSING = pytest.StashKey[bool]()


def _refuse_placeholder(config: pytest.Config) -> None:
    """Refuse requests to the placeholder until the run ends, whichever library sends them."""
    global _refusals
    if config.stash.get(_REFUSING, False):
        return
    config.stash[_REFUSING] = True
    # not `patching.Patch`: the guard replaces and restores what it finds, and this is to stay below it
    patches = pytest.MonkeyPatch()
    patches.setattr(socket, "getaddrinfo", _refusing_lookup(socket.getaddrinfo))

    def patch_library(library: ModuleType) -> None:
        for kind, name in (("HTTPTransport", "handle_request"), ("AsyncHTTPTransport", "handle_async_request")):
            transport: Any = getattr(library, kind)
            refusing = _refusing_async_send if "async" in name else _refusing_send
            patches.setattr(transport, name, refusing(library, getattr(transport, name)))

    hook = ImportHook({"httpx": patch_library, "httpx2": patch_library})
    for name in ("httpx", "httpx2"):
        if library := sys.modules.get(name):
            patch_library(library)
    _refusals += 1

    def end() -> None:
        global _refusals
        _refusals -= 1
        hook.end()
        patches.undo()

    config.add_cleanup(end)


def _refusing_send(library: ModuleType, original: Callable[..., Any]) -> Callable[..., Any]:
    def handle_request(transport: Any, request: Any) -> Any:
        return _refusal(library) if request.url.host == PLACEHOLDER_HOST else original(transport, request)

    return handle_request


def _refusing_async_send(library: ModuleType, original: Callable[..., Any]) -> Callable[..., Any]:
    async def handle_async_request(transport: Any, request: Any) -> Any:
        return _refusal(library) if request.url.host == PLACEHOLDER_HOST else await original(transport, request)

    return handle_async_request


def _refusal(library: Any) -> Any:
    """Return an answer that no service gives; an error would be hidden by the SDK, which tries again first."""
    body = {"fake_error": REFUSAL, "message": f"fake-fine-tuning: {REFUSAL}"}
    return library.Response(400, headers={"content-type": "application/json"}, content=json.dumps(body).encode())


def _refusing_lookup(original: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host in (PLACEHOLDER_HOST, PLACEHOLDER_HOST.encode()):
            from .network_guard import BlockedRequestError

            __tracebackhide__ = True
            raise BlockedRequestError(REFUSAL)
        return original(host, *arguments, **options)

    return getaddrinfo


def add_hint(config: pytest.Config, error: Exception) -> None:
    """Add to the error of a conftest.py what to do about a missing key."""
    cause = getattr(error, "cause", None)  # of pytest's own error
    if isinstance(cause, BaseException) and (hint := _hint(config, str(cause))):
        cause.add_note(f"{SECTION}: {hint}")


def add_hint_section(config: pytest.Config, report: pytest.CollectReport) -> None:
    """Add to the error of a module's import what to do about a missing key."""
    crash: Any = getattr(report.longrepr, "reprcrash", None)
    if crash and (hint := _hint(config, crash.message)):
        report.sections.append((SECTION, hint))


def _hint(config: pytest.Config, message: str) -> str:
    """Return what to do about an import that failed with *message* for want of a key; empty if it did not."""
    names = [match.group().upper() for match in NAMES.finditer(message)]
    missing = [name for name in names if name not in os.environ]
    is_azure = any(name.startswith("AZURE") for name in missing)
    if not missing or (is_wanted(config) and not is_azure):
        return ""
    return AZURE_HINT if is_azure else HINT
