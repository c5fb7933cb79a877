"""The block of use_cassette: its modes, its file, its refusals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from fine_tuning_cassettes import (
    CassetteError,
    CassetteExpiredError,
    CassetteFileError,
    CassetteMissError,
    CassetteUnusedError,
    CassetteWarning,
    use_cassette,
)
from fine_tuning_fakeserver import FakeFineTuning
from worlds import ROWS

RECORDED_AT = 1_760_000_000.0
DAY = 86_400


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeFineTuning, str]]:
    """A fake on a socket."""
    fake = FakeFineTuning(seed=1, pace="manual")
    with fake.serving() as url:
        yield fake, url


@pytest.fixture
def url(served: tuple[FakeFineTuning, str]) -> str:
    """The address of a fresh account with two jobs, at which times stand still."""
    fake, url = served
    fake.reset()
    file = fake.add_file(ROWS, id="file-a")
    for name in ("ftjob-1", "ftjob-2"):
        fake.add_job(file["id"], id=name, status="running")
    return url


def look(url: str, job: str) -> int:
    """Look at a job over HTTP; the status code."""
    answer = httpx.get(f"{url}/fine_tuning/jobs/{job}", headers={"authorization": "Bearer k"}, trust_env=False)
    return answer.status_code


def asked(served: tuple[FakeFineTuning, str]) -> int:
    """How many requests have reached the fake."""
    return len(served[0].requests)


@pytest.fixture
def path(url: str, tmp_path: Path) -> Path:
    """A cassette with a look at the first job."""
    with use_cassette(tmp_path / "c.yaml", "once", clock=lambda: RECORDED_AT):
        look(url, "ftjob-1")
    return tmp_path / "c.yaml"


def test_none_replays_and_refuses_the_rest(path: Path, url: str, served: tuple[FakeFineTuning, str]) -> None:
    """Mode "none" sends nothing: what is recorded is answered, what is not ends the block with an error."""
    before, block = asked(served), use_cassette(path)
    cassette = block.__enter__()
    assert look(url, "ftjob-1") == 200
    with pytest.raises(CassetteMissError, match="GET /fine_tuning/jobs/ftjob-2 cannot be answered"):
        look(url, "ftjob-2")
    with pytest.raises(CassetteMissError, match="ftjob-2"):
        block.__exit__(None, None, None)
    assert (cassette.play_count, cassette.replaying, cassette.records) == (1, True, False)
    assert asked(served) == before


def test_a_miss_that_the_code_swallows_is_raised_all_the_same(path: Path, url: str) -> None:
    """Code that takes a miss for a broken connection, and goes on, does not get away with it."""
    block = use_cassette(path)
    block.__enter__()
    for job in ("ftjob-2", "ftjob-3", "ftjob-2"):
        with pytest.raises(CassetteMissError):
            look(url, job)
    with pytest.raises(CassetteMissError, match="2 requests were not in the cassette"):
        block.__exit__(None, None, None)


def test_once_records_only_where_there_is_no_file(path: Path, url: str, served: tuple[FakeFineTuning, str]) -> None:
    """Mode "once" replays a cassette that is there, and does not add to it."""
    before, text = asked(served), path.read_bytes()
    with pytest.raises(CassetteMissError), use_cassette(path, "once"):
        look(url, "ftjob-2")
    with use_cassette(path, "once"):
        assert look(url, "ftjob-1") == 200
    assert (asked(served), path.read_bytes()) == (before, text)


def test_new_episodes_adds_what_is_missing(path: Path, url: str, served: tuple[FakeFineTuning, str]) -> None:
    """Mode "new_episodes" replays what there is, sends the rest once, and keeps both."""
    before = asked(served)
    with use_cassette(path, "new_episodes") as cassette:
        assert [look(url, "ftjob-1"), look(url, "ftjob-2")] == [200, 200]
    assert (cassette.play_count, cassette.recorded, asked(served)) == (1, 1, before + 1)
    with use_cassette(path, on_unplayed="fail"):
        assert [look(url, "ftjob-2"), look(url, "ftjob-1")] == [200, 200]


def test_all_sends_everything_and_keeps_what_was_not_asked_again(
    path: Path, url: str, served: tuple[FakeFineTuning, str]
) -> None:
    """Mode "all" replaces what was recorded of the same requests only."""
    before = asked(served)
    with use_cassette(path, "all") as cassette:
        look(url, "ftjob-2")
    assert (cassette.play_count, asked(served)) == (0, before + 1)
    with use_cassette(path, on_unplayed="fail"):
        assert [look(url, "ftjob-1"), look(url, "ftjob-2")] == [200, 200]


def test_rewrite_keeps_nothing(path: Path, url: str) -> None:
    """Mode "rewrite" has only what was asked this time."""
    with use_cassette(path, "rewrite"):
        look(url, "ftjob-2")
    with pytest.raises(CassetteMissError), use_cassette(path):
        look(url, "ftjob-1")


def test_a_block_that_raises_leaves_the_file_as_it_was(path: Path, url: str) -> None:
    """When the test fails, the old cassette is there, byte for byte, and nothing beside it."""
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), use_cassette(path, "rewrite"):
        1 // (look(url, "ftjob-2") - 200)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_told_before_anything_is_sent(
    tmp_path: Path, url: str, served: tuple[FakeFineTuning, str]
) -> None:
    """Where a folder is a file, or the cassette a folder, the block is not entered."""
    (tmp_path / "file").write_text("x")
    before = asked(served)
    for path in (tmp_path / "file" / "c.yaml", tmp_path):
        with pytest.raises(CassetteFileError, match=str(tmp_path)), use_cassette(path, "rewrite"):
            look(url, "ftjob-1")
    assert asked(served) == before
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_other_traffic_passes_by(path: Path, url: str, served: tuple[FakeFineTuning, str]) -> None:
    """Requests that are none of the API's go where they were sent, and are not recorded."""
    root = url.removesuffix("/v1")
    with use_cassette(path, "rewrite") as cassette:
        assert httpx.get(f"{root}/health", trust_env=False).status_code == 200
    assert cassette.recorded == 0


@pytest.mark.parametrize("age", [30 * DAY, "30d", timedelta(days=30), "4.3w"])
def test_an_old_recording(path: Path, url: str, age: Any) -> None:
    """A recording may be as old as is said, and not a day older."""
    with use_cassette(path, max_age=age, clock=lambda: RECORDED_AT + 30 * DAY):
        look(url, "ftjob-1")
    late: dict[str, Any] = {"max_age": age, "clock": lambda: RECORDED_AT + 31 * DAY}
    with pytest.raises(CassetteExpiredError, match="mode='rewrite' records it anew"), use_cassette(path, **late):
        pass
    with pytest.warns(CassetteWarning, match="31"), use_cassette(path, on_expiry="warn", **late):
        look(url, "ftjob-1")
    with use_cassette(path, on_expiry="rerecord", **late) as cassette:
        look(url, "ftjob-2")
    assert cassette.recorded == 1


def test_what_nobody_asked_for(path: Path) -> None:
    """A recording that is not used is ignored, told or refused, as is said; it is named."""
    with use_cassette(path) as cassette:
        pass
    assert cassette.unused == ["#1 GET /fine_tuning/jobs/ftjob-1 (200)"]
    with pytest.warns(CassetteWarning, match="not asked for"), use_cassette(path, on_unplayed="warn"):
        pass
    with pytest.raises(CassetteUnusedError, match="ftjob-1"), use_cassette(path, on_unplayed="fail"):
        pass


def test_a_block_is_entered_once(path: Path) -> None:
    """A use_cassette that was used is refused: it has state."""
    block = use_cassette(path)
    with block, pytest.raises(CassetteError, match="make another"), block:
        pass


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"mode": "sometimes"}, "mode is 'sometimes': it must be one of 'none', 'once'"),
        ({"on_expiry": "cry"}, "on_expiry is 'cry'"),
        ({"on_unplayed": 5}, "on_unplayed is 5"),
        ({"max_age": "soon"}, "max_age is 'soon': seconds above 0"),
        ({"max_age": 0}, "max_age is 0"),
        ({"hosts": "api.openai.com"}, r"several names are wanted, as in hosts=\['api.openai.com'\]"),
        ({"keep_headers": ["api-key"]}, "what is sent there is a secret"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], said: str, tmp_path: Path) -> None:
    """A wrong argument is told at once, with what would be right."""
    with pytest.raises(ValueError, match=said):
        use_cassette(tmp_path / "c.yaml", **arguments)
