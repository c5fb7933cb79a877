"""A headless browser for tests of web pages: Debian's Chromium will do, or any other on PATH; none is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@contextmanager
def headless_browser(names_of_this_machine: Iterable[str] = ()) -> Generator[Browser, None, None]:
    """Run a browser that resolves some names to this machine; skip the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on PATH: apt-get install chromium")
    names = ", ".join(f"MAP {name} 127.0.0.1" for name in names_of_this_machine)
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--no-proxy-server",
        *([f"--host-resolver-rules={names}"] if names else []),
    ]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
