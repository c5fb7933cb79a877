"""A browser, and accounts on a server that it can look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from browser import headless_browser
from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from strategies import BORN

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless browser."""
    with headless_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def accounts() -> Iterator[FakeAccounts]:
    """Accounts on a server, whose time stands still."""
    with FakeAccounts(start=BORN, pace="manual", patience=None) as accounts:
        yield accounts


@pytest.fixture
def fake(accounts: FakeAccounts) -> FakeFineTuning:
    """The account main, fresh."""
    accounts.main.reset()
    return accounts.main


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Page:
    """A tab that may use the clipboard."""
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    return context.new_page()


@pytest.fixture
def errors() -> list[str]:
    """What the browser has complained about: errors of scripts, and what the policy has stopped."""
    return []


@pytest.fixture
def page(tab: Page, fake: FakeFineTuning, errors: list[str]) -> Iterator[Page]:
    """The tab, blank, beside an account main that is fresh; a complaint of the browser fails the test."""

    def note_error(error: object) -> None:
        errors.append(str(error))

    def note_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    tab.goto("about:blank")
    tab.on("pageerror", note_error)
    tab.on("console", note_message)
    yield tab
    tab.remove_listener("pageerror", note_error)
    tab.remove_listener("console", note_message)
    assert errors == []
