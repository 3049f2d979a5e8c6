"""Take secrets out of text that a receiver wrote: error pages like to repeat the request."""

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

from mainstay.respond.delivery.kinds.wording import one_line

MASK = "•••"

# Shorter parts of a URL are words like "v2" or "hook": masking them would garble the answer and hide nothing.
_TELLING_CHARACTERS = 8
# The middle of a shorter secret in base64 is a few characters that occur by chance.
_BASE64_BYTES = 6


def masked_line(text: str, settings: BaseModel, limit: int) -> str:
    """`text` on one line without any secret of `settings`, in at most `limit` characters (and the mask's own).

    Masked before and after it becomes one line, since that can both break a secret up and put one together;
    cut last, since half a secret is not recognised.
    """
    return mask(one_line(mask(text, settings)), settings)[:limit]


def mask(text: str, settings: BaseModel) -> str:
    """`text` without any secret of `settings`, however the receiver wrote it: escaped for a URL, for JSON or for
    HTML, in any mixture, or inside base64."""
    parts = {
        part
        for secret in secrets_of(settings)
        for part in (secret, *_words(secret), *_url_parts(secret))
        if part.strip()
    }
    for part in sorted(parts, key=len, reverse=True):
        text = re.sub(_pattern(part), MASK, text)
    return text


def secrets_of(value: Any) -> Iterator[str]:
    """Every `SecretStr` in a model, a mapping or a sequence, at any depth."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_of(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_of(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from secrets_of(item)


def _pattern(secret: str) -> str:
    plain = "".join(_spellings(char) for char in secret)
    return "|".join([plain, *(re.escape(core) for core in _base64_cores(secret.encode("utf-8", "replace")))])


def _spellings(char: str) -> str:
    """A pattern for the ways to write one character."""
    percent = "".join(f"%{byte:02x}" for byte in char.encode("utf-8", "replace"))
    insensitive = [percent, f"&#x0*{ord(char):x};", re.escape(json.dumps(char)[1:-1])]
    if len(char.encode("utf-16-le", "replace")) == 2:
        insensitive.append(rf"\\u{ord(char):04x}")
    forms = [re.escape(char), f"&#0*{ord(char)};", *(f"(?i:{form})" for form in insensitive)]
    if char in "\"'\\/<>&":
        forms += [re.escape("\\" + char), re.escape(html.escape(char))]
    if char == " ":
        forms.append(r"\+")
    return f"(?:{'|'.join(forms)})"


def _base64_cores(secret: bytes) -> Iterator[str]:
    """What is the same in the base64 of anything that contains `secret`, for each of its three alignments."""
    if len(secret) < _BASE64_BYTES:
        return
    for offset, mixed_before in ((0, 0), (1, 2), (2, 3)):
        padded = bytes(offset) + secret
        whole = len(padded) * 8 // 6  # digits made of this secret's bits only, from the left
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded).decode()[mixed_before:whole]


def _words(secret: str) -> Iterator[str]:
    """Of "Bearer abc…" the token by itself."""
    words = secret.split()
    if len(words) > 1:
        yield from (word for word in words if len(word) >= _TELLING_CHARACTERS)


def _url_parts(secret: str) -> Iterator[str]:
    """The telling parts of a secret that is a URL: user, password, path, its longer segments, query values."""
    if "://" not in secret:
        return
    try:
        url = urlsplit(secret)
        user, password = url.username, url.password
    except ValueError:
        return
    if password:
        yield from (password, unquote(password))
    pieces = [user or "", url.path, url.query, *url.path.split("/")]
    pieces += [pair.partition("=")[2] for pair in url.query.split("&")]
    for piece in pieces:
        if len(piece) >= _TELLING_CHARACTERS:
            yield from (piece, unquote(piece))
