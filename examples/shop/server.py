"""HTTP/1.1 on sockets: one thread per connection, keep-alive, limits on size, time and number."""

import http.client
import io
import logging
import re
import secrets
import socket
import socketserver
import threading
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from examples.shop.application import Application
from examples.shop.messages import FORM_FIELDS_MAX, Request, Response
from examples.shop.pages import CONTENT_SECURITY_POLICY

CONNECTIONS_MAX = 256
BODY_MAX_BYTES = 64 * 1024
REQUEST_WITHIN_S = 15.0
ANSWER_WITHIN_S = 30.0
_DRAIN_BYTES = 4 * 1024 * 1024
_DRAIN_S = 2.0
_POLL_S = 0.2
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SECURITY_HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)

log = logging.getLogger("shop.server")


class _ProtocolError(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class _TimedReader(io.RawIOBase):
    """Reads a socket until a deadline, however slowly the bytes drip in. Raises TimeoutError after it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline = time.monotonic() + REQUEST_WITHIN_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(left_s)
        return self._connection.recv_into(buffer)


class _Connection(BaseHTTPRequestHandler):
    """One connection: requests are read whole, answered by the application, one after another."""

    protocol_version = "HTTP/1.1"
    server: "Server"
    connection: socket.socket

    def setup(self) -> None:
        self.connection = self.request
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = _TimedReader(self.connection)
        self.rfile = io.BufferedReader(self._reader)
        self.wfile = io.BytesIO()

    def finish(self) -> None:
        self.rfile.close()

    def handle_one_request(self) -> None:
        self.close_connection = True
        request_id = secrets.token_hex(8)
        self.raw_requestline, self.command, self.path = b"", "", ""
        try:
            self._reader.deadline = time.monotonic() + REQUEST_WITHIN_S
            with self.server.idle(self.connection):
                self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline:
                return
            if len(self.raw_requestline) > 65536:
                raise _ProtocolError(414, "The request line is too long.")
            if not self.parse_request():  # refuses by itself, through send_error
                return
            given_id = self.headers.get("X-Request-ID", "")
            request_id = given_id if _REQUEST_ID.fullmatch(given_id) else request_id
            response = self.server.application.respond(self._read_request(request_id))
        except _ProtocolError as refusal:
            self._refuse(refusal.status, refusal.detail, request_id)
            return
        except TimeoutError:
            if self.raw_requestline or self.command:
                self._refuse(408, f"The request was not complete within {REQUEST_WITHIN_S:g} s.", request_id)
            return
        except (ConnectionError, http.client.HTTPException):
            return
        self._answer(response, request_id)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Called by the parser of request line and headers when it gives up."""
        self._refuse(code, message or "The request cannot be understood.", secrets.token_hex(8))

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the application logs each request itself."""

    def handle_expect_100(self) -> bool:
        return True  # "100 Continue" is sent when the length is known to be acceptable

    def _read_request(self, request_id: str) -> Request:
        length = _body_length(self.headers)
        if length and self.headers.get("Expect", "").lower() == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(length) if length else b""
        if len(body) < length:
            raise ConnectionResetError("the client left before its body was complete")
        try:
            target = urlsplit(self.path)
            query = dict(parse_qsl(target.query, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX))
        except ValueError as problem:
            raise _ProtocolError(400, f"The address cannot be read: {problem}.") from problem
        return Request(
            method=self.command,
            path=target.path or "/",
            request_id=request_id,
            peer=str(self.client_address[0]),
            query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )

    def _answer(self, response: Response, request_id: str) -> None:
        keep_alive = self._client_keeps_alive() and not self.server.stopping.is_set()
        try:
            self._send(response, request_id, keep_alive=keep_alive)
        except OSError:
            return  # the client has gone, or reads too slowly
        finally:
            if response.after_sent is not None:
                response.after_sent()
        self.close_connection = not keep_alive

    def _refuse(self, status: int, detail: str, request_id: str) -> None:
        response = self.server.application.refuse(status, detail, request_id, self.command or "", self.path)
        try:
            self._send(response, request_id, keep_alive=False)
            self._drain()
        except OSError:
            pass
        self.close_connection = True

    def _send(self, response: Response, request_id: str, *, keep_alive: bool) -> None:
        reason = http.client.responses.get(response.status, "")
        headers = [
            ("Date", self.date_time_string()),
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            ("X-Request-ID", request_id),
            ("Connection", "keep-alive" if keep_alive else "close"),
            *_SECURITY_HEADERS,
            *response.headers,
        ]
        head = f"HTTP/1.1 {response.status} {reason}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
        body = b"" if self.command == "HEAD" else response.body
        self.connection.settimeout(ANSWER_WITHIN_S)
        self.connection.sendall(head.encode("latin-1") + b"\r\n" + body)

    def _client_keeps_alive(self) -> bool:
        wishes = self.headers.get("Connection", "").lower()
        return "keep-alive" in wishes if self.request_version == "HTTP/1.0" else "close" not in wishes

    def _drain(self) -> None:
        # Closing on unread bytes makes the kernel reset the connection, and the client never sees why it was refused.
        self.connection.shutdown(socket.SHUT_WR)
        self._reader.deadline = time.monotonic() + _DRAIN_S
        left = _DRAIN_BYTES
        while left > 0 and (chunk := self.rfile.read1(65536)):
            left -= len(chunk)


class Server(socketserver.TCPServer):
    """Listens as soon as it is made (port 0: any free one); `stop` ends it without cutting answers short."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], application: Application, stopping: threading.Event) -> None:
        self.application = application
        self.stopping = stopping
        self._slots = threading.BoundedSemaphore(CONNECTIONS_MAX)
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._idle: set[socket.socket] = set()
        super().__init__(address, _Connection)
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL_S,), name="accept", daemon=True)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self, wait_s: float) -> bool:
        """Accept no more, close idle connections, wait for answers under way; False if some took longer."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        give_up_at = time.monotonic() + wait_s
        while time.monotonic() < give_up_at:
            with self._guard:
                if not self._open:
                    return True
                for connection in self._idle:
                    _end_reading(connection)
            time.sleep(0.02)
        return False

    def idle(self, connection: socket.socket) -> "_Idle":
        """While the block runs, the connection waits for a request and may be closed at any moment."""
        return _Idle(self._guard, self._idle, connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self._turn_away(request)
            return
        with self._guard:
            self._open.add(request)
        threading.Thread(target=self._serve, args=(request, client_address), name="connection", daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("a connection failed")

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:
            log.exception("a connection failed")
        finally:
            self.shutdown_request(request)
            with self._guard:
                self._open.discard(request)
            self._slots.release()

    def _turn_away(self, request: socket.socket) -> None:
        log.warning("too many connections, one was turned away")
        request.setblocking(False)
        try:
            request.send(
                b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        except OSError:
            pass
        self.shutdown_request(request)


class _Idle:
    def __init__(self, guard: threading.Lock, idle: set[socket.socket], connection: socket.socket) -> None:
        self._guard = guard
        self._idle = idle
        self._connection = connection

    def __enter__(self) -> None:
        with self._guard:
            self._idle.add(self._connection)

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._idle.discard(self._connection)


def _end_reading(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        pass


def _body_length(headers: Message) -> int:
    if headers.get("Transfer-Encoding"):
        raise _ProtocolError(411, "Send the body with a Content-Length; chunked bodies are not taken.")
    given = headers.get_all("Content-Length") or ["0"]
    if len(given) > 1 or not re.fullmatch(r"[0-9]{1,15}", given[0]):
        raise _ProtocolError(400, "Content-Length must be given once, as a whole number.")
    length = int(given[0])
    if length > BODY_MAX_BYTES:
        raise _ProtocolError(413, f"The body has {length} bytes; at most {BODY_MAX_BYTES} are taken.")
    return length
