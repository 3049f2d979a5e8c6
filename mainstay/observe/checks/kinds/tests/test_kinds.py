"""What holds for every kind, and that the list, the folder and the documentation agree."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from mainstay.foundation.secrets import MASK
from mainstay.foundation.strict import REVEAL, reveal
from mainstay.observe.checks import kinds
from mainstay.observe.checks.kinds import KINDS
from mainstay.observe.checks.kinds.http.comparison import Comparison
from mainstay.observe.checks.probe.conditions import Placeholder, parse

FOLDER = Path(kinds.__file__).parent
DOCS = FOLDER.parents[3] / "docs" / "checks"
NO_KINDS = {"base", "stepped", "database", "tests"}

MINIMAL: dict[str, dict[str, Any]] = {
    "http": {"url": "https://example.com/", "secret_headers": {"X": "s3cret"}},
    "tcp": {"host": "example.com", "port": 22},
    "tls": {"host": "example.com"},
    "dns": {"name": "example.com"},
    "icmp": {"host": "example.com"},
    "postgresql": {"host": "example.com", "password": "s3cret"},
    "mysql": {"host": "example.com", "username": "u", "password": "s3cret"},
    "redis": {"host": "example.com", "password": "s3cret"},
    "smtp": {"host": "example.com", "tls": "starttls", "username": "u", "password": "s3cret"},
    "websocket": {"url": "wss://example.com/", "secret_headers": {"X": "s3cret"}},
    "command": {"command": ["/bin/true", "s3cret-argument"], "secret_environment": {"X": "s3cret"}},
    "heartbeat": {"every": "1d"},
}


def test_list_and_folder_agree() -> None:
    found = {path.stem for path in FOLDER.iterdir() if path.name[0] != "_"} - NO_KINDS
    assert set(KINDS) == found
    assert set(MINIMAL) == found
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.label
    assert [name for name, kind in KINDS.items() if kind.passive] == ["heartbeat"]


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= _models(part)
    return found


@pytest.mark.parametrize("name", KINDS)
def test_every_field_is_described_and_nothing_unknown_is_taken(name: str) -> None:
    for model in _models(KINDS[name].Settings):
        assert model.model_config.get("extra") == "forbid", model
        assert model.model_config.get("frozen") is True, model
        for field_name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{field_name}"
            assert field.description.endswith("."), f"{model.__name__}.{field_name}"
    with pytest.raises(ValidationError):
        KINDS[name].Settings.model_validate({**MINIMAL[name], "no_such_field": 1})


@pytest.mark.parametrize("name", KINDS)
def test_settings_survive_being_written_and_read(name: str) -> None:
    settings = KINDS[name].Settings.model_validate(MINIMAL[name])
    assert KINDS[name].Settings.model_validate(json.loads(json.dumps(reveal(settings)))) == settings
    full = settings.model_dump(mode="json", context={REVEAL: True})
    again = KINDS[name].Settings.model_validate(json.loads(json.dumps(full)))
    assert again.model_dump(context={REVEAL: True}) == settings.model_dump(context={REVEAL: True})
    KINDS[name].Settings.model_json_schema()


@pytest.mark.parametrize("name", KINDS)
def test_no_secret_shows_in_targets_dumps_or_errors(name: str) -> None:
    kind = KINDS[name]
    settings = kind.Settings.model_validate(MINIMAL[name])
    dumped = settings.model_dump_json(exclude={"command"} if name == "command" else None)
    assert "s3cret" not in kind.target(settings) + repr(settings).replace("s3cret-argument", "") + dumped
    if "s3cret" in str(MINIMAL[name]) and name != "command":
        assert MASK in dumped
    with pytest.raises(ValidationError) as refused:
        kind.Settings.model_validate({**MINIMAL[name], "no_such_field": "s3cret"})
    assert "s3cret" not in str(refused.value)


def _documented(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(path, description) of every setting; comparisons have a page of their own."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        parts = [part for part in (field.annotation, *get_args(field.annotation)) if isinstance(part, type)]
        inner = [part for part in parts if issubclass(part, BaseModel) and part is not Comparison]
        if inner:
            yield from _documented(inner[0], f"{path}.")
        else:
            yield path, field.description or ""


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_a_page_that_describes_every_setting(name: str) -> None:
    page = (DOCS / f"{name}.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+)` \| [^|]*\| (.*) \|$", page, re.MULTILINE))
    assert rows == dict(_documented(KINDS[name].Settings))
    assert f"({name}.md)" in (DOCS / "README.md").read_text()


def test_the_page_of_comparisons_describes_every_field() -> None:
    page = (DOCS / "comparisons.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows == {name: field.description for name, field in Comparison.model_fields.items()}


def test_the_page_of_conditions_names_every_placeholder_and_its_examples_hold_water() -> None:
    page = (DOCS / "conditions.md").read_text()
    for placeholder in Placeholder:
        assert f"`[{placeholder.value}]" in page
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    for condition in yaml.safe_load(block)["conditions"]:
        parse(condition)


@pytest.mark.parametrize("name", KINDS)
def test_the_examples_on_the_pages_are_valid(name: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / f"{name}.md").read_text(), re.DOTALL)
    assert blocks
    for check in (check for block in blocks for check in yaml.safe_load(block)):
        KINDS[name].Settings.model_validate(check[name])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "either `every` or `cron`"),
        ({"every": "1d", "cron": "0 3 * * *"}, "either `every` or `cron`"),
        ({"every": "1d", "timezone": "Europe/Berlin"}, "goes with `cron`"),
        ({"cron": "0 3 * *"}, "no cron expression"),
        ({"cron": "61 * * * *"}, "no cron expression"),
        ({"cron": "0 0 30 2 *"}, "no cron expression"),
        ({"cron": "0 3 * * *", "timezone": "Mars/Olympus"}, "no time zone"),
        ({"cron": "0 3 * * *", "timezone": "../../etc/passwd"}, "no time zone"),
        ({"every": "0s"}, "greater than or equal"),
        ({"every": "1d", "grace": "soon"}, "no duration"),
    ],
)
def test_a_heartbeat_that_can_not_be_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        KINDS["heartbeat"].Settings.model_validate(settings)


def test_the_contract_of_a_heartbeat() -> None:
    settings = KINDS["heartbeat"].Settings.model_validate(
        {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "grace": "30m", "max_runtime": "2h"}
    )
    assert settings.model_dump(mode="json")["grace"] == "30m"
    assert KINDS["heartbeat"].target(settings) == "0 3 * * * Europe/Berlin"


@pytest.mark.parametrize("host", ["", "http://a", "a/b", "user@host", "a b", "a:80", "x" * 300])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValidationError):
        KINDS["tcp"].Settings.model_validate({"host": host, "port": 1})
