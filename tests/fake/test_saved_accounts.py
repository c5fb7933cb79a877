"""Accounts as files: saved, loaded, forked, and taken back to where they were."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fine_tuning_client import RateLimitError
from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.account import records
from fine_tuning_fakeserver.domain.dialects import DIALECTS
from fine_tuning_fakeserver.web.account_file import read_account, write_account
from fine_tuning_fakeserver.web.in_process import InProcessResponse, call_app
from strategies import BORN, FORM, KEY, ROWS, Http, example_count, form, held, part_form

JOBS = "/fine_tuning/jobs"
PACES = ("manual", "polls", "instant", 1e-6)
Step: TypeAlias = Callable[[Http, list[str]], object]


def send(
    http: Http, method: str, path: str, body: Any = None, *, kind: bytes = b"application/json"
) -> InProcessResponse:
    """Send a request, without a check of the answer: it may be a fault's."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    headers = [KEY, (b"content-type", kind)]
    target = path if path.startswith("/_fake") else f"/v1{path}"
    return call_app(http.fake.asgi_app, method, target.encode(), headers, raw, 1.0)


def find(http: Http, ids: list[str], prefix: str) -> str:
    """Return the newest of *ids* with this prefix."""
    return next((each for each in reversed(ids) if each.startswith(prefix)), f"{prefix}none")


def made(ids: list[str], reply: InProcessResponse) -> InProcessResponse:
    """Keep the id that an answer has."""
    try:
        answer = json.loads(reply.body)
    except ValueError:
        return reply
    if isinstance(answer, dict) and isinstance(answer.get("id"), str):
        ids.append(answer["id"])
    return reply


def request(method: str, path: str, body: Any = None) -> Step:
    """Return a step that sends a request; JOB, FILE and UPLOAD stand for the newest of these."""

    def step(http: Http, ids: list[str]) -> InProcessResponse:
        names = {"JOB": "ftjob-", "FILE": "file-", "UPLOAD": "upload_", "PART": "part_"}
        text = json.dumps({"path": path, "body": body})
        for name, prefix in names.items():
            text = text.replace(name, find(http, ids, prefix))
        filled = json.loads(text)
        return made(ids, send(http, method, filled["path"], filled["body"]))

    return step


def upload(http: Http, ids: list[str]) -> InProcessResponse:
    """Upload a file."""
    return made(ids, send(http, "POST", "/files", form(ROWS.encode()), kind=FORM[1]))


def add_part(http: Http, ids: list[str]) -> InProcessResponse:
    """Add a part to the newest upload."""
    path = f"/uploads/{find(http, ids, 'upload_')}/parts"
    return made(ids, send(http, "POST", path, part_form(ROWS.encode()), kind=FORM[1]))


UPLOAD = {"filename": "a.jsonl", "purpose": "fine-tune", "bytes": len(ROWS), "mime_type": "text/jsonl"}
JOB = {"model": "gpt-4o-mini", "training_file": "FILE"}
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}]}
REQUESTS: tuple[Step, ...] = (
    upload,
    add_part,
    request("POST", JOBS, JOB),
    request("POST", JOBS, {**JOB, "metadata": {"fake_outcome": "failed", "team": "a"}}),
    *(request("POST", f"{JOBS}/JOB/{verb}") for verb in ("cancel", "pause", "resume")),
    *(request("GET", path) for path in (JOBS, f"{JOBS}?limit=1", f"{JOBS}?metadata[team]=a", "/files", "/models")),
    *(request("GET", f"{JOBS}/JOB{path}") for path in ("", "/events", "/events?limit=2", "/checkpoints")),
    *(request("GET", f"/files/FILE{path}") for path in ("", "/content")),
    request("DELETE", "/files/FILE"),
    request("POST", "/chat/completions", CHAT),
    request("POST", "/uploads", UPLOAD),
    request("POST", "/uploads/UPLOAD/complete", {"part_ids": ["PART"]}),
)
CONTROLS: tuple[Step, ...] = (
    *(lambda http, ids, by=by: http.fake.advance(by) for by in (1, 50, 1000)),
    lambda http, ids: http.fake.fail(503, times=2),
    lambda http, ids: http.fake.rate_limit(on="list_jobs", probability=0.5),
    lambda http, ids: http.fake.outage("90s"),
    lambda http, ids: http.fake.clear_faults(),
    lambda http, ids: http.fake.plan_next(fail_at=3),
    lambda http, ids: http.fake.plan_all(curve="overfit"),
    lambda http, ids: http.fake.replies("Yes.", "No."),
    lambda http, ids: http.fake.grader_scores([0.5, None]),
    lambda http, ids: http.fake.name_next("job", "ftjob-named"),
    lambda http, ids: http.fake.add_webhook(),
    *(lambda http, ids, pace=pace: setattr(http.fake, "pace", pace) for pace in PACES),
)
SCRIPTS: tuple[Step, ...] = (
    lambda http, ids: http.fake({"create_job": ["running", {"status": "failed"}], "list_jobs": [["queued"]]}),
    lambda http, ids: http.fake([None, RateLimitError("slow down")]),
    lambda http, ids: http.fake({"list_files": [TimeoutError("gone"), {"data": []}]}, strict=True).stop(),
)
requests = st.lists(st.sampled_from(REQUESTS), max_size=12)
histories = st.lists(st.sampled_from((*REQUESTS, *CONTROLS)), max_size=14)
VIEWS = ("", "/clock", "/faults", "/webhooks", "/requests")


def run(http: Http, ids: list[str], steps: list[Step]) -> list[tuple[int, bytes, list[tuple[bytes, bytes]]]]:
    """Take all *steps*; return the answers of those that are requests."""
    replies: list[object] = []
    for step in steps:
        with suppress(FakeUsageError):  # a name that is taken
            replies.append(step(http, ids))
    return [(each.status, each.body, each.headers) for each in replies if isinstance(each, InProcessResponse)]


def views(http: Http) -> list[bytes]:
    """What the control API shows of the account."""
    return [send(http, "GET", f"/_fake{path}").body for path in VIEWS]


def file_of(fake: FakeFineTuning) -> bytes:
    """The account as a file."""
    out = io.BytesIO()
    write_account(fake._world.store(), out)
    return out.getvalue()


def member(raw: bytes, name: str) -> bytes:
    """A member of a file."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return archive.read(name)


def loaded(raw: bytes) -> FakeFineTuning:
    """A fake with the account of a file."""
    fake = FakeFineTuning()
    fake._world.restore(read_account(io.BytesIO(raw)))
    return fake


@settings(max_examples=example_count(25), deadline=None)
@given(
    st.sampled_from(PACES),
    st.sampled_from(sorted(DIALECTS)),
    st.lists(st.sampled_from((*REQUESTS, *CONTROLS, *SCRIPTS)), max_size=14),
    requests,
)
def test_a_loaded_account_answers_the_same_bytes(
    pace: Any, dialect: str, history: list[Step], later: list[Step]
) -> None:
    """An account that was saved and loaded, or forked, answers a request in other bytes than the one it was."""
    http, ids = Http(FakeFineTuning(start=BORN, seed=7, pace=pace, dialect=dialect)), list[str]()
    run(http, ids, history)
    if http.fake.pace == 1e-6:
        http.fake.advance(0.5)  # so that no whole second passes while the test runs
    raw = file_of(http.fake)
    twin, fork = Http(loaded(raw)), Http(http.fake.fork())

    assert member(file_of(twin.fake), "records.jsonl") == member(raw, "records.jsonl")
    if isinstance(http.fake.pace, str):  # else the views show a time that passes
        assert views(twin) == views(fork) == views(http)
    answers = run(http, list(ids), later)
    assert run(twin, list(ids), later) == answers
    assert run(fork, list(ids), later) == answers


def with_bytes(http: Http) -> set[str]:
    """The files and uploads that have bytes."""
    account = http.fake._world.account
    return {*account.files, *account.parts}


@settings(max_examples=example_count(25), deadline=None)
@given(st.sampled_from(PACES), histories, requests)
def test_a_rewound_account_answers_as_it_did(pace: Any, history: list[Step], later: list[Step]) -> None:
    """An account that was taken back to a request answers those that followed in other bytes than before."""
    http, ids = Http(FakeFineTuning(start=BORN, seed=7, pace=pace)), list[str]()
    run(http, ids, [*history, REQUESTS[7]])
    count, owners = http.fake.requests_log.count, with_bytes(http)
    answers = run(http, list(ids), later)
    if owners - with_bytes(http):
        with pytest.raises(FakeUsageError, match="its bytes were dropped"):
            http.fake.rewind_to(request=count)
        return

    http.fake.rewind_to(request=count)

    assert http.fake.requests_log.count == count == http.fake.requests[-1].number
    assert run(http, list(ids), later) == answers


# ---- one at a time


def with_job(**options: Any) -> tuple[Http, str]:
    """A fake with a job."""
    http = Http(FakeFineTuning(start=BORN, pace="polls", **options))
    return http, str(http.job(metadata={"team": "a"})["id"])


def test_a_saved_account_is_loaded(tmp_path: Path) -> None:
    """`load` does not bring back the account, its log, or its settings for a reset."""
    http, _ = with_job(seed=3)
    http.fake.save(tmp_path / "account.zip")

    fake = FakeFineTuning.load(tmp_path / "account.zip")

    assert fake.jobs == http.fake.jobs
    assert [str(call) for call in fake.calls] == [str(call) for call in http.fake.calls]
    assert fake.settings == http.fake.settings
    assert fake.born == BORN
    fake.reset()
    assert (fake.settings.seed, fake.jobs) == (3, [])


def test_a_fork_and_its_origin_go_their_own_ways() -> None:
    """A change of a fork, or of the account it was made of, changes the other."""
    http, job = with_job()
    fault = http.fake.fail(on="list_jobs", times=2)
    fork = http.fake.fork()
    before = held(fork)

    http.send("GET", f"{JOBS}/{job}")
    send(http, "GET", JOBS)
    http.fake.delete_file(http.fake.jobs[0]["training_file"])

    assert held(fork) == before
    assert (fault.fired, fork.faults[0].fired) == (1, 0)
    fork.cancel_job(job)
    assert http.fake.jobs[0]["status"] == "failed"


def test_an_account_is_rewound_to_a_time() -> None:
    """`rewind_to(time=…)` leaves what came later, or forgets what came before."""
    http, job = with_job()
    http.fake.pace = "manual"
    http.fake.advance(100)
    http.json("POST", f"{JOBS}/{job}/cancel")
    http.fake.advance(100)

    http.fake.rewind_to(time=BORN + 99)

    assert (http.fake.now, http.fake.jobs[0]["status"]) == (BORN + 99, "running")
    assert http.fake.pace == "manual"
    assert [entry.operation for entry in http.fake.requests] == ["upload_file", "create_job"]


def test_the_beginning_is_request_0() -> None:
    """`rewind_to(request=0)` is not the account as it began, with the faults it began with."""
    fake = FakeFineTuning(start=BORN, faults=[{"kind": "fail", "on": "list_models"}])
    http = Http(fake)
    first = http.file()
    send(http, "GET", "/models")

    fake.rewind_to(request=0)

    assert (fake.requests, fake.files, [fault.fired for fault in fake.faults]) == ([], [], [0])
    assert http.file() == first


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({}, "rewind_to needs either a request or a time"),
        ({"request": 1, "time": BORN}, "rewind_to needs either a request or a time"),
        ({"request": 3}, "request must be a number from 0 to 2, the last request, got 3"),
        ({"request": -1}, "request must be a number from 0 to 2, the last request, got -1"),
        ({"request": True}, "got True"),
        ({"time": BORN - 1}, "time must be Unix seconds from 1700000000.0, when the account began, to 1700000000.0"),
        ({"time": float("nan")}, "got nan"),
    ],
)
def test_where_no_account_was_none_is_rewound_to(where: dict[str, Any], message: str) -> None:
    """A rewind to where there is no account is not refused, or changes it."""
    http, _ = with_job()
    before = held(http.fake)

    with pytest.raises(FakeUsageError) as caught:
        http.fake.rewind_to(**where)

    assert message in str(caught.value)
    assert held(http.fake) == before


def test_requests_that_the_log_forgot_cannot_be_rewound_to() -> None:
    """A rewind to a request that is not in the log any more is not refused with what is in it."""
    http, _ = with_job()
    for _ in range(1000):
        send(http, "GET", "/models/gpt-4o")
    with pytest.raises(FakeUsageError, match="request 1 is not in the request log, which has the last 1000"):
        http.fake.rewind_to(request=1)


def test_what_a_script_answered_cannot_be_taken_back() -> None:
    """An account that has had a script is rewound to something that never was."""
    http, _ = with_job()
    http.fake([None]).stop()
    with pytest.raises(FakeUsageError, match="an account that has had scripts cannot be rewound"):
        http.fake.rewind_to(request=1)


@pytest.mark.parametrize(
    "script",
    [lambda call: None, {"create_job": lambda call: None}, [lambda call: None], iter([None]), [object()], [{"a": {1}}]],
    ids=["function", "function of an operation", "function in a list", "iterator", "object", "no JSON"],
)
def test_a_script_that_is_no_data_is_not_saved(script: Any, tmp_path: Path) -> None:
    """An account with a script that cannot be stored is saved without it, or without a word why not."""
    fake = FakeFineTuning()
    running = fake(script)
    with pytest.raises(FakeUsageError, match="cannot be stored"):
        fake.save(tmp_path / "account.zip")
    assert list(tmp_path.iterdir()) == []

    running.stop()
    fake.save(tmp_path / "account.zip")


def test_keys_and_secrets_stay_behind(tmp_path: Path) -> None:
    """A saved account holds an API key, a webhook's secret, or a secret of a request."""
    secrets = [
        "sk-right-key-0123456789",
        "whsec_c2VjcmV0LW9mLWhvb2s=",
        "another-secret-of-a-hook",
        "wandb-secret-key-1",
    ]
    fake = FakeFineTuning(api_keys=[secrets[0]], webhooks=[{"url": "http://127.0.0.1:9/a", "secret": secrets[1]}])
    fake.add_webhook("http://127.0.0.1:9/b", secrets[2])
    headers = [(b"authorization", f"Bearer {secrets[0]}".encode()), (b"content-type", b"application/json")]
    body = json.dumps({"model": "x", "training_file": "y", "api_key": secrets[3]}).encode()
    call_app(fake.asgi_app, "POST", b"/v1/fine_tuning/jobs", headers, body)
    fake.save(tmp_path / "account.zip")

    with zipfile.ZipFile(tmp_path / "account.zip") as archive:
        text = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert [secret for secret in secrets if secret in text] == []

    twin = FakeFineTuning.load(tmp_path / "account.zip")
    assert call_app(twin.asgi_app, "GET", b"/v1/models", headers, b"").status == 200
    (digest,) = twin.settings.api_keys
    for key in ("wrong", digest):
        bearer = [(b"authorization", f"Bearer {key}".encode())]
        assert call_app(twin.asgi_app, "GET", b"/v1/models", bearer, b"").status == 401
    assert [webhook.url for webhook in twin.webhooks] == ["http://127.0.0.1:9/a", "http://127.0.0.1:9/b"]


def test_a_webhook_of_another_machine_is_loaded_if_allowed(tmp_path: Path) -> None:
    """A file from elsewhere lets the fake send to another machine unasked."""
    fake = FakeFineTuning(allow_remote_webhooks=True)
    fake.add_webhook("https://example.com/hook")
    fake.save(tmp_path / "account.zip")

    with pytest.raises(FakeUsageError, match="only with allow_remote_webhooks may it be on another machine"):
        FakeFineTuning.load(tmp_path / "account.zip")
    assert FakeFineTuning.load(tmp_path / "account.zip", allow_remote_webhooks=True).webhooks


def test_contents_that_were_left_out_are_said_to_be_missing() -> None:
    """A file whose bytes are not in the saved account is downloaded as if it were empty, or breaks the download."""
    http, _ = with_job()
    out = io.BytesIO()
    write_account(http.fake._world.store(), out, contents_at_most=10)

    twin = Http(loaded(out.getvalue()))

    assert twin.fake.jobs == http.fake.jobs
    answer = send(twin, "GET", f"/files/{twin.fake.files[0]['id']}/content")
    assert (answer.status, b"were dropped" in answer.body) == (400, True)


def changed(raw: bytes, **members: bytes | None) -> bytes:
    """The file with other members; ACCOUNT stands for account.json, and so on; None: without it."""
    names = {"account": "account.json", "records": "records.jsonl", "requests": "requests.jsonl"}
    found = dict.fromkeys(names.values())
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in {**found, **{names.get(name, name): value for name, value in members.items()}}.items():
            if content is not None:
                archive.writestr(name, content)
    return out.getvalue()


def blobs_in(raw: bytes) -> list[str]:
    """The names of the contents."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return [name for name in archive.namelist() if name.startswith("blobs/")]


def account_with(**members: Any) -> Callable[[bytes], bytes]:
    """What changes members of account.json."""

    def change(raw: bytes) -> bytes:
        return changed(raw, account=json.dumps({**json.loads(member(raw, "account.json")), **members}).encode())

    return change


def bomb(raw: bytes) -> bytes:
    """The file with 10 GB of zeros, which are told to be that many."""
    lied = bytearray(changed(raw, **{f"blobs/{'0' * 64}": b"0" * 1000}))
    place = lied.rindex(b"PK\x01\x02", 0, lied.rindex(b"blobs/"))
    lied[place + 24 : place + 28] = (4_294_967_290).to_bytes(4, "little")
    return bytes(lied)


BAD_FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no zip": (lambda raw: b"hello", "must be a whole zip of a saved account"),
    "empty": (lambda raw: b"", "must be a whole zip of a saved account"),
    "truncated": (lambda raw: raw[: len(raw) // 2], "must be a whole zip of a saved account"),
    "flipped": (lambda raw: raw.replace(b"PK\x03\x04", b"PK\x03\x05", 1), "must be a whole zip of a saved account"),
    "another zip": (lambda raw: changed(raw, account=None), "which has a member account.json"),
    "climbing": (lambda raw: changed(raw, **{"../../evil": b"x"}), "a saved account has no member '../../evil'"),
    "absolute": (lambda raw: changed(raw, **{"/etc/evil": b"x"}), "a saved account has no member '/etc/evil'"),
    "in a blob's name": (lambda raw: changed(raw, **{"blobs/../../x": b"x"}), "has no member 'blobs/../../x'"),
    "10 GB": (bomb, "must unpack to at most 4294967296 bytes"),
    "newer": (account_with(version=2), "the version of a saved account must be one of 1, got 2; a newer fake-"),
    "no version": (account_with(version=None), "the version of a saved account must be one of 1, got None"),
    "another format": (account_with(format="x"), "account.json must be that of an account of fake-fine-tuning"),
    "no time": (account_with(now="noon"), "account.json: now: Input should be a valid number"),
    "more": (account_with(later=1), "account.json: later: Extra inputs are not permitted"),
    "another setting": (account_with(settings={"speed": 1}), "unknown setting 'speed' of an account"),
    "a bad setting": (account_with(settings={"seed": "x"}), "seed must be a whole number"),
    "remote webhooks": (account_with(settings={"allow_remote_webhooks": True}), "unknown setting 'allow_remote_"),
    "another model": (account_with(settings={"models": ["gpt-9"]}), "unknown model 'gpt-9'"),
    "bad scripts": (account_with(scripts={"scripts": [{}]}), "the file is a damaged account"),
    "no record": (lambda raw: changed(raw, records=b"{}\n"), "the version of a record must be one of 1, got None"),
    "newer record": (lambda raw: changed(raw, records=b'{"version": 9}\n'), "a newer fake-fine-tuning has written it"),
    "no job": (
        lambda raw: changed(
            raw, records=b'{"version":1,"record":"job_intervened","id":"x","act":{"act":"pause","at":1}}'
        ),
        "the records make no account: KeyError: 'x'",
    ),
    "no request": (lambda raw: changed(raw, requests=b"{}\n"), "the file is a damaged account"),
    "other contents": (
        lambda raw: changed(
            raw, **{name: b"x" for name in zipfile.ZipFile(io.BytesIO(raw)).namelist() if "blobs" in name}
        ),
        "are others than those that were saved",
    ),
    "no contents": (
        lambda raw: changed(
            raw, **{name: None for name in zipfile.ZipFile(io.BytesIO(raw)).namelist() if "blobs" in name}
        ),
        "the file has no contents of the digest",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_and_changes_nothing(name: str, tmp_path: Path) -> None:
    """A file that is no whole account of this version is loaded, or refused without a word what is wrong with it."""
    spoil, message = BAD_FILES[name]
    http, _ = with_job()
    raw = spoil(file_of(http.fake))
    (tmp_path / "account.zip").write_bytes(raw)
    with pytest.raises(FakeUsageError) as caught:
        FakeFineTuning.load(tmp_path / "account.zip")
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "account.zip"))

    empty = Http(FakeFineTuning(start=BORN, seed=5))
    before = held(empty.fake)
    answer = send(empty, "POST", "/_fake/import", raw, kind=b"application/zip")
    assert (answer.status, message in json.loads(answer.body)["fake_error"]) == (400, True)
    assert held(empty.fake) == before


def test_a_file_that_is_not_there_is_named() -> None:
    """A missing file is reported by Python's own exception."""
    with pytest.raises(FakeUsageError, match=r"the account cannot be loaded from '/nowhere/a\.zip': No such file"):
        FakeFineTuning.load("/nowhere/a.zip")
    with pytest.raises(FakeUsageError, match=r"the account cannot be saved to '/nowhere/a\.zip': No such file"):
        FakeFineTuning().save("/nowhere/a.zip")


# ---- by the control API


def test_an_account_is_exported_imported_and_rewound_by_any_language() -> None:
    """The control routes do less than `save`, `load` and `rewind_to`."""
    http, _ = with_job()
    exported = send(http, "GET", "/_fake/export")
    assert dict(exported.headers)[b"content-type"] == b"application/zip"
    twin = Http(FakeFineTuning())

    assert send(twin, "POST", "/_fake/import", exported.body).body == send(http, "GET", "/_fake").body
    assert twin.fake.jobs == http.fake.jobs
    again = send(twin, "POST", "/_fake/import", exported.body)
    assert again.status == 400
    assert b"the account must be empty for an import, got one with" in again.body

    assert send(twin, "POST", "/_fake/rewind", {"request": 1}).status == 200
    assert (twin.fake.jobs, len(twin.fake.files)) == ([], 1)
    assert send(twin, "POST", "/_fake/rewind", {}).status == 400


def test_a_saved_account_of_the_first_version_is_read() -> None:
    """The file that version 1 wrote is not read any more, or gives another account."""
    raw = (DATA / "version-1.zip").read_bytes()
    wanted = json.loads((DATA / "version-1.json").read_text())
    http = Http(loaded(raw), is_described=False)

    assert {path: send(http, "GET", path).body.decode() for path in wanted} == wanted


DATA = Path(__file__).parent / "accounts"


def record_the_first_version() -> None:
    """Write the file above; only ever run for a new version, as files of released versions must not change."""
    http, ids = Http(FakeFineTuning(start=BORN, seed=7, pace="polls")), list[str]()
    fake, service = http.fake, http.fake._world.service
    fake.fail(503, on="list_models", times=2)
    fake.malformed(on="list_models", body=b"\xff")
    run(http, ids, [upload, REQUESTS[2], *[request("GET", JOBS), request("GET", f"{JOBS}/JOB")] * 2])
    run(http, ids, [request("POST", f"{JOBS}/JOB/{verb}") for verb in ("pause", "resume")])
    fake.plan_job(find(http, ids, "ftjob-"), seconds_per_step=1, fail_at=9)
    run(http, ids, [request("GET", "/models"), request("DELETE", "/files/FILE"), upload, REQUESTS[3]])
    fake.replies("Yes.", "No.")
    fake.grader_scores([0.5, None])
    service.commit(records.GraderScoreUsed())
    run(http, ids, [request("POST", "/chat/completions", CHAT), request("POST", "/uploads", UPLOAD), add_part])
    fake.plan_next(outcome="failed", error={"code": "server_error", "message": "Oh."})
    fake.plan_all(queued="2h", curve="1,2\n0.5,0.6")
    fake.add_webhook()
    fake.add_webhook("http://127.0.0.1:9/hook", "whsec_AAAA")
    send(http, "DELETE", f"/_fake/webhooks/{fake.webhooks[-1].id}")
    done = fake.add_job(find(http, ids, "file-"), status="succeeded", id="ftjob-done", trained_tokens=5)
    granted = records.Permission("cp_1", BORN, str(done["fine_tuned_model"]), "proj_1")
    service.commit(records.PermissionGranted(granted), records.PermissionRevoked("cp_1"))
    service.commit(records.ModelDeleted(str(done["fine_tuned_model"])))
    run(http, ids, [request("POST", JOBS, JOB), request("POST", f"{JOBS}/JOB/cancel")])
    assert fake.webhook_deliveries
    fake.clear_faults()
    fake.outage("90s", on="list_files")
    fake.name_next("job", "ftjob-named", 3)
    fake.pace = "manual"
    fake.save(DATA / "version-1.zip")
    kinds = {type(record) for record in service.journal}
    assert kinds == set(get_args(records.Record)), set(get_args(records.Record)) - kinds
    paths = [JOBS, "/files", "/models", f"{JOBS}/ftjob-done/events", "/_fake", "/_fake/faults", "/_fake/webhooks"]
    answers = {path: send(http, "GET", path).body.decode() for path in paths}
    (DATA / "version-1.json").write_text(json.dumps(answers, indent=1) + "\n")
