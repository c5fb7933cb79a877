"""What goes wrong with cassettes.

CassetteError
├─ CassetteFileError     a file that cannot be read or written, or is no cassette
├─ CassetteExpiredError  a recording older than it may be
├─ CassetteMissError     a request that is not in the cassette
│  └─ CassetteStuckError   the same is asked for again and again, and the recording goes no further
├─ CassetteUnusedError   a recording that nobody asked for
└─ CassetteLeakError     a secret was about to be written
"""

from __future__ import annotations


class CassetteError(Exception):
    """Something is wrong with a cassette; the message names the file, and what would be right."""


class CassetteFileError(CassetteError):
    """A file cannot be read or written, or is no cassette that this version knows."""


class CassetteExpiredError(CassetteError):
    """A recording is older than ``max_age``."""


class CassetteMissError(CassetteError):
    """A request is not in the cassette, and may not be sent.

    Clients may wrap this (openai 2 does, and tries again first); so the block of `use_cassette` raises it once more at
    its end, or adds its text as a note to what is raised anyway.
    """


class CassetteStuckError(CassetteMissError):
    """The same is asked for again and again, while the recording has nothing later to answer with."""


class CassetteUnusedError(CassetteError):
    """A cassette holds what nobody asked for."""


class CassetteLeakError(CassetteError):
    """A secret would have been written; nothing was."""


class CassetteWarning(UserWarning):
    """A cassette is old, is not used up, or stood in digests for training data."""
