"""text_similarity: the scores of each metric, and its behaviour without the optional libraries."""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from math import log, sqrt
from urllib.parse import urlsplit

import httpx
import pytest
from rouge_score.rouge_scorer import RougeScorer

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.blobs import MUCH_BYTES
from fine_tuning_fakeserver.grading import grade, similarity
from fine_tuning_fakeserver.grading.grader_models import TextSimilarity
from fine_tuning_fakeserver.usage_errors import FakeUsageError
from strategies import ROWS, Http

RUN = "/fine_tuning/alpha/graders/run"
METRICS = ["cosine", "fuzzy_match", "bleu", "gleu", "meteor", *(f"rouge_{n}" for n in "12345l")]
TEXT, REFERENCE = "the cat sat on the mat", "the cats sat on a mat"

SCORES = [
    # two of "the" and one each of four words, six words once: 5 in common
    ("cosine", TEXT, REFERENCE, 5 / (sqrt(8) * sqrt(6))),
    ("cosine", "Yes. No.", "no yes", 2 / (sqrt(6) * sqrt(2))),
    # a published output of the live service, whose python grader calls the same function on these texts
    ("fuzzy_match", "fuzzy wuzzy was a bear", "fuzzy wuzzy had no hair", 0.7555555555555555),
    ("fuzzy_match", "A b!", "a b", 1.0),
    # 5/6 words, 4/5 pairs, 3/4 threes, 2/3 fours
    ("bleu", TEXT, "the cat sat on the rug", (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25),
    # threes and fours in common: none; method 4 gives them ln 6 / 10 and ln 6 / 20 of one
    ("bleu", TEXT, REFERENCE, (4 / 6 * 1 / 5 * log(6) / 10 / 4 * log(6) / 20 / 3) ** 0.25),
    # of 6 + 5 + 4 + 3 grams 4 words and 1 pair
    ("gleu", TEXT, REFERENCE, 5 / 18),
    # five of six words, "cats" by its stem, in three runs
    ("meteor", TEXT, REFERENCE, 5 / 6 * (1 - 0.5 * (3 / 5) ** 3)),
    # "feline" is a synonym of "cat" in WordNet, and is none here
    ("meteor", "feline", "cat", 0.0),
    ("rouge_1", TEXT, REFERENCE, 4 / 6),
    ("rouge_1", "the cat", TEXT, 2 * 1 * (2 / 6) / (1 + 2 / 6)),
    ("rouge_2", TEXT, REFERENCE, 1 / 5),
    ("rouge_3", TEXT, "the cat sat down on the mat", 2 * (2 / 4) * (2 / 5) / (2 / 4 + 2 / 5)),
    ("rouge_4", TEXT, "the cat sat on a mat", 1 / 3),
    ("rouge_5", TEXT, "the cat sat on the rug", 1 / 2),
    ("rouge_l", TEXT, REFERENCE, 4 / 6),
    ("rouge_l", "a b c d", "d a b c", 3 / 4),
]


@pytest.mark.parametrize(("metric", "text", "reference", "expected"), SCORES)
def test_scores(metric: str, text: str, reference: str, expected: float) -> None:
    """Each metric gives the score computed by hand."""
    assert similarity.similarity(metric, text, reference) == pytest.approx(expected, abs=1e-12)


def test_all_metrics_are_here() -> None:
    """The tested metrics are all that a grader can name."""
    schema = TextSimilarity.model_json_schema()
    assert schema["properties"]["evaluation_metric"]["enum"] == METRICS
    assert {metric for metric, *_ in SCORES} == set(METRICS)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("text", ["", " ", "a", "日本語", "♥", "\x00", "a" * 10_000], ids=lambda text: text[:3])
def test_every_pair_of_texts_has_a_score(metric: str, text: str) -> None:
    """Any two texts have a score from 0 to 1, in either order."""
    for one, other in ((text, TEXT), (TEXT, text), (text, text)):
        assert 0 <= similarity.similarity(metric, one, other) <= 1


@pytest.mark.parametrize("metric", sorted(set(METRICS) - {"meteor"}))
def test_a_text_is_wholly_like_itself(metric: str) -> None:
    """A text compared with itself scores 1, or slightly less by meteor."""
    assert similarity.similarity(metric, TEXT, TEXT) == pytest.approx(1)
    assert similarity.similarity("meteor", TEXT, TEXT) == pytest.approx(1 - 0.5 / 6**3)


def test_texts_past_the_limit() -> None:
    """Texts over the length limit are refused with the fake's own error."""
    with pytest.raises(FakeUsageError, match="at most 10000 characters"):
        similarity.similarity("rouge_l", "a" * 10_001, "a")


GRADER = {"type": "text_similarity", "name": "like", "input": "a", "reference": "a", "evaluation_metric": "bleu"}
MULTI = {"type": "multi", "name": "all", "graders": {"like": GRADER}, "calculate_output": "like"}


@pytest.mark.parametrize("grader", [GRADER, MULTI], ids=["alone", "inside"])
def test_without_the_libraries(monkeypatch: pytest.MonkeyPatch, grader: object) -> None:
    """Without an optional library the fake's own error names the extra to install."""
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    monkeypatch.setitem(sys.modules, "rouge_score", None)
    body = {"grader": grader, "model_sample": "a"}

    answer = Http(FakeFineTuning()).json("POST", "/fine_tuning/alpha/graders/run", body, status=400)

    wanted = "text_similarity needs rapidfuzz, rouge_score, not installed here: pip install 'fake-fine-tuning[graders]'"
    assert answer == {"fake_error": wanted, "message": f"fake-fine-tuning: {wanted}"}


def test_others_are_answered_while_a_sample_is_graded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow grader on a socket delays no other request."""
    begun, may_end = threading.Event(), threading.Event()

    def slow(*_: object) -> float:
        begun.set()
        assert may_end.wait(10)
        return 0.5

    monkeypatch.setattr(grade, "similarity", slow)
    headers = {"authorization": "Bearer any"}
    with (
        FakeFineTuning().serving() as url,
        httpx.Client(base_url=url, headers=headers) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        sent = pool.submit(client.post, RUN, json={"grader": GRADER, "model_sample": "a"})
        try:
            assert begun.wait(10)
            assert client.get("/models").status_code == 200
        finally:
            may_end.set()
        assert sent.result(10).json()["reward"] == 0.5


def test_many_slow_graders_hold_up_no_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many samples are being graded, a large file is uploaded meanwhile."""
    may_end = threading.Event()
    monkeypatch.setattr(grade, "similarity", lambda *_: float(may_end.wait(10)))
    body = json.dumps({"grader": GRADER, "model_sample": "a"}).encode()
    head = f"POST /v1{RUN} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer any\r\n"
    request = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    rows = (ROWS * (MUCH_BYTES // len(ROWS) + 1)).encode()
    with (
        FakeFineTuning().serving() as url,
        httpx.Client(base_url=url, headers={"authorization": "Bearer any"}) as client,
        ExitStack() as stack,
    ):
        stack.callback(may_end.set)
        for _ in range(40):  # more than the threads that asyncio has for all work
            stack.enter_context(socket.create_connection((urlsplit(url).hostname, urlsplit(url).port))).sendall(request)
        assert client.get("/models").status_code == 200  # those before it have been read
        form = {"file": ("train.jsonl", rows)}
        assert client.post("/files", files=form, data={"purpose": "fine-tune"}, timeout=5).status_code == 200


def test_what_takes_longer_than_the_limit_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a grader that exceed the time limit have no reward and an error."""
    monkeypatch.setattr(grade, "SECONDS_AT_MOST", 0)
    grader = {"type": "multi", "graders": {"like": GRADER}, "calculate_output": "like"}

    answer = Http(FakeFineTuning()).json("POST", RUN, {"grader": grader, "model_sample": "a"})

    errors = answer["metadata"]["errors"]
    assert answer["reward"] == 0
    assert [name for name, value in errors.items() if value] == ["other_error"]


def test_the_longest_subsequence_is_the_librarys() -> None:
    """rouge_l equals the score of the library rouge_score."""
    draw = random.Random(7)
    for _ in range(50):
        text, reference = (" ".join(draw.choices(["a", "B", "cat.", "é", "7"], k=draw.randint(0, 12))) for _ in "ab")
        expected = RougeScorer(["rougeL"]).score(reference, text)["rougeL"].fmeasure
        assert similarity.similarity("rouge_l", text, reference) == pytest.approx(expected, abs=1e-12)
