"""The fake's own traffic is nobody's cassette: cassettes of vcrpy, a user's or another plugin's, do not see it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import urlsplit


@contextmanager
def unrecorded(url: str) -> Generator[None, None, None]:
    """While this lasts, requests to the host and port of *url* are neither played, refused nor recorded by vcrpy.

    Its patches of HTTP libraries ask a cassette three things, each about a request. Where vcrpy is not imported, as in
    most runs, there is nothing to do: what is imported under the fixture records the fake only if it is asked to.
    """
    vcr: Any = sys.modules.get("vcr.cassette")
    if vcr is None:
        yield
        return
    place, kind = urlsplit(url).netloc, vcr.Cassette
    plays, takes, keeps = kind.can_play_response_for, kind.filter_request, kind.append

    def is_ours(request: Any) -> bool:
        return bool(urlsplit(request.uri).netloc == place)

    with (
        mock.patch.object(kind, "can_play_response_for", lambda tape, asked: not is_ours(asked) and plays(tape, asked)),
        mock.patch.object(kind, "filter_request", lambda tape, asked: None if is_ours(asked) else takes(tape, asked)),
        mock.patch.object(
            kind, "append", lambda tape, asked, answer: None if is_ours(asked) else keeps(tape, asked, answer)
        ),
    ):
        yield
