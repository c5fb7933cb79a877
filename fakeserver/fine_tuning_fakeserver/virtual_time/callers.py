"""Whose wait it is, by the module that calls; and where a wait stands in the code under test."""

from __future__ import annotations

import os
import sysconfig
from types import FrameType, TracebackType

REAL_CALLERS = frozenset(
    {
        "_pytest",
        "cheroot",
        "execnet",
        "fine_tuning_fakeserver",
        "gunicorn",
        "http",
        "hypercorn",
        "hypothesis",
        "multiprocessing",
        "pytest",
        "pytest_fine_tuning",
        "pytest_httpserver",
        "pytest_localserver",
        "pytest_rerunfailures",
        "pytest_timeout",
        "socketserver",
        "subprocess",
        "uvicorn",
        "waitress",
        "werkzeug",
        "wsgiref",
        "xdist",
    }
)
"""Packages whose own waits stay real: what runs tests, servers, and what waits for other processes."""

_THROUGH = frozenset({"concurrent", "contextlib", "queue", "threading"})
"""Packages that wait for whoever calls them."""
_OURS = __name__.rpartition(".")[0]
_OWN_PACKAGES = frozenset({"fine_tuning_client", "fine_tuning_fakeserver", "pytest_fine_tuning"})
_STANDARD_LIBRARY = os.path.join(sysconfig.get_path("stdlib"), "")
_INSTALLED = os.path.join(sysconfig.get_path("purelib"), "")


def package_of(name: object) -> str:
    """Return the top-level package of a module's name."""
    return name.partition(".")[0] if isinstance(name, str) else ""


def is_real_caller(frame: FrameType | None) -> bool:
    """Whether the code that waits, called from *frame* or itself there, is of `REAL_CALLERS`."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        package = package_of(name)
        if package not in _THROUGH and not name.startswith(_OURS):
            return package in REAL_CALLERS
        frame = frame.f_back
    return False


def is_real_target(target: object) -> bool:
    """Whether a thread's function is of `REAL_CALLERS`, as ``serve_forever`` of the standard library's servers."""
    module = getattr(getattr(target, "__func__", target), "__module__", None)
    if isinstance(module, str) and module.startswith(_OURS):  # `time.sleep`, say
        return False
    return package_of(module) in REAL_CALLERS


def place_of(frame: FrameType | None) -> str:
    """Return file and line of the innermost code in *frame* that is not the standard library's or installed."""
    innermost = frame
    while frame is not None and not _is_users(frame):
        frame = frame.f_back
    frame = frame or innermost
    return "an unknown place" if frame is None else _place(frame, frame.f_lineno)


def place_in(traceback: TracebackType | None) -> str | None:
    """Return file and line of the innermost code in *traceback* that is not the standard library's or installed."""
    place = None
    while traceback is not None:
        if _is_users(traceback.tb_frame):
            place = _place(traceback.tb_frame, traceback.tb_lineno)
        traceback = traceback.tb_next
    return place


def _is_users(frame: FrameType) -> bool:
    """Whether *frame* is neither the standard library's, nor installed, nor of this project."""
    is_installed = frame.f_code.co_filename.startswith((_STANDARD_LIBRARY, _INSTALLED, "<"))
    return not is_installed and package_of(frame.f_globals.get("__name__")) not in _OWN_PACKAGES


def _place(frame: FrameType, line: int) -> str:
    path = frame.f_code.co_filename
    relative = os.path.relpath(path) if os.path.isabs(path) else path
    return f"{path if relative.startswith('..') else relative}:{line}"
