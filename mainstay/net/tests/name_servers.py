"""Name servers for tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Servers:
    """Name servers of which some zones hang until `answer` is set; the others answer at once."""

    def __init__(self, *dead: str) -> None:
        self.dead = dead
        self.asked: list[str] = []
        self.hanging = 0
        self.most_hanging = 0
        self.answer = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, host: str, family: int) -> list[str]:
        with self._lock:
            self.asked.append(host)
        if host.endswith(self.dead):
            with self._lock:
                self.hanging += 1
                self.most_hanging = max(self.most_hanging, self.hanging)
            self.answer.wait(10)
            with self._lock:
                self.hanging -= 1
        return ["127.0.0.1"]


@contextmanager
def servers(*dead: str) -> Iterator[Servers]:
    made = Servers(*dead)
    try:
        yield made
    finally:
        made.answer.set()
