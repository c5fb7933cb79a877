"""A browser, and accounts on a server that it can look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from browser import headless_browser
from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.web.server import serving
from strategies import BORN

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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


@pytest.fixture
def errors() -> list[str]:
    """What the browser has complained about: errors of scripts, and what the policy has stopped."""
    return []


@pytest.fixture
def page(browser: Browser, fake: FakeFineTuning, errors: list[str]) -> Iterator[Page]:
    """A tab at the page of the account main, which may use the clipboard; a complaint of the browser fails the test."""
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    context.set_default_timeout(5000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address(fake))
    yield page
    context.close()
    assert errors == []


def address(fake: FakeFineTuning, panel: str = "") -> str:
    """The address of a panel of an account's page."""
    return f"{fake.base_url.removesuffix('/v1')}/_fake/ui/{panel and f'#/{panel}'}"


__all__ = ["address", "serving"]
