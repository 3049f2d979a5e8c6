"""Reading the body of a request on the event loop: whole, bounded in size and time, before any thread is taken."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from mainstay.foundation.http.connections import Limits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
READ_ON_MOST_BYTES = 16 * 1024 * 1024  # of what is too long: who still sends does not hear the answer


class Refusal(Exception):
    """A request is not taken: the status and what to tell the client."""

    def __init__(self, status: int, text: str, retry_after_s: int = 0) -> None:
        super().__init__(text)
        self.status, self.text, self.retry_after_s = status, text, retry_after_s


class Gone(Exception):
    """The client has left in the midst of its body."""


def header(scope: Scope, name: bytes) -> bytes:
    """Return the first header of that name (lower case), or nothing."""
    return next((value for key, value in scope["headers"] if key == name), b"")


async def pieces(receive: Receive, limits: Limits) -> AsyncIterator[bytes]:
    """Yield a body piece by piece.

    Raises:
        Refusal: it comes too slowly.
        Gone.
    """
    loop = asyncio.get_running_loop()
    begin, size, more = loop.time(), 0, True
    while more:
        try:
            async with asyncio.timeout_at(begin + limits.grace_s + size / limits.bytes_per_s):
                message = await receive()
        except TimeoutError:
            least = f"{limits.bytes_per_s // 1024} KiB a second after the first {limits.grace_s:g} s"
            raise Refusal(408, f"The body of the request did not arrive in time: send at least {least}.") from None
        if message["type"] == "http.disconnect":
            raise Gone
        part: bytes = message.get("body", b"")
        more, size = bool(message.get("more_body")), size + len(part)
        yield part


class Bodies:
    """Whole bodies, of which all together take a bounded amount of memory until they are let go."""

    def __init__(self, limits: Limits, most_bytes: int, together_bytes: int = 64 * 1024 * 1024) -> None:
        self._limits = limits
        self._most = most_bytes
        self._together = together_bytes
        self._held = 0

    async def whole(self, scope: Scope, receive: Receive) -> bytes:
        """Return the body; to be given to `let_go` afterwards.

        Raises:
            Refusal: it is too long, too slow, or all together are too much.
            Gone: the client left.
        """
        declared = header(scope, b"content-length")
        if not declared and not header(scope, b"transfer-encoding"):
            return b""
        too_long = len(declared) > 18 or int(declared or 0) > self._most
        if too_long and header(scope, b"expect"):
            raise self._too_long()
        body, size, kept = bytearray(), 0, 0
        try:
            async for part in pieces(receive, self._limits):
                size += len(part)
                too_long = too_long or size > self._most
                if too_long:
                    if size > READ_ON_MOST_BYTES:
                        break
                    self._held -= kept
                    kept = 0
                    body.clear()
                    continue
                if self._held + len(part) > self._together:
                    raise Refusal(503, "Too many requests with large bodies at once; try again in a moment.", 5)
                body += part
                kept += len(part)
                self._held += len(part)
            if too_long:
                raise self._too_long()
        except BaseException:
            self._held -= kept
            raise
        return bytes(body)

    def let_go(self, body: bytes) -> None:
        """The memory of a body is free again."""
        self._held -= len(body)

    def _too_long(self) -> Refusal:
        return Refusal(413, f"A request may have {self._most} bytes at most.")


async def answer(
    send: Send, status: int, body: bytes, content_type: bytes, *more: tuple[bytes, bytes], close: bool = False
) -> None:
    """Send a small answer."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *more]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
