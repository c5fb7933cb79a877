"""Stores of accounts: records, contents and request logs as bytes, in SQLite or PostgreSQL, shared by processes."""

from .store import Head, HeadMovedError, Store, StoreError
from .store_url import open_store

__all__ = ["Head", "HeadMovedError", "Store", "StoreError", "open_store"]
