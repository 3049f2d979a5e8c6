"""The pages of alerts that rules have raised: what to do first, the value against the threshold, the rule."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from mainstay.desk.tests.browser import HTMX, page, signed_in
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.clock import now
from mainstay.observe.metrics.tests.speaker import Speaker, asked_by_pages, speaking
from mainstay.respond.alerts import origins
from mainstay.respond.alerts.actions import Firing, fire, resolve
from mainstay.respond.alerts.models import Alert, Silence
from mainstay.respond.rules.actions import put_group
from mainstay.respond.rules.models import Rule
from mainstay.respond.rules.pages import drawing
from mainstay.respond.rules.spec import RuleGroupSpec

pytestmark = pytest.mark.django_db
EXPR = "sum by (job) (rate(errors_total[5m])) / sum by (job) (rate(requests_total[5m]))"
GROUP = {"name": "shop", "rules": [{"alert": "ErrorRate", "expr": f"{EXPR} > 0.05", "for": "5m"}]}


@pytest.fixture
def speaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Speaker]:
    with speaking() as one, asked_by_pages(monkeypatch, one.url, drawing.forget):
        yield one


def raised(at: datetime | None = None) -> Alert:
    if not Rule.objects.exists():
        put_group(RuleGroupSpec.model_validate(GROUP), COMMAND_LINE, now())
    said = {
        "summary": "8% of requests fail",
        "description": "People see errors.",
        "cause": "A deployment.",
        "first_step": "Roll <it> back.",
        "dashboard": "board 7",
    }
    firing = Firing(
        source=f"rule:{Rule.objects.get().pk}:5f0c",
        name="8% of requests fail",
        severity="critical",
        summary="People see errors.",
        labels={"alertname": "ErrorRate", "job": "shop", "severity": "critical"},
        annotations=said,
        value=0.08,
    )
    return fire(firing, at or now() - timedelta(minutes=10))


def test_the_first_step_is_read_before_anything_else() -> None:
    html = page(signed_in(), f"/alerts/{raised().pk}/")
    assert "Roll &lt;it&gt; back." in html
    assert html.index("First step") < html.index("Likely cause") < html.index("Acknowledge</button>")
    assert html.index("First step") < html.index("Why did this")


def test_the_rule_its_value_and_its_labels_stand_beside_it() -> None:
    alert = raised()
    html = page(signed_in(), f"/alerts/{alert.pk}/")
    assert f'href="/rules/{Rule.objects.get().pk}/">shop / ErrorRate</a>' in html
    assert "8\N{NO-BREAK SPACE}%" in html
    assert "at least 5m" in html
    assert "<code>alertname=ErrorRate</code>" in html
    assert "board 7" in html
    assert "none; its rule can name one" in html


def test_the_page_asks_no_server_before_it_is_shown(speaker: Speaker) -> None:
    alert = raised()
    html = page(signed_in(), f"/alerts/{alert.pk}/")
    assert f'hx-get="/rules/alerts/{alert.pk}/course"' in html
    assert speaker.asked == []


def test_the_value_is_drawn_around_the_alert_for_its_own_series(speaker: Speaker) -> None:
    alert = raised()
    fired = alert.started_at.timestamp()
    speaker.says(EXPR, [({"job": "shop"}, lambda at: 0.08 if at > fired - 400 else 0.01), ({"job": "web"}, 0.9)])
    html = signed_in().get(f"/rules/alerts/{alert.pk}/course", headers=HTMX).content.decode()
    assert html.count("data-points=") == 1
    assert (
        "8\N{NO-BREAK SPACE}% when it fired, 8\N{NO-BREAK SPACE}% now; it fires above 5\N{NO-BREAK SPACE}% for 5m."
        in html
    )
    assert "<title>fired</title>" in html
    assert "c-threshold" in html
    assert "c-down tone-warn" in html
    assert "c-down tone-bad" in html
    resolve(alert, "the condition does not hold any more", now() - timedelta(minutes=2))
    html = signed_in().get(f"/rules/alerts/{alert.pk}/course", headers=HTMX).content.decode()
    assert "<title>resolved</title>" in html
    assert "at last" in html


def test_without_its_rule_an_alert_still_tells_what_is_known() -> None:
    alert = raised()
    Rule.objects.all().delete()
    html = page(signed_in(), f"/alerts/{alert.pk}/")
    assert "ErrorRate, which is not there any more" in html
    assert "Roll &lt;it&gt; back." in html
    course = signed_in().get(f"/rules/alerts/{alert.pk}/course", headers=HTMX)
    assert "The rule is not there any more." in course.content.decode()


def test_a_source_that_is_away_leaves_the_page_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    alert = raised()
    with asked_by_pages(monkeypatch, "http://127.0.0.1:1", drawing.forget):
        html = signed_in().get(f"/rules/alerts/{alert.pk}/course", headers=HTMX).content.decode()
    assert "Its value is unknown." in html


def test_a_silence_like_this_means_this_alert_and_not_how_grave_it_is() -> None:
    html = page(signed_in(), f"/alerts/{raised().pk}/")
    ticks = html.partition('<fieldset class="field"><legend>Labels')[2].partition("</fieldset>")[0]
    assert 'value="alertname=ErrorRate" checked' in ticks
    assert 'value="job=shop" checked' in ticks
    assert 'value="severity=critical">' in ticks
    given = {"label": ["alertname=ErrorRate", "job=shop"], "duration": "3600", "comment": "a deployment"}
    signed_in().post("/silences/new", given)
    assert Silence.objects.get().match == {"alertname": "ErrorRate", "job": "shop"}
    assert "is-silenced" in page(signed_in(), "/alerts/")


def test_now_and_the_list_show_an_alert_without_a_check() -> None:
    alert = raised()
    html = page(signed_in(), "/")
    assert "8% of requests fail" in html
    assert "<b>First step:</b> Roll &lt;it&gt; back." in html
    assert f'href="/rules/{Rule.objects.get().pk}/">The rule</a>' in html
    assert f'href="/alerts/{alert.pk}/">8% of requests fail</a>' in page(signed_in(), "/alerts/")


def test_alerts_know_what_raised_them_by_the_register_alone() -> None:
    assert origins.link(raised()) == ("rule", f"/rules/{Rule.objects.get().pk}/")
    assert origins.link(Alert(source="nobody:1")) == ("", "")
    assert origins.link(Alert(source="rule:x:y"))[1] == "/rules/"
