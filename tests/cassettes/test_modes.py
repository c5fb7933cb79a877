"""Modes, misses, expiry and unplayed recordings, as code that uses a cassette meets them."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import httpx2
import openai
import pytest

import fine_tuning_cassettes
from fine_tuning_cassettes import (
    Cassette,
    CassetteError,
    CassetteExpiredError,
    CassetteFileError,
    CassetteLeakError,
    CassetteMissError,
    CassetteStuckError,
    CassetteUnusedError,
    CassetteWarning,
    use_cassette,
)
from fine_tuning_cassettes.cassette import how_to_record
from fine_tuning_cassettes.record import RecordOptions, render_cassette
from fine_tuning_cassettes.redaction import SecretMap
from fine_tuning_cassettes.yaml_format import Metadata, load

URL = "https://api.openai.com/v1"
AT = 1_760_000_000.0
DAY = 86400


class Service:
    """A service that numbers its responses and records the requests."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    def send(self, path: str, method: str = "GET", **options: Any) -> Any:
        """Send a request to this service; return its JSON response, which has a number."""
        with httpx.Client(transport=httpx.MockTransport(self._answer)) as client:
            return client.request(method, URL + path, **options).json()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        return httpx.Response(200, json={"number": len(self.requests)})


@pytest.fixture
def service() -> Service:
    """A service that counts its requests."""
    return Service()


@pytest.fixture
def path(tmp_path: Path, service: Service) -> Path:
    """A cassette with a read of the models m and n."""
    with use_cassette(tmp_path / "c.yaml", "once", clock=lambda: AT):
        service.send("/models/m")
        service.send("/models/n")
    return tmp_path / "c.yaml"


def bodies_by_uri(path: Path) -> dict[str, str]:
    """The recorded response bodies by URL."""
    return {each.request.uri: each.response.body.decode() for each in load(path.read_text(), str(path)).interactions}


def test_none_replays_and_sends_nothing(path: Path, service: Service) -> None:
    """In mode "none" responses come from the file, and nothing is sent to the service."""
    with use_cassette(path) as cassette:
        assert service.send("/models/m") == {"number": 1}
    assert service.requests == ["GET /v1/models/m", "GET /v1/models/n"]
    assert (cassette.play_count, cassette.mode, cassette.recorded) == (1, "none", 0)


def test_once_replays_what_is_there(path: Path, service: Service) -> None:
    """In mode "once" an existing file is only replayed, and a request it lacks is refused."""
    before = path.read_bytes()
    with use_cassette(path, "once"):
        assert service.send("/models/m") == {"number": 1}
    with pytest.raises(CassetteMissError), use_cassette(path, "once"):
        service.send("/models/other")
    assert len(service.requests) == 2
    assert path.read_bytes() == before


def test_new_episodes_sends_what_is_missing(path: Path, service: Service) -> None:
    """In mode "new_episodes" recorded requests are replayed, and new ones are sent and added to the file."""
    with use_cassette(path, "new_episodes") as cassette:
        assert service.send("/models/m") == {"number": 1}
        assert cassette.replaying
        assert service.send("/models/new") == {"number": 3}
        assert not cassette.replaying
        assert service.send("/models/new") == {"number": 4}
    assert [*bodies_by_uri(path)] == [f"{URL}/models/{name}" for name in ("m", "n", "new")]
    assert cassette.header
    assert cassette.header.recorded_at == "2025-10-09T08:53:20Z"


def test_all_replaces_what_is_asked_again(path: Path, service: Service) -> None:
    """In mode "all" every request is sent; recordings that were not requested again stay."""
    with use_cassette(path, "all"):
        assert service.send("/models/m") == {"number": 3}
    assert bodies_by_uri(path) == {f"{URL}/models/n": '{"number":2}', f"{URL}/models/m": '{"number":3}'}


def test_all_lets_go_of_what_was_made_before(tmp_path: Path) -> None:
    """Recording a job repeatedly in mode "all" leaves one job and one file in the cassette, with the newest date."""

    def session(run: int) -> None:
        def respond(request: httpx.Request) -> httpx.Response:
            kind = "file" if request.url.path.endswith("/files") else "fine_tuning.job"
            return httpx.Response(200, json={"object": kind, "id": f"{kind[:4]}-{run}", "status": "succeeded"})

        with httpx.Client(transport=httpx.MockTransport(respond)) as client:
            file = client.post(f"{URL}/files", files={"file": ("a.jsonl", b"{}")}).json()["id"]
            job = client.post(f"{URL}/fine_tuning/jobs", json={"training_file": file}).json()["id"]
            client.get(f"{URL}/fine_tuning/jobs/{job}")

    for run in range(3):
        with use_cassette(tmp_path / "c.yaml", "all", clock=iter([AT + run * DAY]).__next__) as cassette:
            session(run)
    assert [each.removeprefix(URL) for each in bodies_by_uri(tmp_path / "c.yaml")] == [
        "/files",
        "/fine_tuning/jobs",
        "/fine_tuning/jobs/fine-2",
    ]
    assert cassette.header
    assert cassette.header.recorded_at == "2025-10-11T08:53:20Z"


def test_rewrite_begins_anew(path: Path, service: Service) -> None:
    """Mode "rewrite" discards the old recordings."""
    with use_cassette(path, "rewrite") as cassette:
        assert cassette.header is None
        service.send("/models/m")
    assert bodies_by_uri(path) == {f"{URL}/models/m": '{"number":3}'}


@pytest.mark.parametrize("mode", ["once", "new_episodes", "all", "rewrite"])
def test_a_block_that_raises_leaves_the_file(path: Path, service: Service, mode: Any) -> None:
    """An exception inside the block leaves the file unchanged, whatever the mode."""
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), use_cassette(path, mode):
        fail_after(lambda: service.send("/models/m"))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["c.yaml"]


def fail_after(call: Callable[[], object]) -> None:
    """Make a call, and then raise an error."""
    call()
    raise ZeroDivisionError


@pytest.mark.parametrize("mode", ["once", "new_episodes", "all", "rewrite"])
def test_nothing_is_written_where_nothing_was_asked(tmp_path: Path, mode: Any) -> None:
    """A block without requests writes no file, and warns if its mode was to record."""
    expected = (
        pytest.warns(CassetteWarning, match="nothing was recorded") if mode in ("once", "rewrite") else nullcontext()
    )
    with expected, use_cassette(tmp_path / "c.yaml", mode):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_miss_tells_the_nearest_and_how_to_record(path: Path, service: Service) -> None:
    """The error of a miss names the request, the file, the nearest recording, the differences and the remedy."""
    with pytest.raises(CassetteMissError) as caught, use_cassette(path):
        service.send("/models/m?limit=2")
    assert str(caught.value).splitlines() == [
        f"GET /models/m cannot be answered from the cassette {path}: nothing recorded matches it",
        "  nearest is #1 GET /models/m (200), which differs in",
        "    query 'limit': recorded nothing, requested '2'",
        f"  {how_to_record('openai')}",
    ]


def test_a_miss_that_a_client_swallows_is_raised_at_the_end(path: Path, service: Service) -> None:
    """A miss that the code under test swallows is raised at the end of the block, once."""
    with pytest.raises(CassetteMissError, match=r"^GET /models/x"), use_cassette(path):
        ignore_misses(service, "/models/x", "/models/x")


def test_several_misses_are_told_together(path: Path, service: Service) -> None:
    """Two missed requests are both named in the error at the end of the block."""
    both = pytest.raises(CassetteMissError, match=r"(?s)2 requests were not in the cassette.*models/x.*models/y")
    with both, use_cassette(path):
        ignore_misses(service, "/models/x", "/models/y")


def ignore_misses(service: Service, *paths: str) -> None:
    """Send requests and ignore the misses."""
    for each in paths:
        with suppress(CassetteMissError):
            service.send(each)


def test_an_error_that_follows_from_a_miss_has_it_as_a_note(path: Path, service: Service) -> None:
    """An exception that the code under test raises after a miss has the miss as a note."""
    with pytest.raises(ZeroDivisionError) as caught, use_cassette(path):
        fail_after(lambda: ignore_misses(service, "/models/x"))
    assert caught.value.__notes__[0].startswith("GET /models/x cannot be answered")


def test_the_sdk_lets_a_miss_through(path: Path) -> None:
    """The openai SDK raises a miss unchanged and does not retry it."""
    client = openai.OpenAI(base_url=URL, api_key="sk-any")
    with client, pytest.raises(CassetteMissError, match=r"^GET /models/x"), use_cassette(path):
        client.models.retrieve("x")


def test_a_wait_for_ever_ends(tmp_path: Path) -> None:
    """After `patience` polls of a job that was never recorded as finished, CassetteStuckError is raised."""

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"object": "fine_tuning.job", "id": "a", "status": "running"})

    def poll(times: int) -> None:
        with httpx.Client(transport=httpx.MockTransport(respond)) as client:
            for _ in range(times):
                client.get(f"{URL}/fine_tuning/jobs/a")

    with use_cassette(tmp_path / "job.yaml", "once"):
        poll(1)
    with use_cassette(tmp_path / "job.yaml", patience=3):
        poll(3)
    with pytest.raises(CassetteStuckError, match="given 3 times"), use_cassette(tmp_path / "job.yaml", patience=3):
        poll(4)


def test_other_requests_pass_by(path: Path) -> None:
    """A request that is not for the API is sent and not recorded."""

    def respond(request: Any) -> httpx2.Response:
        return httpx2.Response(200, text="elsewhere")

    with httpx2.Client(transport=httpx2.MockTransport(respond)) as client:
        with use_cassette(path) as cassette:
            assert client.get("https://huggingface.co/api/models/m").text == "elsewhere"
        with use_cassette(path.with_name("other.yaml"), "all"):
            client.get("https://huggingface.co/api/models/m")
    assert cassette.play_count == 0
    assert not path.with_name("other.yaml").exists()


def test_hosts_narrow_what_is_replayed(path: Path, service: Service) -> None:
    """With `hosts` given, requests to other hosts are not replayed."""
    with use_cassette(path, hosts=["localhost"]):
        assert service.send("/models/m") == {"number": 3}


def test_the_standard_library_is_answered(path: Path) -> None:
    """urllib gets the recorded response, as other libraries patched by vcrpy do."""
    with use_cassette(path), urllib.request.urlopen(f"{URL}/models/m") as answer:
        assert answer.read() == b'{"number":1}'


def test_threads_share_a_write(tmp_path: Path, service: Service) -> None:
    """Of eight threads that repeat one recorded write, one gets the response and seven are refused."""
    with use_cassette(tmp_path / "c.yaml", "once"):
        service.send("/fine_tuning/jobs", "POST", json={})
    found: list[object] = []

    def repeat() -> None:
        try:
            found.append(service.send("/fine_tuning/jobs", "POST", json={}))
        except CassetteMissError as error:
            found.append(type(error))

    with (
        pytest.raises(CassetteMissError, match="was recorded once, and has been requested once already"),
        use_cassette(tmp_path / "c.yaml"),
    ):
        run(repeat, 8)
    assert sorted(map(str, found)) == sorted([str({"number": 1}), *[str(CassetteMissError)] * 7])


def run(work: Callable[[], None], times: int) -> None:
    """Run a function in several threads at once."""
    threads = [threading.Thread(target=work) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("max_age", [30 * DAY, "30d", "720h", timedelta(days=30)])
def test_an_old_recording_is_refused(path: Path, max_age: Any) -> None:
    """A recording is replayed up to `max_age`, and refused a second later with its age."""
    with use_cassette(path, max_age=max_age, clock=lambda: AT + 30 * DAY):
        pass
    with pytest.raises(
        CassetteExpiredError, match=r"recorded 30\.0 days ago, and may be 30\.0 days old; mode='rewrite'"
    ):
        use_cassette(path, max_age=max_age, clock=lambda: AT + 30 * DAY + 1).__enter__()


def test_an_old_recording_can_be_warned_of(path: Path, service: Service) -> None:
    """With on_expiry="warn" an expired recording is replayed with a warning."""
    late = use_cassette(path, max_age="10s", on_expiry="warn", clock=lambda: AT + 11)
    with pytest.warns(CassetteWarning, match="recorded 11 s ago, and may be 10 s old"), late:
        assert service.send("/models/m") == {"number": 1}


def test_an_old_recording_can_be_recorded_anew(path: Path, service: Service) -> None:
    """With on_expiry="rerecord" an expired file is replaced by a new recording."""
    with use_cassette(path, "once", max_age="10s", on_expiry="rerecord", clock=lambda: AT + 11) as cassette:
        assert service.send("/models/m") == {"number": 3}
    assert cassette.header
    assert cassette.header.recorded_at == "2025-10-09T08:53:31Z"
    assert bodies_by_uri(path) == {f"{URL}/models/m": '{"number":3}'}


def test_a_mode_that_never_sends_never_records_anew(path: Path) -> None:
    """In mode "none" an expired recording is refused, even with on_expiry="rerecord"."""
    with pytest.raises(CassetteExpiredError, match="may be 10 s old"):
        use_cassette(path, max_age="10s", on_expiry="rerecord", clock=lambda: AT + 11).__enter__()


def test_a_recording_that_does_not_tell_its_age_is_refused(path: Path) -> None:
    """A recording with an unreadable date is refused if `max_age` is set."""
    path.write_text(path.read_text().replace("'2025-10-09T08:53:20Z'", "yesterday"))
    with pytest.raises(CassetteExpiredError, match=r"recorded_at must be a time, .* got 'yesterday'"):
        use_cassette(path, max_age="1d").__enter__()


def test_what_nobody_asked_for_can_be_an_error(path: Path, service: Service) -> None:
    """`on_unplayed` decides whether unplayed recordings are ignored, warned about or an error."""
    with use_cassette(path) as cassette:
        service.send("/models/m")
    assert cassette.unused == ["#2 GET /models/n (200)"]
    with (
        pytest.warns(CassetteWarning, match="not requested:\n  #2 GET /models/n"),
        use_cassette(path, on_unplayed="warn"),
    ):
        service.send("/models/m")
    with pytest.raises(CassetteUnusedError, match="not requested"), use_cassette(path, on_unplayed="fail"):
        service.send("/models/m")


def test_what_nobody_asked_for_stops_the_writing(path: Path, service: Service) -> None:
    """With on_unplayed="fail" an unplayed recording is an error before anything is written."""
    before = path.read_bytes()
    with pytest.raises(CassetteUnusedError), use_cassette(path, "new_episodes", on_unplayed="fail"):
        service.send("/models/new")
    assert path.read_bytes() == before


def test_a_miss_names_the_test_that_recorded(tmp_path: Path, service: Service) -> None:
    """The header and the error of a miss name the test that recorded the cassette."""
    with use_cassette(tmp_path / "c.yaml", "once", test="test_a.py::test_b") as cassette:
        service.send("/models/m")
    assert cassette.header
    assert cassette.header.test == "test_a.py::test_b"
    missed = pytest.raises(CassetteMissError, match=r"it was recorded by test_a\.py::test_b")
    with missed, use_cassette(tmp_path / "c.yaml"):
        service.send("/models/n")


def test_a_miss_in_a_session_of_the_package_says_what_it_has(service: Service) -> None:
    """A miss in a packaged session says what the session contains, and not how to record it."""
    missed = pytest.raises(CassetteMissError, match=r"is only read\. It has: A job is cancelled")
    with missed as caught, use_cassette(fine_tuning_cassettes.session("cancel")):
        service.send("/models/n")
    assert "to record" not in str(caught.value)


def test_the_header_tells_where_it_comes_from(path: Path) -> None:
    """The header has the time, origin, client and mode of the recording."""
    with use_cassette(path) as cassette:
        head = cassette.header
    agent = f"python-httpx/{httpx.__version__}"
    assert head == Metadata("2025-10-09T08:53:20Z", "https://api.openai.com", (agent,), "once", source="openai")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:4355/v1", "a server on this machine, not OpenAI"),
        ("https://acme.openai.azure.com/openai/v1", "https://scrubbed.openai.azure.com"),
    ],
)
def test_the_header_gives_no_resource_away(tmp_path: Path, url: str, expected: str) -> None:
    """The header contains neither the name of an Azure resource nor a local port."""
    client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, json={})))
    with client, use_cassette(tmp_path / "c.yaml", "once") as cassette:
        client.get(f"{url}/models")
    assert cassette.header
    assert cassette.header.recorded_from == expected


def test_a_missing_cassette_says_how_to_record_it(tmp_path: Path) -> None:
    """Mode "none" without a file is an error on entering the block."""
    with pytest.raises(CassetteFileError, match=r"there is no such cassette: mode='once' records it"):
        use_cassette(tmp_path / "none.yaml").__enter__()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"mode": "record"}, "mode must be one of 'none', 'once', 'new_episodes', 'all', 'rewrite', got 'record'"),
        ({"on_expiry": "x"}, "on_expiry must be one of 'fail', 'warn', 'rerecord', got 'x'"),
        ({"on_unplayed": "x"}, "on_unplayed must be one of 'ignore', 'warn', 'fail', got 'x'"),
        ({"max_age": "soon"}, r"max_age must be seconds above 0, .* got 'soon'"),
        ({"max_age": 0}, "max_age must be seconds above 0, .* got 0"),
        ({"hosts": "localhost"}, r"hosts must be several names, got 'localhost'; write hosts=\['localhost'\]"),
        ({"patience": 0}, "patience must be an int of at least 1, got 0"),
        ({"keep_headers": [5]}, "keep_headers must be strings, got 5"),
        ({"hosts": ["api.openai.com:443"]}, "hosts must be names such as .*, got 'api.openai.com:443'"),
        ({"hosts": ["https://api.openai.com"]}, "without scheme and port, got 'https://api.openai.com'"),
        ({"about": 5}, "about must be of type str, got 5"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], why: str) -> None:
    """An invalid argument is refused at once with the valid values."""
    with pytest.raises(ValueError, match=why):
        use_cassette("c.yaml", **arguments)


def test_a_block_is_entered_once(path: Path) -> None:
    """A cassette object cannot be entered twice."""
    used = use_cassette(path)
    with used:
        pass
    with pytest.raises(CassetteError, match="make another"):
        used.__enter__()


def test_after_the_block_nothing_is_patched(path: Path, service: Service) -> None:
    """After the block requests go to the service again."""
    with use_cassette(path):
        assert service.send("/models/m") == {"number": 1}
    assert service.send("/models/m") == {"number": 3}


def test_a_secret_that_is_left_stops_the_writing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that redaction has missed is found by the last search, and nothing is written."""
    monkeypatch.setattr(SecretMap, "redact", lambda self, text: text)
    asked = load(path.read_text(), "c").interactions[0]
    leaky = type(asked)(
        type(asked.request)("GET", f"{URL}/models/secret-123456", (("authorization", "Bearer secret-123456"),)),
        asked.response,
    )
    with pytest.raises(CassetteLeakError, match="nothing was written"):
        render_cassette("c.yaml", RecordOptions(), Metadata(), [], [leaky])


def test_the_public_names() -> None:
    """`__all__` is sorted, and `Cassette.replaying` is a property."""
    assert fine_tuning_cassettes.__all__ == sorted(fine_tuning_cassettes.__all__)
    assert isinstance(Cassette.replaying, property)
