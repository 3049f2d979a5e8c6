"""That what the benchmarks print can be believed: arithmetic, the load, the quoted figures."""

import ast
import http.client
import importlib
import math
import re
import threading
from contextlib import closing
from pathlib import Path

import pytest

from bench import __main__ as program
from bench import figures
from bench.figures import Aim, Figure, Peer, Skipped, table
from bench.load import Wanted, load
from bench.machine import quantile
from bench.program import target
from tests.parts import Target
from tests.program import until

BENCH = Path(program.__file__).parent


@pytest.mark.parametrize(
    ("q", "expected"), [(0.0, 1.0), (0.01, 1.0), (0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0)]
)
def test_a_quantile_is_the_smallest_value_that_so_many_do_not_exceed(q: float, expected: float) -> None:
    assert quantile([float(number) for number in range(100, 0, -1)], q) == expected


def test_no_value_has_no_quantile_and_meets_no_aim() -> None:
    nothing = quantile([], 0.99)
    assert math.isnan(nothing)
    assert Figure("lateness", nothing, "ms", Aim(20)).met is False


@pytest.mark.parametrize(
    ("aim", "value", "met"), [(Aim(5), 4.9, True), (Aim(5), 5.0, False), (Aim(5, most=False), 5.1, True)]
)
def test_an_aim_is_exclusive(aim: Aim, value: float, met: bool) -> None:
    assert Figure("figure", value, "s", aim).met is met


def test_a_ratio_says_how_many_times_better_whichever_way_is_better() -> None:
    assert Figure("cost", 100, "µs").ratio(Peer("peer", 834, "this run")) == pytest.approx(8.34)
    assert Figure("rate", 1500, "/s", higher=True).ratio(Peer("peer", 150, "this run")) == pytest.approx(10)
    assert Figure("cost", 100, "µs").ratio(Peer("peer", None, "not installed")) is None


def test_the_table_names_what_was_missed_not_measured_not_installed_and_measured_elsewhere() -> None:
    shown = table(
        [
            Figure(
                "cost", 100, "µs", Aim(50), (Peer("one", None, "not installed"), Peer("two", 50, "measured elsewhere"))
            ),
            Skipped("a page", "it answers 500"),
        ]
    )
    assert re.search(r"cost +100 µs +one: not installed +< 50 µs +NO", shown)
    assert re.search(r"two: 50 µs \(measured elsewhere\) +0.5 ×", shown)
    assert "a page: not measured: it answers 500" in shown


def test_every_figure_quoted_by_a_section_is_in_the_document_and_the_other_way_round() -> None:
    asked = set()
    for file in BENCH.glob("sections/*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "elsewhere":
                asked.add(ast.literal_eval(node.args[0]))
    assert asked
    assert asked == set(figures._quoted())


def test_every_section_is_a_module_and_is_described() -> None:
    modules = {file.stem for file in BENCH.glob("sections/*.py")} - {"__init__"}
    assert modules == set(program.SECTIONS)
    document = figures.DOCUMENT.read_text()
    for name in program.SECTIONS:
        assert callable(importlib.import_module(f"bench.sections.{name}").run)
        assert f"`{name}`" in document


@pytest.mark.parametrize("fresh", [False, True])
def test_a_load_counts_each_answer_once(fresh: bool) -> None:
    with target() as ports:
        done = load(Wanted(ports[0], ["/", "/down"], 0.5, connections=2, rate=200, fresh=fresh, needle="Welcome"))
    assert (done.ok, done.refused, done.broken, done.needles) == (50, 50, 0, 50)
    assert done.statuses == {"200": 50, "500": 50}
    assert 0 < done.p50_ms <= done.p99_ms <= done.most_ms


def test_a_target_that_is_told_twice_at_once_does_what_it_was_told_last() -> None:
    with target() as ports:
        ports._commands.write(b"fail /storm\nfail /lone\n")
        ports._commands.flush()

        def status(path: str) -> int:
            with closing(http.client.HTTPConnection("127.0.0.1", ports[0], timeout=5)) as connection:
                connection.request("GET", path)
                return connection.getresponse().status

        until(lambda: status("/lone") == 500, "it fails", within_s=5)
        assert status("/storm/1") == 200
        ports.fail()
        until(lambda: status("/lone") == 200, "it is well again", within_s=5)


@pytest.mark.timing
def test_a_server_that_goes_away_is_counted_as_broken_and_ends_the_load() -> None:
    server = Target()
    server.start()
    timer = threading.Timer(0.6, server.stop)
    timer.start()
    try:
        done = load(Wanted(server.port, ["/"], 1.5, connections=2, rate=100, fresh=True))
    finally:
        timer.join()
    assert done.ok >= 20
    assert done.broken >= 20
    assert done.ok + done.refused + done.broken == 150


def test_an_unknown_section_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["chekcs"])
    assert ended.value.code == 2
    assert "there is no section chekcs" in capsys.readouterr().err
