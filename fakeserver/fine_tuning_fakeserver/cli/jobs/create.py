"""`jobs create`: look into the files, upload them, start a job, and watch it if asked to."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fine_tuning_client import (
    APIConnectionError,
    APIResponseError,
    FineTuningError,
    FineTuningJobResponse,
    InternalServerError,
    JobDisplay,
    UnsupportedOperationError,
    check_training_file,
)

from .arguments import KEY, check_limits, metadata_of
from .output import note
from .session import Session
from .watch import follow

ID = "file-"
TOO_FEW = "invalid_n_examples"
"""What is wrong with a training file of less than ten examples; to measure with, one will do."""

AS_GIVEN = ("suffix", "seed", "idempotency_key")
NUMBERS = ("n_epochs", "batch_size", "learning_rate_multiplier")
FILES = {"training_file": "FILE", "validation_file": "--validation-file"}
"""The files of a job, and the arguments that name them."""


def create(session: Session) -> int:
    """Start a job; with --follow the exit code is that of its end. What is wrong with an argument is found first."""
    given, options = session.given, _options(session.given)
    wanted = {"training_file": given.file, "validation_file": given.validation_file}
    files = {name: text for name, text in wanted.items() if text}
    at_hand = {name: path for name, text in files.items() if (path := _path(text))}
    if not given.no_check:
        check_limits(given)
        _check(given, at_hand)
    job = _found(session) or _started(session, at_hand, {**files, "model": given.model, **options})
    with _told(job.id):
        session.out.line(job.id, "bold")
        if given.follow:
            return follow(session, job.id)
    note(f"it is {job.status}; follow it with: {session.command('events', job.id, '--follow')}")
    return 0


def _found(session: Session) -> FineTuningJobResponse | None:
    """The job that was started with the key, if there is one: for it no file need be sent again.

    Raises:
        UnsupportedOperationError: the service lists jobs without regard to their metadata.
    """
    key = session.given.idempotency_key
    if key is None:
        return None
    for job in session.client.list_jobs(limit=1, metadata={KEY: key}):
        if not isinstance(job.metadata, Mapping) or job.metadata.get(KEY) != key:
            raise UnsupportedOperationError(
                "the service lists jobs whatever their metadata, so none can be found by --idempotency-key"
            )
        note(f"job {job.id} already exists ({job.status})")
        return job
    return None


def _started(session: Session, paths: Mapping[str, Path], fields: Mapping[str, Any]) -> FineTuningJobResponse:
    uploaded: dict[str, str] = {}
    with _kept(uploaded):
        for name, path in paths.items():
            uploaded[name] = _uploaded(session, path)
        return _created(session, {**fields, **uploaded})


@contextmanager
def _kept(uploaded: Mapping[str, str]) -> Iterator[None]:
    """Say which files are there already, where no job came of them."""
    try:
        yield
    except (KeyboardInterrupt, FineTuningError, OSError, ValueError):
        for name, file_id in uploaded.items():
            note(f"{file_id} is uploaded: pass it as {FILES[name]} next time")
        raise


@contextmanager
def _told(job_id: str) -> Iterator[None]:
    """Say on stderr which job it is, where stdout takes nothing: it is paid for."""
    try:
        yield
    except OSError:
        note(f"the job is {job_id}")
        raise


def _created(session: Session, fields: Mapping[str, Any]) -> FineTuningJobResponse:
    with _in_doubt(session.command("list")):
        return session.client.create_job(**fields)


@contextmanager
def _in_doubt(command: str) -> Iterator[None]:
    """Say so where an answer is missing but the job may be there: to start it twice is to pay twice."""
    try:
        yield
    except (KeyboardInterrupt, APIConnectionError, APIResponseError, InternalServerError):
        note(f"it is not known whether there is a job now; before you try again, look with: {command}")
        raise


def _path(text: str) -> Path | None:
    """The file at hand that is meant, or None for an id.

    Raises:
        ValueError: it is neither.
    """
    path = Path(text)
    if path.is_file():
        return path
    if path.exists():
        raise ValueError(f"{text} is no regular file")
    if not text.startswith(ID):
        raise ValueError(f"there is no file {text}: a path is wanted, or the id of an uploaded file ({ID}…)")
    return None


def _check(given: argparse.Namespace, paths: Mapping[str, Path]) -> None:
    """Look into the files before anything is sent and paid for.

    Raises:
        ValueError: the service would refuse one, or fail a job on it; why has been told then.
    """
    refused = [str(path) for name, path in paths.items() if not _is_good(given, name, path)]
    if refused:
        raise ValueError(f"nothing was sent because of {', '.join(refused)}; --no-check sends it all the same")


def _is_good(given: argparse.Namespace, name: str, path: Path) -> bool:
    method: Any = given.method or "supervised"
    report = check_training_file(path, method=method, model=given.model, n_epochs=given.n_epochs)
    is_trained_on = name == "training_file"
    if report.ok or (not is_trained_on and all(problem.code == TOO_FEW for problem in report.problems)):
        tokens = f", about {report.trained_tokens:,} trained tokens" if is_trained_on else ""
        note(f"checked {path}: {report.examples:,} example{'s' * (report.examples != 1)}{tokens}")
        return True
    for line in str(report).splitlines():
        note(line)
    return False


def _uploaded(session: Session, path: Path) -> str:
    with JobDisplay() as display:
        file = session.client.upload_file(path, on_progress=display.uploading)
    note(f"uploaded {path} as {file.id}")
    return file.id


def _options(given: argparse.Namespace) -> dict[str, Any]:
    metadata = metadata_of(given)
    if given.idempotency_key is not None and KEY in metadata:
        raise ValueError(f"{KEY!r} in --metadata is the client's own: give the key only as --idempotency-key")
    wanted = {name: getattr(given, name) for name in AS_GIVEN} | {"metadata": metadata or None}
    return {name: value for name, value in wanted.items() if value is not None} | _training(given)


def _training(given: argparse.Namespace) -> dict[str, Any]:
    """How to train: as every service takes it where no method is named, else as the method has it.

    Raises:
        ValueError: a grader is missing, or is no JSON object, or is of no use; or OSError.
    """
    if (given.method == "reinforcement") != bool(given.grader):
        raise ValueError("--grader FILE goes with --method reinforcement, and that with it")
    numbers = {name: value for name in NUMBERS if (value := getattr(given, name)) is not None}
    inner: dict[str, Any] = {"hyperparameters": numbers} if numbers else {}
    if given.method is None:
        return inner
    if given.grader:
        inner["grader"] = _grader(given.grader)
    return {"method": {"type": given.method} | ({given.method: inner} if inner else {})}


def _grader(path: Path) -> dict[str, Any]:
    try:
        grader = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:  # the latter where it is nested too deeply
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(grader, dict):
        raise ValueError(f"{path} is no grader: a JSON object is wanted")
    return grader
