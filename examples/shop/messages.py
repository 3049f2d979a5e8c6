"""What a handler receives and returns: one request, one response, or a refusal."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

FORM_FIELDS_MAX = 50
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")


class RefusalError(Exception):
    """The request cannot be served; the caller is told why. Never logged as a failure of the shop."""

    def __init__(self, status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read to its end. `headers` have lower-case names; `peer` is the client's IP address."""

    method: str
    path: str
    request_id: str
    peer: str = "127.0.0.1"
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def text(self, name: str, longest: int) -> str:
        """A query parameter as one clean line of at most `longest` characters; longer input is refused."""
        return _clean(name, self.query.get(name, ""), longest)

    def form(self) -> dict[str, str]:
        """The fields of an HTML form (application/x-www-form-urlencoded); anything else is refused."""
        if not self._has_type("application/x-www-form-urlencoded"):
            raise RefusalError(415, "Send the form as application/x-www-form-urlencoded.")
        try:
            pairs = parse_qsl(
                self.body.decode("ascii"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="strict"
            )
        except ValueError as problem:
            raise RefusalError(400, f"The form cannot be read: {problem}.") from problem
        return dict(pairs)

    def json(self) -> object:
        """The JSON body; a body of another type or with bad syntax is refused that says where it is wrong."""
        if not self._has_type("application/json"):
            raise RefusalError(415, "Send JSON with the header 'Content-Type: application/json'.")
        try:
            document: object = json.loads(self.body)
        except RecursionError as problem:
            raise RefusalError(400, "The body is nested too deeply.") from problem
        except ValueError as problem:
            raise RefusalError(400, f"The body is not valid JSON: {problem}.") from problem
        return document

    def cookie(self, name: str) -> str | None:
        for part in self.headers.get("cookie", "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value
        return None

    def _has_type(self, wanted: str) -> bool:
        return self.headers.get("content-type", "").split(";")[0].strip().lower() == wanted


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response. `after_sent` runs once the last byte was handed to the socket."""

    status: int
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    after_sent: Callable[[], None] | None = None


def html_response(markup: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    return Response(status, markup.encode(), headers=headers)


def json_response(document: object, status: int = 200, after_sent: Callable[[], None] | None = None) -> Response:
    body = json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"
    return Response(status, body, "application/json", after_sent=after_sent)


def problem_response(status: int, title: str, detail: str, request_id: str) -> Response:
    """An error for programs, as a problem document (RFC 9457, section 3)."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": request_id}
    return Response(status, json.dumps(document).encode() + b"\n", "application/problem+json")


def see_other(path: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Send the browser to `path` with GET after a form was handled (RFC 9110, section 15.4.4)."""
    return Response(303, headers=(("Location", path), *headers))


def form_text(fields: Mapping[str, str], name: str, longest: int) -> str:
    """A form field as one clean line, which must not be empty."""
    value = _clean(name, fields.get(name, ""), longest)
    if not value:
        raise RefusalError(400, f"Please fill in '{name}'.")
    return value


def form_whole_number(fields: Mapping[str, str], name: str, lowest: int, highest: int) -> int:
    value = fields.get(name, "").strip()
    if not re.fullmatch(r"[0-9]{1,9}", value) or not lowest <= int(value) <= highest:
        raise RefusalError(400, f"'{name}' must be a whole number from {lowest} to {highest}.")
    return int(value)


def _clean(name: str, value: str, longest: int) -> str:
    line = _CONTROL_CHARACTERS.sub(" ", value).strip()
    if len(line) > longest:
        raise RefusalError(400, f"'{name}' is too long: {len(line)} characters, at most {longest}.")
    return line
