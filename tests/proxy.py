"""A TCP proxy in front of PostgreSQL that can fall silent, as a dead firewall or a failed-over host does."""

import asyncio
import threading
import time


class Proxy:
    """TCP on 127.0.0.1 to the server's socket. `swallow` makes all present connections silent; new ones work."""

    def __init__(self, path: str) -> None:
        self.path, self.port = path, 0
        self._silent: list[asyncio.Event] = []
        self._tasks: set[asyncio.Task[None] | None] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        async def serve() -> None:
            self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]
            self._ready.set()

        self._loop.run_until_complete(serve())
        self._loop.run_forever()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())  # asyncio itself holds none
        silent = asyncio.Event()
        self._silent.append(silent)
        try:
            to, back = await asyncio.open_unix_connection(self.path)
        except (OSError, asyncio.CancelledError):
            writer.close()
            return

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                if not silent.is_set():  # else read and confirmed, and never passed on
                    sink.write(data)

        try:
            await asyncio.gather(pump(reader, back), pump(to, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            back.close()

    def swallow(self) -> None:
        """From now on, nothing passes over what is connected."""
        for silent in list(self._silent):
            self._loop.call_soon_threadsafe(silent.set)
        time.sleep(0.05)

    def stop(self) -> None:
        async def end() -> None:
            self._server.close()
            # One that was connecting at this moment may appear after the others were ended.
            for _ in range(20):
                tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await asyncio.sleep(0.02)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
