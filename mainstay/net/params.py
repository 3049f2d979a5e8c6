"""Secret parameters of a URL's query: known by their names, kept apart from it, added when the request is made."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from pydantic import SecretStr

from mainstay.foundation.secrets import MASK

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECRET = frozenset(
    {
        *("token", "secret", "password", "passwd", "passphrase", "pass", "pwd", "apikey", "accesskey", "authkey"),
        *("secretkey", "privatekey", "accesstoken", "authtoken", "auth", "authorization", "credential", "credentials"),
        *("signature", "sig", "hmac", "jwt", "bearer", "session", "sessionid", "sid"),
    }
)
_SECRET_KEYS = frozenset({"api", "access", "auth", "secret", "private", "account", "shared", "subscription"})


def is_secret_name(name: str) -> bool:
    """Whether a parameter of this name holds a secret, as its words tell: `token`, `apiKey`, `X-Amz-Signature`."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if _SECRET.intersection(words):
        return True
    return "key" in words and (len(words) == 1 or bool(_SECRET_KEYS.intersection(words)))


def apart(given: Any) -> Any:
    """Settings as people write them, in whose `url` parameters with secret names became `secret_params`.

    Raises ValueError when one is there twice: which is meant?
    """
    if not isinstance(given, Mapping) or not isinstance(given.get("url"), str):
        return given
    base, mark, fragment = given["url"].partition("#")
    path, _, query = base.partition("?")
    pieces = [(unquote_plus(piece.partition("=")[0]), piece) for piece in query.split("&")]
    secret = [piece for name, piece in pieces if "=" in piece and is_secret_name(name)]
    if not secret:
        return given
    plain = "&".join(piece for _, piece in pieces if piece not in secret)
    url = f"{path}?{plain}" if plain else path
    return {**given, "url": f"{url}{mark}{fragment}", "secret_params": _joined(given.get("secret_params"), secret)}


def _joined(named: Any, pieces: Iterable[str]) -> Any:
    if named is not None and not isinstance(named, Mapping):
        return named  # refused as what it is
    found = dict(named or {})
    for name, value in (pair for piece in pieces for pair in parse_qsl(piece, keep_blank_values=True)):
        if name in found:
            raise ValueError(f"the parameter {name!r} is given twice: leave one")
        found[name] = value
    return found


def with_params(url: str, params: Mapping[str, SecretStr]) -> str:
    """The URL with its secret parameters, without fragment; not for people."""
    if not params:
        return url
    base = url.partition("#")[0]
    query = urlencode({name: secret.get_secret_value() for name, secret in params.items()})
    return f"{base}{'&' if '?' in base else '?'}{query}"


def masked(labels: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Labels for people: of parameters (`prefix` and their name) with secret names a mask."""
    return {
        name: MASK if name.startswith(prefix) and is_secret_name(name.removeprefix(prefix)) else value
        for name, value in labels.items()
    }
