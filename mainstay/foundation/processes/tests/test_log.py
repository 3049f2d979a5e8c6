"""The log: one line a record, and what clients do wrong seldom and short."""

import logging

import pytest
from django.test import Client

from mainstay.foundation.processes.log import CLIENTS_EVERY_S, MESSAGE_MOST, ClientMistakes, LineFormatter


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


class Kept(logging.Handler):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(LineFormatter())
        self.addFilter(ClientMistakes(clock))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.mark.fault("S21")
def test_a_foreign_host_again_and_again_is_one_short_line_now_and_then() -> None:
    clock = Clock()
    kept = Kept(clock)
    logger = logging.getLogger("django.security.DisallowedHost")
    logger.addHandler(kept)
    try:
        for _ in range(50):
            assert Client().get("/", headers={"Host": "evil.example" * 100}).status_code == 400
        assert len(kept.lines) == 1
        assert "\n" not in kept.lines[0]
        assert "evil.example" in kept.lines[0]
        assert len(kept.lines[0]) < MESSAGE_MOST + 150
        clock.at += CLIENTS_EVERY_S
        Client().get("/", headers={"Host": "evil.example"})
    finally:
        logger.removeHandler(kept)
    assert kept.lines[1].endswith("(and 49 more like it)")


def test_defects_are_told_whole_and_each_time() -> None:
    kept = Kept(Clock())
    for name in ("uvicorn.error", "mainstay.web", "django.request"):
        logger = logging.getLogger(name)
        logger.addHandler(kept)
        try:
            for _ in range(2):
                logger.error("a defect", exc_info=ZeroDivisionError("of ours"))
        finally:
            logger.removeHandler(kept)
    assert sum("ZeroDivisionError: of ours" in line for line in kept.lines) == 6
