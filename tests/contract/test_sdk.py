"""The official SDK, versions 2 and 3, blocking and async, over a socket and in process."""

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
    """The URL of a fake on a socket."""
    with FakeFineTuning(**session.SETTINGS).serving() as url:
        yield url


@pytest.fixture(scope="module")
def with_openai_2(base_url: str) -> dict[str, str]:
    """The result of each part of the contract with openai 2: an empty string or a traceback."""
    try:
        return openai2.outcomes(base_url)
    except openai2.UnreachableError as error:
        pytest.skip(str(error))


@each_part
def test_a_session_with_openai_3(part: str, base_url: str) -> None:
    """A whole session with openai 3 passes."""
    session.parts(base_url)[part]()


@each_part
def test_a_session_with_openai_2(part: str, with_openai_2: dict[str, str]) -> None:
    """A whole session with openai 2 passes."""
    assert with_openai_2[part] == ""


def test_types_of_openai_3() -> None:
    """Responses fit the types of openai 3, except for exactly what CONTRADICTIONS lists."""
    strictness.check_types()


def test_types_of_openai_2(with_openai_2: dict[str, str]) -> None:
    """Responses fit the types of openai 2, except for exactly what CONTRADICTIONS lists."""
    assert with_openai_2["types"] == ""


@each_state
def test_a_strict_client_of_openai_3(state: str) -> None:
    """A validating client of openai 3 accepts every response except a job that contradicts its types."""
    strictness.check_client(state)


@each_state
def test_a_strict_client_of_openai_2(state: str, with_openai_2: dict[str, str]) -> None:
    """A validating client of openai 2 accepts every response except a job that contradicts its types."""
    assert with_openai_2[f"strict client, {state}"] == ""


def test_both_versions_are_what_they_are_called(with_openai_2: dict[str, str]) -> None:
    """The two runs use openai 3 and openai 2.54.0."""
    assert openai.__version__.startswith("3.")
    assert with_openai_2["version"] == ""


def test_answers_on_a_socket_are_not_held_back() -> None:
    """The server's connections have TCP_NODELAY, so that no response waits for a delayed ACK."""
    with bind() as listener:
        # asyncio switches Nagle's algorithm off where the protocol is named; else accepted sockets inherit the option
        at_once = listener.proto == socket.IPPROTO_TCP or listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    assert at_once
