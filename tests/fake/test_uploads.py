"""Files from upload to deletion: forms, names, contents on disk, and lists."""

from __future__ import annotations

import base64
import gc
import json
import os
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tuning_fakeserver import FakeFineTuning
from fine_tuning_fakeserver.account.blobs import CHUNK_BYTES, IN_MEMORY_AT_MOST, Blob, BlobWriter
from fine_tuning_fakeserver.web.upload_form import FormReader, UploadForm
from strategies import BORN, FORM, KEY, ROWS, Http, form, part_form


@pytest.fixture
def http() -> Http:
    """Raw requests to a fake."""
    return Http(FakeFineTuning(start=BORN))


def read(body: bytes, *cuts: int) -> list[tuple[str, str | None, bytes]]:
    """The parts of a form that arrives in pieces."""
    reader = FormReader(FORM[1].decode(), 1 << 30)
    places = [0, *sorted(cuts), len(body)]
    for start, end in pairwise(places):
        reader.feed(body[start:end])
    found: UploadForm = reader.finish()
    return [(part.name, part.filename, part.content.read()) for part in found.parts.values()]


TRICKY = b"\r\n--\r\n-B\r\n--B-\r\r\n\n--C\r\n"
BODY = form(TRICKY, "naïve.jsonl")


@pytest.mark.parametrize("cut", range(len(BODY)))
def test_a_form_cut_in_two(cut: int) -> None:
    """A form that arrives in two pieces is parsed the same, wherever it is cut."""
    assert read(BODY, cut) == [("purpose", None, b"fine-tune"), ("file", "naïve.jsonl", TRICKY)]


@given(st.lists(st.sampled_from([TRICKY, b"\r\n--B", b"\r\n", b"x"]) | st.binary(max_size=30)), st.data())
def test_a_form_in_pieces(contents: list[bytes], data: st.DataObject) -> None:
    """A form with any content that arrives in any pieces is parsed the same."""
    content = b"".join(contents).replace(b"\r\n--B", b"\r\n--C")
    body = form(content)
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=20))

    assert read(body, *cuts) == [("purpose", None, b"fine-tune"), ("file", "train.jsonl", content)]


@pytest.mark.parametrize(
    "preamble", [b"\r\n", b"\n", b"This is a form.\r\n", b"--A\r\n\r\n--C\r\n", b"x" * 9000 + b"\n"]
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_form_after_a_preamble(preamble: bytes, size: int) -> None:
    """A preamble before the first boundary is ignored."""
    body = preamble + BODY

    assert read(body, *range(size, len(body), size)) == read(BODY)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename="train.jsonl"', "train.jsonl"),
        ("filename=train.jsonl", "train.jsonl"),
        ('filename="a b;c=d.jsonl"', "a b;c=d.jsonl"),
        ('filename="данные 数据.jsonl"', "данные 数据.jsonl"),
        (r'filename="say \"hi\".jsonl"', 'say "hi".jsonl'),
        ('filename="say %22hi%22.jsonl"', "say %22hi%22.jsonl"),
        ("filename*=UTF-8''na%C3%AFve%20%E6%95%B0.jsonl", "naïve 数.jsonl"),
        ("filename*=iso-8859-1'en'na%EFve.jsonl", "naïve.jsonl"),
        ("filename=\"plain.jsonl\"; filename*=utf-8''extended%20one.jsonl", "extended one.jsonl"),
        ("filename*=utf-8''first.jsonl; filename=\"plain.jsonl\"", "first.jsonl"),
        ("filename*=koi8-r''a.jsonl", "upload"),
        ('filename=""', "upload"),
        ('filename="../../etc/train.jsonl"', "../../etc/train.jsonl"),
    ],
)
def test_names_of_files(http: Http, disposition: str, name: str) -> None:
    """A file has its name in whichever way clients write it, or else "upload"."""
    body = form(ROWS.encode()).replace(b'filename="train.jsonl"', disposition.encode())

    reply = http.send("POST", "/files", body, (KEY, FORM))

    assert (reply.status, json.loads(reply.body)["filename"]) == (200, name)


def test_a_file_part_without_a_name_of_its_own(http: Http) -> None:
    """A file sent as a plain form field has the name "upload"."""
    body = form(ROWS.encode()).replace(b'; filename="train.jsonl"', b"")

    assert json.loads(http.send("POST", "/files", body, (KEY, FORM)).body)["filename"] == "upload"


@pytest.mark.parametrize(("field", "path"), [("file", "/files"), ("data", "/uploads/{}/parts")])
def test_a_file_without_a_name_may_be_large(http: Http, field: str, path: str) -> None:
    """A file or part without a name may be as large as one with a name, and is not kept in the log."""
    size = 100_000
    upload = {"filename": "a", "purpose": "batch", "bytes": size, "mime_type": "text/plain"}
    target = path.format(http.json("POST", "/uploads", upload)["id"])
    whole = form(b"x" * size, purpose="batch") if field == "file" else part_form(b"x" * size)
    body = re.sub(rb'; filename="[^"]*"', b"", whole, count=1)

    assert http.send("POST", target, body, (KEY, FORM)).status == 200
    assert http.fake.requests[-1].form == {"bytes": size, **({"purpose": "batch"} if field == "file" else {})}


def test_a_name_breaks_no_header(http: Http) -> None:
    """A name with line ends, quotes or other scripts is printable ASCII in content-disposition."""
    body = form(b"x", purpose="batch").replace(
        b'filename="train.jsonl"', b"filename*=utf-8''a%0D%0AX-Evil:%201%22%C3%AF.jsonl"
    )
    identifier = json.loads(http.send("POST", "/files", body, (KEY, FORM)).body)["id"]

    headers = dict(http.send("GET", f"/files/{identifier}/content").headers)

    assert headers[b"content-disposition"] == b'attachment; filename="a??X-Evil: 1\'?.jsonl"'


def test_of_two_parts_with_one_name_the_last_counts(http: Http) -> None:
    """Of two form fields with the same name the last counts."""
    body = form(b"", purpose="nonsense").split(b"--B\r\n")[1]

    reply = http.send("POST", "/files", b"--B\r\n" + body + form(ROWS.encode()), (KEY, FORM))

    assert json.loads(reply.body)["purpose"] == "fine-tune"


@given(st.lists(st.integers(0, 700_000), max_size=8))
def test_content_reads_as_it_was_written(sizes: list[int]) -> None:
    """A content is read as it was written, in memory or on disk, any number of times."""
    writer = BlobWriter()
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    for piece in pieces:
        writer.write(piece)

    content = writer.seal()

    assert content.size == sum(sizes)
    assert content.read() == content.read() == b"".join(pieces)
    assert max(map(len, content.chunks()), default=0) <= CHUNK_BYTES


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line)), st.booleans())
def test_lines_are_what_is_between_line_feeds(lines: list[bytes], ended: bool) -> None:
    """The lines of a content are split at line feeds, without an empty last line."""
    data = b"\n".join(lines) + b"\n" * ended

    found = list(Blob.of(data).lines(at_most=100))

    expected = data.split(b"\n")
    assert found == (expected if expected[-1] else expected[:-1])


def test_a_large_file_is_on_disk_and_comes_back_whole(http: Http) -> None:
    """A content over the threshold is on disk, and is downloaded unchanged."""
    rows = (ROWS * (2 * IN_MEMORY_AT_MOST // len(ROWS))).encode()
    identifier = http.file(rows)

    content = http.fake._world.service.account.files[identifier].content

    assert content._descriptor is not None
    assert content._bytes == b""
    assert http.send("GET", f"/files/{identifier}/content").body == rows


def test_a_dropped_account_closes_its_files() -> None:
    """Dropping an account or refusing an upload closes the descriptors of its files."""
    http = Http(FakeFineTuning(start=BORN))
    rows = (ROWS * (2 * IN_MEMORY_AT_MOST // len(ROWS))).encode()
    descriptor: Any = http.fake._world.service.account.files[http.file(rows)].content._descriptor
    os.fstat(descriptor)
    before = _open_files()

    assert http.upload(rows + b"[]").status == 400
    assert _open_files() <= before
    http.fake.reset()
    gc.collect()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def _open_files() -> set[int]:
    gc.collect()
    found = set()
    for number in range(256):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.add(number)
    return found


def test_a_file_on_the_wire(http: Http) -> None:
    """An uploaded file has the service's members, and is retrieved unchanged."""
    file = json.loads(http.upload().body)

    assert list(file.items()) == [
        ("object", "file"),
        ("id", file["id"]),
        ("purpose", "fine-tune"),
        ("filename", "train.jsonl"),
        ("bytes", len(ROWS)),
        ("created_at", int(BORN)),
        ("expires_at", None),
        ("status", "processed"),
        ("status_details", None),
    ]
    assert http.json("GET", f"/files/{file['id']}") == file


@pytest.mark.parametrize(
    ("purpose", "status"),
    [("fine-tune", 200), ("batch", 200), ("vision", 200), ("evals", 200), ("assistants", 400), ("user_data", 400)],
)
def test_what_may_be_downloaded(http: Http, purpose: str, status: int) -> None:
    """A file can be downloaded if its purpose allows it."""
    identifier = json.loads(http.upload(ROWS, purpose=purpose).body)["id"]

    reply = http.send("GET", f"/files/{identifier}/content")

    assert reply.status == status
    refusal = f"Not allowed to download files of purpose: {purpose}"
    assert reply.body == ROWS.encode() if status == 200 else json.loads(reply.body)["error"]["message"] == refusal


def test_only_fine_tune_files_are_read(http: Http) -> None:
    """Content that is not JSONL is accepted for every purpose but fine-tuning."""
    found = [http.upload(b"\x00\xff", "a.bin", purpose).status for purpose in ("batch", "vision", "evals", "user_data")]

    assert found == [200] * 4


def test_lists_of_files(http: Http) -> None:
    """Files are listed in either order, by purpose, and in pages."""
    made = [json.loads(http.upload(purpose=purpose).body)["id"] for purpose in ("fine-tune", "batch") * 3]

    def ids(query: str = "") -> list[str]:
        page = http.json("GET", f"/files{query}")
        found = [file["id"] for file in page["data"]]
        assert (page["first_id"], page["last_id"]) == ((found[0], found[-1]) if found else (None, None))
        return found

    assert ids() == ids("?order=desc") == made[::-1]
    assert ids("?order=asc") == made
    assert ids("?purpose=batch") == made[::-2]
    assert ids("?purpose=batch&order=asc&limit=2") == made[1:4:2]
    assert ids("?purpose=vision") == []
    assert ids(f"?after={made[2]}") == made[1::-1]
    assert ids(f"?after={made[2]}&order=asc&limit=1") == made[3:4]
    assert ids(f"?after={made[0]}") == []


@given(st.integers(0, 12), st.integers(1, 5), st.booleans())
def test_pages_of_files_meet(count: int, limit: int, oldest_first: bool) -> None:
    """Pages of any length contain each file once and in order, and only the last has no more."""
    http = Http(FakeFineTuning(start=BORN))
    made = [http.file() for _ in range(count)]
    found: list[str] = []
    more, after = True, ""
    while more:
        page = http.json("GET", f"/files?limit={limit}&order={'asc' if oldest_first else 'desc'}{after}")
        found += [file["id"] for file in page["data"]]
        more, after = page["has_more"], f"&after={page['last_id']}"

    assert found == (made if oldest_first else made[::-1])


def test_a_deleted_file_is_gone(http: Http) -> None:
    """A deleted file is not listed, and every request for it gets 404."""
    kept, lost = http.file(), http.file()

    assert http.send("DELETE", f"/files/{lost}").body == (
        b'{\n  "object": "file",\n  "deleted": true,\n  "id": "' + lost.encode() + b'"\n}\n'
    )

    for method, rest in [("GET", ""), ("GET", "/content"), ("DELETE", "")]:
        error = http.json(method, f"/files/{lost}{rest}", status=404)["error"]
        assert (error["message"], error["param"]) == (f"No such File object: {lost}", "id")
    assert [file["id"] for file in http.json("GET", "/files")["data"]] == [kept]
    http.json("POST", "/fine_tuning/jobs", {"model": "gpt-4o-mini", "training_file": lost}, status=400)


@pytest.mark.parametrize("encoded", [True, False])
def test_the_result_file(encoded: bool) -> None:
    """A result file is base64 or plain as set, has the plain size, and can be deleted."""
    http = Http(FakeFineTuning(start=BORN, pace="instant", base64_results=encoded))
    job = http.job()
    [identifier] = http.json("GET", f"/fine_tuning/jobs/{job['id']}")["result_files"]

    file = http.json("GET", f"/files/{identifier}")
    body = http.send("GET", f"/files/{identifier}/content").body
    plain = base64.b64decode(body, validate=True) if encoded else body

    assert (file["purpose"], file["filename"]) == ("fine-tune-results", "step_metrics.csv")
    assert file["bytes"] == len(plain)
    assert plain.startswith(b"step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,")
    assert [each["id"] for each in http.json("GET", "/files?purpose=fine-tune-results")["data"]] == [identifier]
    http.json("DELETE", f"/files/{identifier}")
    http.json("GET", f"/files/{identifier}", status=404)
    assert http.json("GET", "/files?purpose=fine-tune-results")["data"] == []


def test_a_file_is_gone_when_its_time_has_come(http: Http) -> None:
    """A file with an expiry exists until that second, and then is neither found nor listed."""
    body = form(ROWS.encode())[: -len(b"--B--\r\n")]
    for name, value in (("anchor", b"created_at"), ("seconds", b"3600")):
        body += b'--B\r\nContent-Disposition: form-data; name="expires_after[%s]"\r\n\r\n%s\r\n' % (
            name.encode(),
            value,
        )
    file = json.loads(http.send("POST", "/files", body + b"--B--\r\n", (KEY, FORM)).body)

    http.fake.advance(3599)
    assert http.json("GET", f"/files/{file['id']}")["expires_at"] == file["created_at"] + 3600
    http.fake.advance(1)
    http.json("GET", f"/files/{file['id']}", status=404)
    assert http.json("GET", "/files")["data"] == []


@pytest.mark.parametrize(
    ("dialect", "purpose", "kept_s"),
    [
        ("openai-2025-09", "batch", 2_592_000),
        ("openai-spec", "batch", 2_592_000),
        ("openai-2025-09", "assistants", None),
        ("openai-2024-10", "batch", None),
        ("azure-2025", "batch", None),
    ],
)
def test_files_for_batches_end_by_themselves(dialect: str, purpose: str, kept_s: int | None) -> None:
    """A batch file expires after thirty days, uploaded at once or in parts; others, and older dialects', do not."""
    http = Http(FakeFineTuning(start=BORN, pace="manual", dialect=dialect), is_described=False)
    file = json.loads(http.upload(purpose=purpose).body)
    told = {"filename": "a", "purpose": purpose, "bytes": 1, "mime_type": "text/plain"}
    upload = json.loads(http.send("POST", "/uploads", told).body)["id"]
    part = json.loads(http.send("POST", f"/uploads/{upload}/parts", part_form(b"x"), (KEY, FORM)).body)
    in_parts = http.json("POST", f"/uploads/{upload}/complete", {"part_ids": [part["id"]]})["file"]

    for made in (file, in_parts):
        assert made.get("expires_at") == (kept_s and made["created_at"] + kept_s)
    http.fake.advance(2_592_000)
    assert len(http.json("GET", "/files")["data"]) == (0 if kept_s else 2)
