"""Documents tell the bounds that hold, and name tests that exist."""

import re
from functools import cache
from pathlib import Path

import pytest

from mainstay.desk.asgi import ASKING_THREADS
from mainstay.foundation.accounts.signin import OF_A_KEY, OF_A_NETWORK, OF_AN_ADDRESS
from mainstay.foundation.http.connections import FILES_WANTED, Limits
from mainstay.foundation.processes.log import CLIENTS_EVERY_S
from mainstay.foundation.words.matching import LONGEST_VALUE, MOST_LABELS, MOST_VALUES
from mainstay.foundation.words.pattern import LARGEST_PROGRAM
from mainstay.net.resolver import SLOW_S, THREADS
from mainstay.net.schedule import PACE_S
from mainstay.observe.checks.kinds.command import LARGEST_OUTPUT_BYTES
from mainstay.observe.checks.kinds.http.judge import INLINE_BODY_BYTES, INLINE_PATTERN_STEPS
from mainstay.observe.checks.pings import BODY_KEPT_BYTES, BODY_READ_BYTES, PER_KEY_MOST
from mainstay.observe.checks.probe.engine import DEFAULT_MAX_IN_FLIGHT
from mainstay.observe.checks.probe.runner import BLOCKING_THREADS
from mainstay.observe.checks.uptime.records import SAMPLED
from mainstay.observe.metrics.embedded import HOST_EVERY_S
from mainstay.observe.metrics.exposition.layout import ParseLimits
from mainstay.observe.metrics.host.processes import GROUPS_MOST
from mainstay.observe.metrics.pages.explore import DRAWN_MOST, FETCHED_MOST, POINTS
from mainstay.observe.metrics.promql import messages, parse, parser_gaps
from mainstay.observe.metrics.promql.evaluate import Limits as QueryLimits
from mainstay.observe.metrics.scrape.discovery import FILE_LOOK_EVERY_S
from mainstay.observe.metrics.scrape.engine import HELD_BYTES_MOST
from mainstay.observe.metrics.scrape.settings import DEFAULT_BODY_BYTES
from mainstay.observe.metrics.serve.answers import TIMEOUT_S
from mainstay.observe.metrics.store.limits import DAY_MS, MINUTE_MS, SET_BACK_MS, StoreLimits
from mainstay.respond.alerts.decide import SETTLE
from mainstay.respond.delivery.sending.grouping import SINGLY_MOST
from mainstay.respond.rules.engine import evaluation, overdue, state, verdict
from mainstay.respond.rules.template.go_format import MOST_CHARACTERS
from mainstay.respond.rules.template.parse import MOST_DEPTH
from mainstay.respond.rules.template.run import CHARACTERS_A_STEP, MOST_QUERIES, MOST_STEPS

ROOT = Path(__file__).parent.parent
HTTP, STORE, QUERY = Limits(), StoreLimits(), QueryLimits()
WORDS = {1: "a", 3: "three", 4: "four", 5: "five", 10: "ten", 20: "20"}
KI, MI = 1024, 1024 * 1024
A_KEY, A_NETWORK, AN_ADDRESS = (rate.split("/")[0] for rate in (OF_A_KEY, OF_A_NETWORK, OF_AN_ADDRESS))


@cache
def text_of(document: str) -> str:
    return " ".join((ROOT / document).read_text("utf-8").split())


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("docs/promql.md", f"`max_samples` ({QUERY.max_samples // 1_000_000} million;"),
        ("docs/promql.md", f"`max_steps` ({QUERY.max_steps:,})"),
        ("docs/promql.md", f"`lookback_ms` is {QUERY.lookback_ms // MINUTE_MS} minutes"),
        ("docs/promql.md", f"`subquery_step_ms` {QUERY.subquery_step_ms // MINUTE_MS} minute."),
        ("docs/promql.md", f"may have {parser_gaps.LONGEST_QUERY:,} characters, {parser_gaps.DEEPEST_QUERY} operators"),
        ("docs/promql.md", f"and brackets, and {parse.DEEPEST_TREE} levels"),
        ("docs/promql.md", f"The first {WORDS[messages.MOST]} are told, the others counted"),
        ("docs/metrics.md", f"about {POINTS} points"),
        ("docs/metrics.md", f"At most {DRAWN_MOST} series are drawn"),
        ("docs/metrics.md", f"Of more than {FETCHED_MOST} only the highest are fetched"),
        ("docs/metrics.md", f"{WORDS[ASKING_THREADS]} threads of the web process, of which one caller has at most "
         f"{WORDS[ASKING_THREADS - 1]}"),
        ("docs/metrics.md", f"more than {QUERY.max_samples // 1_000_000} million samples, and ended after "
         f"{TIMEOUT_S:.0f} s"),
        ("docs/metrics.md", f"5-minute rollups stay {STORE.five_minutes_ms // DAY_MS} days and hourly ones "
         f"{STORE.hour_ms // DAY_MS}"),
        ("docs/metrics.md", f"| a clock that is set back | {WORDS[SET_BACK_MS // 1000]} seconds |"),
        ("docs/metrics.md", f"| a target's own timestamps | {WORDS[STORE.ahead_ms // MINUTE_MS]} minutes ahead |"),
        ("docs/scraping.md", f"a change is noticed within {FILE_LOOK_EVERY_S:.0f} s"),
        ("docs/scraping.md", f"`body_size_limit` without a value is {DEFAULT_BODY_BYTES // MI} MB"),
        ("docs/scraping.md", f"answers of all targets together above {HELD_BYTES_MOST // MI} MB"),
        ("docs/scraping.md", f"more than {ParseLimits().samples:,} samples"),
        ("docs/scraping.md", f"Every {HOST_EVERY_S:.0f} seconds the monitor measures its own machine"),
        ("docs/scraping.md", f"groups of processes of one name, at most {GROUPS_MOST},"),
        ("docs/rules.md", f"{MOST_CHARACTERS // KI} Ki characters, {MOST_STEPS:,} steps "
         f"({CHARACTERS_A_STEP} characters of an argument count as one), {MOST_QUERIES} queries, "
         f"{MOST_DEPTH} levels of nesting"),
        ("docs/rules.md", f"remembered for {state.RESOLVED_KEPT_MS // MINUTE_MS} minutes"),
        ("docs/rules.md", f"{evaluation.RULE_MOST_S:.0f} seconds with all its templates"),
        ("docs/rules.md", f"at most {evaluation.PIECE_MOST} changes or {evaluation.PIECE_MOST_S} s"),
        ("docs/rules.md", f"(at least {overdue.OVERDUE_LEAST.seconds // 60} minutes)"),
        ("docs/rules.md", f"`err` for {overdue.FAILING_LEAST.seconds // 60} minutes (or 3 intervals)"),
        ("docs/rules.md", f"beyond {WORDS[overdue.SINGLY_MOST]} at once one alert carries the rest"),
        ("docs/rules.md", f"(to the minute, within {verdict.HISTORY_MS // DAY_MS} days)"),
        ("docs/matching.md", f"up to {LONGEST_VALUE:,} characters, a label up to {MOST_VALUES} values, a set of "
         f"matchers up to {MOST_LABELS} labels"),
        ("docs/uptime.md", f"(asked of the {WORDS[SAMPLED]} oldest)"),
        ("docs/checks/README.md", f"started {PACE_S * 1000:.0f} ms apart"),
        ("docs/checks/README.md", f"At most {DEFAULT_MAX_IN_FLIGHT:,} probes run at once"),
        ("docs/checks/README.md", f"soft limit to the hard one, {FILES_WANTED:,} at most"),
        ("docs/checks/README.md", f"in at most {THREADS} threads"),
        ("docs/checks/README.md", f"A look-up that takes over {WORDS[int(SLOW_S)]} second is slow"),
        ("docs/checks/README.md", f"at most {SETTLE.seconds} s from when it went down"),
        ("docs/checks/http.md", f"patterns of more than {LARGEST_PROGRAM:,} steps are refused"),
        ("docs/checks/http.md", f"(steps × bytes above {INLINE_PATTERN_STEPS:,}) and any body above "
         f"{INLINE_BODY_BYTES // KI} KiB"),
        ("docs/checks/command.md", f"{LARGEST_OUTPUT_BYTES // KI} KiB are kept"),
        ("docs/checks/mysql.md", f"{BLOCKING_THREADS} at a time"),
        ("docs/checks/heartbeat.md", f"the last {BODY_KEPT_BYTES:,} bytes are kept"),
        ("docs/checks/heartbeat.md", f"beyond {BODY_READ_BYTES // 1_000_000} MB"),
        ("THREAT_MODEL.md", f"A head has {HTTP.head_bytes // KI} KiB and {HTTP.headers} headers"),
        ("THREAT_MODEL.md", f"answers that are not read {HTTP.unsent_bytes // MI} MiB"),
        ("THREAT_MODEL.md", f"{HTTP.connections:,}, of which {HTTP.per_address:,} from one address"),
        ("THREAT_MODEL.md", f"a head has {HTTP.head_s:.0f} s, a body or an answer {HTTP.grace_s:.0f} s and a second "
         f"more for each {HTTP.bytes_per_s // KI} KiB"),
        ("THREAT_MODEL.md", f"{WORDS[ASKING_THREADS]} threads of its own, of which one caller has at most "
         f"{WORDS[ASKING_THREADS - 1]}"),
        ("THREAT_MODEL.md", f"At most {PER_KEY_MOST} of one key wait"),
        ("THREAT_MODEL.md", f"beyond {SINGLY_MOST} waiting pages one message"),
        ("THREAT_MODEL.md", f"one short line per kind in {WORDS[int(CLIENTS_EVERY_S)]} seconds"),
        ("THREAT_MODEL.md", f"by person and network ({A_KEY} in five minutes), by network ({A_NETWORK} in five "
         f"minutes) and by person ({AN_ADDRESS} an hour)"),
    ],
)  # fmt: skip
def test_a_document_tells_the_bound_that_holds(document: str, sentence: str) -> None:
    assert sentence in text_of(document)


def test_the_threat_model_names_tests_that_exist() -> None:
    rows = re.findall(r"^\| .+ \| .+ \| (.+) \|$", (ROOT / "THREAT_MODEL.md").read_text("utf-8"), re.MULTILINE)
    tests = [path for folder in ("mainstay", "tests") for path in (ROOT / folder).rglob("test_*.py")]
    named = [
        f"{before}{choice}{after}"
        for row in rows
        for before, choices, after in (
            match.groups(default="") for match in re.finditer(r"`([\w/]+)(?:\{([\w,]+)\})?([\w/.]*)`", row)
        )
        for choice in choices.split(",")
    ]
    assert len(named) > 30
    missing = [
        name
        for name in named
        if not any(f"/{name}" in f"/{path.relative_to(ROOT)}" and path.stem in name for path in tests)
        and not any((ROOT / "mainstay" / name) in path.parents for path in tests)
    ]
    assert missing == []
