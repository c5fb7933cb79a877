"""What a web page can do to a fake on the same machine, in a real browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from browser import headless_browser
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.page.page_routes import VIEWS
from fine_tuning_fakeserver.web.control_endpoints import CONTROL_OPERATIONS, OPEN_TO_ALL
from fine_tuning_fakeserver.web.server import serving
from strategies import BORN, ROWS, everything

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

SITE, REBOUND = "site.example", "rebound.example"
"""Names that the browser takes for this machine: a site's of its own, and one that leads to the fake."""
FETCH = """async ({url, options}) => {
    try {
        const answer = await fetch(url, options)
        return [answer.type, answer.status, await answer.text()]
    } catch (error) {
        return ["error", 0, String(error)]
    }
}"""
RUN = "/v1/fine_tuning/alpha/graders/run"


class BlankPage(BaseHTTPRequestHandler):
    """An empty page at every path."""

    def do_GET(self) -> None:
        """Send the page."""
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>a page</title>")

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The origin of another site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BlankPage) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://{SITE}:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a headless browser that resolves `SITE` and `REBOUND` to this machine."""
    with headless_browser([SITE, REBOUND]) as browser:
        yield browser.new_page()


@pytest.fixture(scope="module")
def answers() -> list[tuple[str, int]]:
    """Method and status of each of the fake's responses, even those hidden from scripts."""
    return []


@pytest.fixture(scope="module")
def fake(answers: list[tuple[str, int]]) -> Iterator[FakeFineTuning]:
    """A fake on loopback with a file, a job and a webhook, with python graders enabled."""
    fake = FakeFineTuning(start=BORN, pace="manual", run_python_graders=True)
    fake.add_job(fake.add_file(ROWS)["id"], status="running")
    fake.add_webhook(secret="whsec_c2VjcmV0")

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        async def record(message: Message) -> None:
            if message["type"] == "http.response.start":
                answers.append((scope["method"], message["status"]))
            await send(message)

        await fake.asgi_app(scope, receive, record)

    with serving(recorded, "127.0.0.1", 0, (), None) as url, fake.reached_at(url):
        yield fake


def address(fake: FakeFineTuning, host: str = "127.0.0.1") -> str:
    """The fake's origin under another name of this machine."""
    return fake.base_url.removesuffix("/v1").replace("127.0.0.1", host)


def fetch(page: Page, url: str, method: str = "GET", **options: Any) -> tuple[str, int, str]:
    """Type, status and text that a script's fetch gets, or "error"."""
    kind, status, text = page.evaluate(FETCH, {"url": url, "options": {"method": method, **options}})
    return kind, status, text


ROUTES = [(each.method, each.path) for each in (*CONTROL_OPERATIONS, *VIEWS)]
MODES = [("no-cors", "text/plain"), ("no-cors", "application/x-www-form-urlencoded"), ("cors", "application/json")]
"""How a script sends a body: without asking for leave, when it reads no answer, or asking first."""
BODIES = {
    "/_fake/reset": {"seed": 5},
    "/_fake/clock/advance": {"seconds": 5},
    "/_fake/files": {"content": ROWS, "purpose": "batch"},
    "/_fake/faults": {"kind": "fail", "status": 500},
}
"""Bodies that would change something; other routes need no valid body, since it is never read."""


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda value: value)
def test_a_page_of_another_origin_steers_nothing(
    page: Page, site: str, fake: FakeFineTuning, answers: list[tuple[str, int]], method: str, path: str
) -> None:
    """A page of another origin can neither read nor change anything by a control route."""
    page.goto(site)
    before = everything(fake)
    body = json.dumps(BODIES.get(path, {}))
    answers.clear()
    results = [
        fetch(
            page,
            address(fake) + path,
            method,
            mode=mode,
            **({} if method == "GET" else {"body": body, "headers": {"content-type": media_type}}),
        )
        for mode, media_type in MODES
        if mode == "cors" or method in ("GET", "POST")  # for other methods every script has to ask
    ]
    assert {(kind, text) for kind, _, text in results if kind != "error"} <= {("opaque", "")}
    statuses = {status for sent, status in answers if sent == method}
    assert statuses <= {200 if path in OPEN_TO_ALL else 403}
    assert statuses or method not in ("GET", "POST")  # others are not sent without leave, which nobody gives
    assert everything(fake) == before


def test_a_page_of_another_origin_runs_no_code(page: Page, site: str, fake: FakeFineTuning) -> None:
    """A page of another origin cannot run a python grader, with or without a preflight."""
    page.goto(site)
    body = {"grader": {"type": "python", "source": "def grade(sample, item): return 1"}, "model_sample": "", "item": {}}
    before = len(fake.requests)
    asked = fetch(
        page,
        address(fake) + RUN,
        "POST",
        headers={"authorization": "Bearer x", "content-type": "application/json"},
        body=json.dumps(body),
    )
    not_asked = fetch(page, address(fake) + RUN, "POST", mode="no-cors", body=json.dumps(body))

    assert asked[0] == "error"
    assert not_asked[0] == "opaque"
    assert {entry.status for entry in fake.requests[before:]} <= {401, 403, 405}


def test_a_form_of_another_site_steers_nothing(page: Page, site: str, fake: FakeFineTuning) -> None:
    """A form submitted by a page of another site is refused."""
    page.goto(site)
    page.set_content(
        f"""<form method="post" enctype="text/plain" action="{address(fake)}/_fake/reset">
        <input name='{{"seed": 5, "x' value='": null}}'></form>"""
    )
    with page.expect_navigation() as navigation:
        page.evaluate("document.forms[0].submit()")

    assert navigation.value.status == 403
    assert fake.settings.seed == 0


@pytest.mark.parametrize(
    "path", ["/_fake", "/_fake/requests", "/_fake/ui/", "/_fake/ui/data/jobs", "/v1/models", "/health"]
)
def test_a_page_whose_name_was_rebound_reads_nothing(page: Page, fake: FakeFineTuning, path: str) -> None:
    """A page at a rebound host name is refused at every path."""
    before = everything(fake)
    arrived = page.goto(address(fake, REBOUND) + "/_fake")
    kind, status, text = fetch(page, path, headers={"authorization": "Bearer x"})
    changed = fetch(page, "/_fake/reset", "POST", body='{"seed": 5}', headers={"content-type": "application/json"})

    assert arrived
    assert arrived.status == 403
    assert (kind, status, changed[1]) == ("basic", 403, 403)
    assert "the Host header must name this machine" in text
    assert everything(fake) == before


def test_a_page_of_the_fake_itself_may_steer(page: Page, fake: FakeFineTuning) -> None:
    """A page of the fake's own origin can read the state and use the control API with JSON."""
    arrived = page.goto(address(fake, "localhost") + "/_fake")
    advanced = fetch(
        page, "/_fake/clock/advance", "POST", body='{"seconds": 1}', headers={"content-type": "application/json"}
    )

    assert arrived
    assert (arrived.status, advanced[1]) == (200, 200)
