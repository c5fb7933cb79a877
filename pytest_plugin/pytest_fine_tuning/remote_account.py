"""An account of its own for one test, on a server that runs already."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError, Settings
from fine_tuning_fakeserver.settings import CONTROL_FIELDS

from .markers import SERVER_FLAG, SERVER_INI
from .options import Options

TOKEN_VARIABLE = "FAKE_FINE_TUNING_CONTROL_TOKEN"
"""The variable for the server's control token, by which `serve` takes it as well."""


def server_url(config: pytest.Config) -> str:
    """Return the URL of the server that tests use by flag or ini key; an empty text for none."""
    return str(config.getoption(SERVER_FLAG) or config.getini(SERVER_INI) or "")


@contextmanager
def account_on_server(url: str, options: Options, start: float | None) -> Generator[FakeFineTuning, None, None]:
    """Begin an account on the server at *url*, with the settings that it has in process; delete it at the end."""
    try:
        fake = FakeFineTuning.connect(url, token=os.environ.get(TOKEN_VARIABLE), account=f"pytest-{uuid4().hex}")
    except FakeUsageError as error:
        raise pytest.fail.Exception(f"{SERVER_FLAG}: {error}", pytrace=False) from None
    with fake:
        try:
            begin = {} if start is None else {"start": start}
            fake.reset(faults=options.faults, **{**_defaults(), **begin, **options.settings})
            yield fake
        except BaseException:
            fake.describe()  # for the report, which is made when the account is gone
            raise
        finally:
            fake.finish_test()
            fake.delete_account()


def _defaults() -> Mapping[str, Any]:
    """Return the settings of an account in process: the server's own may be others."""
    fresh = Settings()
    return {name: value for name in CONTROL_FIELDS if (value := getattr(fresh, name)) is not None}
