"""HTTP/1.1 with the standard library's server: one thread per connection, keep-alive, bodies of a bounded size."""

import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from examples.shop.metrics import REQUESTS
from examples.shop.pages import SECURITY_HEADERS

BODY_MAX_BYTES = 64 * 1024
FIELDS_MAX = 50
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")

Headers = tuple[tuple[str, str], ...]


class RefusalError(Exception):
    """The request cannot be served; the caller is told why. Never logged as a failure of the shop."""

    def __init__(self, status: int, detail: str, headers: Headers = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response. `after_sent` runs once the last byte was handed to the socket."""

    status: int
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    headers: Headers = ()
    after_sent: Callable[[], None] | None = None


class Server(ThreadingHTTPServer):
    """Listens as soon as it is made (port 0: any free one); `stop` ends it without cutting answers short."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], respond: Callable[["Request"], Response]) -> None:
        self.respond = respond  # never raises
        self.busy: set[int] = set()
        super().__init__(address, Request)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.1,), name="accept", daemon=True).start()

    def stop(self, wait_s: float) -> bool:
        """Accept no more and wait for answers under way; False if some took longer."""
        self.shutdown()
        self.server_close()
        give_up_at = time.monotonic() + wait_s
        while self.busy and time.monotonic() < give_up_at:
            time.sleep(0.02)
        return not self.busy


class Request(BaseHTTPRequestHandler):
    """The request being answered on a connection, read to its end; requests come one after another."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # what cannot be read is refused with a status line
    timeout = 15.0
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server
    request_id = ""
    body = b""

    def do_GET(self) -> None:
        thread = threading.get_ident()
        self.server.busy.add(thread)
        given_id = self.headers.get("X-Request-ID", "")
        self.request_id = given_id if _REQUEST_ID.fullmatch(given_id) else secrets.token_hex(8)
        try:
            if self._read():
                self._send(self.server.respond(self))
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            self.server.busy.discard(thread)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815  # http.server's names

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what cannot be read; http.server calls it for bad request lines and headers."""
        self.close_connection = True
        self.request_id = self.request_id or secrets.token_hex(8)
        REQUESTS.labels("refused", "", str(code)).inc()
        self._send(problem_response(code, message or "The request cannot be understood.", self.request_id))

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the shop logs by itself."""

    def form(self) -> dict[str, str]:
        """The fields of an HTML form (application/x-www-form-urlencoded); anything else is refused."""
        self._need_type("application/x-www-form-urlencoded")
        try:
            return _fields(self.body.decode("ascii"))
        except ValueError as problem:
            raise RefusalError(400, f"The form cannot be read: {problem}.") from problem

    def json(self) -> object:
        self._need_type("application/json")
        try:
            document: object = json.loads(self.body)
        except (ValueError, RecursionError) as problem:
            raise RefusalError(400, f"The body is not valid JSON: {problem}.") from problem
        return document

    def cookie(self, name: str) -> str:
        pairs = (part.strip().partition("=") for part in self.headers.get("Cookie", "").split(";"))
        return next((value for key, _, value in pairs if key == name), "")

    def _need_type(self, wanted: str) -> None:
        if self.headers.get("Content-Type", "").split(";")[0].strip().lower() != wanted:
            raise RefusalError(415, f"Send the body with the header 'Content-Type: {wanted}'.")

    def _read(self) -> bool:
        lengths = self.headers.get_all("Content-Length") or ["0"]
        if self.headers.get("Transfer-Encoding"):
            self.send_error(411, "Send the body with a Content-Length; chunked bodies are not taken.")
        elif len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,15}", lengths[0]):
            self.send_error(400, "Content-Length must be given once, as a whole number.")
        elif int(lengths[0]) > BODY_MAX_BYTES:
            self.send_error(413, f"The body has {lengths[0]} bytes; at most {BODY_MAX_BYTES} are taken.")
        else:
            self.body = self.rfile.read(int(lengths[0]))
            try:
                target = urlsplit(self.path)
                self.path, self.query = target.path or "/", _fields(target.query)
            except ValueError as problem:
                self.send_error(400, f"The address cannot be read: {problem}.")
            else:
                return True
        return False

    def _send(self, response: Response) -> None:
        self.send_response_only(response.status, HTTPStatus(response.status).phrase)
        for name, value in (
            ("Date", self.date_time_string()),
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            ("X-Request-ID", self.request_id),
            ("Connection", "close" if self.close_connection else "keep-alive"),
            *SECURITY_HEADERS,
            *response.headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()
        if response.after_sent is not None:
            response.after_sent()


def problem_response(status: int, detail: str, request_id: str, headers: Headers = ()) -> Response:
    """An error for programs, as a problem document (RFC 9457, section 3)."""
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": request_id}
    return Response(status, json.dumps(document).encode() + b"\n", "application/problem+json", headers)


def clean(name: str, value: str, longest: int) -> str:
    """`value` as one line; refused when it is longer than `longest` characters."""
    line = _CONTROL_CHARACTERS.sub(" ", value).strip()
    if len(line) > longest:
        raise RefusalError(400, f"'{name}' is too long: {len(line)} characters, at most {longest}.")
    return line


def _fields(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"))
