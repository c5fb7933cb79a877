"""The page in a real browser: each panel, each action, the keyboard, and what it must never do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning
from fine_tuning_fakeserver.web.access import Access, HostGuard
from fine_tuning_fakeserver.web.server import serving
from strategies import ROW, ROWS, example_count, in_long_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.slow

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on PATH")

AXE = Path(__file__).parents[2] / "vendored" / "axe.min.js"
WAIT_MS = 30_000
"""How long is waited for what comes at once on a machine that is not busy."""
NASTY = "<img src=x onerror=\"document.title='pwned'\">\x1b[31m\u202e&lt;"


def see(locator: Locator, timeout_ms: int = WAIT_MS, *, gone: bool = False) -> None:
    """Wait until something is visible, or gone; the page is told to look at once."""
    locator.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    locator.first.wait_for(state="hidden" if gone else "visible", timeout=timeout_ms)


def go(page: Page, fake: FakeFineTuning, panel: str = "jobs") -> None:
    """Open a panel by its address, as somebody does who was sent it."""
    page.goto(f"{fake.base_url.removesuffix('/v1')}/_fake/ui/#/{panel}")
    page.locator("h1").wait_for()


def clipboard(page: Page, click: Callable[[], object]) -> str:
    """What a click puts on the clipboard."""
    page.evaluate("navigator.clipboard.writeText('')")
    click()
    page.wait_for_function("navigator.clipboard.readText().then(text => text !== '')")
    return str(page.evaluate("navigator.clipboard.readText()"))


def wait_until(page: Page, is_so: Callable[[], bool]) -> None:
    """Wait until something holds in this process, while the browser goes on."""
    for _ in range(WAIT_MS // 20):
        if is_so():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it does not come to hold")


def click(page: Page, name: str) -> None:
    """Click a button by its whole name."""
    page.get_by_role("button", name=name, exact=True).first.click()


def filled(fake: FakeFineTuning) -> dict[str, str]:
    """Put a file, and a job in each of some states, into an account; return the jobs' ids by status."""
    rows = (json.dumps(ROW) + "\n") * 48
    file = fake.add_file(rows, filename="train.jsonl")["id"]
    valid = fake.add_file(ROWS, filename="valid.jsonl")["id"]
    numbers: Any = {"batch_size": 1, "n_epochs": 2}
    jobs = {
        "succeeded": fake.add_job(file, validation_file=valid, suffix="done", hyperparameters=numbers)["id"],
        "failed": fake.add_job(file, status="failed", suffix="broken", plan={"fail_at": 60})["id"],
        "running": fake.add_job(file, status="running", suffix="tone", hyperparameters=numbers)["id"],
    }
    fake.advance_to(step=30, job=jobs["running"])
    return jobs


@needs_curl
def test_where_there_is_no_job_the_commands_that_make_one_are_shown(
    page: Page, fake: FakeFineTuning, tmp_path: Path
) -> None:
    """An empty list of jobs shows commands that run as pasted, and then the job."""
    go(page, fake)
    see(page.get_by_text("No job yet."))
    commands = page.locator(".empty pre").inner_text()
    subprocess.run(["sh", "-c", commands], cwd=tmp_path, check=True, capture_output=True)
    see(page.locator(f"text={fake.jobs[0]['id']}"))


def test_the_list_of_jobs_is_live_and_filtered_by_the_address(page: Page, fake: FakeFineTuning) -> None:
    """A job that is created appears at the next look; status and text are filters, and part of the address."""
    go(page, fake)
    see(page.get_by_text("No job yet."))
    jobs = filled(fake)
    looks: list[str] = []
    page.on("response", lambda response: looks.append(response.url) if "/data/jobs" in response.url else None)
    page.locator(f"text={jobs['running']}").wait_for()  # by itself: looks come once a second
    assert len(looks) <= 2
    page.get_by_label("Status").select_option("failed")
    see(page.locator(f"text={jobs['failed']}"))
    see(page.locator(f"text={jobs['running']}"), gone=True)
    assert "status=failed" in page.url
    page.get_by_label("Status").select_option("")
    page.get_by_label("Text").fill("TONE")
    see(page.locator(f"text={jobs['failed']}"), gone=True)
    see(page.locator(f"text={jobs['running']}"))
    page.reload()
    see(page.locator(f"text={jobs['running']}"))
    assert page.get_by_role("row").count() == 2


def test_a_job_is_shown_with_course_curves_events_and_result(page: Page, fake: FakeFineTuning) -> None:
    """A job's page has its course, drawn curves, events by level, checkpoints, numbers, result, JSON and evidence."""
    fake.add_webhook()
    jobs = filled(fake)
    fake.advance_to("succeeded", jobs["running"])
    go(page, fake, f"jobs/{jobs['running']}")
    see(page.locator("canvas"))
    drawn = """() => [...document.querySelectorAll("canvas")].map(canvas => new Set(
        canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size > 8)"""
    wait_until(page, lambda: page.evaluate(drawn) == [True, True])
    text = page.locator("main").inner_text()
    for words in (
        "validating files",
        "Checkpoints",
        "ckpt-step-48",
        "n_epochs",
        "fine_tuning.job.succeeded",
        "printed",
    ):
        assert words in text
    page.get_by_label("Level").select_option("messages")
    see(page.get_by_text("Step 96/96").first, gone=True)
    see(page.get_by_text("The job has successfully completed"))
    page.get_by_text("JSON", exact=True).click()
    see(page.get_by_text('"object": "fine_tuning.job"'))
    with page.expect_download() as download:
        click(page, "Download CSV")
    assert Path(download.value.path()).read_bytes().startswith(b"step,train_loss")


@in_long_runs
def test_what_is_ahead_of_a_job_is_dimmed_and_dated(page: Page, fake: FakeFineTuning) -> None:
    """What is still ahead says so in words, and when it comes; once it has come it does not."""
    jobs = filled(fake)
    go(page, fake, f"jobs/{jobs['running']}")
    see(page.locator(".phases .ahead", has_text="succeeded"))
    assert "ahead, in" in page.locator(".phases .ahead").inner_text()
    click(page, "To succeeded")
    see(page.locator(".phases .ahead"), gone=True)
    assert {job["id"]: job["status"] for job in fake.jobs}[jobs["running"]] == "succeeded"


def test_time_moves_forward_by_the_clock_bar(page: Page, fake: FakeFineTuning) -> None:
    """The clock bar moves time by a minute, an hour, to the next status, to the end, and sets the pace."""
    job = fake.add_job(fake.add_file(ROWS)["id"], status="running")["id"]
    born = fake.now
    go(page, fake)
    click(page, "+1 min")
    wait_until(page, lambda: fake.now == born + 60)
    page.locator("button", has_text="To next: succeeded").click()
    wait_until(page, lambda: fake.jobs[0]["status"] == "succeeded")
    other = fake.add_job(fake.files[-1]["id"], status="running")["id"]
    click(page, "To the end of all")
    wait_until(page, lambda: {each["id"]: each["status"] for each in fake.jobs}[other] == "succeeded")
    click(page, "+1 h")
    page.get_by_label("Pace").select_option("60")
    click(page, "Set pace")
    wait_until(page, lambda: fake.pace == 60)
    assert job != other


def test_a_job_is_paused_resumed_planned_and_cancelled(page: Page, fake: FakeFineTuning) -> None:
    """A job is moved to a step, paused, resumed, told to fail at a step, and cancelled, each by its buttons."""
    jobs = filled(fake)
    go(page, fake, f"jobs/{jobs['running']}")

    def status() -> str:
        return str({job["id"]: job["status"] for job in fake.jobs}[jobs["running"]])

    page.get_by_label("Step (of 96)").fill("40")
    click(page, "To step 40")
    see(page.get_by_text("40 / 96"))
    click(page, "Pause")
    wait_until(page, lambda: status() == "paused")
    click(page, "Resume")
    wait_until(page, lambda: status() == "queued")
    page.get_by_text("Plan of this job").click()
    page.get_by_label("The job").select_option("step")
    page.get_by_label("at step").fill("60")
    click(page, "Change this job's plan")
    see(page.locator(".phases .ahead", has_text="failed"))
    click(page, "Cancel")
    wait_until(page, lambda: status() == "cancelled")
    see(page.locator("button:disabled", has_text="Cancel"))


@in_long_runs
def test_a_job_that_failed_is_run_again_with_another_plan(page: Page, fake: FakeFineTuning) -> None:
    """From a failed job's page, which says why, the same job is run again so that it succeeds; the page goes there."""
    jobs = filled(fake)
    go(page, fake, f"jobs/{jobs['failed']}")
    see(page.locator(".failure", has_text="server_error"))
    page.get_by_text("Run the same job again").click()
    page.get_by_label("The job").select_option("succeeded")
    click(page, "Run it again")
    wait_until(page, lambda: len(fake.jobs) == 4)
    again = fake.jobs[0]
    see(page.get_by_role("heading", name=again["id"]))
    click(page, "To queued")
    fake.advance_to("succeeded", again["id"])
    assert {again[name] for name in ("training_file", "model")} == {
        fake.jobs[0]["training_file"],
        fake.jobs[0]["model"],
    }
    assert again["user_provided_suffix"] == "broken"


@in_long_runs
def test_a_job_that_its_file_has_failed_is_run_again_with_a_sound_one(
    page: Page, fake: FakeFineTuning, tmp_path: Path
) -> None:
    """A job that failed by its file says so; a sound file is put into the account, and the job run on it."""
    broken = fake.add_file(ROWS + '{"messages": []}\n')["id"]
    job = fake.openai().fine_tuning.jobs.create(training_file=broken, model="gpt-4o-mini").id
    fake.advance_to("failed", job)
    (tmp_path / "sound.jsonl").write_text(ROWS)
    go(page, fake, "files")
    page.get_by_label("Put a training file").set_input_files(tmp_path / "sound.jsonl")
    click(page, "Add file")
    wait_until(page, lambda: len(fake.files) == 2)
    go(page, fake, f"jobs/{job}")
    page.get_by_text("Run the same job again").click()
    see(page.get_by_text("no plan makes that succeed"))
    page.get_by_label("Training file").fill(fake.files[0]["id"])
    click(page, "Run it again")
    wait_until(page, lambda: len(fake.jobs) == 2)
    fake.advance_to("succeeded", fake.jobs[0]["id"])


def test_plans_and_faults_are_set_and_shown(page: Page, fake: FakeFineTuning) -> None:
    """The plan of all jobs, of the next job, faults that are armed and those that fired, and scripts in force."""
    file = fake.add_file(ROWS)["id"]
    fake.add_job(file, status="running")
    go(page, fake, "steer")
    page.get_by_label("queued (s)").fill("33")
    click(page, "Plan all jobs from now on")
    wait_until(page, lambda: fake.plan.queued == 33)
    page.get_by_label("The job").select_option("validation")
    click(page, "Plan the next job")
    see(page.get_by_text("Of the next jobs"))
    page.get_by_label("What goes wrong").select_option("rate_limit")
    page.get_by_role("combobox", name="At", exact=True).select_option("list_jobs")
    click(page, "Arm fault")
    see(page.get_by_text("armed, fired 0"))
    with pytest.raises(Exception, match="429"):
        fake.openai(max_retries=0).fine_tuning.jobs.list()
    see(page.get_by_text("over, fired 1"))
    click(page, "Remove all faults")
    see(page.get_by_text("None is armed."))
    fake({"retrieve_job": ["failed"]})
    see(page.get_by_text('retrieve_job: "failed"'))
    click(page, "End script")
    see(page.get_by_text("ended, 0 calls"))


@needs_curl
def test_every_action_is_copied_as_curl_and_as_python(page: Page, fake: FakeFineTuning) -> None:
    """What an action's menu copies does what its button does: the command in a shell, the code in Python."""
    born = fake.now
    go(page, fake)

    def copied(kind: str) -> str:
        page.get_by_label("Copy “+1 h” as code").click()
        text = clipboard(page, lambda: page.get_by_role("button", name=f"Copy as {kind}").first.click())
        page.get_by_label("Copy “+1 h” as code").click()
        return text

    subprocess.run(copied("curl"), shell=True, check=True, capture_output=True)
    assert fake.now == born + 3600
    exec(copied("Python") + "fake.close()", {})
    assert fake.now == born + 7200


def test_the_account_is_saved_rewound_forked_reset_and_loaded(
    page: Page, fake: FakeFineTuning, accounts: FakeAccounts, tmp_path: Path
) -> None:
    """The account is saved to a file, rewound, copied to another name, reset, and loaded again."""
    page.on("dialog", lambda dialog: dialog.accept())
    client = fake.openai()
    client.files.create(file=("train.jsonl", ROWS.encode()), purpose="fine-tune")
    client.files.create(file=("other.jsonl", ROWS.encode()), purpose="fine-tune")
    go(page, fake, "steer")
    with page.expect_download() as download:
        click(page, "Save")
    saved = tmp_path / "account.zip"
    download.value.save_as(saved)
    page.get_by_label("To request (0 to 2)").fill("1")
    click(page, "Rewind to request 1")
    wait_until(page, lambda: len(fake.files) == 1)
    page.get_by_label("Name of the copy").fill("copy")
    click(page, "Fork")
    page.wait_for_url("**/accounts/copy/_fake/ui/")
    assert [file["id"] for file in accounts.account("copy").files] == [file["id"] for file in fake.files]
    go(page, fake, "steer")
    page.get_by_label("Seed").fill("7")
    click(page, "Reset the account")
    wait_until(page, lambda: fake.settings.seed == 7)
    page.get_by_label("A saved account").set_input_files(saved)
    click(page, "Load")
    wait_until(page, lambda: len(fake.files) == 2)
    accounts.forget("copy")


@in_long_runs
def test_an_account_is_chosen_and_named_by_its_address(
    page: Page, fake: FakeFineTuning, accounts: FakeAccounts
) -> None:
    """With several accounts there is a chooser, and a link into one shows that one."""
    other = accounts.account("alice")
    job = other.add_job(other.add_file(ROWS)["id"], status="running")["id"]
    go(page, fake)
    page.get_by_label("Account").select_option("alice")
    page.wait_for_url("**/accounts/alice/_fake/ui/")
    see(page.locator(f"text={job}"))
    go(page, other, f"jobs/{job}")
    see(page.get_by_role("heading", name=job))
    click(page, "+1 min")
    wait_until(page, lambda: other.now == fake.now + 60)
    accounts.forget("alice")


def test_requests_findings_and_files_are_shown(page: Page, fake: FakeFineTuning) -> None:
    """A request is listed with fault and finding, and opened; a file's rows have verdicts; findings have their page."""
    client = fake.openai(max_retries=0)
    file = client.files.create(file=("train.jsonl", (ROWS + '{"messages": []}\n').encode()), purpose="fine-tune")
    fake.disconnect(on="create_job", applied=True)
    for _ in range(2):
        try:
            client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")
        except Exception:
            continue
    assert [finding.code for finding in fake.findings] == ["create_retried_blindly"]
    with pytest.raises(AssertionError):
        fake.assert_job_created(suffix="mine")
    go(page, fake, "requests")
    see(page.get_by_text("Failed assertion: job created with suffix='mine'"))
    see(page.get_by_text("suffix: expected 'mine', was not sent"))
    see(page.get_by_text("⚡ disconnect"))
    see(page.get_by_text("⚑ create_retried_blindly"))
    see(page.get_by_text("OpenAI/Python"))
    page.get_by_label("Request 3").click()
    see(page.get_by_text('"status": "validating_files"'))
    command = clipboard(page, lambda: click(page, "Copy as curl"))
    assert command.startswith("curl -sS -X POST 'http://127.0.0.1")
    assert f'"training_file":"{file.id}"' in command.replace(": ", ":")
    page.get_by_role("link", name="Findings").click()
    see(page.get_by_role("link", name="What it means"))
    page.get_by_role("link", name="Files").click()
    see(page.get_by_text("file format error"))
    page.get_by_role("link", name=file.id).click()
    see(page.get_by_text("Example 11"))
    wait_until(page, lambda: page.locator(".http-good").count() == 10)


def test_the_keyboard_moves_through_rows_searches_advances_and_helps(page: Page, fake: FakeFineTuning) -> None:
    """j and k move, Enter opens, Esc goes back, / searches, a advances, ? helps; none of them while one types."""
    jobs = filled(fake)
    go(page, fake)
    see(page.locator(f"text={jobs['running']}"))
    now = fake.now
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    first = page.locator(".row-link").first.inner_text()
    assert page.evaluate("document.activeElement.innerText") == first
    page.keyboard.press("Enter")
    see(page.get_by_role("heading", name=first))
    page.keyboard.press("Escape")
    see(page.get_by_role("heading", name="Jobs"))
    page.keyboard.press("/")
    page.keyboard.type("ja?")
    assert page.get_by_label("Text").input_value() == "ja?"
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    wait_until(page, lambda: fake.now == now + 60)
    page.keyboard.press("?")
    see(page.get_by_role("dialog"))
    page.keyboard.press("Escape")
    see(page.get_by_role("dialog"), gone=True)


TYPE_ON = """() => new Promise((resolve) => {
  const field = document.querySelector("[data-search]");
  const type = (text) => {
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const typeOn = () => {
    type("ja");
    requestAnimationFrame(() => setTimeout(() => setTimeout(() => resolve(field.value))));
  };
  addEventListener("hashchange", typeOn, { once: true });
  type("j");
})"""


def test_a_search_keeps_what_is_typed_while_it_begins(page: Page, fake: FakeFineTuning) -> None:
    """What is typed at the moment in which a search for the text before begins stays in the field."""
    filled(fake)
    go(page, fake)
    see(page.get_by_label("Text"))
    assert page.evaluate(TYPE_ON) == "ja"


def test_markup_and_terminal_escapes_are_shown_as_text(page: Page, fake: FakeFineTuning) -> None:
    """Names, suffixes, metadata, events, rows and errors are rendered as text only, with escapes made visible."""
    row = json.dumps(
        {"messages": [{"role": "user", "content": NASTY}, {"role": "assistant", "content": "b"}]}, ensure_ascii=False
    )
    file = fake.add_file((row + "\n") * 10, filename=f"{NASTY}.jsonl")["id"]
    error = {"code": NASTY, "message": NASTY, "param": NASTY}
    job = fake.add_job(file, status="failed", metadata={NASTY: NASTY}, plan={"fail_at": 2, "error": error})["id"]
    fake.fail(400, message=NASTY, on="list_jobs")
    with pytest.raises(Exception, match="img"):
        fake.openai(max_retries=0).fine_tuning.jobs.list(after=NASTY)
    panels = {f"jobs/{job}": 4, f"files/{file}": 2, "files": 1, "requests/1": 1, "requests": 1, "jobs": 1, "steer": 1}
    for panel, least in panels.items():
        go(page, fake, panel)
        see(page.get_by_text("onerror"))
        text = page.locator("main").inner_text()
        assert text.count("onerror") >= least, panel
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert page.locator("main img").count() == 0
    assert "pwned" not in page.title()


THEMES = [("dark", 360), ("light", 1100)]


def test_no_panel_has_a_barrier(browser: Browser, fake: FakeFineTuning) -> None:
    """axe finds nothing in any panel, dark and light, narrow and wide; nothing is wider than the window."""
    jobs = filled(fake)
    fake.fail(503, on="list_jobs")
    with pytest.raises(Exception, match="503"):
        fake.openai(max_retries=0).fine_tuning.jobs.list()
    panels = [f"jobs/{jobs['running']}", "steer", "jobs", "requests", "requests/1", "findings", "files"]
    panels += [f"files/{fake.files[0]['id']}", f"jobs/{jobs['failed']}", f"jobs/{jobs['succeeded']}"]
    for scheme, width in THEMES[: example_count(1, 2)]:  # axe takes a second for a panel
        context = browser.new_context(
            color_scheme=cast(Any, scheme), viewport={"width": width, "height": 800}, bypass_csp=True
        )
        page = context.new_page()
        for panel in panels[: example_count(1, len(panels))]:
            go(page, fake, panel)
            see(page.locator("h2, td, .empty"))
            page.add_script_tag(path=AXE)
            found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
            assert [(each["id"], each["nodes"][0]["html"]) for each in found] == [], (panel, scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, panel
        context.close()


@pytest.fixture
def guarded(fake: FakeFineTuning) -> Iterator[str]:
    """The address of a server that listens for other machines, as far as its rules go, and has a control token."""
    guarded = HostGuard(fake.asgi_app, Access(is_local=False, control_token="open-sesame"))
    with serving(guarded, "127.0.0.1", 0, (), None) as url:
        yield url.removesuffix("/v1")


def test_the_token_is_asked_for_and_kept_for_the_tab(browser: Browser, fake: FakeFineTuning, guarded: str) -> None:
    """Where control needs a token the page asks for it, keeps it in sessionStorage only, and sends it with actions."""
    fake.add_job(fake.add_file(ROWS)["id"], status="running", suffix="x")
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{guarded}/_fake/ui/")
    page.get_by_label("Token").fill("wrong")
    click(page, "Go on")
    see(page.get_by_text("wrong token"))
    page.get_by_label("Token").fill("open-sesame")
    click(page, "Go on")
    see(page.get_by_text("gpt-4o-mini"))
    now = fake.now
    click(page, "+1 min")
    wait_until(page, lambda: fake.now == now + 60)
    assert page.evaluate("Object.values(sessionStorage)") == ["open-sesame"]
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    assert "open-sesame" not in page.url
    other = context.new_page()
    other.goto(f"{guarded}/_fake/ui/")
    see(other.get_by_label("Token"))
    context.close()


@in_long_runs
def test_no_page_can_frame_it(browser: Browser, fake: FakeFineTuning) -> None:
    """The page is shown in no frame, not even of its own origin."""
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(f"{fake.base_url.removesuffix('/v1')}/health")
    page.evaluate("document.body.innerHTML = '<iframe src=\"/_fake/ui/\"></iframe>'")
    wait_until(page, lambda: any(re.search("frame-ancestors", text) for text in refused))
    page.close()


@in_long_runs
def test_a_server_that_is_gone_is_said_so(page: Page, fake: FakeFineTuning, errors: list[str]) -> None:
    """While the server does not answer the page says so, and goes on once it does."""
    go(page, fake)
    page.route("**/_fake/ui/data/**", lambda route: route.abort())
    see(page.get_by_text("The server does not answer"))
    page.unroute("**/_fake/ui/data/**")
    page.get_by_text("The server does not answer").first.wait_for(state="detached")
    errors.clear()
