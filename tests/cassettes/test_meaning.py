"""What a request means does not hang on what else is recorded, and what is written of it is found again."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fine_tuning_cassettes import use_cassette
from fine_tuning_cassettes.messages import FormPart, Interaction, Request, Response
from fine_tuning_cassettes.record import meaning_of_request
from fine_tuning_cassettes.redaction import SecretMap
from fine_tuning_cassettes.yaml_format import CassetteFile, Metadata, dump, load

URL = "https://api.openai.com/v1"
SAID = "the CANARY row says that the launch code is 1234"
ROW = json.dumps({"messages": [{"role": "user", "content": SAID}, {"role": "assistant", "content": "b"}]})
UPLOAD = {"file": ("train.jsonl", ROW.encode())}
JOB = {"object": "fine_tuning.job", "id": "ftjob-1", "status": "running"}


class Service:
    """Answers with JSON by the end of a path, and with headers of its own."""

    def __init__(self, answers: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None) -> None:
        self._answers, self._headers = answers or {}, headers or {}

    def post(self, path: str, **options: Any) -> Any:
        """What it answers to a POST."""
        return self._send("POST", path, **options)

    def get(self, path: str, **options: Any) -> Any:
        """What it answers to a GET."""
        return self._send("GET", path, **options)

    def _send(self, method: str, path: str, **options: Any) -> Any:
        with httpx.Client(transport=httpx.MockTransport(self._answer)) as client:
            return client.request(method, URL + path, **options).json()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        found = [answer for end, answer in self._answers.items() if request.url.path.endswith(end)]
        return httpx.Response(200, headers=self._headers, json=(found or [JOB])[0])


def replays(path: Path, session: Callable[[], object]) -> str:
    """Record a session and replay all of it; the cassette's text."""
    with use_cassette(path, "once"):
        session()
    with use_cassette(path, on_unplayed="fail"):
        session()
    return path.read_text()


def test_a_name_in_an_answers_header_leaves_requests_their_meaning(tmp_path: Path) -> None:
    """A row and a body that name the organisation, which only an answer's header tells, match, and are not written."""
    service = Service(headers={"openai-organization": "acme-inc"})

    def session() -> None:
        service.post("/files", files={"file": ("t.jsonl", json.dumps({"prompt": "the bot of acme-inc"}).encode())})
        service.post("/fine_tuning/jobs", json={"metadata": {"customer": "acme-inc"}})

    text = replays(tmp_path / "c.yaml", session)
    assert "acme-inc" not in text
    assert "meaning: sha256:" in text


def test_a_secret_of_one_request_leaves_others_their_meaning(tmp_path: Path) -> None:
    """A password that is a word of another request is written in neither, and both match."""
    service = Service()

    def session() -> None:
        service.post("/fine_tuning/jobs", json={"metadata": {"password": "swordfish1"}})
        service.post("/fine_tuning/jobs", json={"suffix": "swordfish1"})

    assert "swordfish1" not in replays(tmp_path / "c.yaml", session)


def test_headers_mean_nothing(tmp_path: Path) -> None:
    """What was recorded with an organisation and a key replays without, also where the body names them."""
    service, body = Service(), {"metadata": {"customer": "acme-labs1", "note": "by sk-mine-1"}}
    with use_cassette(tmp_path / "c.yaml", "once"):
        headers = {"openai-organization": "acme-labs1", "authorization": "Bearer sk-mine-1"}
        service.post("/fine_tuning/jobs", json=body, headers=headers)
    with use_cassette(tmp_path / "c.yaml", on_unplayed="fail"):
        service.post("/fine_tuning/jobs", json=body)
    assert "acme-labs1" not in (tmp_path / "c.yaml").read_text()


def test_an_id_that_was_scrubbed_in_an_answer_is_found_in_a_request(tmp_path: Path) -> None:
    """A model whose name has the organisation is asked for by the name that the cassette answers with."""
    service = Service(
        {"jobs/ftjob-1": {**JOB, "fine_tuned_model": "acme-inc-tuned"}}, headers={"openai-organization": "acme-inc"}
    )

    def session() -> None:
        service.get(f"/models/{service.get('/fine_tuning/jobs/ftjob-1')['fine_tuned_model']}")

    assert "acme-inc" not in replays(tmp_path / "c.yaml", session)


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"description": SAID}},
        {"method": {"reinforcement": {"grader": {"input": [{"role": "system", "content": f"You know {SAID}"}]}}}},
    ],
)
def test_rows_that_requests_quote_are_not_written_and_match(tmp_path: Path, body: dict[str, Any]) -> None:
    """A row in metadata or in a grader's text is in no byte of the cassette, and the request is found again."""
    service = Service({"/files": {"object": "file", "id": "file-1"}})

    def session() -> None:
        service.post("/files", files=UPLOAD)
        service.post("/fine_tuning/jobs", json={"training_file": "file-1", **body})

    assert "CANARY" not in replays(tmp_path / "c.yaml", session)


def test_compressed_requests_are_read(tmp_path: Path) -> None:
    """A request that is compressed means what it says, whatever bytes that makes, and is searched for secrets."""
    service, times = Service(), iter([1, 2])

    def session() -> None:
        body = gzip.compress(b'{"metadata": {"password": "CANARY-123"}}', mtime=next(times))
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        service.post("/fine_tuning/jobs", content=body, headers=headers)

    text = replays(tmp_path / "c.yaml", session)
    assert '{"metadata": {"password": "scrubbed"}}' in text


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [{"message": f"bad example: {SAID}"}]},
        {"error": {"samples": [SAID], "where": {"offending": SAID}}},
        {"error": {"message": ROW}},
    ],
)
def test_rows_of_an_upload_that_was_played_are_taken_out_of_new_answers(tmp_path: Path, answer: object) -> None:
    """What a new answer quotes of a file that was played is not written, whatever member it is quoted in."""
    service = Service({"/files": {"object": "file", "id": "file-1"}, "/events": answer})
    with use_cassette(tmp_path / "c.yaml", "once"):
        service.post("/files", files=UPLOAD)
    with use_cassette(tmp_path / "c.yaml", "new_episodes"):
        service.post("/files", files=UPLOAD)
        service.get("/fine_tuning/jobs/ftjob-1/events")
    text = (tmp_path / "c.yaml").read_text()
    assert "[training data]" in text
    assert "CANARY" not in text


def test_secrets_of_a_request_that_was_played_are_taken_out_of_new_answers(tmp_path: Path) -> None:
    """A key that was sent with a request that was played is not written where a new answer tells it."""
    service = Service({"/models/b": {"told": "q7fJ39xkLm02pQ"}})
    headers = {"authorization": "Bearer q7fJ39xkLm02pQ"}
    with use_cassette(tmp_path / "c.yaml", "once"):
        service.get("/models/a")
    with use_cassette(tmp_path / "c.yaml", "new_episodes"):
        service.get("/models/a", headers=headers)
        service.get("/models/b")
    assert "q7fJ39" not in (tmp_path / "c.yaml").read_text()


def test_an_upload_in_a_cassette_of_vcrpy_is_scrubbed_when_it_is_added_to(tmp_path: Path) -> None:
    """Rows that plain vcrpy has written are digests once the cassette is ours, which it then says rightly."""
    boundary = {"content-type": ["multipart/form-data; boundary=x"]}
    part = f'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n{ROW}\r\n--x--\r\n'
    request = {"method": "POST", "uri": f"{URL}/files", "body": part, "headers": boundary}
    answer = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": "{}"}}
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps({"version": 1, "interactions": [{"request": request, "response": answer}]}))
    with use_cassette(path, "new_episodes"):
        Service().get("/models/a")
    assert "CANARY" not in path.read_text()
    assert load(path.read_text(), "c").interactions[0].asked.form


def test_rows_are_not_searched_for_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an upload costs is its digests: a megabyte of rows passes through no pattern, recorded or replayed."""
    searched = [0]
    out_of = SecretMap.out_of

    def counted(self: SecretMap, text: str) -> str:
        searched[0] += len(text)
        return out_of(self, text)

    monkeypatch.setattr(SecretMap, "out_of", counted)
    content = f"{ROW}\n".encode() * (2**20 // len(ROW))
    asked = Request("POST", f"{URL}/files", (), b"", (FormPart("file", "a.jsonl", content),))
    assert meaning_of_request(asked).body["form"][0]["rows"]
    replays(tmp_path / "c.yaml", lambda: Service().post("/files", files={"file": ("a.jsonl", content[:2000])}))
    assert searched[0] < 5000


@pytest.mark.parametrize("path", ["/chat/completions", "/completions"])
def test_rows_that_a_stream_quotes_in_pieces_are_taken_out(tmp_path: Path, path: str) -> None:
    """A row that comes word by word is not written, and the rest of the stream is replayed as it was."""

    def piece(word: str) -> dict[str, Any]:
        return {"delta": {"content": word}} if path.startswith("/chat") else {"text": word}

    words = ["It", " is", *(f" {word}" for word in SAID.split()), "."]
    events = [{"choices": [{"index": 0, **piece(word)}]} for word in words]
    stream = "".join(f"data: {json.dumps(each)}\n\n" for each in events) + "data: [DONE]\n\n"

    def say(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/files"):
            return httpx.Response(200, json={"object": "file", "id": "file-1"})
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=stream)

    def ask(client: httpx.Client) -> str:
        return client.post(URL + path, json={"stream": True}).text

    with httpx.Client(transport=httpx.MockTransport(say)) as client:
        with use_cassette(tmp_path / "c.yaml", "once"):
            client.post(f"{URL}/files", files=UPLOAD)
            ask(client)
        with use_cassette(tmp_path / "c.yaml"):
            replayed = ask(client)
    assert "CANARY" not in replayed
    assert "It is [training data]." in replayed
    assert replayed.count("data: {") == len(events)
    assert replayed.endswith("data: [DONE]\n\n")


def test_marks_are_written_as_yaml_writes_them() -> None:
    """The short way that marks of rows are written gives the bytes that any text of YAML has."""
    rows = tuple(f"sha256:{'0a' * 16}, {shape}, 7 characters" for shape in ("messages user ?", "list", "3 members"))
    asked = Request("POST", f"{URL}/files", (), b"", (FormPart("file", "a.jsonl", None, rows),))
    stored = CassetteFile(Metadata(), (Interaction(asked, Response(200, "OK", (), b"")),))
    plain = yaml.dump(list(rows), width=2**31).splitlines()
    assert [line.strip() for line in dump(stored).splitlines() if "sha256" in line] == plain
    assert load(dump(stored), "c.yaml") == stored


def test_what_a_cassette_says_of_itself_tells_no_secret(tmp_path: Path) -> None:
    """A test in a folder that has an organisation's name is recorded, and named without it."""
    service = Service(headers={"openai-organization": "acme-inc"})
    with use_cassette(tmp_path / "c.yaml", "once", test="acme-inc/test_a.py::test_b", about="of acme-inc"):
        service.get("/models/a")
    assert "test: org-scrubbed/test_a.py::test_b" in (tmp_path / "c.yaml").read_text()
    assert "acme" not in (tmp_path / "c.yaml").read_text()
