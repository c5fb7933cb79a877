"""Record and replay sessions of the fine-tuning API: your own, and those bundled with this package."""

from .cassette import Cassette, Mode, session, sessions, training_file
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
from .scrub import ScrubFunction, ScrubRule
from .use_cassette import OnExpiry, OnUnplayed, use_cassette
from .yaml_format import Metadata

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
    "Metadata",
    "Mode",
    "OnExpiry",
    "OnUnplayed",
    "ScrubFunction",
    "ScrubRule",
    "session",
    "sessions",
    "training_file",
    "use_cassette",
]
