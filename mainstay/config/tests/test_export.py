"""What export prints is a file that applies, changes nothing, and holds no secret."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.config.apply import apply_text, plan_text
from mainstay.config.export import export
from mainstay.config.problems import Problems
from mainstay.config.read import read
from mainstay.config.reference import CONTRACT
from mainstay.config.tests.test_apply import WHOLE, applied, everything, people
from mainstay.foundation.accounts.actor import Actor
from mainstay.foundation.catalog.actions import put_application
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.refusal import Refused
from mainstay.foundation.yaml.nodes import data
from mainstay.foundation.yaml.write import dump
from mainstay.observe.checks.actions import announce
from mainstay.observe.checks.models import Check, Maintenance
from mainstay.observe.checks.windows import Window
from mainstay.respond.alerts.routes import put_route
from mainstay.respond.alerts.spec import RouteSpec
from mainstay.respond.delivery.models import Channel

pytestmark = pytest.mark.django_db
__all__ = ["people"]  # a fixture

EXPORTED = """\
managed_as: shop.yaml
applications:
  - name: shop
    tier: critical
    environments:
      - {name: production, url: 'http://127.0.0.1:9001'}
    checks:
      - name: nightly-import
        heartbeat: {cron: 0 3 * * *, timezone: Europe/Berlin, grace: 30m}
      - name: storefront
        environment: production
        http:
          url: http://127.0.0.1:9001/
          expect: {status: 200, max_latency: 800ms, body_contains: Shop}
        every: 5s
        fail_after: 2
        severity: critical
channels:
  - name: ops
    webhook: {url: '********'}
routes:
  - match: {severity: critical}
    notify: [ops]
"""


def exported(noon: datetime) -> str:
    return export(noon).text()


def without_comments(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def test_an_export_has_the_shape_and_order_of_the_contract_without_defaults(me: Actor, noon: datetime) -> None:
    applied(CONTRACT, me, noon)
    assert without_comments(exported(noon)) == EXPORTED


def test_the_comments_say_what_a_mask_is(me: Actor, noon: datetime) -> None:
    assert "********" not in exported(noon)
    applied(CONTRACT, me, noon)
    assert '# "********" stands for a stored secret' in exported(noon)


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("text", [CONTRACT, WHOLE])
def test_applying_an_export_changes_nothing_not_even_a_row(text: str, me: Actor, noon: datetime) -> None:
    applied(text, me, noon)
    before = everything()
    assert applied(exported(noon), me, noon, "export.yaml").changes_nothing
    assert everything() == before


@pytest.mark.usefixtures("people")
def test_an_export_holds_no_secret(me: Actor, noon: datetime) -> None:
    applied(WHOLE, me, noon)
    text = exported(noon)
    for secret in ("geheim", "abc", "correct-horse", "9999/hook"):
        assert secret not in text


@pytest.mark.fault("S16")
def test_keys_in_addresses_are_masked_and_the_export_applies_as_it_is(me: Actor, noon: datetime) -> None:
    text = """
applications:
  - name: shop
    checks:
      - {name: page, http: {url: "http://127.0.0.1/p?page=2&token=geheim"}}
      - {name: feed, websocket: {url: "ws://127.0.0.1/p?api_key=geheim"}}
scrapes:
  - {name: node, targets: ["127.0.0.1:9100"], params: {module: [http], auth: geheim}}
"""
    applied(text, me, noon)
    shown = exported(noon)
    assert "geheim" not in shown
    assert "127.0.0.1/p?page=2'" in shown
    assert shown.count(": '********'") == 3
    assert plan_text(shown, "shop.yaml", me, noon).changes_nothing
    assert plan_text(text, "shop.yaml", me, noon).changes_nothing


@pytest.mark.usefixtures("people")
def test_an_export_builds_the_same_elsewhere_once_secrets_are_filled_in(me: Actor, noon: datetime) -> None:
    applied(WHOLE, me, noon)
    text = exported(noon)
    applied("applications: []", me, noon)
    assert not Check.objects.exists()
    filled = text.replace("url: '********'", "url: http://127.0.0.1:9999/hook").replace("'********'", "x" * 20)
    filled = filled.replace("email: {url: http://127.0.0.1:9999/hook", "email: {url: 'smtp://127.0.0.1'")
    outcome = apply_text(filled, "shop.yaml", me, noon)
    assert [problem.shown("f") for problem in outcome.problems] == []
    assert exported(noon) == text


def test_what_nobody_manages_is_exported_and_taken_over_without_a_change(me: Actor, noon: datetime) -> None:
    put_application(ApplicationSpec.model_validate({"name": "shop", "description": "a: b # c"}), me, noon)
    text = exported(noon)
    assert "managed_as" not in text
    outcome = plan_text(text, "mine.yaml", me, noon)
    assert [(change.verb.value, change.adopted) for change in outcome.changes] == [("keep", True)]


def test_what_several_files_manage_is_told_and_each_can_be_exported(me: Actor, noon: datetime) -> None:
    applied("applications: [{name: a}]", me, noon, "a.yaml")
    applied("applications: [{name: b}]", me, noon, "b.yaml")
    text = exported(noon)
    assert "# Parts are managed by a.yaml, b.yaml" in text
    assert plan_text(text, "c.yaml", me, noon).changes_nothing
    only = export(noon, managed_by="b.yaml")
    assert only.document["managed_as"] == "b.yaml"
    assert [item["name"] for item in only.document["applications"]] == ["b"]
    assert plan_text(only.text(), "x", me, noon).changes_nothing


@pytest.fixture
def mixed(people: None, me: Actor, noon: datetime) -> str:
    """Things of two files and some made by hand, exported."""
    applied(WHOLE, me, noon, "shop.yaml")
    applied("applications: [{name: b, checks: [{name: job, heartbeat: {every: 1d}}]}]", me, noon, "b.yaml")
    put_application(ApplicationSpec.model_validate({"name": "hand"}), me, noon)
    put_route(RouteSpec.model_validate({"name": "by-hand", "match": {"team": "x"}, "notify": ["ops"]}), me, noon)
    return exported(noon)


@pytest.mark.fault("D8")
def test_an_export_of_several_files_applied_is_a_no_op(mixed: str, me: Actor, noon: datetime) -> None:
    before = everything()
    keys = list(Check.objects.order_by("pk").values_list("ping_digest", flat=True))
    assert applied(mixed, me, noon, "-").changes_nothing
    assert everything() == before
    assert list(Check.objects.order_by("pk").values_list("ping_digest", flat=True)) == keys, "pings go on arriving"
    assert exported(noon) == mixed


@pytest.mark.fault("D8")
def test_a_copy_removes_nothing_adds_by_hand_and_changes_nothing_of_a_file(
    mixed: str, me: Actor, noon: datetime
) -> None:
    short = 'managed_as: "*"\napplications: [{name: new}, {name: hand, description: changed}]'
    outcome = applied(short, me, noon, "-")
    assert [(change.verb.value, change.name, change.adopted) for change in outcome.changes] == [
        ("add", "new", False), ("change", "hand", False),
    ]  # fmt: skip
    assert Application.objects.get(name="new").managed_by == Application.objects.get(name="hand").managed_by == ""
    refused = plan_text('managed_as: "*"\napplications: [{name: b, description: other}]', "-", me, noon)
    assert "the application b is managed by the file b.yaml" in refused.problems[0].detail


@pytest.mark.fault("D8")
def test_what_was_made_by_hand_can_be_exported_alone_and_an_unknown_file_is_an_error(
    mixed: str, me: Actor, noon: datetime
) -> None:
    alone = export(noon, managed_by="")
    assert [one["name"] for one in alone.document["applications"]] == ["hand"]
    assert [one["name"] for one in alone.document["routes"]] == ["by-hand"]
    assert "managed_as" not in alone.document
    assert {change.adopted for change in plan_text(alone.text(), "mine.yaml", me, noon).changes} == {True}
    with pytest.raises(Refused, match=r"no file named c\.yaml manages anything here; known are b\.yaml, shop\.yaml"):
        export(noon, managed_by="c.yaml")


def test_windows_that_are_over_are_left_out_unless_a_file_has_them(me: Actor, noon: datetime) -> None:
    hour = timedelta(hours=1)
    announce(Window("by hand", starts_at=noon, ends_at=noon + hour), me, noon)
    applied(f"maintenance: [{{name: by file, starts_at: '{noon}', ends_at: '{noon + hour}'}}]", me, noon)
    assert len(export(noon).document["maintenance"]) == 2
    later = export(noon + 2 * hour)
    assert [window["name"] for window in later.document["maintenance"]] == ["by file"]
    assert plan_text(later.text(), "x", me, noon).changes_nothing


def test_of_windows_with_the_same_name_the_oldest_is_exported(me: Actor, noon: datetime) -> None:
    for minutes in (1, 2):
        announce(Window("night", cron="0 3 * * *", duration=timedelta(minutes=minutes)), me, noon)
    found = export(noon)
    assert [window["duration"] for window in found.document["maintenance"]] == ["1m"]
    assert "# Not here, since an older one has the same name: the maintenance night" in found.text()
    assert Maintenance.objects.count() == 2


def test_with_nothing_configured_an_export_is_still_a_file_that_applies(me: Actor, noon: datetime) -> None:
    assert without_comments(exported(noon)) == "applications: []\n"
    assert applied(exported(noon), me, noon).changes_nothing


TRICKY_WORDS = """no on ~ 5 1e3 0o17 18:00 ${HOME} $$ a$ ' " *a &a !a % @ ` [ { é | > ? << = - 2026-08-01 # , : ]"""
TRICKY_LINES = ["- a", "a: b", "#a", " a", "a ", "a\nb", "\n", "\ta", "\x85", "\u2028", "a\n ", "\n a\n\n"]
TRICKY = st.sampled_from([*TRICKY_WORDS.split(), *TRICKY_LINES])
TEXT = st.one_of(TRICKY, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
NAME = st.text("abcXYZ019_-", min_size=1, max_size=6)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT.filter(bool), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(TEXT.filter(bool), JSON, min_size=1, max_size=4))
def test_whatever_is_dumped_is_read_back_as_it_was(document: dict[str, Any]) -> None:
    from mainstay.config.export import _escaped

    problems = Problems()
    assert data(read(dump(_escaped(document)), {}, problems)) == document
    assert not problems.found


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


SECONDS = st.sampled_from(["1s", "5s", "90s", "1m", "1h30m", 7, "1d"])
HTTP = optional(
    method=st.sampled_from(["GET", "PUT"]),
    headers=st.dictionaries(
        st.sampled_from(["X-A", "Accept"]), st.sampled_from(["a", "${X}b", "yes", "1e3"]), max_size=2
    ),
    secret_headers=st.dictionaries(
        st.sampled_from(["X-B", "X-C"]), st.sampled_from(["s3cret-one", "$$", "null"]), max_size=2
    ),
    bearer=st.sampled_from(["t0ken", "12345", " "]),
    verify=st.booleans(),
    follow_redirects=st.booleans(),
    expect=optional(
        status=st.sampled_from([200, "2xx", "200-204", [200, "3xx"]]),
        body_contains=TEXT.filter(bool),
        max_latency=SECONDS,
        headers=st.dictionaries(
            st.just("Server"), st.sampled_from(["x", {"contains": "y"}, {"at_least": 1.5}]), max_size=1
        ),
    ),
).map(lambda rest: {"url": "http://127.0.0.1:1/", **rest})
TCP = st.fixed_dictionaries({"host": st.just("127.0.0.1"), "port": st.integers(1, 65535)})
HEARTBEAT = st.one_of(
    st.fixed_dictionaries({"every": SECONDS, "grace": SECONDS}),
    st.fixed_dictionaries({"cron": st.just("0 3 * * *"), "timezone": st.sampled_from(["UTC", "Europe/Berlin"])}),
)
KIND = st.one_of(
    HTTP.map(lambda kind: {"http": kind}),
    TCP.map(lambda kind: {"tcp": kind}),
    HEARTBEAT.map(lambda kind: {"heartbeat": kind}),
)
CHECK = st.tuples(
    KIND,
    optional(
        every=SECONDS,
        fail_after=st.integers(1, 4),
        recover_after=st.integers(1, 4),
        severity=st.sampled_from(["critical", "major", "minor"]),
        labels=st.dictionaries(NAME, TEXT, max_size=2),
        paused=st.booleans(),
        runbook=st.just("http://127.0.0.1/book"),
    ),
).map(lambda parts: parts[0] | parts[1])
HOURS = optional(
    days=st.lists(st.sampled_from(["mon", "sun"]), min_size=1, unique=True), timezone=st.just("Asia/Tokyo")
).map(lambda hours: {"from": "18:00", "to": "08:30", **hours})


def wanted(draw: st.DrawFn) -> bool:
    return draw(st.booleans())


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    applications = []
    for name in draw(st.lists(NAME, max_size=3, unique=True)):
        parts = draw(st.lists(NAME, max_size=3, unique=True))
        sites = draw(st.lists(NAME, max_size=2, unique=True))
        checks: list[dict[str, Any]] = []
        for check_name in draw(st.lists(NAME, max_size=3, unique=True)):
            check = {"name": check_name, **draw(CHECK)}
            earlier = [one["name"] for one in checks]
            if earlier and wanted(draw):
                check["needs"] = draw(st.lists(st.sampled_from([*earlier, f"{name}/{earlier[0]}"]), max_size=2))
            if parts and wanted(draw):
                check["component"] = draw(st.sampled_from(parts))
            if sites and wanted(draw):
                check["environment"] = draw(st.sampled_from(sites))
            checks.append(check)
        components = [
            {"name": part, "needs": parts[:place] if draw(st.booleans()) else []} for place, part in enumerate(parts)
        ]
        application = {
            "name": name,
            "description": draw(TEXT),
            "components": components,
            "checks": draw(st.permutations(checks)),
        }
        application["environments"] = [
            {"name": site, "url": draw(st.sampled_from(["", "http://127.0.0.1/"]))} for site in sites
        ]
        applications.append(application)
    channels = [
        {"name": name, "webhook": {"url": "http://127.0.0.1:1/", **draw(optional(secret=st.just("longer than eight")))}}
        for name in draw(st.lists(NAME, min_size=1, max_size=3, unique=True))
    ]
    names = [channel["name"] for channel in channels]
    routes = [
        {
            "name": name,
            "match": draw(
                st.dictionaries(NAME, st.one_of(st.sampled_from(["x", "no"]), st.just(["a", "5"])), max_size=2)
            ),
            "notify": draw(st.lists(st.sampled_from(names), min_size=1, max_size=2)),
            **draw(optional(remind_every=st.just("15m"), also=st.booleans(), hours=HOURS)),
        }
        for name in draw(st.lists(NAME, max_size=3, unique=True))
    ]
    windows = [
        {
            "name": f"w{number}",
            "cron": "0 3 * * 0",
            "duration": "2h",
            "match": draw(st.dictionaries(NAME, TEXT, max_size=1)),
        }
        for number in range(draw(st.integers(0, 2)))
    ]
    return {"applications": applications, "channels": channels, "routes": routes, "maintenance": windows}


@contextmanager
def taken_back() -> Iterator[None]:
    """Examples share one database; each leaves it as it was."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.mark.long
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(document=documents(), following=documents())
def test_any_document_applied_and_exported_shows_no_change(
    document: dict[str, Any], following: dict[str, Any], me: Actor, noon: datetime
) -> None:
    from mainstay.config.export import _escaped

    with taken_back():
        for wanted in (document, following):  # the second changes, adds to and removes from the first
            text = dump(_escaped(wanted))
            outcome = apply_text(text, "any.yaml", me, noon)
            assert [problem.shown("f") for problem in outcome.problems] == []
            assert plan_text(text, "any.yaml", me, noon).changes_nothing
            again = exported(noon)
            planned = plan_text(again, "any.yaml", me, noon)
            assert planned.fine, again
            assert planned.changes_nothing, again
            assert planned.counts is not None
            assert planned.counts["keep"] == sum(
                len(items) + sum(len(item.get("checks", ())) for item in items) for items in wanted.values()
            )
        assert Channel.objects.count() == len(following["channels"])
