"""Clients that are made while tests are collected: the ini key `fake_fine_tuning_import_env`."""

from __future__ import annotations

import os
import socket

import httpx
import openai.resources  # noqa: F401  # here, so that runs inside of this one do not import it anew each time
import pytest
import vcr  # type: ignore[import-untyped]  # noqa: F401  # likewise; yaml cannot be imported twice

import pytest_fine_tuning.outer_fakes  # noqa: F401  # likewise
from downstream_project import WITHOUT_OURS

pytestmark = pytest.mark.slow

CLIENT = "import openai\nclient = openai.OpenAI()\n"
WANTED = "[pytest]\nfake_fine_tuning_import_env = true\n"
VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove keys that the machine may have."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_a_client_of_a_module_reaches_the_innermost_fake(pytester: pytest.Pytester) -> None:
    """Made without a key on import, it is answered by the account of whichever fixture is innermost, guarded or not."""
    pytester.makeini(WANTED)
    pytester.makepyfile(
        app=CLIENT,
        test_app="""
        import app
        import pytest

        def listed():
            return app.client.fine_tuning.jobs.list().data

        def test_function(fake_fine_tuning):
            assert listed() == [] and len(fake_fine_tuning.requests) == 1

        @pytest.mark.fake_fine_tuning(guard=False)
        def test_unguarded(fake_fine_tuning):
            assert listed() == [] and len(fake_fine_tuning.requests) == 1

        def test_module(fake_fine_tuning_module):
            assert listed() == [] and len(fake_fine_tuning_module.requests) == 1

        def test_both(fake_fine_tuning_module, fake_fine_tuning):
            assert listed() == [] and len(fake_fine_tuning.requests) == 1

        async def ask():
            return await app.openai.AsyncOpenAI(base_url=app.client.base_url).models.list()

        def test_async(fake_fine_tuning):
            import asyncio
            assert asyncio.run(ask()).data
        """,
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=5)


def test_the_placeholder_is_there_during_collection_only(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hides a real key from imports, conftest.py's too; tests have what was there before, and what imports set."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    pytester.makeini(WANTED)
    pytester.makeconftest("import os\nKEY = os.environ['OPENAI_API_KEY']\n")
    pytester.makepyfile(
        """
        import os
        from conftest import KEY

        URL = os.environ["OPENAI_BASE_URL"]
        os.environ["AZURE_OPENAI_API_KEY"] = "set on import"

        def test_it():
            assert "placeholder" in KEY and "placeholder" in URL
            assert os.environ["OPENAI_API_KEY"] == "sk-real"
            assert "OPENAI_BASE_URL" not in os.environ
            assert os.environ.pop("AZURE_OPENAI_API_KEY") == "set on import"
        """
    )
    send, lookup = httpx.HTTPTransport.handle_request, socket.getaddrinfo
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)
    assert (httpx.HTTPTransport.handle_request, socket.getaddrinfo) == (send, lookup)
    assert os.environ["OPENAI_API_KEY"] == "sk-real"


def test_a_request_before_any_fixture_is_refused(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """On import, in a test without a fixture and after one, the error says what happened, at once, for any library."""
    monkeypatch.setenv("COLUMNS", "200")
    pytester.makeini(WANTED)
    pytester.makepyfile(
        test_import=CLIENT + "client.models.list()\n",
        test_without="import app\n\ndef test_sdk():\n    app.client.models.list()\n",
        app=CLIENT
        + "import os, urllib.request\nURL = os.environ['OPENAI_BASE_URL']\n"
        + "def ask():\n    return urllib.request.urlopen(URL)\n",
        test_other="""
        import app

        def test_before():
            app.ask()

        def test_with(fake_fine_tuning):
            assert app.client.models.list().data

        def test_after():
            app.ask()
        """,
    )
    result = pytester.runpytest_inprocess("--continue-on-collection-errors", "-p", "no:randomly")
    result.assert_outcomes(passed=1, failed=3, errors=1)
    said = "a client that was made while tests were collected sent a request, and no fixture*"
    result.stdout.fnmatch_lines(
        [
            *("*ERROR collecting test_import.py*", f"E *BadRequestError: Error code: 400*{said}"),
            *("*_ test_before _*", f"E *BlockedRequestError: {said}"),
            *("*_ test_after _*", f"E *BlockedRequestError: {said}"),
            *("*_ test_sdk _*", f"E *BadRequestError: Error code: 400*{said}"),
        ]
    )


def test_clients_of_azure_have_a_placeholder_where_azure_is_used(pytester: pytest.Pytester) -> None:
    """With Azure's dialect in the ini file, an `AzureOpenAI` of a module is answered as well."""
    pytester.makeini(f"{WANTED}fake_fine_tuning_dialect = azure-2025\n")
    pytester.makepyfile(
        """
        import openai

        client = openai.AzureOpenAI(api_version="2025-04-01-preview")

        def test_it(fake_fine_tuning):
            assert client.fine_tuning.jobs.list().data == []
            assert len(fake_fine_tuning.requests) == 1
        """
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("made", "azure"),
    [
        ("import openai; openai.OpenAI()", ""),
        ("import os; os.environ['OPENAI_API_KEY']", ""),
        ("import openai; openai.AzureOpenAI(api_version='1')", "; Azure's with fake_fine_tuning_dialect = azure-2025"),
    ],
)
def test_the_error_of_a_missing_key_names_the_ini_key(pytester: pytest.Pytester, made: str, azure: str) -> None:
    """Without the ini key nothing is set, and an import that fails for want of a key has one line about it."""
    pytester.makepyfile(test_it=f"{made}\ndef test_it(): pass\n")
    result = pytester.runpytest_inprocess()
    hint = f"for a client that is made on import, set the ini key fake_fine_tuning_import_env = true: *URL{azure}"
    result.stdout.fnmatch_lines(["*- fake fine-tuning -*", hint])
    assert result.stdout.str().count("fake_fine_tuning_import_env") == 1


def test_the_error_of_a_conftest_names_the_ini_key(pytester: pytest.Pytester) -> None:
    """The same where it is a conftest.py that makes the client."""
    pytester.makeconftest(CLIENT)
    result = pytester.runpytest_inprocess()
    result.stderr.fnmatch_lines(["*fake fine-tuning: *set the ini key fake_fine_tuning_import_env = true*"])


def test_other_errors_of_imports_say_nothing_of_it(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that fails for another reason, or over a key that is there, has no such line."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    pytester.makepyfile(test_a="1 / 0", test_b="raise ValueError('OPENAI_API_KEY is too short')")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=2)
    assert "import_env" not in result.stdout.str()


@pytest.mark.parametrize("option", ["--fine-tuning=live", "--fine-tuning=record", "--fine-tuning-record=once"])
def test_a_run_that_is_to_reach_the_service_has_no_placeholder(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """A client that is made on import then has the real key."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    pytester.makeini(WANTED)
    pytester.makepyfile("import os\nKEY = os.environ['OPENAI_API_KEY']\ndef test_it(): assert KEY == 'sk-real'")
    pytester.runpytest_inprocess(option).assert_outcomes(passed=1)


def test_vcrpy_records_nothing_of_a_client_with_the_placeholder(pytester: pytest.Pytester) -> None:
    """What the fake answers to a client of a module is in no cassette of vcrpy's."""
    pytester.makeini(WANTED)
    pytester.makepyfile(
        test_it=CLIENT
        + """
import vcr

def test_it(fake_fine_tuning):
    with vcr.use_cassette("it.yaml", record_mode="all") as cassette:
        assert client.models.list().data
    assert len(cassette) == 0
"""
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


def test_a_cassette_answers_a_client_with_the_placeholder(pytester: pytest.Pytester) -> None:
    """A test that replays one needs no key on import either."""
    pytester.makeini(WANTED)
    pytester.makepyfile(
        test_it=CLIENT
        + """
import pytest

@pytest.mark.fine_tuning_cassette(session="error_404")
def test_it():
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.retrieve("ftjob-missing")
"""
    )
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)


def test_the_ini_key_is_true_or_false(pytester: pytest.Pytester) -> None:
    """Anything else is a usage error that names it; a TOML file may have a boolean."""
    pytester.makepyfile("import os\nHAS_KEY = 'OPENAI_API_KEY' in os.environ\ndef test_it(): assert HAS_KEY")
    result = pytester.runpytest_inprocess("-o", "fake_fine_tuning_import_env=maybe")
    result.stderr.fnmatch_lines(["*fake_fine_tuning_import_env must be true or false, got 'maybe'*"])
    pytester.makepyprojecttoml("[tool.pytest]\nfake_fine_tuning_import_env = true\n")
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_the_placeholder_loads_nothing_heavy_and_reaches_no_worker(pytester: pytest.Pytester) -> None:
    """Neither the fake nor httpx is imported for it, and a worker of pytest-xdist has it during collection only."""
    pytester.makeini(WANTED)
    pytester.makepyfile(
        """
        import os
        import sys

        KEY = os.environ["OPENAI_API_KEY"]
        heavy = {"fine_tuning_fakeserver.fake.fake_fine_tuning", "fine_tuning_client", "starlette", "httpx", "pydantic"}
        LOADED = heavy & set(sys.modules)

        def test_it():
            assert "placeholder" in KEY
            assert not LOADED
            assert "OPENAI_API_KEY" not in os.environ
        """
    )
    pytester.runpytest_subprocess(*WITHOUT_OURS, "-n1", "-p", "no:anyio").assert_outcomes(passed=1)
