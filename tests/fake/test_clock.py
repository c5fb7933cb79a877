"""Real time: whether a test has taken it away."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any
from unittest import mock

import pytest

from fine_tuning_fakeserver.clock import sleep_is_replaced


def test_sleeps_as_they_come_are_not_replaced() -> None:
    """Nothing is replaced where nobody has replaced anything."""
    assert not sleep_is_replaced()


@pytest.mark.parametrize("owner", [time, asyncio])
@pytest.mark.parametrize("other", [lambda seconds: None, [].append, mock.Mock(), mock.create_autospec(asyncio.sleep)])
def test_a_sleep_that_was_replaced(owner: Any, other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function, a method, a mock and one with the original's manners are seen in either place."""
    monkeypatch.setattr(owner, "sleep", other)
    assert sleep_is_replaced()


def test_what_was_replaced_at_first_is_not_for_ever() -> None:
    """A process that imports the fake while its sleep is replaced sees it put back."""
    code = """
import time
sleep, time.sleep = time.sleep, print
from fine_tuning_fakeserver.clock import sleep_is_replaced
print(sleep_is_replaced())
time.sleep = sleep
print(sleep_is_replaced())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["True", "False"]
