"""Setup files: what an account begins with, as TOML or JSON."""

from __future__ import annotations

import json
import random
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from fine_tuning_fakeserver import FakeFineTuning, FakeUsageError
from fine_tuning_fakeserver.control.setup_schema import setup_schema
from fine_tuning_fakeserver.control.toml_lines import line_of
from strategies import BORN, ROWS, Http, refused

ROOT = Path(__file__).parents[2]
SETUP = f"""\
"$schema" = "setup.schema.json"

[settings]
seed = 7
start = {int(BORN)}
pace = "manual"
organization = "acme"
api_keys = [
  "any",
]

# the default plan
[[plan]]
queued = "5s"

[[plan]]
when = {{suffix = "bad", metadata = {{team = "a"}}}}
error = "server_error"

[[file]]
id = "file-train"
path = "data/train.jsonl"

[[file]]
id = "file-inline"
purpose = "evals"
content = \"\"\"
{{"item": {{"a": "]"}}}}
\"\"\"

[[job]]
id = "ftjob-done"
training_file = "file-train"

[[job]]
id = "ftjob-running"
training_file = "file-train"
status = "running"
[job.hyperparameters]
n_epochs = 3

[[fault]]
kind = "rate_limit"
on = "list_jobs"

[[webhook]]
url = "http://127.0.0.1:9/hook"
secret = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
"""


@pytest.fixture
def setup(tmp_path: Path) -> Path:
    """A setup file with every kind of member, beside the file that it names."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.jsonl").write_text(ROWS, encoding="utf-8")
    path = tmp_path / "team.toml"
    path.write_text(SETUP, encoding="utf-8")
    return path


def is_set_up(fake: FakeFineTuning) -> None:
    """Check that the account is as the setup has it."""
    assert (fake.settings.seed, fake.now, fake.plan.queued) == (7, BORN, 5)
    assert {file["id"]: file["filename"] for file in fake.files if file["purpose"] != "fine-tune-results"} == {
        "file-train": "train.jsonl",
        "file-inline": "seeded.jsonl",
    }
    jobs = {job["id"]: job for job in fake.jobs}
    assert {name: job["status"] for name, job in jobs.items()} == {
        "ftjob-done": "succeeded",
        "ftjob-running": "running",
    }
    assert jobs["ftjob-done"]["fine_tuned_model"].startswith("ft:gpt-4o-mini-2024-07-18:acme::")
    assert jobs["ftjob-running"]["hyperparameters"]["n_epochs"] == 3
    assert [webhook.url for webhook in fake.webhooks] == ["http://127.0.0.1:9/hook"]
    assert not fake.webhook_deliveries


def test_an_account_begins_as_the_file_says(setup: Path) -> None:
    """Settings, plans, files, jobs, faults and webhooks are as the file has them."""
    fake = FakeFineTuning.from_setup(setup)
    http = Http(fake, is_described=False)

    is_set_up(fake)
    assert http.send("GET", "/files", headers=[(b"authorization", b"Bearer wrong")]).status == 401
    assert [http.send("GET", "/fine_tuning/jobs").status for _ in range(2)] == [429, 200]
    job = {"model": "gpt-4o-mini", "training_file": "file-train", "suffix": "bad", "metadata": {"team": "a"}}
    failing, other = (http.json("POST", "/fine_tuning/jobs", body)["id"] for body in (job, {**job, "suffix": "good"}))
    fake.advance("1d")
    assert {each["id"]: each["status"] for each in fake.jobs if each["id"] in (failing, other)} == {
        failing: "failed",
        other: "succeeded",
    }


def test_json_says_the_same(setup: Path) -> None:
    """The same setup as JSON gives the same account."""
    path = setup.with_suffix(".json")
    path.write_text(json.dumps(tomllib.loads(SETUP)), encoding="utf-8")

    is_set_up(FakeFineTuning.from_setup(str(path)))


def test_a_reset_returns_to_it(setup: Path) -> None:
    """A reset begins as the file says, except for what it changes; plans that were added are gone."""
    fake = FakeFineTuning.from_setup(setup)
    fake.plan_when(suffix="x", outcome="failed")
    fake.add_file(ROWS)
    http = Http(fake)

    fake.reset()
    is_set_up(fake)
    assert [plan["when"]["suffix"] for plan in http.json("GET", "/_fake/plans")["plans"]] == ["bad"]

    http.json("POST", "/_fake/reset", {"seed": 8, "faults": []})
    assert fake.settings.seed == 8
    assert len(fake.jobs) == 2
    assert http.json("GET", "/_fake/faults") == {"faults": []}


def test_a_reset_that_the_file_contradicts_changes_nothing(setup: Path) -> None:
    """A reset whose settings do not go with the file's jobs is refused with the file's line, and changes nothing."""
    text = SETUP.replace('id = "ftjob-done"\n', f'id = "ftjob-done"\ncreated_at = {int(BORN) - 10**6}\n')
    setup.write_text(text, encoding="utf-8")
    fake = FakeFineTuning.from_setup(setup)

    message = refused(Http(fake), "POST", "/_fake/reset", {"start": 1000})

    assert f"{setup}, line 31, job[0]: a job created at" in message
    is_set_up(fake)


def test_new_defaults_replace_it(setup: Path) -> None:
    """A reset with new defaults begins an empty account, and so does the next one."""
    fake = FakeFineTuning.from_setup(setup)

    for defaults in ({"seed": 9}, None):
        fake.reset(defaults=defaults)
        assert (fake.settings.seed, fake.files, fake.jobs) == (9, [], [])


def test_settings_given_in_python_win(setup: Path) -> None:
    """Keywords of `from_setup` win over the file's settings, at each reset, too."""
    fake = FakeFineTuning.from_setup(setup, seed=8, webhooks=[])

    fake.reset()
    assert (fake.settings.seed, fake.webhooks, fake.settings.organization) == (8, [], "acme")


WRONG = [
    ("seed = 7", 'seed = "7"', "line 4, settings: seed must be a whole number of at most 64 bits, got '7'"),
    ("seed = 7", "sed = 7", "line 4, settings: unknown setting 'sed' (did you mean 'seed'?)"),
    ("seed = 7", "plan = {}", "line 4, settings: plan must be said by [[plan]], beside settings"),
    ('  "any",', "  1,", "line 8, settings: api_keys must be a collection of keys, got [1]"),
    ('queued = "5s"', 'queud = "5s"', "line 14, plan[0]: unknown plan field 'queud' (did you mean 'queued'?)"),
    ("suffix =", "sufix =", "line 17, plan[1]: unknown field of when 'sufix' (did you mean 'suffix'?)"),
    ('"bad", metadata', "5, metadata", "line 17, plan[1]: when 'suffix' must be a string, or None for any, got 5"),
    ("when =", "fail_at = 3 #", "line 16, plan[1]: only one plan can be without when, for all jobs that no other"),
    ('path = "d', 'pth = "d', "line 22, file[0]: unknown member 'pth' (did you mean 'path'?)"),
    ("data/train", "data/test", "line 22, file[0]: path 'data/test.jsonl' cannot be read: No such file or directory"),
    ("data/train.jsonl", "data", "line 22, file[0]: path 'data' cannot be read: Is a directory"),
    ('path = "data/train.jsonl"', "", "line 20, file[0]: a file requires either content or path"),
    ('"file-inline"', '"file-train"', "line 25, file[1]: there is a file 'file-train' already; choose another id"),
    ('"evals"', '"evalz"', "line 26, file[1]: the service would refuse this file: 'evalz' is not one of"),
    ('status = "running"', 'status = "walking"', "line 38, job[1]: status must be one of validating_files, queued, "),
    ("n_epochs", "n_epoch", "job[1]: unknown seed field of hyperparameters 'n_epoch' (did you mean 'n_epochs'?)"),
    ("n_epochs = 3", "n_epochs = 0", "line 39, job[1]: hyperparameters.n_epochs must be greater than or equal to 1"),
    (
        '"rate_limit"',
        '"rate_limits"',
        "line 43, fault[0]: unknown fault kind 'rate_limits' (did you mean ",
    ),
    ('"list_jobs"', '"list_job"', "line 44, fault[0]: unknown operation 'list_job' (did you mean 'list_jobs'?)"),
    ("url =", "uri =", "line 47, webhook[0]: unknown webhook field 'uri' (did you mean 'url'?)"),
    ("[[job]]", "[[jobs]]", "line 31: unknown member 'jobs' (did you mean 'job'?); expected one of: settings, plan, "),
    ("[[webhook]]", "[webhook]", "line 46: webhook must be a list of tables, as in [[webhook]], got {'url'"),
    ("seed = 7", "seed = ", "line 4: Invalid value"),
    ("seed = 7", "seed 7", "line 4: Expected '=' after a key in a key/value pair"),
    ("127.0.0.1", "example.com", "line 46, webhook[0]: webhook http://example.com:9/hook: only with allow_remote"),
]


@pytest.mark.parametrize(("old", "new", "words"), WRONG, ids=[new for _, new, _ in WRONG])
def test_an_error_names_file_line_and_field(setup: Path, old: str, new: str, words: str) -> None:
    """A setup file that makes no sense is refused with its name, the line and the field."""
    assert old in SETUP
    setup.write_text(SETUP.replace(old, new), encoding="utf-8")

    with pytest.raises(FakeUsageError) as caught:
        FakeFineTuning.from_setup(setup)

    assert words in str(caught.value)
    if words.startswith("line"):
        assert str(caught.value).startswith(f"{setup}, {words}")


JSON = [
    ('{"job": 5}', "must be a list of tables, as in [[job]], got 5"),
    ('{"job": [{"training_file": "x", "sufix": "a"}]}', "job[0]: unknown seed field 'sufix' (did you mean 'suffix'?)"),
    ('{"settings": 5}', "settings must be a table, got 5"),
    ('{"settings": {"seed": 1},\n "seed": 2,}', ", line 2: "),
    ('{"settings": {}, "settings": {}}', "the member 'settings' is there twice"),
    ("[]", "must hold a JSON object, got a list"),
    ("[" * 100_000, "must be nested less deeply"),
    ("", ", line 1: Expecting value"),
]


@pytest.mark.parametrize(("text", "words"), JSON, ids=[text[:30] for text, _ in JSON])
def test_errors_of_json(tmp_path: Path, text: str, words: str) -> None:
    """An error in a setup of JSON names the file and the field, and where the parser tells it the line."""
    path = tmp_path / "team.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(FakeUsageError) as caught:
        FakeFineTuning.from_setup(path)

    assert str(path) in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("team.yaml", b"", "a setup file must be named .toml or .json, got"),
        ("none.toml", None, "none.toml cannot be read: No such file or directory"),
        ("team.toml", b"\xff", "team.toml must be UTF-8 text"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    """A setup that is no file, no text, or of another kind is refused by name."""
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(FakeUsageError) as caught:
        FakeFineTuning.from_setup(tmp_path / name)

    assert words in str(caught.value)


def test_the_line_of_every_key(setup: Path) -> None:
    """Each key and table of a TOML document is found on the line on which it stands."""
    text, found = SETUP.split("\n"), tomllib.loads(SETUP)
    places: list[tuple[tuple[str | int, ...], str]] = []
    for name, value in found.items():
        for index, table in enumerate(value) if isinstance(value, list) else [(None, value)]:
            at = (name,) if index is None else (name, index)
            places.append((at, f"[[{name}]]" if isinstance(value, list) else name))
            places += [((*at, member), member) for member in (table if isinstance(table, dict) else ())]

    for place, words in places:
        line = line_of(SETUP, place)
        assert line is not None
        assert words in text[line - 1]
    assert line_of(SETUP, ("nowhere",)) is None


def test_a_long_document_is_searched_in_no_time() -> None:
    """The line of a key after a string of 20,000 lines, each of which could be the end of a list, is found at once."""
    rows = '{"a": ["]"]}\n' * 20_000
    text = f"[[file]]\ncontent = '''\n{rows}'''\nid = 1\n"

    assert line_of(text, ("file", 0, "id")) == 20_004


def test_the_schema_in_the_documentation_is_the_codes() -> None:
    """docs/setup.schema.json is what the code derives; scripts/setup_schema writes it."""
    assert json.loads((ROOT / "docs/setup.schema.json").read_text(encoding="utf-8")) == setup_schema()


def test_the_schema_is_valid_and_accepts_setups(setup: Path) -> None:
    """The schema accepts what the fake accepts, and refuses unknown members and wrong types at every level."""
    validator = jsonschema_rs.Draft202012Validator(setup_schema())
    document = tomllib.loads(SETUP)

    assert [error.message for error in validator.iter_errors(document)] == []
    wrongs: tuple[dict[str, Any], ...] = (
        {"jobs": []},
        {"settings": {"sed": 1}},
        {"settings": {"plan": {}}},
        {"settings": {"dialect": "latin"}},
        {"plan": [{"when": {"sufix": "x"}}]},
        {"plan": [{"outcome": "maybe"}]},
        {"file": [{}]},
        {"file": [{"path": "a", "content": "b"}]},
        {"job": [{}]},
        {"fault": [{"kind": "flood"}]},
        {"webhook": [{"uri": "x"}]},
    )
    for wrong in wrongs:
        assert not validator.is_valid(wrong), wrong


def test_every_member_is_in_the_schema() -> None:
    """Every description of a setting, and every member of a table, comes from the code's own declarations."""
    definitions: dict[str, Any] = setup_schema()["$defs"]

    for name in ("Settings", "Plan", "When"):
        for member, schema in definitions[name]["properties"].items():
            assert schema.get("description"), f"{name}.{member}"


def test_a_damaged_file_is_refused_by_name(setup: Path) -> None:
    """Whatever single character is missing, doubled or another, the file is accepted, or refused by its name."""
    chance, messages = random.Random(7), list[str]()
    for _ in range(150):
        place = chance.randrange(len(SETUP))
        damage = chance.choice(("", SETUP[place] * 2, chance.choice("[]{}\"=\n#a0.,'")))
        setup.write_text(SETUP[:place] + damage + SETUP[place + 1 :], encoding="utf-8")
        try:
            FakeFineTuning.from_setup(setup)
        except FakeUsageError as error:
            messages.append(str(error))

    assert len(messages) > 50
    assert [message for message in messages if not message.startswith(str(setup))] == []


def test_webhooks_on_other_machines_may_be_allowed(setup: Path) -> None:
    """A webhook on another machine is taken where the file or the caller allows it."""
    remote = SETUP.replace("127.0.0.1", "example.com")
    setup.write_text(remote, encoding="utf-8")
    assert FakeFineTuning.from_setup(setup, allow_remote_webhooks=True).webhooks
    setup.write_text(remote.replace("seed = 7", "seed = 7\nallow_remote_webhooks = true"), encoding="utf-8")
    assert FakeFineTuning.from_setup(setup).webhooks
