"""A web server that costs little, so that what watches it is measured and not it: `python -m bench.target PORTS`.

Prints its ports, serves until its standard input closes (so it ends with whoever started it, however that ends).
`/down…` answers 500, everything else 200 with a small page; after the line `fail PREFIX` on standard input, all that
begins with the prefix answers 500 too, until a line `fail` without one.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import ClassVar, cast

_PAGE = b"<html><title>Shop</title><p>Welcome to the shop.</p></html>"
_HEAD = b"HTTP/1.1 %s\r\nServer: bench\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
FINE = _HEAD % (b"200 OK", len(_PAGE)) + _PAGE
FAILING = _HEAD % (b"500 Internal Server Error", 7) + b"failing"


class Answering(asyncio.Protocol):
    """One connection; a request is what ends with an empty line."""

    transport: asyncio.Transport
    failing: ClassVar[tuple[bytes, ...]] = (b"GET /down",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports only look like asyncio's

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self.transport.write(FAILING if data.startswith(self.failing) else FINE)

    @classmethod
    def obey(cls, stop: Callable[[], None]) -> None:
        """Read what stands in standard input, and do what its last line says: several may have come at once."""
        said = os.read(sys.stdin.fileno(), 65_536)
        if not said:
            stop()
            return
        prefix = said.splitlines()[-1].partition(b" ")[2].strip()
        cls.failing = (b"GET /down", *([b"GET " + prefix] if prefix else []))


def new_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's loop, or asyncio's where uvloop does not run."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return cast(asyncio.AbstractEventLoop, uvloop.new_event_loop())


def main() -> None:
    """Serve on as many ports as the argument says: many, so that the ephemeral ports of the prober suffice."""
    loop = new_loop()
    servers = [
        loop.run_until_complete(loop.create_server(Answering, "127.0.0.1", 0, backlog=4096))
        for _ in range(int(sys.argv[1]))
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    loop.add_reader(sys.stdin, Answering.obey, loop.stop)
    loop.run_forever()


if __name__ == "__main__":
    main()
