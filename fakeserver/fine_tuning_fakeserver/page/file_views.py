"""The views of files: the list, and one with its rows and what the checker says of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from fine_tuning_formats.job_rules import auto_epochs
from fine_tuning_formats.row_rules import CHAT, COMPLETION, PREFERENCE, UNKNOWN, count_row_tokens
from fine_tuning_formats.text import show_value
from fine_tuning_formats.training_file import MAX_LINE_BYTES, NotJsonlError, RowFault, TrainingFileScan, job_problems

from ..account.account import Account, result_created_at
from ..account.indexes import RESULTS, UnknownCursorError
from ..account.records import StoredFile
from ..api import files
from ..usage_errors import FakeUsageError
from ..web.request import ApiRequest
from ..web.response import ApiResponse
from .job_views import SEARCHED_AT_MOST
from .queries import PAGE_AT_MOST, parse_query, whole_number

LISTED = 50
ROWS_LISTED = 50
ROWS_SHOWN_AT_MOST = 1000
"""Of a longer file so many rows are shown: what comes first is what one looks at, and a look must not read it all."""
BYTES_READ_AT_MOST = 4 * 1024 * 1024
ROW_CHARACTERS_AT_MOST = 2000
METHOD_OF_FORMAT = {CHAT: "supervised", COMPLETION: "supervised", PREFERENCE: "dpo"}


def list_files(request: ApiRequest) -> Any:
    """Return files, newest first."""
    query = parse_query(request, "after", "limit")
    limit = whole_number(query, "limit", LISTED, PAGE_AT_MOST) or 1
    account = request.service.account
    try:
        page, has_more = account.file_shelf.page(query.get("after"), limit)
    except UnknownCursorError:
        raise FakeUsageError(f"after must be the id of a file, got {show_value(query['after'])}") from None
    rows = [_row(account, identifier) for identifier in page]
    return {"files": rows, "total": len(account.file_shelf), "next": page[-1] if has_more else None}


def _row(account: Account, identifier: str) -> dict[str, Any]:
    """Return a file; the size of a result file is left out, since it is known only once the file is written."""
    if job := account.file_shelf.job_of(identifier):
        created = result_created_at(account.jobs[job])
        name = account.dialect.result_name
        return {
            "id": identifier,
            "filename": name,
            "purpose": RESULTS,
            "bytes": None,
            "created_at": created,
            "job": job,
        }
    file = account.files[identifier]
    data = file.dataset
    return {
        "id": file.id,
        "filename": file.filename,
        "purpose": file.purpose,
        "bytes": file.content.size,
        "created_at": file.created_at,
        "job": None,
        "examples": data and data.examples,
        "tokens": data and data.tokens,
        "format": data and data.format,
        "problem": _problem(file),
    }


def _problem(file: StoredFile) -> str | None:
    """Return what would fail a job that trains on the file by the method that its format is of; None if nothing."""
    data = file.dataset
    if data is None:
        return None
    fault = data.faults.get(data.format)
    problems = job_problems(
        method=METHOD_OF_FORMAT.get(data.format, "supervised"),
        format=data.format,
        faults=[RowFault(fault)] if fault else [],
        examples=data.examples,
        file_name=file.id,
    )
    first = next(problems, None)
    return first and first.message


def get_file(request: ApiRequest) -> Any:
    """Return one file with some of its rows, each with its tokens and what is wrong with it."""
    query = parse_query(request, "from")
    account = request.service.account
    identifier = request.path["file_id"]
    _require(account, identifier)
    shown = _row(account, identifier)
    file = account.files.get(identifier)
    jobs = _jobs_with(account, identifier)
    if file is None:
        return {**shown, "jobs": jobs, "rows": [], "next": None, "is_dropped": False}
    first = whole_number(query, "from", 1, ROWS_SHOWN_AT_MOST) or 1
    rows, has_more = _rows(file, first) if not file.content.is_dropped else ([], False)
    return {
        **shown,
        "jobs": jobs,
        "epochs": auto_epochs(file.dataset.examples) if file.dataset else None,
        "rows": rows,
        "next": first + len(rows) if has_more else None,
        "is_dropped": file.content.is_dropped,
    }


def _jobs_with(account: Account, identifier: str) -> list[str]:
    """Return those of the newest jobs that train on a file, or validate by it."""
    newest, _ = account.job_shelf.page(None, SEARCHED_AT_MOST)
    jobs = (account.jobs[each] for each in newest)
    return [job.id for job in jobs if identifier in (job.training_file, job.validation_file)]


def _require(account: Account, identifier: str) -> None:
    if identifier not in account.files and not account.file_shelf.job_of(identifier):
        raise FakeUsageError(f"there is no file {show_value(identifier)}")


def _rows(file: StoredFile, first: int) -> tuple[list[dict[str, Any]], bool]:
    """Return the lines from *first* on, and whether more are shown after them."""
    format = file.dataset.format if file.dataset else UNKNOWN
    checked = [CHAT if format == UNKNOWN else format] if file.dataset else []
    scan = TrainingFileScan(orjson.loads, formats=checked, is_first_only=False)
    rows: list[dict[str, Any]] = []
    read = 0
    for number, line in enumerate(file.content.lines(MAX_LINE_BYTES), start=1):
        if number > min(first + ROWS_LISTED - 1, ROWS_SHOWN_AT_MOST) or read > BYTES_READ_AT_MOST:
            return rows, number <= ROWS_SHOWN_AT_MOST and read <= BYTES_READ_AT_MOST
        read += len(line)
        faults = _check(scan, line) if checked else []
        if number >= first:
            text = line.decode(errors="replace")
            tokens = _tokens(format, line) if checked else None
            is_cut = len(text) > ROW_CHARACTERS_AT_MOST
            shown = text[:ROW_CHARACTERS_AT_MOST]
            rows.append({"line": number, "text": shown, "is_cut": is_cut, "tokens": tokens, "faults": faults})
    return rows, False


def _check(scan: TrainingFileScan, line: bytes) -> list[str]:
    """Return what is wrong with a line; the scan counts the examples that its texts name."""
    scan.faults.clear()
    try:
        scan.add_line(line)
    except NotJsonlError as error:
        return [str(error)]
    return [fault.text for faults in scan.faults.values() for fault in faults]


def _tokens(format: str, line: bytes) -> int | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return count_row_tokens(format, row) if isinstance(row, dict) else None


def write_result_ahead(request: ApiRequest) -> Callable[[], object] | None:
    """Return what writes a long result file without the account's lock."""
    return files.content_ahead(request.service, request.path["file_id"])


def download(request: ApiRequest) -> ApiResponse:
    """Return the plain bytes of a file, whatever its purpose."""
    account, identifier = request.service.account, request.path["file_id"]
    _require(account, identifier)
    if job := account.file_shelf.job_of(identifier):
        data = files.result_bytes(account.jobs[job].current_spec)
        return ApiResponse(200, [(b"content-type", b"text/csv; charset=utf-8"), _length(len(data))], data)
    content = account.files[identifier].content
    chunks = content.chunks()
    if content.is_dropped:
        next(chunks)  # an error is to be the answer, not to come in the middle of it
    return ApiResponse(200, [(b"content-type", b"application/octet-stream"), _length(content.size)], chunks)


def _length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size
