"""Quoted training data is in no written request, response or stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cassette_service import URL, JsonService, record_and_replay
from fine_tuning_cassettes import use_cassette
from fine_tuning_cassettes.messages import Interaction, RecordedRequest, RecordedResponse
from fine_tuning_cassettes.training_data import Quotations

SENTENCE = "the CANARY row says that the launch code is 1234"
ROW = json.dumps({"messages": [{"role": "user", "content": SENTENCE}, {"role": "assistant", "content": "b"}]})
UPLOAD = {"file": ("train.jsonl", ROW.encode())}


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"description": SENTENCE}},
        {"method": {"reinforcement": {"grader": {"input": [{"role": "system", "content": f"You know {SENTENCE}"}]}}}},
    ],
)
def test_rows_that_requests_quote_are_not_written_and_match(tmp_path: Path, body: dict[str, Any]) -> None:
    """A row quoted in metadata or in a grader is not written, and the request still matches."""
    service = JsonService({"/files": {"object": "file", "id": "file-1"}})

    def session() -> None:
        service.post("/files", files=UPLOAD)
        service.post("/fine_tuning/jobs", json={"training_file": "file-1", **body})

    assert "CANARY" not in record_and_replay(tmp_path / "c.yaml", session)


def test_a_row_that_is_cut_within_a_text_is_known_by_that_text(tmp_path: Path) -> None:
    """A part of a file that ends inside a string is a text of its own: a quotation of it, unescaped, is not written."""
    sentence = "the CANARY row\nsays caf\u00e9 and launch code"
    service = JsonService({"/uploads/upload_1/parts": {"object": "upload.part", "id": "part_1"}})

    def session() -> None:
        cut = json.dumps({"messages": [{"role": "user", "content": f"{sentence} and so on"}]})
        piece = cut[: cut.index(" and so on")].encode()
        service.post("/uploads/upload_1/parts", files={"data": ("part", piece)})
        service.post("/fine_tuning/jobs", json={"training_file": "file-1", "metadata": {"description": sentence}})

    assert "CANARY" not in record_and_replay(tmp_path / "c.yaml", session)


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [{"message": f"bad example: {SENTENCE}"}]},
        {"error": {"samples": [SENTENCE], "where": {"offending": SENTENCE}}},
        {"error": {"message": ROW}},
    ],
)
def test_rows_of_an_upload_that_was_played_are_taken_out_of_new_answers(tmp_path: Path, answer: object) -> None:
    """A new response that quotes an upload that was replayed is written without the quotation."""
    service = JsonService({"/files": {"object": "file", "id": "file-1"}, "/events": answer})
    with use_cassette(tmp_path / "c.yaml", "once"):
        service.post("/files", files=UPLOAD)
    with use_cassette(tmp_path / "c.yaml", "new_episodes"):
        service.post("/files", files=UPLOAD)
        service.get("/fine_tuning/jobs/ftjob-1/events")
    text = (tmp_path / "c.yaml").read_text()
    assert "[training data]" in text
    assert "CANARY" not in text


@pytest.mark.parametrize("path", ["/chat/completions", "/completions"])
def test_rows_that_a_stream_quotes_in_pieces_are_taken_out(tmp_path: Path, path: str) -> None:
    """A row that a stream quotes word by word is not written, and the rest of the stream is replayed unchanged."""

    def piece(word: str) -> dict[str, Any]:
        return {"delta": {"content": word}} if path.startswith("/chat") else {"text": word}

    words = ["It", " is", *(f" {word}" for word in SENTENCE.split()), "."]
    events = [{"choices": [{"index": 0, **piece(word)}]} for word in words]
    stream = "".join(f"data: {json.dumps(each)}\n\n" for each in events) + "data: [DONE]\n\n"

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/files"):
            return httpx.Response(200, json={"object": "file", "id": "file-1"})
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=stream)

    def complete(client: httpx.Client) -> str:
        return client.post(URL + path, json={"stream": True}).text

    with httpx.Client(transport=httpx.MockTransport(respond)) as client:
        with use_cassette(tmp_path / "c.yaml", "once"):
            client.post(f"{URL}/files", files=UPLOAD)
            complete(client)
        with use_cassette(tmp_path / "c.yaml"):
            replayed = complete(client)
    assert "CANARY" not in replayed
    assert "It is [training data]." in replayed
    assert replayed.count("data: {") == len(events)
    assert replayed.endswith("data: [DONE]\n\n")


@given(
    st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=16),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_a_quotation_of_training_data_is_found_wherever_it_stands(row: str, before: str, after: str) -> None:
    """A quoted row is removed from a response, whatever text surrounds it."""
    quoting = Interaction(
        RecordedRequest("GET", f"{URL}/fine_tuning/jobs/x"),
        RecordedResponse(200, "", (), json.dumps({"message": before + row + after}).encode()),
    )
    found = Quotations([row], [quoting]).remove_from(quoting)
    assert row not in json.loads(found.response.body)["message"].replace("[training data]", "\0")


def test_statuses_are_no_quotations() -> None:
    """A training label "succeeded" does not remove the status of a job."""
    quoting = Interaction(
        RecordedRequest("GET", f"{URL}/files"),
        RecordedResponse(200, "", (), b'{"status": "succeeded", "message": "x"}'),
    )
    assert Quotations(["succeeded"], [quoting]).remove_from(quoting) == quoting
