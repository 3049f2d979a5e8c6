"""The pages of targets and scrapes: the answer first, every problem in words, nothing called fine that is not known."""

import html as html_module
import re
from typing import Any

import pytest

from mainstay.desk.tests.browser import exported, fragment, page, seen_in, signed_in, title
from mainstay.desk.tests.desk import SECRET
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.clock import now
from mainstay.foundation.secrets import MASK
from mainstay.observe.metrics import health
from mainstay.observe.metrics.actions import pause, put_scrape, settings_of
from mainstay.observe.metrics.client import MetricsAway
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.scrape.document import targets_document
from mainstay.observe.metrics.scrape.state import ScrapeState, TargetHealth
from mainstay.observe.metrics.spec import ScrapeSpec
from mainstay.observe.metrics.tests.test_scrapes import state

pytestmark = pytest.mark.django_db


def put(**fields: Any) -> Scrape:
    given = {"name": "node", "targets": ["10.0.0.5:9100", "10.0.0.6:9100"], **fields}
    return put_scrape(ScrapeSpec.model_validate(given), COMMAND_LINE, now())


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets a test say what the monitor answers: `monitor(targets, scrapes)`, or an exception."""

    def says(targets: Any = (), scrapes: Any = (), error: Exception | None = None) -> None:
        def ask() -> Any:
            if error is not None:
                raise error
            return targets_document(targets, scrapes)

        monkeypatch.setattr(health, "_ask_the_monitor", ask)

    says(error=MetricsAway("http://127.0.0.1:8001/prometheus does not answer: refused"))
    return says


BAD = state(
    identity="bad1", labels={"job": "node", "instance": "10.0.0.6:9100", "zone": "b"}, health=TargetHealth.DOWN,
    error="GET http://10.0.0.6:9100/metrics: no connection to 10.0.0.6 port 9100: the connection was refused.",
)  # fmt: skip


def test_without_a_scrape_the_page_teaches_the_first(monitor: Any) -> None:
    html = page(signed_in(), "/targets/")
    assert title(html) == "Nothing is scraped yet."
    assert "scrapes:" in html
    assert "/add/scrape/" in html
    assert "/add/scrape/" not in page(signed_in(Role.SUPPORT), "/targets/")


def test_the_worst_target_comes_first_with_its_problem(monitor: Any) -> None:
    put()
    monitor([state(), BAD], [ScrapeState(1, "node", 2, (), ())])
    html = page(signed_in(), "/targets/")
    assert title(html) == "1 of 2 targets is down."
    assert html.index("10.0.0.6:9100</a>") < html.index("10.0.0.5:9100</a>")
    assert "the connection was refused" in html
    assert "1 of 2 up" in html
    monitor([state(), state(identity="b")], [])
    assert title(page(signed_in(), "/targets/")) == "All 2 targets answer."


def test_a_monitor_that_is_away_is_said_first(monitor: Any) -> None:
    put()
    html = page(signed_in(), "/targets/")
    assert title(html) == "Targets: no data yet."
    assert "does not answer: refused" in html
    assert "is-up" not in html
    assert title(page(signed_in(), "/scrapes/node/")) == "node: no data yet."
    assert title(page(signed_in(), "/targets/bad1/")) == "This target: no data yet."


def test_the_list_is_filtered_by_address_and_exported(monitor: Any) -> None:
    put()
    monitor([state(), BAD], [])
    client = signed_in()
    assert "10.0.0.5:9100</a>" not in page(client, "/targets/", health="down")
    assert "10.0.0.5:9100</a>" not in page(client, "/targets/", q="zone=b refused")
    assert "No target matches" in page(client, "/targets/", q="nothing like it")
    csv = exported(client.get("/targets/?format=csv&health=down"))
    assert csv.splitlines()[0].startswith("job,instance,url,health,error")
    assert len(csv.splitlines()) == 2


def test_the_list_keeps_itself_current(monitor: Any) -> None:
    put()
    monitor([state()], [])
    client = signed_in()
    html = fragment(client, "/targets/", seen=seen_in(page(client, "/targets/"))).content.decode()
    assert fragment(client, "/targets/", seen=seen_in(html)).status_code == 204
    monitor([BAD], [])
    assert "is down" in fragment(client, "/targets/", seen=seen_in(html)).content.decode()


def test_one_target_shows_its_labels_before_and_after_relabelling(monitor: Any) -> None:
    put()
    monitor([BAD], [])
    html = page(signed_in(), "/targets/bad1/")
    assert title(html) == "10.0.0.6:9100 is down."
    assert "__address__" in html
    assert "zone" in html
    assert "the connection was refused" in html
    (question, *_) = re.findall(r'href="(/metrics/explore\?[^"]+)"', html)
    assert "instance%3D%2210.0.0.6%3A9100%22" in html_module.unescape(question)
    page(signed_in(), "/targets/gone/", 404)


def test_a_scrape_shows_what_keeps_targets_from_being_found(monitor: Any) -> None:
    row = put(file="/srv/files/targets.json")
    monitor(
        [state()],
        [
            ScrapeState(
                row.pk, "node", 1, ({"__address__": "dropped:1"},), ("there is no file /srv/files/targets.json",)
            )
        ],
    )
    html = page(signed_in(), "/scrapes/node/")
    assert title(html) == "node: 1 of 1 up."
    assert "there is no file /srv/files/targets.json" in html
    assert "dropped:1" in html
    assert "Was added" in html
    pause(row, COMMAND_LINE, now(), paused=True)
    assert "Paused" in page(signed_in(), "/scrapes/node/")


@pytest.mark.fault("S16")
def test_secrets_are_on_no_page(monitor: Any) -> None:
    put(bearer=SECRET, secret_headers={"X-Key": SECRET}, params={"token": SECRET})
    client = signed_in()
    for address in ("/targets/", "/scrapes/node/", "/scrapes/node/edit/"):
        html = page(client, address)
        assert SECRET not in html
    assert MASK in page(client, "/scrapes/node/")


def test_texts_of_targets_are_escaped(monitor: Any) -> None:
    put()
    hostile = '<script>alert("x")</script>'
    bad = state(error=hostile, health=TargetHealth.DOWN, labels={"job": "node", "instance": hostile})
    monitor([bad], [ScrapeState(1, "node", 1, ({"__address__": hostile},), (hostile,))])
    for address in ("/targets/", "/targets/abc/", "/scrapes/node/"):
        assert "<script>alert" not in page(signed_in(), address)


# --- forms ----------------------------------------------------------------------------------------------------------

FILLED = {
    "name": "node", "targets": "10.0.0.5:9100\n10.0.0.6:9100\n", "every": "30s", "timeout": "", "scheme": "http",
    "path": "", "labels": "team=web", "username": "ann", "password": SECRET, "bearer": "", "more": "",
}  # fmt: skip


def test_a_scrape_is_added_by_the_form(monitor: Any) -> None:
    answer = signed_in().post("/add/scrape/", FILLED)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/scrapes/node/")
    row = Scrape.objects.get()
    settings = settings_of(row)
    assert settings.targets[0].targets == ("10.0.0.5:9100", "10.0.0.6:9100")
    assert settings.password is not None
    assert settings.password.get_secret_value() == SECRET
    assert (row.every_s, row.timeout_s, row.labels) == (30.0, 10.0, {"team": "web"})


def test_a_form_that_is_saved_as_it_is_changes_nothing(monitor: Any) -> None:
    row = put(
        bearer=SECRET, secret_headers={"X-Key": SECRET}, every="1m", path="/stats", labels={"a": "b"},
        metric_relabel=[{"source_labels": ["__name__"], "regex": "go_.*", "action": "drop"}], verify=False,
    )  # fmt: skip
    before = settings_of(row)
    html = page(signed_in(), "/scrapes/node/edit/")
    answer = signed_in().post("/scrapes/node/edit/", _values(html))
    assert answer.status_code == 302, re.findall(r'class="error[^>]*>([^<]+)', answer.content.decode())
    assert settings_of(Scrape.objects.get()) == before
    assert Scrape.objects.get().labels == {"a": "b"}


def _values(html: str) -> dict[str, str]:
    """Return what a browser would send of the page's form."""
    form = html.partition('<form method="post" class="stack"')[2].partition("</form>")[0]
    values = {}
    for tag in re.findall(r"<input[^>]+>", form):
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and not ('type="checkbox"' in tag and "checked" not in tag):
            values[name[1]] = html_module.unescape(value[1]) if value else ""
    for name, text in re.findall(r'<textarea name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, re.S):
        values[name] = html_module.unescape(text)
    for name, options in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        chosen = re.search(r'value="([^"]*)"[^>]*selected', options)
        values[name] = chosen[1] if chosen else ""
    return values


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"targets": ""}, "needs `targets`, `file` or `dns`"),
        ({"targets": "http://a:1/metrics"}, "scheme and path have fields of their own"),
        ({"name": "a b"}, "Letters, digits, - and _ only"),
        ({"every": "often"}, "is no duration"),
        ({"timeout": "2h"}, "is longer than `every`"),
        ({"bearer": "x"}, "Give either `bearer` or `username`"),
        ({"labels": "no label"}, "is no label"),
        ({"more": "a: [b"}, "Nothing was taken over: it is not YAML"),
        ({"more": "just text"}, "Write the settings as a mapping"),
        ({"more": "every: 5s"}, "every: there is a field for this above"),
        ({"more": "metric_relabel: [{regex: '('}]"}, "metric_relabel.0: "),
        ({"more": "kubernetes_sd_configs: []"}, "kubernetes_sd_configs: "),
        ({"more": "&a [*a]"}, "aliases"),
        ({"environment": "production"}, "`environment` needs `application`"),
    ],
)
def test_mistakes_are_shown_at_their_field_and_nothing_is_saved(
    fields: dict[str, str], problem: str, monitor: Any
) -> None:
    answer = signed_in().post("/add/scrape/", FILLED | fields)
    assert answer.status_code == 422
    assert problem in html_module.unescape(answer.content.decode())
    assert not Scrape.objects.exists()


def test_lines_of_a_prometheus_scrape_config_can_be_pasted_into_the_form(monitor: Any) -> None:
    more = (
        "static_configs:\n  - targets: [a:1]\n    labels: {zone: x}\n"
        "metric_relabel_configs:\n  - {source_labels: [__name__], regex: 'go_.*', action: drop}\n"
    )
    answer = signed_in().post("/add/scrape/", FILLED | {"targets": "", "more": more})
    assert answer.status_code == 302, answer.content.decode()
    settings = settings_of(Scrape.objects.get())
    assert settings.targets[0].labels == {"zone": "x"}
    html = page(signed_in(), "/scrapes/node/edit/")
    assert "zone: x" in html, "targets with labels are shown where they can be edited"
    assert signed_in().post("/scrapes/node/edit/", _values(html)).status_code == 302
    assert settings_of(Scrape.objects.get()) == settings


def test_a_stored_secret_is_kept_replaced_or_removed(monitor: Any) -> None:
    put(bearer=SECRET)
    client = signed_in()
    values = _values(page(client, "/scrapes/node/edit/"))
    client.post("/scrapes/node/edit/", values | {"bearer": "another"})
    bearer = settings_of(Scrape.objects.get()).bearer
    assert bearer is not None
    assert bearer.get_secret_value() == "another"
    client.post("/scrapes/node/edit/", _values(page(client, "/scrapes/node/edit/")) | {"clear_bearer": "on"})
    assert settings_of(Scrape.objects.get()).bearer is None


def test_a_scrape_of_a_file_is_shown_but_not_saved(monitor: Any) -> None:
    put_scrape(
        ScrapeSpec.model_validate({"name": "node", "targets": ["a:1"]}), COMMAND_LINE, now(), by_file="shop.yaml"
    )
    client = signed_in()
    assert "mainstay apply shop.yaml" in page(client, "/scrapes/node/edit/")
    assert client.post("/scrapes/node/edit/", FILLED).status_code == 422
    assert client.post("/scrapes/node/delete/").status_code == 302
    assert Scrape.objects.get().every_s == 15.0


def test_a_scrape_is_paused_resumed_and_removed_by_buttons(monitor: Any) -> None:
    put()
    client = signed_in()
    client.post("/scrapes/node/pause/", {"paused": "1"})
    assert Scrape.objects.get().paused
    client.post("/scrapes/node/pause/", {"paused": "0"})
    assert not Scrape.objects.get().paused
    assert client.post("/scrapes/node/delete/").headers["Location"] == "/targets/"
    assert not Scrape.objects.exists()


def test_a_scrape_whose_settings_cannot_be_read_is_shown_to_be_so(monitor: Any) -> None:
    put()
    Scrape.objects.update(config=[1])
    assert "What is stored cannot be read" in page(signed_in(), "/scrapes/node/")
    assert signed_in().get("/scrapes/node/edit/").status_code == 200
