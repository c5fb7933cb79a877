"""Records as a format: written, and read again, by this and by later versions."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.account import records
from fine_tuning_fakeserver.account.blobs import Blob
from fine_tuning_fakeserver.account.record_format import KINDS, read_record, read_trusted_record, write_record
from fine_tuning_fakeserver.account.records import Record
from fine_tuning_fakeserver.domain.dialects import DIALECTS
from fine_tuning_fakeserver.domain.fault_spec import FaultSpec
from fine_tuning_fakeserver.domain.job import CheckpointOverride, Job, Objective, Overrides
from fine_tuning_fakeserver.domain.job_spec import Dataset
from fine_tuning_fakeserver.domain.plan import JobFilter, PlanRule
from fine_tuning_fakeserver.domain.training_methods import Hyperparameters
from fine_tuning_fakeserver.domain.webhook_events import EVENTS, DeliveryAttempt, WebhookEndpoint
from strategies import ROWS, disturbed_specs, example_count, plans


class Contents(dict[str, Blob]):
    """Contents in memory."""

    def put(self, content: Blob) -> str:
        """Keep the bytes."""
        digest = hashlib.sha256(content.read()).hexdigest()
        self[digest] = content
        return digest

    def get(self, digest: str, size: int) -> Blob:  # type: ignore[override]
        """Return the bytes."""
        return self[digest]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.text("abcdefg-_0123456789", min_size=1, max_size=12)
times = st.floats(0, 4e9, allow_nan=False)
blobs = st.binary(max_size=40).map(Blob.of) | st.integers(1, 10**6).map(Blob.dropped)
pages = st.none() | names
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, json_values, max_size=3)
overrides = st.builds(
    Overrides,
    fine_tuned_model=st.none() | names,
    trained_tokens=st.none() | st.integers(0, 10**9),
    checkpoints=st.lists(
        st.builds(CheckpointOverride, names, st.integers(0, 10**9), st.integers(1, 99), names, objects), max_size=2
    ),
    event_ids=st.dictionaries(st.integers(0, 99), names, max_size=2),
)
auto_or_number = st.just("auto") | st.integers(1, 99) | st.floats(0.1, 9)
endpoints = st.builds(
    WebhookEndpoint,
    names,
    st.none() | st.just("http://127.0.0.1:1/hook"),
    st.just("whsec_AAAA"),
    st.lists(st.sampled_from(EVENTS), min_size=1).map(tuple),
    times,
)
fault_specs = st.builds(
    FaultSpec,
    kind=st.just("malformed"),
    on=st.none() | st.just(("create_job", "list_jobs")),
    nth=st.none() | st.integers(1, 9),
    probability=st.none() | st.floats(0, 1),
    retry_after=st.none() | st.integers(0, 9) | st.floats(0, 9) | st.just("soon"),
    body=st.none() | texts | st.binary(max_size=9),
    duration=st.none() | st.floats(0, 99),
)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """Any job, with any interventions that it allows."""
    spec, acts = draw(disturbed_specs())
    return Job(
        draw(names),
        draw(times),
        draw(names),
        draw(names),
        draw(st.none() | names),
        draw(st.none() | texts),
        draw(st.integers(0, 2**31)),
        Hyperparameters(*draw(st.tuples(*[auto_or_number] * 3))),
        draw(st.none() | st.dictionaries(texts, texts, max_size=2)),
        draw(st.lists(objects, max_size=2)),
        draw(names),
        draw(names),
        spec,
        draw(st.none() | st.builds(Objective, objects, st.none() | objects)),
        draw(overrides),
        acts,
        draw(st.sampled_from(list(DIALECTS.values()))),
        draw(st.none() | objects),
    )


stored_files = st.builds(
    records.StoredFile,
    names,
    texts,
    names,
    blobs,
    times,
    st.none() | times,
    st.none()
    | st.builds(Dataset, st.integers(0, 99), st.none() | st.integers(0, 99), names, st.dictionaries(names, texts)),
)
uploads = st.builds(
    records.PartUpload,
    names,
    texts,
    names,
    st.integers(0, 99),
    times,
    times,
    st.none() | st.integers(1, 99),
    st.sampled_from(["pending", "completed", "cancelled"]),
)
attempts = st.builds(DeliveryAttempt, times, st.integers(0, 10**9), st.none() | st.just(200), st.none() | texts)
acts = disturbed_specs().filter(lambda made: bool(made[1])).map(lambda made: made[1][-1])
ANY: dict[str, st.SearchStrategy[Any]] = {
    "file_uploaded": st.builds(records.FileUploaded, stored_files),
    "file_deleted": st.builds(records.FileDeleted, names),
    "job_created": st.builds(records.JobCreated, jobs()),
    "job_intervened": st.builds(records.JobIntervened, names, acts),
    "job_deleted": st.builds(records.JobDeleted, names),
    "checkpoint_copied": st.builds(records.CheckpointCopied, names, names, names, names),
    "model_deleted": st.builds(records.ModelDeleted, names),
    "clock_advanced": st.builds(records.ClockAdvanced, times),
    "pace_set": st.builds(records.PaceSet, times, st.sampled_from(["polls", "manual", "instant", 1, 60, 0.5])),
    "dialect_set": st.builds(records.DialectSet, times, st.sampled_from(list(DIALECTS.values()))),
    "plan_set": st.builds(records.PlanSet, plans(), st.booleans()),
    "plan_rule_added": st.builds(
        records.PlanRuleAdded,
        st.builds(
            PlanRule,
            st.builds(
                JobFilter,
                model=st.none() | names,
                suffix=names,
                metadata=st.none() | st.dictionaries(names, texts, min_size=1),
            ),
            plans(),
        ),
    ),
    "next_id_reserved": st.builds(records.NextIdReserved, names, names, st.none() | st.integers(0, 9), overrides),
    "upload_changed": st.builds(records.UploadChanged, uploads),
    "part_added": st.builds(records.PartAdded, times, names, names, blobs),
    "permission_granted": st.builds(
        records.PermissionGranted, st.builds(records.Permission, names, times, names, names)
    ),
    "permission_revoked": st.builds(records.PermissionRevoked, names),
    "replies_set": st.builds(records.RepliesSet, st.lists(texts).map(tuple)),
    "completion_given": st.builds(records.CompletionGiven, times, st.integers(0, 9)),
    "grader_scores_set": st.builds(records.GraderScoresSet, st.lists(st.none() | st.floats(0, 1)).map(tuple)),
    "grader_score_used": st.builds(records.GraderScoreUsed),
    "webhook_added": st.builds(records.WebhookAdded, endpoints),
    "webhook_removed": st.builds(records.WebhookRemoved, times, names),
    "delivery_attempted": st.builds(records.DeliveryAttempted, names, attempts),
    "list_seen": st.builds(
        records.ListSeen, times, names, st.tuples(pages, st.integers(1, 99), st.tuples(texts, texts))
    ),
    "fault_armed": st.builds(records.FaultArmed, times, st.integers(1, 9), fault_specs),
    "faults_matched": st.builds(
        records.FaultsMatched, times, st.lists(st.integers(1, 9)).map(tuple), st.none() | st.integers(1, 9)
    ),
    "fault_hit": st.builds(records.FaultHit, st.integers(0, 9), st.integers(1, 999)),
    "faults_disarmed": st.builds(records.FaultsDisarmed, times),
    "clock_anchored": st.builds(records.ClockAnchored, times, times, times),
    "scripts_set": st.builds(records.ScriptsSet, st.dictionaries(names, st.integers(0, 9) | names)),
}
"""By kind, any record."""


def plain(value: Any) -> Any:
    """The value with the class of each dataclass, and contents as bytes; a tuple as a list, which JSON has."""
    if isinstance(value, Blob):
        return value.size if value.is_dropped else value.read()
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return type(value).__name__, value


def test_every_kind_has_a_name_and_is_tried() -> None:
    """A kind of record has no name in the format, or is not among those that are written and read below."""
    assert set(KINDS.values()) == set(get_args(Record))
    assert ANY.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_written_is_read_again(kind: str) -> None:
    """A record that was written and read has the same fields, of the same types."""

    @settings(max_examples=example_count(12))
    @given(ANY[kind])
    def check(record: Record) -> None:
        contents = Contents()
        line = write_record(record, contents)

        assert b"\n" not in line
        assert plain(read_record(line, contents)) == plain(record)
        assert plain(read_trusted_record(line, contents)) == plain(record)

    check()


CONTENTS = Contents()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "a record must be JSON"),
        (b"[]", "a record must be a JSON object"),
        (b'{"record": "model_deleted", "id": "x"}', "the version of a record must be one of 1, got None"),
        (b'{"version": true, "record": "model_deleted"}', "the version of a record must be one of 1, got True"),
        (b'{"version": 2, "record": "model_deleted"}', "a newer fake-fine-tuning has written it, this is "),
        (b'{"version": 1, "record": "model_sold"}', "the kind of a record must be one of file_uploaded, "),
        (b'{"version": 1, "record": "model_deleted"}', "a record model_deleted cannot be read: id: Field required"),
        (b'{"version": 1, "record": "model_deleted", "id": 3}', "id: Input should be a valid string"),
        (b'{"version": 1, "record": "model_deleted", "id": "x", "at": 3}', "at: Extra inputs are not permitted"),
        (b'{"version": 1, "record": "job_intervened", "id": "x", "act": {"act": "sold", "at": 1}}', "as its act"),
        (b'{"version": 1, "record": "pace_set", "at": 1, "pace": "fast"}', "a record pace_set cannot be read: pace"),
    ],
)
def test_what_is_no_record_is_refused(line: bytes, message: str) -> None:
    """A line that is no record, or a newer version's, is refused with what is wrong in it."""
    with pytest.raises(FakeUsageError) as caught:
        read_record(line, CONTENTS)
    assert message in str(caught.value)


def test_a_dialect_is_stored_by_its_name() -> None:
    """A job is stored with the whole style of its dialect."""
    fake = FakeFineTuning(dialect="openai-2023-11")
    fake.add_job(fake.add_file(ROWS)["id"])
    made = next(record for record in fake._world.service.journal if isinstance(record, records.JobCreated))

    assert orjson.loads(write_record(made, Contents()))["job"]["dialect"] == "openai-2023-11"
