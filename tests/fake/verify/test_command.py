"""The command `verify`: its output, its JSON, and its exit codes."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fine_tuning_fakeserver.cli import main
from recorded_session import Exchange, session, write

JSON_TYPE = [("content-type", "application/json")]
MODEL = Exchange("GET", "/v1/models/none", b"", "x/y", 404, JSON_TYPE, b'{"error": {"message": "gone"}}')


def test_what_a_person_sees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output has the file, a row per exchange, the reason below a row without verdict, and the totals."""
    path = write(tmp_path, "vcr.yaml", session())

    assert main(["verify", str(path)]) == 0

    first, second, *_, last = capsys.readouterr().out.splitlines()
    assert first == str(path)
    assert second == "  exact          POST /v1/files"
    assert last == "verified: 33 exact, 0 same shape, 0 differ, 1 not applicable"


def test_differences_are_shown_and_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first difference is shown below its row, and the exit code is 1."""
    path = write(tmp_path, "proxy.json", [MODEL])

    assert main(["verify", str(path)]) == 1

    assert capsys.readouterr().out.splitlines()[1:3] == [
        "  differs        GET /v1/models/none",
        "    $.error, members of one only: expected [], got ['type', 'param', 'code']",
    ]


def test_long_values_are_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A long recorded value is cut."""
    long = Exchange("GET", "/v1/models/m", b"", "x/y", 404, JSON_TYPE, json.dumps({"error": "x" * 9999}).encode())

    assert main(["verify", str(write(tmp_path, "proxy.json", [long]))]) == 1
    assert max(map(len, capsys.readouterr().out.splitlines())) < 400


def test_a_terminal_obeys_no_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters in file and member names are escaped."""
    folder = tmp_path / "\x1b[31m\u202e\n"
    folder.mkdir()
    odd = Exchange("GET", "/v1/models/m", b"", "x/y", 404, JSON_TYPE, json.dumps({"error": {"\x1b[2J\n": 1}}).encode())
    write(folder, "proxy.json", [odd])
    (folder / "other.json").write_text("{}")

    assert main(["verify", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == rf"{tmp_path}/\x1b[31m\u202e\n/proxy.json"
    assert err.startswith(rf"passed over: {tmp_path}/\x1b[31m\u202e\n/other.json: ")
    assert [line for line in (out + err).splitlines() if not line.isprintable()] == []


def test_json_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints one document with recordings, rows, skipped files and totals."""
    write(tmp_path, "proxy.json", [MODEL, session()[0]])
    (tmp_path / "other.json").write_text("{}")

    assert main(["verify", "--json", str(tmp_path)]) == 1

    output = json.loads(capsys.readouterr().out)
    assert output["totals"] == {"exact": 1, "same_shape": 0, "differs": 1, "not_applicable": 0}
    assert [text.partition(": ")[0] for text in output["passed_over"]] == [str(tmp_path / "other.json")]
    (recording,) = output["recordings"]
    assert (recording["format"], recording["problems"]) == ("test-proxy", [])
    assert recording["rows"][0] == {
        "number": 0,
        "method": "GET",
        "path": "/v1/models/none",
        "verdict": "differs",
        "difference": {"path": "$.error, members of one only", "expected": [], "got": ["type", "param", "code"]},
        "reason": None,
        "notes": [],
    }
    assert recording["rows"][1]["difference"] is None


def test_folders_are_verified_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The recordings in a folder are counted together, and other files in it are skipped and named."""
    exchanges = session()
    for name in ("vcr.yaml", "session.har"):
        write(tmp_path, name, exchanges)
    (tmp_path / "other.json").write_text("{}")

    assert main(["verify", str(tmp_path)]) == 0

    out, err = capsys.readouterr()
    assert out.endswith("verified: 66 exact, 0 same shape, 0 differ, 2 not applicable\n")
    assert err.startswith(f"passed over: {tmp_path / 'other.json'}: not a recording")


def test_problems_are_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Facts that the fake cannot hold are listed as notes after a recording's rows."""
    jobs = next(each for each in session() if each.path == "/v1/fine_tuning/jobs" and each.method == "GET")
    odd = jobs.answer.replace(b'"status": "succeeded"', b'"status": "created"')

    assert (
        main(["verify", str(write(tmp_path, "vcr.yaml", [Exchange("GET", jobs.path, b"", "", 200, JSON_TYPE, odd)]))])
        == 1
    )
    assert "  note: ftjob-" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("other.json", "{}", "expected test-proxy JSON"),
        ("broken.json", '{"Entries": [7]}', "broken test-proxy recording"),
        ("cut.yaml", "a: [", "not YAML"),
        ("binary.har", b"\xff\xfe\x00", "cannot be read as text"),
    ],
)
def test_unreadable_files_are_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str | bytes, expected: str
) -> None:
    """A file that cannot be read is a row with the reason, the others are verified, and the exit code is 2."""
    path, sound = tmp_path / name, write(tmp_path, "vcr.yaml", session())
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    assert main(["verify", str(path), str(sound)]) == 2

    *rows, head, reason, last = capsys.readouterr().out.splitlines()
    assert (rows[0], head) == (str(sound), str(path))
    assert reason.startswith("  unreadable: ")
    assert expected in reason
    assert last == "verified: 33 exact, 0 same shape, 0 differ, 1 not applicable; 1 file unreadable"
    assert main(["verify", "--json", str(path)]) == 2
    assert json.loads(capsys.readouterr().out)["unreadable"][0]["path"] == str(path)


def test_missing_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that does not exist is a mistake of the command: one line, and exit code 2."""
    assert main(["verify", str(tmp_path / "none")]) == 2

    out, err = capsys.readouterr()
    assert (out, err) == ("", f"fake-fine-tuning verify: {tmp_path / 'none'}: no such file or folder\n")


def test_folders_without_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without recordings ends with exit code 2."""
    (tmp_path / "other.json").write_text("{}")

    assert main(["verify", str(tmp_path)]) == 2
    assert "other.json: not a recording" in capsys.readouterr().err


def test_strict(tmp_path: Path) -> None:
    """With --strict an answer that is not exact fails, and one that cannot be compared does not."""
    exchanges = session()
    path = write(tmp_path, "vcr.yaml", exchanges)
    assert main(["verify", "--strict", str(path)]) == 0

    jobs = next(each for each in exchanges if each.path == "/v1/fine_tuning/jobs" and each.method == "GET")
    other = replace(jobs, answer=jobs.answer.replace(b'"trained_tokens": ', b'"trained_tokens": 1'))
    path = write(tmp_path, "vcr.yaml", [other])
    assert [main(["verify", *flag, str(path)]) for flag in ([], ["--strict"])] == [0, 1]


def test_accounts_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recording with impossible times is refused by name."""
    late = session()[0]
    odd = late.answer.replace(b'"created_at": 17', b'"created_at": 99999999999917')

    assert main(["verify", str(write(tmp_path, "vcr.yaml", [Exchange(*request_parts(late), odd)]))]) == 2
    assert "unreadable: the fake has no account for this recording: start must be" in capsys.readouterr().out


def request_parts(exchange: Exchange) -> tuple[str, str, bytes, str, int, list[tuple[str, str]]]:
    """All parts of an exchange but its response."""
    return exchange.method, exchange.path, exchange.body, exchange.kind, exchange.status, exchange.headers


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a path the exit code is 2, and help explains the exit codes."""
    assert main(["verify"]) == 2
    assert main(["verify", "-h"]) == 0
    assert "Exit codes: 0 nothing differs" in capsys.readouterr().out


def test_output_can_go_anywhere(tmp_path: Path) -> None:
    """The output can go to any stream."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["verify", str(write(tmp_path, "proxy.json", [MODEL]))]) == 1

    assert out.getvalue().endswith("verified: 0 exact, 0 same shape, 1 differ, 0 not applicable\n")
