"""A real HTTP receiver on 127.0.0.1 that records what it gets and answers as the test says."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Behaviour = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    server: "Receiver"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Request(self.command, self.path, headers, body))
        answers = self.server.answers
        behaviour = answers.pop(0) if len(answers) > 1 else answers[0]
        behaviour(self)

    def do_PUT(self) -> None:
        self.do_POST()

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Receiver(ThreadingHTTPServer):
    """`answers` are used one after the other, the last for ever."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Request] = []
        self.answers: list[Behaviour] = [reply()]
        self.released = threading.Event()
        """Set when the test is over: lets the hanging answers go."""
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients hang up on purpose here


def reply(status: int = 200, body: bytes | str = b"ok", **headers: str) -> Behaviour:
    """Answer `status` with `body`; in header names `_` stands for `-`."""
    content = body.encode() if isinstance(body, str) else body

    def behave(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return behave


def hang(handler: Handler) -> None:
    """Read the request and say nothing."""
    handler.server.released.wait(30)


def reset(handler: Handler) -> None:
    """Read the request and reset the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def hang_up(handler: Handler) -> None:
    """Read the request and close the connection in good order, without an answer."""
    handler.close_connection = True


def garbage(handler: Handler) -> None:
    """Answer with bytes that are no HTTP."""
    handler.wfile.write(b"\x00\xff\xfe 220 hello \xf0\x9f\x92\xa9\r\n\r\n")
    handler.close_connection = True


def head_only(status: int) -> Behaviour:
    """Send the head of an answer, a piece of its body, and hang."""

    def behave(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.wfile.flush()
        handler.server.released.wait(30)

    return behave


def early_hints_then_reset(handler: Handler) -> None:
    """Send an interim answer (103) and reset before the final one."""
    handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    handler.wfile.flush()
    reset(handler)


def flood(handler: Handler) -> None:
    """A proper 200 whose body is far longer than anybody reads."""
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(200):
            handler.wfile.write(b"x" * 65_536)
    except OSError:
        pass
    handler.close_connection = True


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
