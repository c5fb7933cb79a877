"""The recordings of the real service, and their exchanges as test parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fine_tuning_fakeserver.verify.readers import find_files, read_recording
from fine_tuning_fakeserver.verify.recording import RecordedExchange as RecordedExchange

DOTNET = Path(__file__).parents[2].parent / "shared" / "recordings" / "openai-dotnet"
ABSENT = f"the recordings of the real service are not here: {DOTNET} is no folder"


def exchanges(*folders: str) -> list[Any]:
    """All exchanges of these folders as test parameters, or an empty list without recordings."""
    return [
        pytest.param(exchange, id=f"{folder}/{path.stem}[{exchange.number}] {exchange.method} {exchange.path}")
        for folder in folders
        if (DOTNET / folder).is_dir()
        for path, _ in find_files([DOTNET / folder])
        for exchange in read_recording(path).exchanges
    ]
