"""The errors and the warning of cassettes.

CassetteError
├─ CassetteFileError       a file cannot be read or written, or is not a cassette
├─ CassetteExpiredError    a recording is older than allowed
├─ CassetteMissError       a request is not in the cassette
│  └─ CassetteStuckError   a request is repeated, and the recording has no further answer
├─ CassetteUnusedError     a recording was not requested
└─ CassetteLeakError       a secret was about to be written
"""

from __future__ import annotations


class CassetteError(Exception):
    """A problem with a cassette; the message names the file and the remedy."""


class CassetteFileError(CassetteError):
    """A file that cannot be read or written, or is not a cassette this version knows."""


class CassetteExpiredError(CassetteError):
    """A recording older than ``max_age``."""


class CassetteMissError(CassetteError):
    """A request that is not in the cassette and may not be sent.

    Clients may wrap this error (openai 2 does, after retrying). So `use_cassette` raises it again when the block ends,
    or adds its text as a note to the error that ended the block.
    """


class CassetteStuckError(CassetteMissError):
    """A request repeated too often while the recording has no later answer."""


class CassetteUnusedError(CassetteError):
    """A cassette with recordings that were not requested."""


class CassetteLeakError(CassetteError):
    """A secret that would have been written; nothing was."""


class CassetteWarning(UserWarning):
    """A cassette that is old or not used up, or that answered with digests of training data."""
