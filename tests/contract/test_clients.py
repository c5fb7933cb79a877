"""Requests in the raw forms that clients in several languages send."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import pytest

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.web.in_process import call_app

from . import session
from .session import KEY, ROWS

pytestmark = pytest.mark.slow

NPM = Path(__file__).parents[2] / ".cache" / "npm"
PACKAGE = NPM / "node_modules" / "openai"
SESSION = Path(__file__).with_name("session.cjs")
SECONDS = 120

AUTHORIZED = {"authorization": f"Bearer {KEY}"}
BOUNDARY = "-----------RubyMultipartPost-d378277b5916682b36eb1b4be9f59e6c"
FORM = {**AUTHORIZED, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}

# curl and the SDKs: the purpose first, and a type for the file.
PLAIN_FORM = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--{BOUNDARY}\r\n'
    'Content-Disposition: form-data; name="file"; filename="train.jsonl"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode() + (ROWS + f"\r\n--{BOUNDARY}--\r\n".encode())

# Ruby's multipart-post: the file first, with a length, an empty type, and a transfer encoding.
RUBY_FORM = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="local.path"\r\n'
    f"Content-Length: {len(ROWS)}\r\nContent-Type: \r\nContent-Transfer-Encoding: binary\r\n\r\n"
).encode() + (
    ROWS
    + f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n'.encode()
    + f"fine-tune\r\n--{BOUNDARY}--\r\n".encode()
)


@pytest.fixture
def fake() -> FakeFineTuning:
    """A fake whose jobs finish at the first poll."""
    return FakeFineTuning(pace="instant")


@pytest.fixture
def training(fake: FakeFineTuning) -> str:
    """The id of a training file."""
    return str(fake.add_file(ROWS)["id"])


def send(fake: FakeFineTuning, method: str, target: str, body: Any = b"", headers: dict[str, str] = AUTHORIZED) -> Any:
    """Send a raw request that must succeed; return the parsed response."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    reply = call_app(fake.asgi_app, method, f"/v1{target}".encode(), pairs, raw)
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


def create(fake: FakeFineTuning, training: str, **body: Any) -> Any:
    """Create a job."""
    return send(fake, "POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": training, **body})


def finished(fake: FakeFineTuning, job: Any) -> Any:
    """Return the finished job."""
    return send(fake, "GET", f"/fine_tuning/jobs/{job['id']}")


def chunks(body: bytes, size: int = 100) -> Iterator[bytes]:
    """The body in chunks, without a known length."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


def test_uploads_may_come_in_chunks_without_a_length() -> None:
    """A form with chunked transfer encoding is stored whole."""
    with FakeFineTuning().serving() as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        connection.request("POST", "/v1/files", chunks(PLAIN_FORM), FORM, encode_chunked=True)
        answer = json.loads(connection.getresponse().read())
        connection.close()

    assert (len(ROWS), "train.jsonl") == (answer["bytes"], answer["filename"])


def test_uploads_may_wait_for_a_go_ahead() -> None:
    """A client that sends ``Expect: 100-continue``, as curl does, gets an interim 100 response."""
    head = "POST /v1/files HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\nconnection: close\r\n"
    head += f"content-length: {len(PLAIN_FORM)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in FORM.items()) + "\r\n"
    with FakeFineTuning().serving() as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(head.encode())
            interim = connection.recv(100)
            connection.sendall(PLAIN_FORM)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert interim.startswith(b"HTTP/1.1 100 ")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_forms_of_ruby(fake: FakeFineTuning) -> None:
    """A form with the file first, and with part headers for length, empty type and encoding, is accepted."""
    answer = send(fake, "POST", "/files", RUBY_FORM.replace(b"local.path", b"train.jsonl"), FORM)

    assert (len(ROWS), "train.jsonl", "fine-tune") == (answer["bytes"], answer["filename"], answer["purpose"])


def test_uploads_of_bytes_have_the_name_that_sdks_give_them(fake: FakeFineTuning) -> None:
    """Bytes uploaded without a name are stored as ``upload``, and can be trained on."""
    transport: Any = fake.transport(httpx2)
    http_client = httpx2.Client(transport=transport)
    with openai.OpenAI(base_url=session.IN_PROCESS, api_key=KEY, http_client=http_client) as client:
        file = client.files.create(file=ROWS, purpose="fine-tune")

    assert file.filename == "upload"
    assert finished(fake, create(fake, file.id))["status"] == "succeeded"


@pytest.mark.parametrize("colon", [":", "%3A", "%3a"])
def test_models_may_be_escaped_in_paths(fake: FakeFineTuning, training: str, colon: str) -> None:
    """The colons of a fine-tuned model's name may be escaped in a path or not."""
    model = finished(fake, create(fake, training, suffix="path"))["fine_tuned_model"]
    path = f"/models/{model.replace(':', colon)}"

    assert model == send(fake, "GET", path)["id"]
    assert model == send(fake, "DELETE", path)["id"]


@pytest.mark.parametrize("query", ["metadata%5Bk%5D=v", "metadata[k]=v", "metadata%5Bk%5D=v&metadata%5Bother%5D=x+y"])
def test_jobs_are_found_by_metadata(fake: FakeFineTuning, training: str, query: str) -> None:
    """The metadata filter lists only jobs that have every pair, with escaped brackets or not."""
    job = create(fake, training, metadata={"k": "v", "other": "x y"})
    create(fake, training, metadata={"k": "else"})
    create(fake, training)
    found = send(fake, "GET", f"/fine_tuning/jobs?{query}")

    assert [job["id"]] == [each["id"] for each in found["data"]]


def test_jobs_without_metadata_are_found(fake: FakeFineTuning, training: str) -> None:
    """The query ``metadata=null`` lists the jobs without metadata."""
    create(fake, training, metadata={"k": "v"})
    job = create(fake, training)
    found = send(fake, "GET", "/fine_tuning/jobs?metadata=null")

    assert [job["id"]] == [each["id"] for each in found["data"]]


@pytest.mark.parametrize("field", ["seed", "suffix", "metadata", "validation_file", "integrations", "hyperparameters"])
def test_null_is_as_good_as_nothing(fake: FakeFineTuning, training: str, field: str) -> None:
    """A null field of a new job equals a missing one."""
    fake.pace = "manual"
    plain, null = create(fake, training), create(fake, training, **{field: None})
    own = {"id": "", "seed": 0}  # these two are each job's own

    assert plain | own == null | own


def test_hyperparameters_may_be_empty(fake: FakeFineTuning, training: str) -> None:
    """Empty hyperparameters are all "auto"."""
    job = create(fake, training, hyperparameters={})

    assert set(job["hyperparameters"].values()) == {"auto"}
    assert finished(fake, job)["hyperparameters"]["n_epochs"] == 10


def test_content_may_be_a_list_of_parts(fake: FakeFineTuning) -> None:
    """A message whose content is a list of text parts can be trained on."""
    content = [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]
    row = {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": content}]}
    file = fake.add_file((json.dumps(row) + "\n") * 10)

    assert finished(fake, create(fake, file["id"]))["status"] == "succeeded"


def test_suffixes_may_have_dots(fake: FakeFineTuning, training: str) -> None:
    """A suffix with a dot is kept in the model's name, and the model can be retrieved."""
    model = finished(fake, create(fake, training, suffix="my.model-v1.0"))["fine_tuned_model"]

    assert ":my.model-v1.0:" in model
    assert model == send(fake, "GET", f"/models/{model}")["id"]


@pytest.mark.parametrize("body", [b"", b"{}", b"null"])
def test_verbs_of_a_job_take_any_body(training: str, fake: FakeFineTuning, body: bytes) -> None:
    """Cancel accepts no body or any body."""
    fake.pace = "manual"
    job = create(fake, training)

    assert send(fake, "POST", f"/fine_tuning/jobs/{job['id']}/cancel", body)["status"] == "cancelled"


def test_bodies_may_name_their_encoding(fake: FakeFineTuning, training: str) -> None:
    """A JSON body with a charset parameter and non-ASCII letters is accepted."""
    headers = {**AUTHORIZED, "content-type": "application/json; charset=utf-8"}
    body = json.dumps({"model": "gpt-4o-mini", "training_file": training, "metadata": {"k": "é"}}, ensure_ascii=False)

    assert send(fake, "POST", "/fine_tuning/jobs", body.encode(), headers)["metadata"] == {"k": "é"}


@pytest.fixture(scope="module")
def package() -> Path:
    """The folder of the Node package, installed at the first call and kept."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not here")
    if not (PACKAGE / "package.json").exists():
        NPM.mkdir(parents=True, exist_ok=True)
        quickly = ["--fetch-retries=0", "--fetch-timeout=20000", "--no-audit", "--no-fund", "--no-package-lock"]
        command = ["npm", "install", *quickly, "--prefix", str(NPM), "openai@7"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"the package openai for Node cannot be installed: {error}")
    return PACKAGE


def test_a_session_of_node(package: Path) -> None:
    """A whole session with the official Node package passes."""
    with FakeFineTuning(**session.SETTINGS).serving() as url:
        command = ["node", str(SESSION), str(package), url, KEY]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)

    assert (ended.returncode, ended.stderr) == (0, "")
