"""Response objects: predicates, unknown fields, pages, and anything else the service or the fake may send."""

from __future__ import annotations

import json
import pickle
from dataclasses import MISSING, fields
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_client import (
    APIStatusError,
    DeletionResponse,
    FileListResponse,
    FileResponse,
    FineTuningCheckpointListResponse,
    FineTuningCheckpointResponse,
    FineTuningClient,
    FineTuningEventListResponse,
    FineTuningEventResponse,
    FineTuningJobListResponse,
    FineTuningJobResponse,
    ModelListResponse,
    ModelResponse,
)
from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.domain.dialects import DIALECTS
from strategies import BORN, ROWS, plans

pytestmark = pytest.mark.slow

PREDICATES = ("is_completed", "is_running", "is_paused", "has_failed", "was_cancelled", "is_finished")
TRUTH = {
    "validating_files": {"is_running"},
    "queued": {"is_running"},
    "running": {"is_running"},
    "pausing": {"is_running"},
    "resuming": {"is_running"},
    "paused": {"is_paused"},
    "succeeded": {"is_completed", "is_finished"},
    "failed": {"has_failed", "is_finished"},
    "cancelled": {"was_cancelled", "is_finished"},
}
BODY: dict[str, Any] = {
    "id": "ftjob-1",
    "status": "queued",
    "model": "m",
    "training_file": "f",
    "created_at": 1,
}
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda each: st.lists(each, max_size=2) | st.dictionaries(st.text(max_size=5), each, max_size=2),
    max_leaves=3,
)
KINDS: dict[str, st.SearchStrategy[Any]] = {"str": st.text(), "int": NUMBERS, "bool": st.booleans()}
STATUSES = st.sampled_from([*TRUTH, "pending", "notRunning", "canceled", "canceling"]) | st.text()
THINGS = (
    *(FineTuningJobResponse, FineTuningEventResponse, FineTuningCheckpointResponse),
    *(FileResponse, ModelResponse, DeletionResponse),
)
LISTS: dict[type[Any], type[Any]] = {
    FineTuningJobListResponse: FineTuningJobResponse,
    FineTuningEventListResponse: FineTuningEventResponse,
    FineTuningCheckpointListResponse: FineTuningCheckpointResponse,
    FileListResponse: FileResponse,
    ModelListResponse: ModelResponse,
}


def bodies(kind: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects with the fields that *kind* requires, and any optional, unknown or ill-typed others."""
    known = {each.name: each for each in fields(kind) if each.name not in {"extra", "raw", "provider"}}
    needs = {
        name: STATUSES if name == "status" else KINDS[str(each.type)]
        for name, each in known.items()
        if each.default is MISSING and each.default_factory is MISSING
    }
    may = {name: JSON for name in known if name not in needs}
    return st.builds(
        dict.__or__, st.dictionaries(st.text(), JSON, max_size=2), st.fixed_dictionaries(needs, optional=may)
    )


def pages(kind: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """List objects with items for *kind*."""
    cursors = {"object": st.text(), "first_id": st.none() | st.text(), "last_id": st.none() | st.text(), "etc": JSON}
    needs = {"data": st.lists(bodies(LISTS[kind]), max_size=2), "has_more": st.booleans()}
    return st.fixed_dictionaries(needs, optional=cursors)


def survives(found: Any) -> None:
    """Check that a response survives `to_dict` and JSON text unchanged."""
    written = found.to_dict()
    for body in (written, json.loads(json.dumps(written))):
        again = type(found).from_dict(body)
        assert (again, again.extra, again.to_dict()) == (found, found.extra, written)


def true_of(job: FineTuningJobResponse) -> set[str]:
    """Name the predicates that are true."""
    return {name for name in PREDICATES if getattr(job, name)()}


@pytest.mark.parametrize(("status", "expected"), TRUTH.items())
def test_predicates(status: str, expected: set[str]) -> None:
    """For each known status exactly the listed predicates are true."""
    assert true_of(FineTuningJobResponse.from_dict(BODY | {"status": status})) == expected


@given(st.text().filter(lambda text: text not in {*TRUTH, "pending", "notRunning", "canceled"}))
def test_no_predicate_holds_for_an_unknown_status(status: str) -> None:
    """For an unknown status every predicate is false and none raises."""
    job = FineTuningJobResponse.from_dict(BODY | {"status": status})
    assert (job.status, true_of(job)) == (status, set())


@pytest.mark.parametrize(
    ("wire", "status"), [("pending", "queued"), ("notRunning", "queued"), ("canceled", "cancelled")]
)
def test_other_spellings_of_a_status(wire: str, status: str) -> None:
    """Azure's statuses are translated to OpenAI's, and kept as sent in `raw`."""
    job = FineTuningJobResponse.from_dict(BODY | {"status": wire})
    assert (job.status, job.raw["status"]) == (status, wire)


def test_a_files_status_is_no_jobs_status() -> None:
    """A file's status is not translated as a job's is."""
    file = FileResponse.from_dict(
        {"id": "file-1", "filename": "a", "bytes": 1, "created_at": 1, "purpose": "p", "status": "pending"}
    )
    assert file.status == "pending"


def test_canceling_is_not_finished() -> None:
    """A job that is being cancelled is not finished: a wait must go on."""
    assert not true_of(FineTuningJobResponse.from_dict(BODY | {"status": "canceling"}))


@given(st.dictionaries(st.text(), JSON))
def test_unknown_fields_are_kept(fields: dict[str, Any]) -> None:
    """Unknown fields are in `extra`, the whole body is in `raw`, and both survive a round trip."""
    body = {**fields, **BODY}
    job = FineTuningJobResponse.from_dict(body)
    known = set(job.to_dict()) - set(job.extra)
    assert job.raw == body
    assert job.extra == {name: value for name, value in body.items() if name not in known}
    again = FineTuningJobResponse.from_dict(job.to_dict())
    assert (again, again.extra) == (job, job.extra)


@pytest.mark.parametrize("kind", THINGS)
@given(data=st.data())
def test_anything_read_can_be_written_and_read_again(kind: type[Any], data: st.DataObject) -> None:
    """Any response object is equal to itself after being written and read again."""
    body = data.draw(bodies(kind))
    found = kind.from_dict(body)
    assert found.raw == body
    renamed = {"status": found.status} if kind is FineTuningJobResponse else {}
    assert found.to_dict().items() >= {**body, **renamed}.items()
    survives(found)


@pytest.mark.parametrize("kind", LISTS)
@given(data=st.data())
def test_any_page_can_be_written_and_read_again(kind: type[Any], data: st.DataObject) -> None:
    """Any page is equal to itself, with items, cursors and unknown fields, after being written and read again."""
    body = data.draw(pages(kind))
    found = kind.from_dict(body)
    assert (found.raw, [each.raw for each in found]) == (body, body["data"])
    survives(found)


class Heard(httpx.BaseTransport):
    """A transport to a fake that keeps the last response body."""

    def __init__(self, fake: FakeFineTuning) -> None:
        self.inner = fake.transport()
        self.body: Any = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Forward the request and keep the body."""
        response: httpx.Response = self.inner.handle_request(request)
        self.body = json.loads(response.read())
        return response


class Listener:
    """A client that checks every parsed response against the body that was sent."""

    def __init__(self, fake: FakeFineTuning) -> None:
        self.heard = Heard(fake)
        http = httpx.Client(transport=self.heard, trust_env=False)
        self.client = FineTuningClient("fake", http_client=http, max_retries=0)

    def ask(self, verb: str, *args: Any, **options: Any) -> Any:
        """Call a method and check its result; return None if the request is refused."""
        try:
            found = getattr(self.client, verb)(*args, **options)
        except APIStatusError:
            return None
        assert found.raw == self.heard.body
        survives(found)
        return found


INTERVENTIONS = ("pause_job", "resume_job", "cancel_job", "delete_file", "retrieve_job")


@given(data=st.data(), plan=plans(), dialect=st.sampled_from(sorted(DIALECTS)))
def test_whatever_the_fake_answers_is_read(data: st.DataObject, plan: Any, dialect: str) -> None:
    """Every response of the fake about any job, at any time, in any dialect is parsed without loss."""
    fake = FakeFineTuning(start=BORN, pace="manual", plan=plan, dialect=dialect, seed=data.draw(st.integers(0, 9)))
    listener = Listener(fake)
    file = listener.ask("upload_file", ROWS.encode(), filename="train.jsonl")
    job = listener.ask("create_job", file.id, "gpt-4o-mini", seed=1, metadata={"a": "b"})
    for _ in range(data.draw(st.integers(1, 4))):
        fake.advance(data.draw(st.sampled_from([0.0, 50.0, 200.0]) | st.floats(0, 2000)))
        verb = data.draw(st.sampled_from(INTERVENTIONS))
        listener.ask(verb, file.id if verb == "delete_file" else job.id)
        now = listener.ask("retrieve_job", job.id)
        assert len(true_of(now) - {"is_finished"}) == 1
        assert [now] == list(listener.ask("list_jobs"))
        for lists in ("list_job_events", "list_job_checkpoints"):
            page = listener.ask(lists, job.id, limit=3)
            assert page.last_id == (page[-1].id if page else None)
        assert len(listener.ask("list_files")) <= 2
        assert now.fine_tuned_model is None or listener.ask("retrieve_model", now.fine_tuned_model)


@pytest.mark.parametrize("name", BODY)
@pytest.mark.parametrize("value", [None, [], {}])
def test_a_required_field_of_another_kind_is_missing(name: str, value: Any) -> None:
    """A required field that is null or of another kind is a ValueError that names it."""
    with pytest.raises(ValueError, match=f"'{name}'"):
        FineTuningJobResponse.from_dict(BODY | {name: value})


def test_raw_and_extra_are_out_of_equality_and_repr() -> None:
    """Unknown fields affect neither the equality nor the repr of a job."""
    job = FineTuningJobResponse.from_dict(BODY | {"new_field": "odd"})
    assert job == FineTuningJobResponse(**BODY)
    assert "odd" not in repr(job)


def test_a_page_is_a_sequence() -> None:
    """A page has a length, order, slices and truth value."""
    body = {"object": "list", "data": [BODY, BODY | {"id": "ftjob-2"}], "has_more": True, "page": 1}
    page = FineTuningJobListResponse.from_dict(body)
    assert [len(page), page[0].id, page[-1].id, bool(page), page.has_more] == [
        2,
        "ftjob-1",
        "ftjob-2",
        True,
        True,
    ]
    assert [job.id for job in page[1:]] == [job.id for job in page if job.id != "ftjob-1"] == ["ftjob-2"]
    assert (page.extra, page.raw) == ({"page": 1}, body)
    assert FineTuningJobListResponse.from_dict(page.to_dict()) == page


def test_last_id_is_computed_unless_answered() -> None:
    """`last_id` is the last item's id if the response has none."""
    body = {"data": [BODY]}
    assert FineTuningJobListResponse.from_dict(body).last_id == "ftjob-1"
    assert FineTuningJobListResponse.from_dict(body | {"last_id": "x"}).last_id == "x"
    assert FineTuningJobListResponse.from_dict({"data": []}).last_id is None


def test_an_empty_page_is_false() -> None:
    """A page without items is false and has no more."""
    page = FineTuningJobListResponse([])
    assert not page
    assert not page.has_more


def test_a_bad_item_names_itself() -> None:
    """A page with an unreadable item is a ValueError that names the field."""
    with pytest.raises(ValueError, match=r"FineTuningJobResponse needs 'status' \(str\), which is missing"):
        FineTuningJobListResponse.from_dict({"data": [{"id": "ftjob-1"}]})


def test_responses_can_be_pickled() -> None:
    """A response is equal to itself after pickling."""
    page = FineTuningJobListResponse.from_dict({"data": [BODY]})
    twin = pickle.loads(pickle.dumps(page))
    assert (twin, twin.raw) == (page, page.raw)


def test_responses_are_frozen() -> None:
    """A response cannot be changed."""
    file = FileResponse("file-1", "a.jsonl", 2, 1, "fine-tune")
    with pytest.raises(AttributeError):
        file.id = "other"  # type: ignore[misc]  # that it is refused is the point


def test_responses_can_be_in_sets() -> None:
    """Equal jobs and equal pages have equal hashes, even with mappings and lists in them."""
    body = {"id": "j", "status": "failed", "model": "m", "training_file": "f", "created_at": 1, "error": {"code": "x"}}
    jobs = [FineTuningJobResponse.from_dict(body | {"method": {"type": "dpo"}, "result_files": []}) for _ in range(2)]
    assert len({*jobs}) == 1
    page = {"data": [body], "has_more": False}
    assert len({FineTuningJobListResponse.from_dict(page), FineTuningJobListResponse.from_dict(page)}) == 1
