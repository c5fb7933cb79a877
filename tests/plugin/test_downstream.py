"""The tests of a downstream project pass with any client and the fixture alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from downstream_project import project, run, run_by_file

pytestmark = pytest.mark.slow

CLIENT = '''
"""What somebody has written to fine-tune models."""
import json, os, subprocess, sys
import httpx, httpx2, openai, requests
from fine_tuning_client import FineTuning

OVER = ("succeeded", "failed", "cancelled")
ROWS = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\\n' * 10


def with_openai():
    client = openai.OpenAI()
    file = client.files.create(file=("train.jsonl", ROWS), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(training_file=file.id, model="gpt-4o-mini")
    while job.status not in OVER:
        job = client.fine_tuning.jobs.retrieve(job.id)
    return job.status, job.fine_tuned_model


def with_ours():
    job = FineTuning.create_job(FineTuning.upload_file(ROWS).id, "gpt-4o-mini")
    job = FineTuning.wait_for_job(job.id)
    return job.status, job.fine_tuned_model


def with_http(library):
    url = os.environ["OPENAI_BASE_URL"]
    headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    form = {"files": {"file": ("train.jsonl", ROWS)}, "data": {"purpose": "fine-tune"}}
    file = library.post(url + "/files", headers=headers, **form).json()
    body = {"training_file": file["id"], "model": "gpt-4o-mini"}
    job = library.post(url + "/fine_tuning/jobs", headers=headers, json=body).json()
    while job["status"] not in OVER:
        job = library.get(url + "/fine_tuning/jobs/" + job["id"], headers=headers).json()
    return job["status"], job["fine_tuned_model"]


NODE = """
const url = process.env.OPENAI_BASE_URL, headers = {Authorization: "Bearer " + process.env.OPENAI_API_KEY};
const form = new FormData();
form.append("purpose", "fine-tune");
form.append("file", new Blob([process.argv[1]]), "train.jsonl");
const ask = async (path, options) => (await fetch(url + path, {headers, ...options})).json();
(async () => {
  const file = await ask("/files", {method: "POST", body: form});
  const body = JSON.stringify({training_file: file.id, model: "gpt-4o-mini"});
  const json = {...headers, "Content-Type": "application/json"};
  let job = await ask("/fine_tuning/jobs", {method: "POST", headers: json, body});
  while (!["succeeded", "failed", "cancelled"].includes(job.status)) job = await ask("/fine_tuning/jobs/" + job.id);
  console.log(JSON.stringify([job.status, job.fine_tuned_model]));
})();
"""


def with_node():
    done = subprocess.run(["node", "-e", NODE, ROWS.decode()], capture_output=True, text=True, check=True)
    return tuple(json.loads(done.stdout))
'''
TESTS = """
import httpx, httpx2, openai, pytest, requests
import client

def trained(outcome, fake):
    status, model = outcome
    assert (status, model) == ("succeeded", fake.jobs[0]["fine_tuned_model"])
    fake.assert_job_created(model="gpt-4o-mini", times=1).assert_no_findings()

def test_openai(fake_fine_tuning):
    assert openai.__version__.startswith("OPENAI.")
    trained(client.with_openai(), fake_fine_tuning)

def test_ours(fake_fine_tuning):
    trained(client.with_ours(), fake_fine_tuning)

@pytest.mark.parametrize("library", [httpx, httpx2, requests])
def test_http(fake_fine_tuning, library):
    trained(client.with_http(library), fake_fine_tuning)

def test_a_failure(fake_fine_tuning):
    fake_fine_tuning.plan = {"outcome": "failed"}
    assert client.with_openai() == ("failed", None)

def test_by_script(fake_fine_tuning):
    fake_fine_tuning(["queued", "cancelled"])
    fake_fine_tuning({"upload_file": [None], "create_job": ["queued"], "retrieve_job": ["cancelled"]})
    assert client.with_http(httpx) == ("cancelled", None)
"""
NODE = """
from test_project import client, trained

def test_node(fake_fine_tuning):
    trained(client.with_node(), fake_fine_tuning)
"""


HAS_NODE = shutil.which("node") is not None


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """Test counts by file, from a run with openai 3, and with node if it is installed."""
    files = {"test_node": NODE} if HAS_NODE else {}
    folder = tmp_path_factory.mktemp("downstream")
    return run_by_file(project(folder, TESTS.replace("OPENAI", "3"), client=CLIENT, **files))


def test_every_client_meets_the_fake(counts: dict[str, dict[str, int]]) -> None:
    """Tests with openai 3, our client, httpx, httpx2 and requests pass."""
    assert counts["test_project"] == {"passed": 7}


@pytest.mark.skipif(not HAS_NODE, reason="there is no node on this machine")
def test_another_language_meets_the_fake(counts: dict[str, dict[str, int]]) -> None:
    """A test whose code runs a Node program passes, since the environment has the fake's address."""
    assert counts["test_node"] == {"passed": 1}


def test_every_client_beside_openai_2_meets_the_fake(tmp_path: Path) -> None:
    """Tests with openai 2, our client, httpx, httpx2 and requests pass."""
    folder = project(tmp_path, TESTS.replace("OPENAI", "2"), client=CLIENT)
    assert run(folder, beside=["openai-2.54.0"]) == {"passed": 7}
