"""The pages of rules: the list, one rule, its value, writing one, and what it would have done."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from mainstay.desk.tests.browser import HTMX, exported, fragment, page, signed_in, title
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.observe.metrics.tests.speaker import Speaker, asked_by_pages, speaking
from mainstay.respond.rules.actions import put_group
from mainstay.respond.rules.engine.state import Instance as Kept
from mainstay.respond.rules.engine.state import State
from mainstay.respond.rules.models import Instance, Rule, RuleGroup, RuleState
from mainstay.respond.rules.pages import drawing, listing
from mainstay.respond.rules.spec import RuleGroupSpec

pytestmark = pytest.mark.django_db
LEFT = "sum(rate(errors_total[5m])) / sum(rate(requests_total[5m]))"
GROUP = {
    "name": "shop",
    "interval": "15s",
    "rules": [
        {
            "alert": "ErrorRate",
            "expr": f"{LEFT} > 0.05",
            "for": "5m",
            "labels": {"severity": "critical", "team": "payments"},
            "annotations": {
                "summary": "{{ $value | humanizePercentage }} fail",
                "cause": "A deployment.",
                "first_step": "Roll <it> back.",
                "dashboard": "http://example.com/d",
            },
        },
        {"alert": "Slow", "expr": "latency_seconds > 2"},
        {"record": "shop:requests:rate5m", "expr": "sum(rate(requests_total[5m]))"},
    ],
}


@pytest.fixture
def speaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Speaker]:
    with speaking() as one, asked_by_pages(monkeypatch, one.url, drawing.forget):
        yield one


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with asked_by_pages(monkeypatch, "http://127.0.0.1:1", drawing.forget):
        yield


def group(by_file: str = "", **changes: Any) -> RuleGroup:
    made = put_group(RuleGroupSpec.model_validate({**GROUP, **changes}), COMMAND_LINE, now(), by_file=by_file)
    # By their ids: a join of tables that PostgreSQL believes empty has compared each row with each, for over 15 s.
    rules = list(Rule.objects.filter(group=made).values_list("pk", flat=True))
    RuleState.objects.filter(rule__in=rules).update(health="ok", evaluated_at=now(), duration_s=0.004, results=1)
    return made


def the(name: str) -> Rule:
    return Rule.objects.get(name=name)


def stands(name: str, **fields: Any) -> None:
    RuleState.objects.filter(rule__name=name).update(**fields)


def instance(name: str, state: str = "firing", value: float = 0.08, **labels: str) -> Instance:
    begin = round((now() - timedelta(minutes=7)).timestamp() * 1000)
    kept = Kept({"alertname": name, **labels}, {"summary": "8% fail"}, State(state), value, begin)
    return Instance.objects.create(
        rule=the(name), fingerprint=f"{len(labels)}{state}", state=state, kept=kept.document(), changed_at=now()
    )


def state_in_list(name: str) -> str:
    rows = json.loads(exported(signed_in().get("/rules/", {"format": "json"})))
    found: str = next(row["state"] for row in rows if row["name"] == name)
    return found


# --- the list -------------------------------------------------------------------------------------------------------


def test_the_list_answers_whether_something_fires() -> None:
    group()
    assert title(page(signed_in(), "/rules/")) == "None of 2 alerting rules fires."
    instance("ErrorRate", job="shop")
    html = page(signed_in(), "/rules/")
    assert title(html) == "1 of 2 alerting rules fires: ErrorRate."
    assert "1 firing · 1 not firing · 1 recording" in html


@pytest.mark.parametrize(
    ("health", "state", "words"),
    [("unknown", "unknown", "is away"), ("err", "err", "many-to-many"), ("no_series", "no_series", "no series match")],
)
def test_what_nobody_can_tell_is_never_shown_as_fine(health: str, state: str, words: str) -> None:
    group()
    stands("Slow", health=health, reason=words)
    html = page(signed_in(), "/rules/")
    assert state_in_list("Slow") == state
    assert words in html
    assert title(html) == "None of 2 alerting rules fires, 1 unknown."


def test_a_rule_that_is_not_evaluated_any_more_is_unknown_though_it_was_fine() -> None:
    group()
    at = now() - timedelta(minutes=10)
    stands("Slow", evaluated_at=at)
    assert state_in_list("Slow") == "unknown"
    assert f"Not evaluated since {at:%Y-%m-%d %H:%M} UTC; does the monitor run?" in page(signed_in(), "/rules/")


def test_a_rule_that_was_never_evaluated_is_unknown() -> None:
    put_group(RuleGroupSpec.model_validate(GROUP), COMMAND_LINE, now())
    assert title(page(signed_in(), "/rules/")) == "No alerting rule has a recent result."
    assert "It has not been evaluated yet." in page(signed_in(), "/rules/")


def test_a_rule_that_fires_stays_firing_while_its_source_is_away() -> None:
    group()
    instance("ErrorRate")
    stands("ErrorRate", health="unknown", reason="the server does not answer")
    assert state_in_list("ErrorRate") == "firing"
    assert "the server does not answer" in page(signed_in(), "/rules/")


def test_groups_in_which_something_fires_come_first() -> None:
    group()
    group(name="afterwards", rules=[{"alert": "Other", "expr": "up == 0"}])
    html = page(signed_in(), "/rules/")
    assert html.index("afterwards") < html.index(">ErrorRate<")
    instance("ErrorRate")
    html = page(signed_in(), "/rules/")
    assert html.index(">ErrorRate<") < html.index(">Other<")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?q=latency", {"Slow"}),
        ("?group=shop", {"ErrorRate", "Slow", "shop:requests:rate5m"}),
        ("?group=none", set()),
        ("?state=firing", {"ErrorRate"}),
        ("?state=inactive", {"Slow"}),
        ("?state=recording", {"shop:requests:rate5m"}),
        ("?state=nonsense&q=slow", {"Slow"}),
    ],
)
def test_the_list_is_filtered_by_its_address_and_exported_alike(query: str, names: set[str]) -> None:
    group()
    instance("ErrorRate")
    rows = json.loads(exported(signed_in().get(f"/rules/{query}&format=json")))
    assert {row["name"] for row in rows} == names
    html = page(signed_in(), f"/rules/{query}")
    assert {name for name in ("ErrorRate", "Slow", "shop:requests:rate5m") if f">{name}</a>" in html} == names


def test_the_list_says_what_to_do_when_there_is_no_rule() -> None:
    assert "Rule files of Prometheus can be applied as they are" in page(signed_in(), "/rules/")
    assert "/rules/new" not in page(signed_in(Role.SUPPORT), "/rules/")


def test_a_thousand_rules_are_paged_in_few_queries(django_assert_max_num_queries: Any) -> None:
    rules = [{"alert": f"Alert{i}", "expr": f"x{i} > 1"} for i in range(1000)]
    group(name="many", rules=rules)
    client = signed_in()
    with django_assert_max_num_queries(8):
        html = page(client, "/rules/", page=3)
    assert "Alert100" in html
    assert "Alert99<" not in html
    assert html.count("<tr data-row") == listing.PAGE


def test_the_fragment_of_the_list_carries_the_headline_and_is_not_sent_twice() -> None:
    group()
    answer = fragment(signed_in(), "/rules/")
    html = answer.content.decode()
    assert '<span id="headline" hx-swap-oob="true">None of 2 alerting rules fires.</span>' in html
    seen = html.split('"X-Seen": "')[1][:16]
    assert fragment(signed_in(), "/rules/", seen=seen).status_code == 204


# --- values against thresholds --------------------------------------------------------------------------------------


def spark(client: Client, *rules: Rule) -> str:
    answer = client.get("/rules/sparks?" + "&".join(f"rule={rule.pk}" for rule in rules))
    assert answer.status_code == 200
    return answer.content.decode()


def test_values_are_drawn_against_the_threshold_in_one_batch(speaker: Speaker) -> None:
    group()
    speaker.says(LEFT, [({}, 0.08)])
    speaker.says("latency_seconds", [({"i": "a"}, 0.5), ({"i": "b"}, 1.5)])
    html = spark(signed_in(), *Rule.objects.all())
    assert html.count("c-threshold") == 2
    assert f'<span id="value-{the("ErrorRate").pk}" hx-swap-oob="true">8\N{NO-BREAK SPACE}%</span>' in html
    assert "1.5\N{NO-BREAK SPACE}s" in html, "of several series the one nearest to the threshold"
    assert "c-line tone-bad" in html
    assert len(speaker.questions("query_range")) == 3


def test_what_was_asked_a_moment_ago_is_not_asked_again_by_anybody(speaker: Speaker) -> None:
    group()
    speaker.says(LEFT, [({}, 0.01)])
    spark(signed_in(), the("ErrorRate"))
    asked = len(speaker.asked)
    spark(signed_in(Role.SUPPORT), the("ErrorRate"))
    assert len(speaker.asked) == asked
    assert "c-threshold" in page(signed_in(), "/rules/"), "the list draws what is known at once"
    assert len(speaker.asked) == asked, "and asks nothing itself"


def test_the_same_expression_of_many_rules_is_asked_once(speaker: Speaker) -> None:
    group(rules=[{"alert": f"A{i}", "expr": "x > 5"} for i in range(20)])
    speaker.says("x", [({}, 1.0)])
    spark(signed_in(), *Rule.objects.all())
    assert len(speaker.questions("query_range")) == 1


def test_a_batch_that_takes_long_is_continued_by_the_next(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    group()
    monkeypatch.setattr(drawing, "SPARKS_AT_ONCE_S", -1.0)
    html = spark(signed_in(), *Rule.objects.all())
    assert "load delay:500ms" in html
    assert f"rule={the('Slow').pk}" in html
    assert speaker.asked == []


def test_a_source_that_is_away_is_told_once(away: None) -> None:
    group()
    html = spark(signed_in(), *Rule.objects.all())
    assert html.count("The values are not shown") == 1
    assert "load delay" not in html


# --- one rule -------------------------------------------------------------------------------------------------------


def of(name: str, client: Client | None = None) -> str:
    return page(client or signed_in(), f"/rules/{the(name).pk}/")


def course(name: str, **given: str) -> str:
    html: str = signed_in().get(f"/rules/{the(name).pk}/course", given, headers=HTMX).content.decode()
    return html


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "ErrorRate does not fire."),
        ({"health": "err"}, "ErrorRate cannot fire: its expression fails."),
        ({"health": "no_series"}, "ErrorRate cannot fire: nothing matches its expression."),
        ({"health": "unknown"}, "ErrorRate: no recent result."),
        ({"evaluated_at": None}, "ErrorRate: no recent result."),
    ],
)
def test_the_headline_answers_whether_it_fires(fields: dict[str, Any], sentence: str) -> None:
    group()
    stands("ErrorRate", **fields)
    assert title(of("ErrorRate")) == sentence


def test_what_is_pending_and_firing_is_listed_with_labels_value_and_since() -> None:
    group()
    instance("ErrorRate", "pending", job="shop")
    assert title(of("ErrorRate")) == "ErrorRate does not fire yet: its condition holds for 1 series."
    instance("ErrorRate", "firing", 0.091, job="web", code="500")
    html = of("ErrorRate")
    assert title(html) == "ErrorRate fires for 1 series."
    assert "9.1\N{NO-BREAK SPACE}%" in html
    assert '<span class="muted">job</span> web' in html
    stands("ErrorRate", health="unknown")
    assert title(of("ErrorRate")) == "ErrorRate fires for 1 series, as far as is known."


def test_what_it_means_and_what_to_do_first_are_read_out() -> None:
    group()
    html = of("ErrorRate")
    assert "Roll &lt;it&gt; back." in html
    assert html.index("Likely cause") < html.index("First step")
    assert "Nobody has written down what this alert means" in of("Slow")


def test_a_recording_rule_says_what_it_records() -> None:
    group()
    assert title(of("shop:requests:rate5m")) == "shop:requests:rate5m is recorded: 1 series."
    stands("shop:requests:rate5m", health="unknown", reason="METRICS_URL is set")
    assert title(of("shop:requests:rate5m")) == "shop:requests:rate5m: no recent result."


def test_the_value_is_drawn_against_the_threshold_and_says_why_it_does_not_fire(speaker: Speaker) -> None:
    group()
    speaker.says(LEFT, [({"job": "shop"}, 0.012), ({"job": "web"}, 0.03)])
    html = course("ErrorRate")
    assert "The highest of 2 values is 3\N{NO-BREAK SPACE}%; it fires above 5\N{NO-BREAK SPACE}%, held for 5m." in html
    assert "c-threshold" in html
    assert "fires above 5\N{NO-BREAK SPACE}% for 5m" in html
    speaker.says(LEFT, [({}, 0.08)])
    assert "The value is 8\N{NO-BREAK SPACE}%, which is above 5\N{NO-BREAK SPACE}%." in course("ErrorRate", range="1h")


def test_the_lines_nearest_to_the_threshold_are_drawn_of_many(speaker: Speaker) -> None:
    group(rules=[{"alert": "Low", "expr": "free_bytes < 100"}])
    speaker.says("free_bytes", [({"disk": f"d{i}"}, 100.0 * i) for i in range(1, 41)])
    html = course("Low")
    assert "The 6 lowest of 40 series are drawn." in html
    assert html.count("data-points=") == 6
    assert ">d1<" in html


def test_while_the_source_is_away_the_value_is_unknown_and_not_fine(away: None) -> None:
    group()
    html = course("ErrorRate")
    assert "Its value is unknown." in html
    assert "the rule is unknown, not fine" in html


def test_a_page_of_a_rule_asks_no_server_and_few_queries(speaker: Speaker, django_assert_max_num_queries: Any) -> None:
    group()
    for i in range(20):
        instance("ErrorRate", "firing", 0.1, **{f"l{j}": "x" for j in range(i + 1)})
    client = signed_in()
    with django_assert_max_num_queries(10):
        of("ErrorRate", client)
    assert speaker.asked == []


def test_who_may_not_write_rules_sees_no_way_to() -> None:
    group()
    assert "/edit" not in of("ErrorRate", signed_in(Role.SUPPORT))
    assert "/edit" in of("ErrorRate", signed_in(Role.DEVELOPER))


# --- writing --------------------------------------------------------------------------------------------------------

NEW = {
    "kind": "alert", "name": "QueueDeep", "expr": "queue_depth > 100", "for_": "10m", "severity": "minor",
    "labels": "team=payments", "summary": "{{ $value }} wait", "first_step": "Look at the workers.",
    "annotations": "dashboard: http://example.com/q\n  and more", "group": "new", "new_group": "queues", "every": "1m",
}  # fmt: skip


def test_a_rule_is_written_into_a_new_group() -> None:
    answer = signed_in().post("/rules/new", NEW)
    rule = the("QueueDeep")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/rules/{rule.pk}/")
    assert (rule.group.name, rule.group.every_s, rule.for_s) == ("queues", 60, 600)
    assert rule.labels == {"severity": "minor", "team": "payments"}
    assert rule.annotations == {
        "summary": "{{ $value }} wait", "first_step": "Look at the workers.",
        "dashboard": "http://example.com/q\nand more",
    }  # fmt: skip
    assert Entry.objects.filter(kind="rules.created").count() == 1


def test_a_rule_is_added_to_a_group_behind_the_others() -> None:
    shop = group()
    signed_in().post("/rules/new", NEW | {"group": str(shop.pk)})
    assert list(shop.rules.values_list("name", flat=True))[-1] == "QueueDeep"
    assert RuleGroup.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"expr": "sum("}, "expr", ""),
        ({"expr": ""}, "expr", "required"),
        ({"expr": "queue_depth[5m]"}, "expr", "instant vector"),
        ({"name": ""}, "name", "required"),
        ({"for_": "soon"}, "for_", "soon"),
        ({"labels": "nonsense"}, "labels", "name=value"),
        ({"labels": "__name__=b"}, "labels", "label"),
        ({"annotations": "nonsense"}, "annotations", "“Name: value”"),
        ({"summary": "{{ $value | nonsense }}"}, "summary", "template"),
        ({"new_group": ""}, "new_group", "Name the new group"),
        ({"new_group": "shop"}, "new_group", "exist already"),
        ({"every": "often"}, "every", "often"),
        ({"kind": "record", "name": 'a{b="c"}'}, "name", "has braces in it"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_is_saved(
    changes: dict[str, str], field: str, words: str
) -> None:
    group()
    answer = signed_in().post("/rules/new", NEW | changes)
    html = answer.content.decode()
    assert answer.status_code == 422
    error = html.partition(f'id="id_{field}_error"')[2].partition("</div></div>")[0]
    assert words in error.replace("&quot;", '"')
    assert error
    assert Rule.objects.count() == 3


def test_a_rule_is_edited_and_keeps_what_is_pending_and_firing() -> None:
    group()
    one = instance("ErrorRate")
    client, address = signed_in(), f"/rules/{the('ErrorRate').pk}/edit"
    html = page(client, address)
    assert "team=payments" in html
    assert "dashboard: http://example.com/d" in html
    given = {
        "kind": "alert", "name": "ErrorRate", "expr": f"{LEFT} > 0.1", "for_": "1m", "severity": "major",
        "labels": "team=payments", "first_step": "Roll it back.", "version": the("ErrorRate").group.version,
    }  # fmt: skip
    assert client.post(address, given).status_code == 302
    rule = the("ErrorRate")
    assert (rule.for_s, rule.labels["severity"], rule.annotations) == (60, "major", {"first_step": "Roll it back."})
    assert Instance.objects.get().pk == one.pk
    assert [r.name for r in rule.group.rules.all()] == ["ErrorRate", "Slow", "shop:requests:rate5m"]


def test_an_edit_of_a_group_that_somebody_else_edited_meanwhile_is_refused() -> None:
    group()
    given = {"kind": "alert", "name": "Slow", "expr": "latency_seconds > 3", "version": 99}
    answer = signed_in().post(f"/rules/{the('Slow').pk}/edit", given)
    assert answer.status_code == 422
    assert "edited meanwhile by somebody else" in answer.content.decode()
    assert the("Slow").expr == "latency_seconds > 2"


def test_what_a_file_manages_is_shown_with_the_command_and_not_changed_here() -> None:
    group(by_file="rules.yaml")
    client, rule = signed_in(), the("Slow")
    html = page(client, f"/rules/{rule.pk}/edit")
    assert "mainstay apply rules.yaml" in html
    assert 'class="primary"' not in html
    assert html.count("disabled") > 5
    given = {"kind": "alert", "name": "Slow", "expr": "latency_seconds > 3", "version": rule.group.version}
    answer = client.post(f"/rules/{rule.pk}/edit", given)
    assert "managed by the file rules.yaml" in answer.content.decode()
    assert client.post(f"/rules/{rule.pk}/delete").headers["Location"] == f"/rules/{rule.pk}/"
    assert the("Slow").expr == "latency_seconds > 2"


def test_a_rule_is_removed_and_the_group_with_its_last_one() -> None:
    shop = group()
    client = signed_in()
    for left in ("Slow", "shop:requests:rate5m"):
        client.post(f"/rules/{the('ErrorRate' if left == 'Slow' else 'Slow').pk}/delete")
        assert left in list(shop.rules.values_list("name", flat=True))
    client.post(f"/rules/{the('shop:requests:rate5m').pk}/delete")
    assert not RuleGroup.objects.exists()


def test_the_explorer_hands_an_expression_over() -> None:
    assert "up &lt; 1</textarea>" in page(signed_in(), "/rules/new", expr="up < 1")


# --- what it would have done ----------------------------------------------------------------------------------------


def preview(given: dict[str, str]) -> str:
    answer = signed_in().post("/rules/preview", given, headers=HTMX)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_preview_tells_what_it_gives_now_and_what_it_would_have_done(speaker: Speaker) -> None:
    speaker.says("queue_depth > 100", [({"q": "a"}, lambda at: 120 if at % 3600 < 1800 else None)])
    speaker.says("queue_depth", [({"q": "a"}, lambda at: 120 if at % 3600 < 1800 else 5), ({"q": "b"}, 3)])
    html = preview({**NEW, "replay": "24h"})
    assert "It would have paged 24 times in the last 24 hours, " in html or "paged 25 times" in html
    assert "c-down tone-bad" in html
    assert "c-down tone-warn" in html
    assert "Looked at every 1" in html
    assert Rule.objects.count() == 0


@pytest.mark.parametrize("name", ["1h", "24h", "7d"])
def test_what_never_holds_would_not_have_paged(speaker: Speaker, name: str) -> None:
    speaker.says("queue_depth", [({}, 3)])
    html = preview({**NEW, "replay": name})
    assert "It does not hold now." in html
    assert "It would not have paged in the last" in html


def test_a_broken_expression_is_told_at_its_place_while_it_is_typed(speaker: Speaker) -> None:
    speaker.errors["sum("] = "1:5: parse error: unexpected end of input"
    html = preview({"kind": "alert", "expr": "sum("})
    assert "<mark>⏎</mark>" in html
    assert "is-failed" in html


def test_as_long_as_other_fields_are_missing_the_expression_is_tried_all_the_same(speaker: Speaker) -> None:
    speaker.says("up == 0", [({"job": "shop"}, 0)])
    html = preview({"kind": "alert", "expr": "up == 0", "for_": "so"})
    assert "It holds now for 1 series." in html
    assert "As soon as there is an expression" in preview({"kind": "alert", "expr": " "})


def test_an_alert_that_compares_with_nothing_is_warned_of(speaker: Speaker) -> None:
    speaker.says("queue_depth", [({}, 3)])
    assert "It compares with nothing" in preview({"kind": "alert", "expr": "queue_depth"})
    assert "It compares with nothing" not in preview({"kind": "record", "name": "a:b", "expr": "queue_depth"})


def test_a_source_that_is_away_makes_the_preview_unknown(away: None) -> None:
    html = preview(NEW)
    assert "The metrics do not answer." in html
