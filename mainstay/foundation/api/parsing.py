"""Reading a body as JSON, strictly: what could not be stored or shown later is refused here, with its place."""

import json
import math
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser

from mainstay.foundation.api.problems import BODY_MOST_BYTES, Problem, pointer

DEEPEST = 64
_INTEGER_MOST = 2**63 - 1


class StrictParser(Parser):
    """JSON of up to 1 MB, as `application/json`."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the body.

        Raises:
            Problem: 413, 415, 400 (not JSON), 422 (text with NUL or half a surrogate pair, a number out of range).
        """
        given = (request.content_type or "").lower()
        if given != "application/json" and not given.endswith("+json"):
            raise Problem(415, f"The body is {given or 'of no declared type'}; send Content-Type: application/json.")
        return read_json(body_of(request))


def body_of(request: HttpRequest) -> bytes:
    """Return the body of up to 1 MB.

    Raises:
        Problem: 413.
    """
    body = request.body
    if len(body) > BODY_MOST_BYTES:
        raise Problem(413, f"A request may have {BODY_MOST_BYTES} bytes at most; this one has {len(body)}.")
    return body


def read_json(body: bytes) -> Any:
    """Return a JSON text (RFC 8259, in UTF-8) as a value.

    Raises:
        Problem: 400 when it is no JSON; 422 when a value in it is unusable.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
            object_pairs_hook=_unique,
        )
    except UnicodeDecodeError as error:
        raise Problem(400, f"The body is not UTF-8 (byte {error.start}).") from None
    except RecursionError:
        raise Problem(400, f"The body is nested deeper than {DEEPEST} levels.") from None
    except ValueError as error:
        raise Problem(400, f"The body is not JSON: {error}.") from None
    _look_through(value)
    return value


def usable(text: str) -> str:
    """Return why `text` cannot be taken, or an empty text. PostgreSQL stores neither NUL nor half a surrogate pair."""
    if "\0" in text:
        return "contains a NUL character; remove it"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half a surrogate pair; send whole characters"
    return ""


def _look_through(value: Any) -> None:
    work: list[tuple[Any, tuple[object, ...]]] = [(value, ())]
    while work:
        node, path = work.pop()
        if len(path) > DEEPEST:
            raise Problem(422, f"The body is nested deeper than {DEEPEST} levels.")
        if isinstance(node, str):
            _check(node, path)
        elif isinstance(node, dict):
            for name, item in node.items():
                _check(name, path)
                work.append((item, (*path, name)))
        elif isinstance(node, list):
            work.extend((item, (*path, place)) for place, item in enumerate(node))


def _check(text: str, path: tuple[object, ...]) -> None:
    wrong = usable(text)
    if wrong:
        where = pointer([str(part).encode("utf-8", "replace").decode().replace("\0", "?") for part in path])
        raise Problem(422, f"A text in the body {wrong}.", [{"pointer": where, "detail": wrong}])


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Problem(422, f"A number in the body is out of range: {text[:40]}.")
    return value


def _integer(text: str) -> int:
    if len(text) > 20 or abs(value := int(text)) > _INTEGER_MOST:
        raise Problem(422, f"A number in the body is beyond 64 bits: {text[:40]}.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the member {twice[:40]!r} twice")
    return found
