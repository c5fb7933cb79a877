"""A request's key is independent of other recordings, and a written request matches again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import yaml

from cassette_service import JOB, URL, JsonService, record_and_replay
from fine_tuning_cassettes import use_cassette
from fine_tuning_cassettes.messages import FormPart, Interaction, RecordedRequest, RecordedResponse
from fine_tuning_cassettes.record import redacted_key
from fine_tuning_cassettes.redaction import SecretMap
from fine_tuning_cassettes.training_data import digest_rows
from fine_tuning_cassettes.yaml_format import CassetteFile, Metadata, dump, load

SENTENCE = "the CANARY row says that the launch code is 1234"
ROW = json.dumps({"messages": [{"role": "user", "content": SENTENCE}, {"role": "assistant", "content": "b"}]})


def test_a_name_in_an_answers_header_leaves_requests_their_meaning(tmp_path: Path) -> None:
    """A row and a body with the organization named only in a response header match, and are written without it."""
    service = JsonService(headers={"openai-organization": "acme-inc"})

    def session() -> None:
        service.post("/files", files={"file": ("t.jsonl", json.dumps({"prompt": "the bot of acme-inc"}).encode())})
        service.post("/fine_tuning/jobs", json={"metadata": {"customer": "acme-inc"}})

    text = record_and_replay(tmp_path / "c.yaml", session)
    assert "acme-inc" not in text
    assert "meaning: sha256:" in text


def test_a_secret_of_one_request_leaves_others_their_meaning(tmp_path: Path) -> None:
    """A password that is also a word of another request is written in neither, and both match."""
    service = JsonService()

    def session() -> None:
        service.post("/fine_tuning/jobs", json={"metadata": {"password": "swordfish1"}})
        service.post("/fine_tuning/jobs", json={"suffix": "swordfish1"})

    assert "swordfish1" not in record_and_replay(tmp_path / "c.yaml", session)


def test_headers_mean_nothing(tmp_path: Path) -> None:
    """A request recorded with organization and key headers is replayed without them, even if the body names them."""
    service, body = JsonService(), {"metadata": {"customer": "acme-labs1", "note": "by sk-mine-1"}}
    with use_cassette(tmp_path / "c.yaml", "once"):
        headers = {"openai-organization": "acme-labs1", "authorization": "Bearer sk-mine-1"}
        service.post("/fine_tuning/jobs", json=body, headers=headers)
    with use_cassette(tmp_path / "c.yaml", on_unplayed="fail"):
        service.post("/fine_tuning/jobs", json=body)
    assert "acme-labs1" not in (tmp_path / "c.yaml").read_text()


def test_an_id_that_was_scrubbed_in_an_answer_is_found_in_a_request(tmp_path: Path) -> None:
    """A model name that contains the organization can be requested as the cassette's response spells it."""
    service = JsonService(
        {"jobs/ftjob-1": {**JOB, "fine_tuned_model": "acme-inc-tuned"}}, headers={"openai-organization": "acme-inc"}
    )

    def session() -> None:
        service.get(f"/models/{service.get('/fine_tuning/jobs/ftjob-1')['fine_tuned_model']}")

    assert "acme-inc" not in record_and_replay(tmp_path / "c.yaml", session)


def test_compressed_requests_are_read(tmp_path: Path) -> None:
    """A compressed request is matched by its content and searched for secrets."""
    service, times = JsonService(), iter([1, 2])

    def session() -> None:
        body = gzip.compress(b'{"metadata": {"password": "CANARY-123"}}', mtime=next(times))
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        service.post("/fine_tuning/jobs", content=body, headers=headers)

    text = record_and_replay(tmp_path / "c.yaml", session)
    assert '{"metadata": {"password": "scrubbed"}}' in text


def test_secrets_of_a_request_that_was_played_are_taken_out_of_new_answers(tmp_path: Path) -> None:
    """The key sent with a replayed request is removed from new responses."""
    service = JsonService({"/models/b": {"told": "q7fJ39xkLm02pQ"}})
    headers = {"authorization": "Bearer q7fJ39xkLm02pQ"}
    with use_cassette(tmp_path / "c.yaml", "once"):
        service.get("/models/a")
    with use_cassette(tmp_path / "c.yaml", "new_episodes"):
        service.get("/models/a", headers=headers)
        service.get("/models/b")
    assert "q7fJ39" not in (tmp_path / "c.yaml").read_text()


def test_an_upload_in_a_cassette_of_vcrpy_is_scrubbed_when_it_is_added_to(tmp_path: Path) -> None:
    """Rows in an upload recorded by plain vcrpy become digests when the cassette is written again."""
    boundary = {"content-type": ["multipart/form-data; boundary=x"]}
    part = f'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{ROW}\r\n--x--\r\n'
    request = {"method": "POST", "uri": f"{URL}/files", "body": part, "headers": boundary}
    answer = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": "{}"}}
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({"version": 1, "interactions": [{"request": request, "response": answer}]}))
    with use_cassette(path, "new_episodes"):
        JsonService().get("/models/a")
    assert "CANARY" not in path.read_text()
    assert load(path.read_text(), "c").interactions[0].request.form


def test_an_upload_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of a repeated upload is not computed again, and other content gives another key."""
    parsed: list[bytes] = []

    def count(content: bytes) -> tuple[str, ...] | None:
        parsed.append(content)
        return digest_rows(content)

    monkeypatch.setattr("fine_tuning_cassettes.training_data.digest_rows", count)

    def upload(content: bytes, boundary: str) -> str:
        headers = (("content-type", f"multipart/form-data; boundary={boundary}"),)
        form = (FormPart("file", "once.jsonl", content),)
        return redacted_key(RecordedRequest("POST", f"{URL}/files", headers, b"", form)).key

    assert upload(b'{"once": 1}', "a") == upload(b'{"once": 1}', "b") != upload(b'{"once": 2}', "a")
    assert parsed == [b'{"once": 1}', b'{"once": 2}']


def test_rows_are_not_searched_for_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of an upload are not searched for secrets, at recording or replay."""
    searched = [0]
    redact = SecretMap.redact

    def counted(self: SecretMap, text: str) -> str:
        searched[0] += len(text)
        return redact(self, text)

    monkeypatch.setattr(SecretMap, "redact", counted)
    content = f"{ROW}\n".encode() * (2**20 // len(ROW))
    request = RecordedRequest("POST", f"{URL}/files", (), b"", (FormPart("file", "a.jsonl", content),))
    assert redacted_key(request).body["form"][0]["rows"]
    record_and_replay(
        tmp_path / "c.yaml", lambda: JsonService().post("/files", files={"file": ("a.jsonl", content[:2000])})
    )
    assert searched[0] < 5000


def test_marks_are_written_as_yaml_writes_them() -> None:
    """The digests of rows are written as yaml would write them."""
    rows = tuple(f"sha256:{'0a' * 16}, {shape}, 7 characters" for shape in ("messages user ?", "list", "3 members"))
    request = RecordedRequest("POST", f"{URL}/files", (), b"", (FormPart("file", "a.jsonl", None, rows),))
    stored = CassetteFile(Metadata(), (Interaction(request, RecordedResponse(200, "OK", (), b"")),))
    plain = yaml.dump(list(rows), width=2**31).splitlines()
    assert [line.strip() for line in dump(stored).splitlines() if "sha256" in line] == plain
    assert load(dump(stored), "c.yaml") == stored


def test_what_a_cassette_says_of_itself_tells_no_secret(tmp_path: Path) -> None:
    """Test and description in the header are written without the organization's name."""
    service = JsonService(headers={"openai-organization": "acme-inc"})
    with use_cassette(tmp_path / "c.yaml", "once", test="acme-inc/test_a.py::test_b", about="of acme-inc"):
        service.get("/models/a")
    assert "test: org-scrubbed/test_a.py::test_b" in (tmp_path / "c.yaml").read_text()
    assert "acme" not in (tmp_path / "c.yaml").read_text()
