"""A move rehearsed: tests run once a dialect, and the summary says what broke where."""

from __future__ import annotations

import httpx  # noqa: F401  # here, so that runs inside of this one do not import it anew each time
import pytest

from downstream_project import WITHOUT_OURS

SUITE = """
import httpx
import pytest

ROWS = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n' * 10

def start(fake):
    client = httpx.Client(base_url=fake.base_url, headers={"Authorization": "Bearer k", "api-key": "k"})
    data = {"purpose": "fine-tune"}
    file = client.post("/files", data=data, files={"file": ("a.jsonl", ROWS)}).json()["id"]
    return client.post("/fine_tuning/jobs", json={"model": "gpt-4o-mini-2024-07-18", "training_file": file})

def test_moves(fake_fine_tuning):
    assert start(fake_fine_tuning).json()["id"].startswith("ftjob-")

def test_assumes(fake_fine_tuning):
    answer = start(fake_fine_tuning)
    assert answer.status_code == 200
    assert answer.json()["status"] == "validating_files"

@pytest.mark.parametrize("suffix", ["a", "b"])
@pytest.mark.fake_fine_tuning
def test_parametrized(suffix):
    pass

@pytest.mark.fake_fine_tuning(dialect="openai-spec")
def test_marked(fake_fine_tuning):
    assert fake_fine_tuning.settings.dialect == "openai-spec"

def test_named(fake_fine_tuning):
    assert fake_fine_tuning.settings.dialect in ("openai-2025-09", "azure-2025")

def test_other():
    pass
"""
FLAG = "--fine-tuning-dialects=openai-2025-09,azure-2025"


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A suite written for OpenAI."""
    pytester.makepyfile(test_suite=SUITE)
    return pytester


def test_each_test_runs_once_a_dialect(suite: pytest.Pytester) -> None:
    """The table has a row a test and a column a dialect, fixed tests say why, and a failure says which words differ."""
    result = suite.runpytest_inprocess(*WITHOUT_OURS, FLAG)

    result.assert_outcomes(passed=10, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*= fine-tuning dialects =*",
            "test  *openai-2025-09  azure-2025",
            "test_suite.py::test_moves  *passed          passed",
            "test_suite.py::test_assumes  *passed          failed",
            "test_suite.py::test_parametrized[[]a]  *passed          passed",
            "test_suite.py::test_marked  *fixed: its mark names a dialect",
            "test_suite.py::test_named  *fixed: its code names openai-2025-09",
            "test_suite.py::test_assumes [[]azure-2025]: *201 == 200*",
            "  assumption that broke*openai-2025-09*azure-2025",
            "  create_job, upload_file: 201, not 200*200*201",
            "  create_job: status is 'pending', not 'validating_files'*validating_files*pending*",
            "  create_job: finished_at is absent, not null*null*(absent)",
            "  and * more",
        ]
    )


ONE_ASSUMPTION_EACH = (
    SUITE.partition("def test_moves")[0]
    + """
def job(fake):
    client = httpx.Client(base_url=fake.base_url, headers={"Authorization": "Bearer k", "api-key": "k"})
    job = start(fake).json()
    while job["status"] not in ("succeeded", "failed"):
        job = client.get(f"/fine_tuning/jobs/{job['id']}").json()
    return client, job

def test_name(fake_fine_tuning):
    client, made = job(fake_fine_tuning)
    assert made["fine_tuned_model"].split(":")[0] == "ft"

def test_events(fake_fine_tuning):
    client, made = job(fake_fine_tuning)
    events = client.get(f"/fine_tuning/jobs/{made['id']}/events", params={"limit": 100}).json()["data"]
    assert "The job has successfully completed" in [event["message"] for event in events]

def test_result(fake_fine_tuning):
    client, made = job(fake_fine_tuning)
    content = client.get(f"/files/{made['result_files'][0]}/content").text
    assert content.endswith("=")

def test_old_model(fake_fine_tuning):
    client, made = job(fake_fine_tuning)
    body = {"model": "gpt-3.5-turbo", "training_file": made["training_file"]}
    assert client.post("/fine_tuning/jobs", json=body).is_success

def test_order(fake_fine_tuning):
    assert list(start(fake_fine_tuning).json())[0] == "object"
"""
)


def test_the_assumption_that_broke_is_the_first(pytester: pytest.Pytester) -> None:
    """What is listed first below a failure is not what the test has assumed: a name, a text, a form, a model."""
    pytester.makepyfile(test_suite=ONE_ASSUMPTION_EACH)
    result = pytester.runpytest_inprocess(*WITHOUT_OURS, FLAG, "--tb=no")
    result.assert_outcomes(passed=5, failed=5)
    lines = result.stdout.str().splitlines()
    first = {
        line.partition("::")[2].partition(" ")[0]: lines[number + 2].strip().partition("  ")[0]
        for number, line in enumerate(lines)
        if " [azure-2025]: " in line
    }
    assert first == {
        "test_name": "retrieve_job: fine_tuned_model begins without ft:",
        "test_events": "list_job_events: data[].message is 'Training tokens billed: 1000', "
        "not 'The job has successfully comple…'",
        "test_result": "download_file: content is 'plain', not 'base64'",
        "test_old_model": "create_job: 400, not 200",
        "test_order": "create_job, upload_file: has its members in another order",
    }


ALIKE = (
    SUITE.partition("def test_moves")[0]
    + """
@pytest.mark.parametrize("number", range(10))
def test_ready(fake_fine_tuning, number):
    client = httpx.Client(base_url=fake_fine_tuning.base_url, headers={"Authorization": "Bearer k", "api-key": "k"})
    file = client.post("/files", data={"purpose": "fine-tune"}, files={"file": ("a.jsonl", ROWS)}).json()
    assert file["status"] == "processed"

def test_wrong(fake_fine_tuning):
    assert start(fake_fine_tuning).json()["status"] == "succeeded"
"""
)


def test_what_broke_alike_is_told_once(pytester: pytest.Pytester) -> None:
    """Tests that broke by the same share one list, and one that passed nowhere is told once, after them."""
    pytester.makepyfile(test_suite=ALIKE)
    result = pytester.runpytest_inprocess(*WITHOUT_OURS, FLAG, "--tb=no")

    result.assert_outcomes(passed=10, failed=12)
    summary = result.stdout.str().partition("= fine-tuning dialects =")[2].partition("= short test summary")[0]
    blocks = [block.splitlines() for block in summary.strip("= \n").split("\n\n")[1:]]
    assert [block[0] for block in blocks] == [
        "10 tests [azure-2025]: AssertionError: assert 'pending' == 'processed'",
        "test_suite.py::test_wrong [openai-2025-09, azure-2025]: "
        "AssertionError: assert 'validating_files' == 'succeeded'",
    ]
    assert blocks[0][1:11] == [
        *(f"  in test_suite.py::test_ready[{number}]" for number in range(8)),
        "  and 2 more",
        blocks[0][10],
    ]
    assert blocks[0][11].startswith("  upload_file: status is 'pending', not 'processed'")
    assert blocks[1][1] == "  it passed in no dialect, so that there is nothing to compare with"


def test_ids_are_as_ever_without_the_flag(suite: pytest.Pytester) -> None:
    """Only the flag puts dialects into the ids of tests, and then not into those of fixed ones."""
    plain = suite.runpytest_inprocess(*WITHOUT_OURS, "--collect-only", "-q")
    flagged = suite.runpytest_inprocess(*WITHOUT_OURS, "--collect-only", "-q", FLAG)

    assert "azure" not in plain.stdout.str()
    assert flagged.stdout.str().count("azure-2025") == 4


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--fine-tuning-dialects=azur"], "*must name some of openai-2025-09*got 'azur'*"),
        ([FLAG, "--fine-tuning-explore"], "*must be given one at a time, got both*"),
    ],
)
def test_wrong_flags(suite: pytest.Pytester, flags: list[str], text: str) -> None:
    """A dialect that nobody knows, and exploring at the same time, are usage errors."""
    result = suite.runpytest_inprocess(*WITHOUT_OURS, *flags)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([text])
