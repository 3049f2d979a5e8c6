"""What the watchdog is told of the threads and the loop that serve requests."""

import asyncio
import socket
import threading
import time

import pytest

from mainstay.foundation.http.bodies import Send, answer
from mainstay.foundation.http.connections import Limits, Server
from mainstay.foundation.http.pool import Threads
from mainstay.foundation.processes.watchdog import Watchdog


async def at_work(threads: Threads, count: int, until: threading.Event) -> list["asyncio.Task[bool]"]:
    """Have `count` threads wait for `until`; return when all do."""
    begun = threading.Semaphore(0)

    def wait() -> bool:
        begun.release()
        return until.wait(30)

    tasks = [asyncio.create_task(threads.run(wait)) for _ in range(count)]
    for _ in range(count):
        assert await asyncio.to_thread(begun.acquire, timeout=10)
    await asyncio.sleep(0.05)
    return tasks


def looks(threads: Threads, seconds: int) -> str:
    """Let a watchdog look once a second of a made-up clock."""
    dog, wrong = Watchdog(), ""
    for second in range(seconds):
        wrong = dog.look(float(second), [threads.turn(60.0)])
    return wrong


def test_threads_that_are_all_stuck_hang_and_while_one_is_free_none_does() -> None:
    async def run() -> None:
        threads, end = Threads("page", 3), threading.Event()
        some = await at_work(threads, 2, end)
        assert looks(threads, 100) == ""
        last = await at_work(threads, 1, end)
        assert looks(threads, 60) == ""
        assert looks(threads, 61) == "every thread page hangs: it has not moved for 60 s"
        end.set()
        assert all(await asyncio.gather(*some, *last))
        assert looks(threads, 100) == ""
        threads.stop()

    asyncio.run(run())


def test_threads_that_take_one_request_after_the_other_do_not_hang() -> None:
    async def run() -> None:
        threads, dog = Threads("page", 1), Watchdog()
        for second in range(100):
            end = threading.Event()
            tasks = await at_work(threads, 1, end) if not second % 10 else []
            assert dog.look(float(second), [threads.turn(60.0)]) == ""
            end.set()
            await asyncio.gather(*tasks)
        threads.stop()

    asyncio.run(run())


@pytest.mark.timing
def test_the_lag_of_a_loop_is_for_how_long_it_has_not_come_round() -> None:
    async def app(scope: object, receive: object, send: Send) -> None:
        time.sleep(2.0)  # a defect: it holds the loop
        await answer(send, 200, b"late", b"text/plain")

    server = Server(app, "127.0.0.1", 0, Limits())
    assert server.lag_s() == 0.0
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    give_up = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    time.sleep(0.3)
    assert server.lag_s() < 0.5
    with socket.create_connection(server.servers[0].sockets[0].getsockname()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        most_s = 0.0
        while most_s < 0.5:
            assert time.monotonic() < give_up
            most_s = server.lag_s()
            time.sleep(0.01)
        assert b"late" in b"".join(iter(lambda: client.recv(1000), b""))
    server.end()
    thread.join(10)
    assert server.lag_s() == 0.0
