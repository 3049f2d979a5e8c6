"""What holds for every channel: the dict is complete, no secret is ever shown, the documentation is true."""

import base64
import html
import importlib
import inspect
import json
import logging
import pkgutil
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote

import hypothesis
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from mainstay.respond.delivery import kinds
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.kinds.base import Channel
from mainstay.respond.delivery.kinds.masking import MASK, mask, secrets_of
from mainstay.respond.delivery.kinds.tests.conftest import AllowAll
from mainstay.respond.delivery.kinds.tests.mail_server import Script
from mainstay.respond.delivery.kinds.tests.receiver import Receiver, reply
from mainstay.respond.delivery.kinds.tests.samples import PLAIN

DOCS = Path(__file__).parents[5] / "docs" / "channels"

TOKEN = "5ecr3t/t0ken+with=signs"
MAIL = {"from": "desk@example.org", "to": ["ann@example.org"]}
QUOTED = quote(TOKEN, safe="")
EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("slack", {"webhook_url": "{base}/services/T0/B0/" + QUOTED}),
    ("slack", {"bot_token": TOKEN, "channel": "#ops", "api_url": "{base}/api"}),
    ("email", {"url": "smtp://127.0.0.1:{port}", "username": "desk", "password": TOKEN, **MAIL}),
    ("email", {"url": f"smtp://desk:{QUOTED}@127.0.0.1:{{port}}", **MAIL}),
    ("pagerduty", {"routing_key": TOKEN, "url": "{base}/v2/enqueue"}),
    ("webhook", {"url": "{base}/hook?key=" + QUOTED, "secret": "signing-" + TOKEN}),
    ("webhook", {"url": "{base}/hook", "headers": {"Authorization": "Bearer " + TOKEN}}),
    ("webhook", {"url": "{base}/hook", "headers": {"X-Key": TOKEN}, "secret": TOKEN}),
    ("teams", {"url": "{base}/workflows/1/invoke?api-version=1&sig=" + QUOTED}),
    ("apprise", {"url": f"json://desk:{QUOTED}@127.0.0.1:{{port}}/"}),
]
FORMS = [
    TOKEN,
    QUOTED,
    quote(TOKEN),
    TOKEN.replace("/", "\\/"),
    html.escape(TOKEN),
    base64.b64encode(TOKEN.encode()).decode().rstrip("="),
    base64.b64encode(b"\0desk\0" + TOKEN.encode()).decode()[8:-2],
]


def fill(values: Any, receiver: Receiver, port: int = 25) -> Any:
    if isinstance(values, dict):
        return {name: fill(value, receiver, port) for name, value in values.items()}
    if isinstance(values, str):
        return values.replace("{base}", receiver.url("")).replace("{port}", str(port))
    return values


def modules() -> list[str]:
    found = pkgutil.walk_packages(kinds.__path__, kinds.__name__ + ".")
    # child.py is a program, not a module.
    return [module.name for module in found if ".tests" not in module.name and not module.name.endswith(".child")]


def test_the_dict_names_every_channel_in_the_folder() -> None:
    defined = {
        member
        for name in modules()
        for _, member in inspect.getmembers(importlib.import_module(name), inspect.isclass)
        if issubclass(member, Channel) and not inspect.isabstract(member)
    }
    assert {type(channel) for channel in CHANNELS.values()} == defined
    assert {name: channel.name for name, channel in CHANNELS.items()} == {name: name for name in CHANNELS}
    folder = {name.rsplit(".", 1)[1] for name in modules()}
    assert set(CHANNELS) <= folder, "each channel's module bears its name"


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=lambda channel: channel.name)
def test_every_setting_is_described_and_nothing_unknown_is_taken(channel: Channel[Any]) -> None:
    for name, field in channel.Settings.model_fields.items():
        assert field.description, f"{channel.name}.{name}"
        if re.search("token|password|secret|routing_key|url", name):
            assert "SecretStr" in str(field.annotation) + str(field.metadata), (
                f"{channel.name}.{name} may hold a secret"
            )
    with pytest.raises(ValidationError, match="nonsense"):
        channel.Settings.model_validate({"nonsense": 1})


def say_everything(script: Script, connection: socket.socket) -> None:
    """A mail server that answers the login with the token in every encoding."""
    connection.sendall(b"220 ready\r\n")
    script.hear(connection)
    connection.sendall(b"250-hello\r\n250 AUTH PLAIN LOGIN\r\n")
    while not script.released.is_set():
        heard = script.hear(connection)
        answer = " | ".join([*FORMS, heard.decode().strip()])
        connection.sendall(b"535 " + answer.encode() + b"\r\n")


@pytest.mark.parametrize(
    ("name", "values", "status"),
    [
        (name, values, status)
        for name, values in EXAMPLES
        # Mail has no such status, and Apprise's answers never quote the service.
        for status in ([401] if name in {"apprise", "email"} else [200, 302, 401, 429, 500])
    ],
)
def test_no_secret_is_shown_anywhere(
    name: str,
    values: dict[str, Any],
    status: int,
    receiver: Receiver,
    policy: AllowAll,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The receiver echoes the token in every encoding, as error pages do."""
    caplog.set_level(logging.DEBUG)
    receiver.answers = [reply(status, " | ".join(FORMS), Location="/" + QUOTED)]
    channel = CHANNELS[name]
    with Script(say_everything) as mail:
        port = mail.port if name == "email" else receiver.server_port
        settings = channel.Settings.model_validate(fill(values, receiver, port))
        receipt = channel.send(settings, PLAIN, idempotency_key="d-1", state={}, timeout_s=30, policy=policy)
    assert receipt.outcome == {200: "delivered", 429: "retry", 500: "retry"}.get(status, "refused") or name != "webhook"
    shown = [
        receipt.answer,
        repr(receipt),
        repr(settings),
        str(settings),
        channel.describe(settings),
        settings.model_dump_json(),
        caplog.text,
        *capfd.readouterr(),
    ]
    assert TOKEN in unquote(" ".join(secrets_of(settings)))
    for text in shown:
        for form in FORMS:
            assert form not in text


@pytest.mark.parametrize(("name", "values"), EXAMPLES)
def test_a_validation_error_does_not_repeat_the_input(name: str, values: dict[str, Any], receiver: Receiver) -> None:
    with pytest.raises(ValidationError) as refusal:
        CHANNELS[name].Settings.model_validate(fill(values, receiver) | {"nonsense": TOKEN})
    assert TOKEN not in str(refusal.value)
    assert quote(TOKEN, safe="") not in str(refusal.value)


def test_masking_finds_the_telling_parts_of_a_url() -> None:
    values = {
        "url": SecretStr(
            "https://desk:pass%2Fword@hooks.example.org/services/T00000000/B00000000/abcdefgh?sig=zyxwvuts"
        )
    }
    settings = CHANNELS["webhook"].Settings.model_validate(values)
    said = "no such hook abcdefgh of T00000000 (sig zyxwvuts, password pass/word, at hooks.example.org)"
    assert mask(said, settings) == "no such hook ••• of ••• (sig •••, password •••, at hooks.example.org)"


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc", b"\0desk\0"])
@pytest.mark.parametrize("after", [b"", b"z", b"zy"])
def test_masking_finds_a_secret_inside_base64(before: bytes, after: bytes) -> None:
    settings = CHANNELS["webhook"].Settings.model_validate({"url": "https://hooks.example.org/", "secret": TOKEN})
    encoded = base64.b64encode(before + TOKEN.encode() + after).decode()
    assert len(mask(encoded, settings)) <= len("•••") + len(encoded) - len(TOKEN) * 4 // 3 + 4


@hypothesis.settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=40), st.text(max_size=30))
def test_no_secret_survives_masking(secret: str, around: str) -> None:
    settings = CHANNELS["webhook"].Settings.model_validate({"url": "https://hooks.example.org/", "secret": secret})
    if not secret.strip():
        return
    for form in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], html.escape(secret)):
        shown = mask(f"{around}{form}{around}", settings)
        assert MASK in shown
        assert shown.count(form) <= f"{around}{around}".count(form)


def test_an_answer_is_cut_after_it_was_masked(receiver: Receiver, policy: AllowAll) -> None:
    receiver.answers = [reply(400, "x" * 490 + TOKEN)]
    settings = CHANNELS["webhook"].Settings.model_validate({"url": receiver.url(), "secret": TOKEN})
    receipt = CHANNELS["webhook"].send(settings, PLAIN, idempotency_key="d", state={}, timeout_s=5, policy=policy)
    assert TOKEN[:5] not in receipt.answer


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=lambda channel: channel.name)
def test_the_documentation_names_every_setting_and_its_examples_are_valid(channel: Channel[Any]) -> None:
    page = (DOCS / f"{channel.name}.md").read_text()
    for name, field in channel.Settings.model_fields.items():
        assert f"`{field.alias or name}`" in page, f"{channel.name}.md does not name {field.alias or name}"
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert examples
    for example in examples:
        for entry in yaml.safe_load(example)["channels"]:
            channel.Settings.model_validate(entry[channel.name])
    for heading in ("## Set up", "## Configure", "## What is sent", "## What its errors mean"):
        assert heading in page


def test_there_is_a_page_for_each_channel_and_no_other() -> None:
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    assert pages == set(CHANNELS)
