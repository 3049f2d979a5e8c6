"""Clients that mean no good: `python -m tests.hostile PORT SECONDS KIND=NUMBER …` prints what became of them, as JSON.

Of each kind so many sockets are held; those with half a request send a byte a second, those with a whole one wait
for the answer; and a new one is opened for each that is closed.
"""

import json
import random
import socket
import sys
import time
from dataclasses import dataclass, field
from statistics import median

TOKEN = "a" * 32
BODY = (
    "POST /sign-in/x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    f"Cookie: mainstay_csrf_{{port}}={TOKEN}\r\nContent-Length: 1000\r\n\r\n"
)
OPENINGS = {
    "idle": "",
    "head": "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Slow: ",
    "body": BODY,
    "chunked": BODY.replace("Content-Length: 1000", "Transfer-Encoding: chunked") + "3e8\r\n",
    "unread": "GET /static/django_htmx/htmx-2.min.js HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n" * 12,
    "sign-in": "GET /account/login/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
    "host": "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "ping": "GET /ping/{uuid} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
}


@dataclass
class Hostile:
    """One socket."""

    kind: str
    sock: socket.socket
    since: float
    answer: bytes = b""


@dataclass
class Seen:
    """What became of the sockets of a kind."""

    opened: int = 0
    refused: int = 0
    lives: list[float] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)


def main() -> None:
    """Hold the sockets for a while."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    wanted = {kind: int(number) for kind, _, number in (word.partition("=") for word in sys.argv[3:])}
    seen = {kind: Seen() for kind in wanted}
    held: list[Hostile] = []
    end = time.monotonic() + seconds
    generator = random.Random(7)
    while (now := time.monotonic()) < end:
        counts = dict.fromkeys(wanted, 0)
        for one in held:
            counts[one.kind] += 1
        for kind, number in wanted.items():
            for _ in range(number - counts[kind]):
                opened = _open(kind, port, generator)
                if opened is None:
                    seen[kind].refused += 1
                    continue
                seen[kind].opened += 1
                held.append(opened)
        left = []
        for one in held:
            if _goes_on(one):
                left.append(one)
                continue
            one.sock.close()
            seen[one.kind].lives.append(time.monotonic() - one.since)
            status = one.answer[9:12].decode("ascii", "replace")
            seen[one.kind].answers[status] = seen[one.kind].answers.get(status, 0) + 1
        held = left
        time.sleep(max(0.0, min(1.0, end - time.monotonic(), now + 1.0 - time.monotonic())))
    now = time.monotonic()
    told = {
        kind: {
            "opened": found.opened,
            "refused": found.refused,
            "closed": len(found.lives),
            "life_median_s": round(median(found.lives), 1) if found.lives else None,
            "life_longest_s": round(max([*found.lives, *(now - one.since for one in held if one.kind == kind)]), 1),
            "answers": found.answers,
        }
        for kind, found in seen.items()
    }
    print(json.dumps(told))


def _open(kind: str, port: int, generator: random.Random) -> Hostile | None:
    sock = socket.socket()
    sock.settimeout(2)
    try:
        if kind == "unread":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        key = f"{generator.getrandbits(128):032x}"
        sock.sendall(OPENINGS[kind].format(port=port, uuid=key).encode())
    except OSError:
        sock.close()
        return None
    sock.setblocking(False)
    return Hostile(kind, sock, time.monotonic())


def _goes_on(one: Hostile) -> bool:
    """Send a byte more; False when the server has closed."""
    try:
        if one.kind != "unread":
            part = one.sock.recv(4096)
            if not part:
                return False
            one.answer += part
            if one.kind in {"host", "ping", "sign-in"} or one.answer[9:12] in {b"408", b"431", b"503"}:
                return False
    except BlockingIOError:
        pass
    except OSError:
        return False
    try:
        if one.kind in {"head", "body", "chunked"}:
            one.sock.send(b"a")
    except BlockingIOError:
        pass
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
