"""Keys and the encryption of stored secrets (channel tokens, passwords of checks).

One key, made at the first start and kept in a file that only its owner may read, signs sessions and, through a
derivation of its own, encrypts secrets at rest with Fernet (AES-128-CBC and HMAC-SHA256). Imports no Django.
"""

import base64
import hashlib
import hmac
import os
import secrets as random
from collections import Counter
from collections.abc import Hashable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, SecretStr

from mainstay.foundation.environment import BadEnvironment, Environment

SEALED_PREFIX = "sealed:v1:"
MASK = "********"
LEFT_MASK = (
    "a mask is no secret: give the secret itself (a mask keeps only a secret that is stored at this place; in a list,"
    " that of the entry of the same name)"
)
IDENTITIES = ("id", "name", "key", "url", "host", "address")  # what an entry of a list is known by, the best first
KEY_BYTES = 48


class LostKey(RuntimeError):
    """A stored secret cannot be opened with the present key."""


def secret_key(environment: Environment) -> str:
    """Return the key, making the key file (mode 0600) when neither variable nor file exists."""
    if environment.secret_key:
        return environment.secret_key
    path = environment.secret_key_file
    if not path.exists():
        make_key(path)
    key = path.read_text(encoding="ascii").strip()
    if not key:
        raise BadEnvironment(f"MAINSTAY_SECRET_KEY_FILE: {path} is empty. Restore it, or remove it to get a new key.")
    return key


def make_key(path: Path) -> None:
    """Write a fresh key to `path`, complete or not at all, readable by its owner only.

    Hard-linking a finished file into place lets two processes that start together agree on one key.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{random.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(random.token_urlsafe(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def derived(key: str, purpose: str) -> bytes:
    """Return the key for one purpose."""
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(key.encode())


@lru_cache(maxsize=4)
def _box(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derived(key, "mainstay stored secrets v1")))


def seal(plain: str, key: str) -> str:
    """Return `plain` encrypted as text that says what it is."""
    return SEALED_PREFIX + _box(key).encrypt(plain.encode()).decode("ascii")


def unseal(sealed: str, key: str) -> str:
    """Return the plain text of what `seal` returned.

    Raises:
        LostKey: it was sealed with another key.
    """
    try:
        return _box(key).decrypt(sealed.removeprefix(SEALED_PREFIX).encode("ascii")).decode()
    except (InvalidToken, UnicodeEncodeError):  # or what is no sealed text at all
        raise LostKey(
            "a stored secret cannot be decrypted with the present key: restore the file keys/secret.key"
            " (or MAINSTAY_SECRET_KEY) that it was stored with, or enter the secret again"
        ) from None


def is_sealed(value: object) -> bool:
    """Tell whether `value` is text that `seal` returned."""
    return isinstance(value, str) and value.startswith(SEALED_PREFIX)


def unseal_all(value: Any, key: str) -> Any:
    """Return a JSON value with every sealed text in it opened."""
    if is_sealed(value):
        return unseal(value, key)
    if isinstance(value, dict):
        return {name: unseal_all(item, key) for name, item in value.items()}
    if isinstance(value, list):
        return [unseal_all(item, key) for item in value]
    return value


def mask_all(value: Any) -> Any:
    """Return a JSON value with every sealed text replaced by a mask, as people and the API see it."""
    if is_sealed(value):
        return MASK
    if isinstance(value, dict):
        return {name: mask_all(item) for name, item in value.items()}
    if isinstance(value, list):
        return [mask_all(item) for item in value]
    return value


def new_token(prefix: str) -> str:
    """Return a fresh random token with 256 bits, marked by `prefix` so that leak scanners recognise it."""
    return prefix + random.token_urlsafe(32)


def digest(token: str) -> str:
    """Return what is stored of a random token: its SHA-256 in hex. (Not for passwords: those are guessable.)"""
    return hashlib.sha256(token.encode()).hexdigest()


def fingerprint(key: str) -> str:
    """Return what tells one key from another and nothing of the key itself."""
    return HKDF(SHA256(), 16, salt=None, info=b"mainstay key fingerprint v1").derive(key.encode()).hex()


def sealed_config(model: BaseModel, key: str) -> dict[str, Any]:
    """Return settings as JSON-ready data, only what was set, with every `SecretStr` in them sealed."""
    data: dict[str, Any] = _seal_in(model, model.model_dump(mode="json", by_alias=True, exclude_unset=True), key)
    return data


def _seal_in(value: Any, data: Any, key: str) -> Any:
    if isinstance(value, SecretStr):
        return seal(value.get_secret_value(), key)
    if isinstance(value, BaseModel) and isinstance(data, dict):
        fields = type(value).model_fields
        names = {
            (fields[name].serialization_alias or fields[name].alias or name): name for name in value.model_fields_set
        }
        return {
            shown: _seal_in(getattr(value, names[shown]), item, key) if shown in names else item
            for shown, item in data.items()
        }
    if isinstance(value, Mapping) and isinstance(data, dict):
        return {name: _seal_in(value.get(name), item, key) for name, item in data.items()}
    if isinstance(value, list | tuple) and isinstance(data, list):
        return [_seal_in(one, item, key) for one, item in zip(value, data, strict=True)]
    # Plain text that looks like a sealed one would not be opened as what it is.
    return seal(data, key) if is_sealed(data) else data


def keep_masked(given: Any, stored: Any, key: str) -> Any:
    """Return `given` with each mask replaced by the secret that it stands for, so that an edit keeps it.

    In a mapping that is the secret stored under the same key. In a list the place says nothing: entries may have been
    put in another order, or removed. There it is the secret of the entry that is the same but for its secrets, or that
    has the same name (the first of `IDENTITIES` which it has). A mask whose secret cannot be told stays a mask, and
    whoever validates refuses it (`left_mask`): a secret never gets to another entry.
    """
    if given == MASK and is_sealed(stored):
        return unseal(stored, key)
    if isinstance(given, dict) and isinstance(stored, dict):
        return {name: keep_masked(item, stored.get(name), key) for name, item in given.items()}
    if isinstance(given, list) and isinstance(stored, list):
        return [keep_masked(one, other, key) for one, other in zip(given, _counterparts(given, stored), strict=True)]
    return given


def _counterparts(given: list[Any], stored: list[Any]) -> list[Any]:
    """Return for each entry of `given` the stored one that it is about, or None where that cannot be told."""
    forms, names = [_form(entry) for entry in given], [_name(entry) for entry in given]
    alike: dict[Hashable, list[Any]] = {}
    named: dict[Hashable, list[Any]] = {}
    for entry in stored:
        shown = mask_all(entry)
        alike.setdefault(_form(shown), []).append(entry)
        named.setdefault(_name(shown), []).append(entry)
    times, bearers = Counter(forms), Counter(names)
    seen: Counter[Hashable] = Counter()
    found = []
    for form, name in zip(forms, names, strict=True):
        same, namesakes = alike.get(form, []), named.get(name, [])
        if len(same) == times[form]:  # all are still there; those that look alike are in the order in which they were
            found.append(same[seen[form]])
            seen[form] += 1
        elif name is not None and len(namesakes) == bearers[name] == 1:
            found.append(namesakes[0])
        else:
            found.append(None)
    return found


def _name(entry: Any) -> Hashable:
    """Return by what an entry of a list is known, or None when nothing names it."""
    if not isinstance(entry, dict):
        return None
    name = next((name for name in IDENTITIES if name in entry), "")
    value = entry.get(name)
    return (name, value) if isinstance(value, str | int) and value not in ("", MASK) else None


def _form(value: Any) -> Hashable:
    """Return a JSON or YAML value as one that can be counted."""
    if isinstance(value, dict):
        return frozenset((name, _form(item)) for name, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(_form(item) for item in value)
    return value if isinstance(value, str | int | float) else repr(value)


def left_mask(value: Any, path: tuple[str | int, ...] = ()) -> tuple[str | int, ...] | None:
    """Return the path to the first secret in validated settings that is a mask: none is stored for it. None is well."""
    if isinstance(value, SecretStr):
        return path if value.get_secret_value() == MASK else None
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        items = [(fields[name].alias or name, getattr(value, name)) for name in value.model_fields_set]
    elif isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    return next((hit for name, item in items if (hit := left_mask(item, (*path, name))) is not None), None)


def inner_token(secret_key: str) -> str:
    """Return the token by which Mainstay's own processes know each other at the monitor's port."""
    return hmac.new(secret_key.encode(), b"mainstay monitor port", hashlib.sha256).hexdigest()


def scrape_token(secret_key: str) -> str:
    """Return the token by which the monitor scrapes Mainstay itself. It opens nothing but `/metrics`."""
    return hmac.new(secret_key.encode(), b"mainstay own metrics", hashlib.sha256).hexdigest()


def bears(authorization: str, token: str) -> bool:
    """Tell whether an Authorization header holds that token."""
    return hmac.compare_digest(authorization.encode("utf-8", "replace"), f"Bearer {token}".encode())
