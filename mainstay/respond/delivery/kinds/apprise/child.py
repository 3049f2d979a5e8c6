"""Run as a program of its own: send one message with Apprise, asking the parent before each connection.

Lines of JSON: the order comes in on standard input, `{"check": [ip, host]}` goes out on standard output and its
verdict comes in, and `{"result": …}` goes out last. Nothing that Apprise or a plug-in prints or logs leaves
this process: it may hold tokens.
"""

import json
import logging
import os
import re
import socket
import sys
import threading
from typing import Any, TextIO

_NETWORK_FAMILIES = {socket.AF_INET, socket.AF_INET6}


class ForbiddenError(OSError):
    """The parent's address policy does not allow this address."""


class Gate:
    """Asks the parent about addresses; plug-ins may connect from several threads."""

    def __init__(self, incoming: TextIO, outgoing: TextIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._turn = threading.Lock()
        self._host = threading.local()
        self.reasons: list[str] = []

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """A hook of `sys.addaudithook`: Python calls it before it resolves, connects or sends a datagram."""
        if event == "socket.getaddrinfo":
            self._host.name = str(arguments[0])
        elif event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            connection, address = arguments[0], arguments[1]
            if address is not None and connection.family in _NETWORK_FAMILIES:
                self._ask(str(address[0]))
        elif event in {"subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.exec"}:
            # A command would connect out of this hook's sight.
            self.reasons.append("this kind of notification runs a command")
            raise ForbiddenError("no commands from here")

    def _ask(self, ip: str) -> None:
        with self._turn:
            self.say({"check": [ip, getattr(self._host, "name", ip)]})
            reason = json.loads(self._incoming.readline())["reason"]
        if reason is not None:
            self.reasons.append(f"{ip}: {reason}")
            raise ForbiddenError(reason)

    def say(self, value: dict[str, Any]) -> None:
        self._outgoing.write(json.dumps(value) + "\n")
        self._outgoing.flush()


def main() -> None:
    """Read the order, send, report."""
    # The parent reads our standard output; a plug-in that prints must not be able to write there.
    outgoing = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    order = json.loads(sys.stdin.readline())

    import apprise  # here, since importing it takes longer than everything else

    gate = Gate(sys.stdin, outgoing)
    statuses = _Statuses()
    logger = logging.getLogger("apprise")
    logger.handlers = [statuses]
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    target = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Mainstay", app_desc="Mainstay", app_url=""))
    service = apprise.Apprise.instantiate(order["url"], asset=target.asset)  # one URL: `add` would take a list of them
    if service is None or not target.add(service):
        gate.say({"result": "invalid"})
        return
    sys.addaudithook(gate.audit)
    sent = target.notify(
        title=order["title"],
        body=order["body"],
        notify_type=order["type"],
        body_format="text",
    )
    report = {"result": "sent" if sent else "failed", "statuses": statuses.seen, "forbidden": gate.reasons[:5]}
    gate.say(report)


class _Statuses(logging.Handler):
    """Takes the HTTP statuses out of Apprise's warnings ("…, error=401."), and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        for status in re.findall(r"\berror=([1-5]\d\d)\b", record.getMessage()):
            self.seen.append(int(status))


if __name__ == "__main__":
    main()
