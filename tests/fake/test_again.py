"""The shell lines in `describe()` that restore an account and repeat a request, run with curl."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from clients import MODEL
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.request_log import LogEntry
from fine_tuning_fakeserver.fake.curl import ADDRESS, CONTENT_AT_MOST
from strategies import ROWS

pytestmark = pytest.mark.slow

needs_curl = pytest.mark.skipif(not (shutil.which("sh") and shutil.which("curl")), reason="there is no shell with curl")

JOBS = "/fine_tuning/jobs"
Program: TypeAlias = Callable[[FakeFineTuning, httpx.Client], object]


def repeat_lines(program: Program, root: str = "/v1", **settings: Any) -> tuple[LogEntry, list[str], str]:
    """The repeated request, the shell lines and the reservations in `describe()` after a program."""
    fake = FakeFineTuning(**settings)
    headers = {"Authorization": "Bearer any"}
    with httpx.Client(transport=fake.transport(), base_url=f"http://x.invalid{root}", headers=headers) as client:
        program(fake, client)
    lines = fake.describe().splitlines()
    (place,) = (place for place, line in enumerate(lines) if " again, in another terminal than " in line)
    number = int(lines[place].split()[1])
    steps = [line.strip() for line in lines[place + 1 :]]
    mind = steps.pop() if steps[-1].startswith("mind: ") else ""
    return fake.requests[number - 1], steps, mind


def run(lines: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run each line in a shell in *folder*, against a new server; return the last result."""
    with FakeFineTuning().serving() as url:
        for line in lines:
            here = line.replace(ADDRESS, url.removesuffix("/v1"))
            done = subprocess.run(["sh", "-c", f"{here} -w '\\n%{{http_code}}'"], capture_output=True, cwd=folder)
            if line is not lines[-1]:
                assert (done.returncode, done.stderr) == (0, b"")
    return done


def job_in(fake: FakeFineTuning, status: str = "running", **seed: Any) -> str:
    """Add a job to the account; return its id."""
    return str(fake.add_job(fake.add_file(ROWS)["id"], status=status, **seed)["id"])


def about(status: str, verb: str = "", method: str = "POST") -> Program:
    """Return a program that sends a request about an added job."""
    return lambda fake, http: http.request(method, f"{JOBS}/{job_in(fake, status)}{verb}")


def send(method: str, path: str, **arguments: Any) -> Program:
    """Return a program that sends one request."""
    return lambda fake, http: http.request(method, path, **arguments)


def create(fake: FakeFineTuning, http: httpx.Client, **body: Any) -> Any:
    """Create a job on a file that was added to the account."""
    file = body.pop("training_file", None) or fake.add_file(ROWS)["id"]
    return http.post(JOBS, json={"model": MODEL, "training_file": file, **body})


def crowd(fake: FakeFineTuning, http: httpx.Client) -> None:
    """Create one job more than the account allows."""
    file = fake.add_file(ROWS)["id"]
    for _ in range(2):
        create(fake, http, training_file=file)


def fail_and_list(fake: FakeFineTuning, http: httpx.Client) -> None:
    """Send two requests, the second of which fails by a fault."""
    fake.rate_limit(on="list_models", nth=2, retry_after=7)
    for _ in range(2):
        http.get("/models")


def cancel_and_look(fake: FakeFineTuning, http: httpx.Client) -> None:
    """Cancel and retrieve a job without a failure."""
    job = job_in(fake)
    for method, verb in (("POST", "/cancel"), ("GET", "")):
        http.request(method, f"{JOBS}/{job}{verb}")


def upload(content: bytes = ROWS.encode(), *, expiring: bool = False) -> Program:
    """Return a program that uploads a file."""
    until = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"} if expiring else {}
    form = {"data": {"purpose": "fine-tune", **until}, "files": {"file": ('a;b "c"\\.jsonl', content)}}
    return send("POST", "/files", **form)


JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=x"}
NAMELESS = f"""--x\r
Content-Disposition: form-data; name="purpose"\r
\r
fine-tune\r
--x\r
Content-Disposition: form-data; name="file"\r
\r
{ROWS}\r
--x--\r
""".encode()
PROGRAMS: dict[str, tuple[Program, dict[str, Any]]] = {
    "cancel what is over": (about("succeeded", "/cancel"), {}),
    "resume what failed": (about("failed", "/resume"), {"seed": 5}),
    "pause": (about("running", "/pause"), {"pace": "manual"}),
    "retrieve": (about("queued", method="GET"), {}),
    "cancel and look": (cancel_and_look, {}),
    "a job that there is not": (send("GET", f"{JOBS}/ftjob-none"), {"pace": 60}),
    "an unknown cursor": (about("queued", "/events?after=ftevent-x", "GET"), {}),
    "no such model": (lambda fake, http: create(fake, http, model="gpt-9"), {}),
    "a suffix that is too long": (lambda fake, http: create(fake, http, suffix="x" * 100), {}),
    "no room": (crowd, {"max_active_jobs": 1}),
    "the end of the service": (create, {"as_of": "2027-02-01"}),
    "a month after it": (lambda fake, http: (fake.advance("30d"), create(fake, http)), {"as_of": "2027-01-05"}),
    "the end of time": (lambda fake, http: (fake.advance(9), http.get("/models/none")), {"start": 1e11}),
    "a fault": (fail_and_list, {}),
    "brackets": (send("GET", f"{JOBS}?limit=x&metadata[a]=b c{{1,2}}"), {}),
    "an escaped path": (send("GET", "/models/a%20b%2Fc%3Fd%23e%1b%E2%82%AC"), {}),
    "a path with dots": (send("GET", "/../v1/./models/none"), {}),
    "no header for a key": (lambda fake, http: httpx.Client(transport=fake.transport()).get("http://x/v1/models"), {}),
    "a form without a file": (send("POST", "/files", files={"purpose": (None, "fine-tune")}), {}),
    "no key": (send("GET", "/models", headers={"Authorization": ""}), {}),
    "no key that can be read": (send("GET", "/models", headers={"Authorization": "Basic zzz"}), {}),
    "another organization": (
        send("GET", "/models", headers={"OpenAI-Organization": "org-$(other)"}),
        {"organization_id": "org-mine", "api_keys": ["any"]},
    ),
    "a quote": (send("POST", JOBS, json={"model": "it's", "training_file": "file-ä$(rm)"}), {}),
    "several lines": (send("POST", JOBS, content='{\n "model": "100%\\\\é\'"\n}'.encode(), headers=JSON), {}),
    "a body like an option": (send("POST", JOBS, content=b"-v\n"), {}),
    "any bytes": (send("POST", JOBS, content=bytes(range(256))), {}),
    "another type": (send("POST", JOBS, content=b"model=x", headers={"content-type": "text/plain"}), {}),
    "a body that names a file": (send("POST", JOBS, content=b"@/etc/hostname"), {}),
    "an upload": (upload(), {}),
    "an upload that expires": (upload(expiring=True), {}),
    "an upload without a file name": (send("POST", "/files", content=NAMELESS, headers=FORM), {}),
}


@needs_curl
@pytest.mark.parametrize(("program", "settings"), PROGRAMS.values(), ids=list(PROGRAMS))
def test_the_lines_get_the_same_answer(program: Program, settings: dict[str, Any], tmp_path: Path) -> None:
    """The shell lines on a fresh server end with exactly the same response."""
    exchange, lines, mind = repeat_lines(program, **settings)
    done = run(lines, tmp_path)

    assert mind == ""
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == exchange.answer + b"\n%d" % exchange.status


@needs_curl
def test_the_lines_of_another_dialect(tmp_path: Path) -> None:
    """Azure's paths, key header and refusals are repeated."""
    program = send("GET", f"{JOBS}/ftjob-none?api-version=2024-10-21", headers={"api-key": "k"})
    exchange, lines, _ = repeat_lines(program, root="/openai", dialect="azure-2025")

    assert run(lines, tmp_path).stdout == exchange.answer + b"\n%d" % exchange.status


@needs_curl
def test_a_connection_that_was_broken_is_broken_again(tmp_path: Path) -> None:
    """A connection broken by a fault is broken again."""

    def program(fake: FakeFineTuning, http: httpx.Client) -> None:
        fake.disconnect(on="list_models")
        with pytest.raises(httpx.RemoteProtocolError):
            http.get("/models")

    _, lines, _ = repeat_lines(program)
    assert run(lines, tmp_path).returncode == 52  # an empty reply


@needs_curl
def test_only_the_head_is_asked_for_where_it_was(tmp_path: Path) -> None:
    """A HEAD request is repeated as one."""
    _, lines, _ = repeat_lines(send("HEAD", "/models/none"))
    assert run(lines, tmp_path).stdout.endswith(b"\n404")


@needs_curl
@pytest.mark.parametrize(
    ("program", "name", "content", "mind"),
    [
        (upload(b"no JSON"), "upload", b"no JSON", "put the file that was sent (7 bytes) into ./upload first"),
        (
            send("POST", JOBS, json={"model": "x" * CONTENT_AT_MOST, "training_file": "file-x"}),
            "body.json",
            b'{"model":"' + b"x" * CONTENT_AT_MOST + b'","training_file":"file-x"}',
            "put the body that was sent (1037 bytes) into body.json first",
        ),
    ],
    ids=["a file", "a body"],
)
def test_what_has_to_be_put_back_first(program: Program, name: str, content: bytes, mind: str, tmp_path: Path) -> None:
    """A missing file or long body is requested as a local file; with it the response is the same."""
    exchange, lines, told = repeat_lines(program)
    (tmp_path / name).write_bytes(content)

    assert told == f"mind: {mind}"
    assert run(lines, tmp_path).stdout == exchange.answer + b"\n%d" % exchange.status


@needs_curl
def test_no_file_of_this_machine_is_sent(tmp_path: Path) -> None:
    """A field or body that begins with @ is sent as text, and not as a local file."""
    (tmp_path / "secret").write_text("secret")
    form = {"data": {"purpose": "@secret"}, "files": {"file": ("secret", b"x")}}
    for program in (send("POST", "/files", **form), send("POST", JOBS, content=b"@secret")):
        exchange, lines, _ = repeat_lines(program)
        (tmp_path / "upload").write_bytes(b"x")
        done = run(lines, tmp_path)
        assert done.stdout == exchange.answer + b"\n%d" % exchange.status
        assert "-F file=@secret" not in lines[-1]


def test_what_is_not_brought_back_is_told() -> None:
    """What the lines cannot restore is listed: jobs, files, methods, scripts and refused keys."""

    def crowded(fake: FakeFineTuning, http: httpx.Client) -> None:
        long, job = fake.add_file(ROWS * 2)["id"], job_in(fake)
        fake.add_file(ROWS)
        fake({"retrieve_job": ["paused"]})
        http.get(f"{JOBS}/{job}")
        create(fake, http, training_file=long, model="gpt-9")

    _, _, mind = repeat_lines(crowded)
    assert mind.startswith("mind: file file-")
    assert mind.endswith(
        "(2000 bytes) has to be put back first; not there: 1 other job and 2 other files; "
        "what a script has said is not said"
    )
    form = {"data": {"purpose": "a\nb"}, "files": {"file": ("x", b"x")}}
    assert "control characters in its form are told escaped" in repeat_lines(send("POST", "/files", **form))[2]
    assert repeat_lines(send("GET", "/models"), api_keys=["other"])[2] == "mind: the key is another"
    assert repeat_lines(send("POST", "/files", content=b"", headers={"content-type": "multipart/x"}))[2] == (
        "mind: its form could not be read, and is not kept"
    )


def test_a_fresh_account_has_no_lines() -> None:
    """A description without requests has no shell lines."""
    assert "again" not in FakeFineTuning().describe()


def test_a_request_that_a_fault_hit_is_told_again_only_if_there_is_no_other() -> None:
    """The lines repeat the last request that failed without a fault, if there is one."""

    def program(fake: FakeFineTuning, http: httpx.Client) -> None:
        http.get("/models/none")
        fake.fail(on="list_models")
        http.get("/models")

    assert repeat_lines(program)[0].number == 1
