"""Stores of accounts: records, contents and request logs as bytes, in SQLite or PostgreSQL, shared by processes."""

from .open_store import open_store
from .store import Head, HeadMovedError, Store, StoreError

__all__ = ["Head", "HeadMovedError", "Store", "StoreError", "open_store"]
