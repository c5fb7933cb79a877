"""The official SDK, old and new, blocking and not, through both doors, takes the fake for the service."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web.server import bind

from . import openai2, session, strictness

pytestmark = pytest.mark.slow

each_part = pytest.mark.parametrize("part", session.PARTS)
each_state = pytest.mark.parametrize("state", strictness.STATES)


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A fake on a socket."""
    with FakeFineTuning(**session.SETTINGS).serving() as url:
        yield url


@pytest.fixture(scope="module")
def with_openai_2(base_url: str) -> dict[str, str]:
    """What came of each part of the contract with openai 2: the empty string, or a traceback."""
    try:
        return openai2.outcomes(base_url)
    except openai2.UnreachableError as error:
        pytest.skip(str(error))


@each_part
def test_a_session_with_openai_3(part: str, base_url: str) -> None:
    """A whole session with openai 3 goes as with the real service."""
    session.parts(base_url)[part]()


@each_part
def test_a_session_with_openai_2(part: str, with_openai_2: dict[str, str]) -> None:
    """A whole session with openai 2 goes as with the real service."""
    assert with_openai_2[part] == ""


def test_types_of_openai_3() -> None:
    """Answers fit the types of openai 3 but for what CONTRADICTIONS lists, all of which is still needed."""
    strictness.check_types()


def test_types_of_openai_2(with_openai_2: dict[str, str]) -> None:
    """Answers fit the types of openai 2 but for what CONTRADICTIONS lists, all of which is still needed."""
    assert with_openai_2["types"] == ""


@each_state
def test_a_strict_client_of_openai_3(state: str) -> None:
    """A client of openai 3 that validates what it reads takes every answer but a job that contradicts its types."""
    strictness.check_client(state)


@each_state
def test_a_strict_client_of_openai_2(state: str, with_openai_2: dict[str, str]) -> None:
    """A client of openai 2 that validates what it reads takes every answer but a job that contradicts its types."""
    assert with_openai_2[f"strict client, {state}"] == ""


def test_both_versions_are_what_they_are_called(with_openai_2: dict[str, str]) -> None:
    """The two runs are of openai 3 here and of openai 2.54.0 there."""
    assert openai.__version__.startswith("3.")
    assert with_openai_2["version"] == ""


def test_answers_on_a_socket_are_not_held_back() -> None:
    """Connections of the server send at once: no answer waits some 40 ms for the client's delayed ACK."""
    with bind() as listener:
        # asyncio switches Nagle's algorithm off where the protocol is named; else accepted sockets inherit the option
        at_once = listener.proto == socket.IPPROTO_TCP or listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    assert at_once
