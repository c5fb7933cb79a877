"""Account files: bad ones, those of earlier versions, and how the control API takes them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from account_histories import (
    CHAT,
    JOB,
    JOBS,
    REQUESTS,
    UPLOAD,
    add_part,
    file_of,
    find,
    loaded,
    member,
    request,
    run,
    send,
    upload,
    with_job,
)
from fine_tuning_fakeserver import FakeAccounts, FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.account import records
from fine_tuning_fakeserver.web import account_file
from strategies import BORN, Http, held


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
    "odd bytes": (
        lambda raw: changed(raw, requests=member(raw, "requests.jsonl").replace(b"/v1/files", "/v1/☃".encode())),
        "the file is a damaged account: UnicodeEncodeError",
    ),
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


@pytest.mark.parametrize(("method", "path"), [("GET", "export"), ("POST", "import")])
def test_an_account_file_holds_up_no_other_request(method: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a file is written or read for one account of a server, requests for another wait."""
    with FakeAccounts(pace="manual") as accounts, httpx.Client(trust_env=False) as client:
        root = accounts.main.base_url.removesuffix("/v1")
        raw = client.get(f"{root}/_fake/export").content
        met = []

        def meeting(name: str) -> Callable[..., Any]:
            original = getattr(account_file, name)

            def run(*args: Any, **options: Any) -> Any:
                with httpx.Client(trust_env=False, timeout=10.0) as other:
                    met.append(other.get(f"{root}/accounts/other/_fake").status_code)
                return original(*args, **options)

            return run

        for name in ("account_file", "read_account"):
            monkeypatch.setattr(account_file, name, meeting(name))
        answer = client.request(method, f"{root}/accounts/mine/_fake/{path}", content=raw, timeout=60.0)

    assert (answer.status_code, met) == (200, [200])


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
    fake.plan_when(suffix="slow", queued="9h")
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
