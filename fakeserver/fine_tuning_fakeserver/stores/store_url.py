"""Open a store by its URL."""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import urlsplit

from ..usage_errors import FakeUsageError, wrong_value
from .store import Store


def open_store(url: str) -> Store:
    """Open the store of a URL; what it lacks of tables is made.

    Args:
        url: ``sqlite:///PATH`` of a file, with ``?synchronous=normal`` for commits that a power cut may take back, or
            ``postgresql://…`` as libpq reads it.

    Raises:
        FakeUsageError: the URL is of another kind, a package for it is missing, or the store cannot be opened.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        text = "store must be a URL, got one that cannot be parsed (not shown: it may have a password)"
        raise FakeUsageError(text) from None
    if scheme == "sqlite":
        from .sqlite_store import SqliteStore

        return SqliteStore.of_url(url)
    if scheme in ("postgresql", "postgres"):
        if not find_spec("psycopg"):
            raise FakeUsageError(
                "a store in PostgreSQL needs psycopg, not installed here: pip install 'fake-fine-tuning[postgres]'"
            )
        from .postgres_store import PostgresStore

        return PostgresStore(url)
    raise wrong_value("store", "sqlite:///PATH or postgresql://…", f"{scheme}:…")
