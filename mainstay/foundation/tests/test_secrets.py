"""Keys and stored secrets: sealed, masked, kept over an edit, and never silently lost."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from mainstay.foundation.environment import BadEnvironment, read
from mainstay.foundation.secrets import (
    MASK,
    SEALED_PREFIX,
    LostKey,
    digest,
    is_sealed,
    keep_masked,
    left_mask,
    make_key,
    mask_all,
    new_token,
    seal,
    sealed_config,
    secret_key,
    unseal,
    unseal_all,
)

KEY = "k" * 48
texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts)
def test_what_is_sealed_can_be_opened_and_does_not_show(plain: str) -> None:
    sealed = seal(plain, KEY)
    assert is_sealed(sealed)
    assert unseal(sealed, KEY) == plain
    assert len(plain) < 8 or plain not in sealed.removeprefix(SEALED_PREFIX)


def test_another_key_opens_nothing_and_says_how_to_mend_it() -> None:
    with pytest.raises(LostKey, match=r"restore the file keys/secret\.key"):
        unseal(seal("x", KEY), "another")
    with pytest.raises(LostKey):
        unseal(seal("x", KEY)[:-3] + "AAA", KEY)


class Login(BaseModel):
    user: str = ""
    password: SecretStr | None = None


class Settings(BaseModel):
    url: SecretStr
    label: str = "x"
    login: Login | None = None
    headers: dict[str, SecretStr] = {}
    several: list[SecretStr] = []
    logins: list[Login] = []


@given(texts, texts)
def test_settings_are_stored_sealed_and_come_back_equal(secret: str, plain: str) -> None:
    model = Settings(
        url=SecretStr(secret), label=plain, login=Login(user=plain, password=SecretStr(secret)),
        headers={"a": SecretStr(secret)}, several=[SecretStr(secret)], logins=[Login(user=plain)],
    )  # fmt: skip
    stored = sealed_config(model, KEY)
    for place in (stored["url"], stored["login"]["password"], stored["headers"]["a"], stored["several"][0]):
        assert is_sealed(place)
    assert Settings.model_validate(unseal_all(stored, KEY)) == model
    masked = mask_all(stored)
    assert masked["headers"] == {"a": MASK}
    assert keep_masked(masked, stored, KEY) == unseal_all(stored, KEY) or plain == MASK or is_sealed(plain)


def test_only_what_was_set_is_stored() -> None:
    assert set(sealed_config(Settings(url=SecretStr("x")), KEY)) == {"url"}


def test_plain_text_that_looks_sealed_comes_back_as_it_was() -> None:
    text = SEALED_PREFIX + "gAAAA"
    stored = sealed_config(Settings(url=SecretStr(text), label=text), KEY)
    assert Settings.model_validate(unseal_all(stored, KEY)).label == text


def sealing(value: Any) -> Any:
    """`value` as it is stored: texts that begin with "secret" sealed."""
    if isinstance(value, dict):
        return {name: sealing(item) for name, item in value.items()}
    if isinstance(value, list):
        return [sealing(item) for item in value]
    return seal(value, KEY) if isinstance(value, str) and value.startswith("secret") else value


@pytest.mark.parametrize(
    ("given", "stored", "kept"),
    [
        (MASK, "plain", MASK),  # nothing sealed there: taken as it is, and refused by who validates
        ({"a": MASK}, {}, {"a": MASK}),
        ({"a": MASK}, None, {"a": MASK}),
        ({"a": "new"}, {"a": "secret"}, {"a": "new"}),
        ({"a": [{"b": MASK}]}, {"a": [{"b": "secret"}]}, {"a": [{"b": "secret"}]}),
        (7, "secret", 7),
    ],
)
def test_a_mask_keeps_the_secret_that_is_stored_under_the_same_key(given: Any, stored: Any, kept: Any) -> None:
    assert keep_masked(given, sealing(stored), KEY) == kept


def entry(name: str, secret: str = MASK, **more: Any) -> dict[str, Any]:
    return {"name": name, "token": secret, **more}


def link(url: str, secret: str = MASK, **more: Any) -> dict[str, Any]:
    return {"url": url, "token": secret, **more}


def plain(number: int, secret: str = MASK) -> dict[str, Any]:
    return {"x": number, "token": secret}


A, B, C = (entry(name, f"secret {name}") for name in "abc")
U, V = link("u", "secret u"), link("v", "secret v")
ODD = [{"name": [1], "token": MASK}, {1: {2}, "t": None}]
# What was done to the list, the list as it is given, as it is stored, and what is kept.
ENTRIES = [
    ("nothing", [entry("a"), entry("b")], [A, B], [A, B]),
    ("reordered", [entry("b"), entry("a")], [A, B], [B, A]),
    ("the first removed", [entry("b"), entry("c")], [A, B, C], [B, C]),
    ("one more before", [entry("new", "s"), entry("a")], [A], [entry("new", "s"), A]),
    ("edited and reordered", [entry("b", port=2), entry("a")], [A, B], [{**B, "port": 2}, A]),
    ("renamed", [entry("x"), entry("b")], [A, B], [entry("x"), B]),
    ("copied", [entry("a"), entry("a", port=2)], [A], [A, entry("a", port=2)]),
    ("names exchanged", [entry("b", x=1), entry("a", x=2)], [{**A, "x": 1}, {**B, "x": 2}],
     [{**B, "x": 1}, {**A, "x": 2}]),
    ("edited, known by URL", [link("u", x=1)], [V, U], [{**U, "x": 1}]),
    ("edited, known by a secret", [link(MASK, "new")], [link("secret", "plain")], [link(MASK, "new")]),
    ("reordered, nameless", [plain(1), plain(2)], [plain(2, "secret 2"), plain(1, "secret 1")],
     [plain(1, "secret 1"), plain(2, "secret 2")]),
    ("edited, nameless", [plain(3)], [plain(1, "secret")], [plain(3)]),
    ("nested", [{"name": "g", "of": [entry("b"), entry("a")]}], [{"name": "g", "of": [A, B]}],
     [{"name": "g", "of": [B, A]}]),
    ("bare, one between", [MASK, "new", MASK], ["secret 1", "secret 2"], ["secret 1", "new", "secret 2"]),
    ("bare, one removed", [MASK], ["secret 1", "secret 2"], [MASK]),
    ("bare, one too many", [MASK, MASK], ["secret 1"], [MASK, MASK]),
    ("a list where none was", [MASK], None, [MASK]),
    ("odd values", ODD, [A], ODD),
]  # fmt: skip


@pytest.mark.parametrize(("given", "stored", "kept"), [row[1:] for row in ENTRIES], ids=[row[0] for row in ENTRIES])
def test_in_an_edited_list_a_mask_keeps_its_entrys_secret_or_stays_a_mask(given: Any, stored: Any, kept: Any) -> None:
    assert keep_masked(given, sealing(stored), KEY) == kept


names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


@given(names, names)
def test_no_edit_of_a_list_gives_an_entry_anothers_secret(before: list[str], after: list[str]) -> None:
    stored = sealing([entry(name, f"secret {name}") for name in before])
    found = keep_masked([entry(name) for name in after], stored, KEY)
    assert [one["token"] for one in found] == [f"secret {name}" if name in before else MASK for name in after]


def test_a_mask_that_is_left_is_found() -> None:
    assert left_mask(Settings(url=SecretStr("x"), several=[SecretStr("y")], label=MASK)) is None
    inside = Settings(url=SecretStr("x"), logins=[Login(password=SecretStr(MASK))])
    assert left_mask(inside) == ("logins", 0, "password")
    assert left_mask(Settings(url=SecretStr("x"), headers={"a": SecretStr(MASK)})) == ("headers", "a")


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    environment = read({"MAINSTAY_HOME": str(tmp_path / "var")})
    key = secret_key(environment)
    assert len(key) >= 48
    assert secret_key(environment) == key
    assert stat.S_IMODE(environment.secret_key_file.stat().st_mode) == 0o600
    assert [path.name for path in environment.secret_key_file.parent.iterdir()] == ["secret.key"]


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "secret.key"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: make_key(path), range(8)))
    assert len(path.read_text().strip()) >= 48
    assert [found.name for found in path.parent.iterdir()] == ["secret.key"]


def test_a_given_key_or_file_is_used(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("from a file\n")
    assert secret_key(read({"MAINSTAY_SECRET_KEY": "given"})) == "given"
    assert secret_key(read({"MAINSTAY_SECRET_KEY_FILE": str(tmp_path / "k")})) == "from a file"


def test_an_empty_key_file_is_an_error_and_not_an_empty_key(tmp_path: Path) -> None:
    (tmp_path / "k").touch()
    with pytest.raises(BadEnvironment, match=r"MAINSTAY_SECRET_KEY_FILE: .* is empty"):
        secret_key(read({"MAINSTAY_SECRET_KEY_FILE": str(tmp_path / "k")}))


def test_tokens_are_long_marked_and_kept_as_digests() -> None:
    token = new_token("mst_")
    assert token.startswith("mst_")
    assert len(token) > 40
    assert token != new_token("mst_")
    assert len(digest(token)) == 64
