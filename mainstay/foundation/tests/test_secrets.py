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
    assert len(plain) < 4 or plain not in sealed


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


@pytest.mark.parametrize(
    ("given", "stored", "kept"),
    [
        (MASK, "plain", MASK),  # nothing sealed there: taken as it is, and refused by who validates
        ({"a": MASK}, {}, {"a": MASK}),
        ({"a": MASK}, None, {"a": MASK}),
        ([MASK, MASK], ["sealed"], ["opened", MASK]),
        ({"a": "new"}, {"a": "sealed"}, {"a": "new"}),
        ({"a": [{"b": MASK}]}, {"a": [{"b": "sealed"}]}, {"a": [{"b": "opened"}]}),
        (7, "sealed", 7),
    ],
)
def test_a_mask_keeps_the_secret_that_is_stored_at_the_same_place(given: Any, stored: Any, kept: Any) -> None:
    def sealing(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: sealing(item) for name, item in value.items()}
        if isinstance(value, list):
            return [sealing(item) for item in value]
        return seal("opened", KEY) if value == "sealed" else value

    assert keep_masked(given, sealing(stored), KEY) == kept


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
