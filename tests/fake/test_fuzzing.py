"""Requests generated from the OpenAPI document get responses that conform to it."""

from __future__ import annotations

import pytest

from fine_tuning_fakeserver.web.control_endpoints import CONTROL_OPERATIONS
from fine_tuning_fakeserver.web.operations import OPERATIONS
from fuzzing import fuzz
from strategies import example_count
from wire_fuzzing import BODIES, FORMS, fuzz_server

WRITING = ("POST", "PUT", "PATCH")

pytestmark = pytest.mark.slow


def test_made_up_requests_are_answered_as_described() -> None:
    """No request gets a 5xx, a status or body that is not in the document, or a wrong verdict on its body.

    This tries some hundreds, in sequence and along the document's links; scripts/fuzz tries more.
    """
    figures = fuzz(example_count(200), examples=example_count(3, 6))

    assert not figures.failures, "\n".join(figures.failures.values())
    assert max(figures.statuses) < 500
    assert figures.statuses[200] > 50
    assert len(figures.operations) > 12
    assert set(figures.phases) == {"fuzzing", "stateful"}


def test_requests_that_are_nearly_right_break_nothing_over_a_socket() -> None:
    """Nearly valid requests to `serve` get no 5xx, write nothing to stderr, and leave no open descriptor."""
    most = example_count(400, 10_000)
    figures = fuzz_server(lambda figures: figures.requests < most, warm_up=most // 2, life_s=600)

    assert not figures.failures, "\n".join(figures.lines())
    assert not figures.stderr
    assert figures.after[0] <= figures.before[0]
    assert len(figures.operations) == len(OPERATIONS) + len(CONTROL_OPERATIONS)


def test_every_operation_with_a_body_has_a_sound_one_to_change() -> None:
    """The fuzzer has a valid body or form for each operation that writes."""
    writing = {operation.name for operation in (*OPERATIONS, *CONTROL_OPERATIONS) if operation.method in WRITING}

    assert writing == set(BODIES) | set(FORMS)
