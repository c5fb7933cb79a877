"""Sessions of fine-tuning, recorded and replayed: your own, and a library of them."""

from .cassette import Cassette, Mode
from .errors import (
    CassetteError,
    CassetteExpiredError,
    CassetteFileError,
    CassetteLeakError,
    CassetteMissError,
    CassetteStuckError,
    CassetteUnusedError,
    CassetteWarning,
)
from .library import session, sessions, training_file
from .storing import Header
from .using import OnExpiry, OnUnplayed, use_cassette

__all__ = [
    "Cassette",
    "CassetteError",
    "CassetteExpiredError",
    "CassetteFileError",
    "CassetteLeakError",
    "CassetteMissError",
    "CassetteStuckError",
    "CassetteUnusedError",
    "CassetteWarning",
    "Header",
    "Mode",
    "OnExpiry",
    "OnUnplayed",
    "session",
    "sessions",
    "training_file",
    "use_cassette",
]
