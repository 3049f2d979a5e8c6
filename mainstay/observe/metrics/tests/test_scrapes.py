"""Scrapes as people configure them: actions, the journal, secrets, files, the API; what the monitor makes of them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from pydantic import BaseModel, SecretStr, ValidationError

from mainstay.config.apply import apply_text, plan_text
from mainstay.config.export import export
from mainstay.desk.tests.desk import SECRET, caller
from mainstay.foundation.accounts.actor import COMMAND_LINE
from mainstay.foundation.accounts.permissions import Role
from mainstay.foundation.catalog.actions import put_application, remove_application
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.catalog.spec import ApplicationSpec
from mainstay.foundation.clock import now
from mainstay.foundation.journal.models import Entry
from mainstay.foundation.processes.models import Revision
from mainstay.foundation.refusal import Managed, Refused
from mainstay.foundation.secrets import MASK, is_sealed
from mainstay.foundation.strict import secret_fields
from mainstay.observe.metrics import health
from mainstay.observe.metrics.actions import pause, put_scrape, remove_scrape, settings_of, shown_spec, spec_of
from mainstay.observe.metrics.client import MetricsAway
from mainstay.observe.metrics.models import Scrape
from mainstay.observe.metrics.planned import Plans
from mainstay.observe.metrics.scrape.document import targets_document
from mainstay.observe.metrics.scrape.state import ScrapeState, TargetHealth, TargetState
from mainstay.observe.metrics.spec import SECRETS, ScrapeSpec

pytestmark = pytest.mark.django_db


@pytest.fixture
def at() -> datetime:
    return now()


@pytest.fixture
def shop(at: datetime) -> Application:
    spec = {"name": "shop", "environments": [{"name": "production"}]}
    return put_application(ApplicationSpec.model_validate(spec), COMMAND_LINE, at)


def spec(**fields: Any) -> ScrapeSpec:
    return ScrapeSpec.model_validate({"name": "node", "targets": ["10.0.0.5:9100"], **fields})


def told() -> list[str]:
    return list(Entry.objects.filter(kind__startswith="scrape.").order_by("id").values_list("kind", flat=True))


# --- what people write ----------------------------------------------------------------------------------------------


PASTED: dict[str, Any] = {
    "job_name": "node",
    "scrape_interval": "30s",
    "scrape_timeout": "5s",
    "metrics_path": "/stats",
    "scheme": "https",
    "params": {"collect[]": ["cpu"]},
    "honor_labels": True,
    "basic_auth": {"username": "ann", "password": SECRET},
    "tls_config": {"ca_file": "/srv/files/ca.pem", "insecure_skip_verify": True},
    "static_configs": [{"targets": ["a:1", "b:2"], "labels": {"zone": "x"}}],
    "file_sd_configs": [{"files": ["/srv/files/targets/*.json"], "refresh_interval": "5m"}],
    "dns_sd_configs": [{"names": ["shop.example.com"], "type": "A", "port": 9100, "refresh_interval": "1m"}],
    "relabel_configs": [{"source_labels": ["__address__"], "target_label": "host", "regex": "(.*):.*"}],
    "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "go_.*", "action": "drop"}],
    "sample_limit": 0,
    "body_size_limit": "10MB",
    "http_headers": {"X-Scope-OrgID": {"values": ["7"]}, "X-Key": {"secrets": ["k"]}},
}
OURS: dict[str, Any] = {
    "name": "node",
    "every": "30s",
    "timeout": "5s",
    "path": "/stats",
    "scheme": "https",
    "params": {"collect[]": ["cpu"]},
    "honor_labels": True,
    "username": "ann",
    "password": SECRET,
    "ca": "/srv/files/ca.pem",
    "verify": False,
    "targets": [{"targets": ["a:1", "b:2"], "labels": {"zone": "x"}}],
    "file": "/srv/files/targets/*.json",
    "dns": {"names": ["shop.example.com"], "type": "A", "port": 9100, "refresh": "1m"},
    "relabel": [{"source_labels": ["__address__"], "target_label": "host", "regex": "(.*):.*"}],
    "metric_relabel": [{"source_labels": ["__name__"], "regex": "go_.*", "action": "drop"}],
    "body_size_limit": 10 << 20,
    "headers": {"X-Scope-OrgID": "7"},
    "secret_headers": {"X-Key": "k"},
}


def test_an_entry_of_prometheus_scrape_configs_can_be_pasted() -> None:
    assert ScrapeSpec.model_validate(PASTED) == ScrapeSpec.model_validate(OURS)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"targets": []}, "needs `targets`, `file` or `dns`"),
        ({"every": "5s", "timeout": "10s"}, "`timeout` (10s) is longer than `every` (5s)"),
        ({"environment": "production"}, "`environment` needs `application`"),
        ({"targets": ["http://a:1/metrics"]}, "scheme and path have fields of their own"),
        ({"bearer": "x", "username": "y"}, "give either `bearer` or `username`"),
        ({"every": "15s", "scrape_interval": "30s"}, "`every` is given twice"),
        ({"file": "/etc/passwd"}, "pattern"),
        ({"kubernetes_sd_configs": []}, "is not known here"),
        ({"authorization": {"type": "Digest", "credentials": "x"}}, "other than Bearer"),
        ({"basic_auth": {"username": "a", "password_file": "/x"}}, "holds password_file"),
        ({"headers": {"Authorization": "x"}}, "is set by Mainstay"),
        ({"headers": {"X": "a\r\nb"}}, "line end"),
        ({"path": "metrics"}, "pattern"),
        ({"labels": {"": "x"}}, "at least 1"),
        ({"body_size_limit": "lots"}, "is no size"),
        ({"name": "a b"}, "pattern"),
        ({"relabel": [{"regex": "("}]}, "is no regular expression"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_reason(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        spec(**fields)
    assert words in str(refused.value)


def test_the_timeout_follows_a_short_interval() -> None:
    assert spec(every="5s").timeout_s == 5.0
    assert spec(every="1m").timeout_s == 10.0


@pytest.mark.fault("S16")
def test_parameters_with_names_of_secrets_are_kept_apart() -> None:
    apart = spec(params={"module": ["a", "b"], "token": [SECRET], "sig": "x"})
    assert apart.params == {"module": ("a", "b")}
    assert {name: one.get_secret_value() for name, one in apart.secret_params.items()} == {"token": SECRET, "sig": "x"}
    for twice in ({"params": {"token": ["a", "b"]}}, {"params": {"token": "a"}, "secret_params": {"token": "b"}}):
        with pytest.raises(ValidationError, match="'token' is given twice: leave one"):
            spec(**twice)


def test_every_secret_field_is_named_as_one() -> None:
    assert {path[0] for path in secret_fields(ScrapeSpec)} == set(SECRETS)


# --- actions --------------------------------------------------------------------------------------------------------


def test_putting_changing_pausing_and_removing_is_told_by_the_journal(at: datetime, shop: Application) -> None:
    row = put_scrape(spec(application="shop", environment="production"), COMMAND_LINE, at)
    assert (row.target, row.every_s, row.timeout_s) == ("10.0.0.5:9100", 15.0, 10.0)
    before = Revision.current("scrapes")
    row = put_scrape(spec(every="30s"), COMMAND_LINE, at, existing=row)
    assert (row.application, row.every_s) == (None, 30.0)
    assert Revision.current("scrapes") > before
    put_scrape(spec(every="30s"), COMMAND_LINE, at, existing=row)
    pause(row, COMMAND_LINE, at, paused=True)
    pause(row, COMMAND_LINE, at, paused=True)
    pause(row, COMMAND_LINE, at, paused=False)
    remove_scrape(row, COMMAND_LINE, at)
    assert told() == ["scrape.created", "scrape.edited", "scrape.paused", "scrape.resumed", "scrape.removed"]
    edited = Entry.objects.get(kind="scrape.edited")
    assert edited.facts["fields"] == ["application", "environment", "every"]
    assert not Scrape.objects.exists()


def test_names_are_unique_and_what_is_named_must_exist(at: datetime, shop: Application) -> None:
    put_scrape(spec(), COMMAND_LINE, at)
    for fields, field in (
        ({}, "name"),
        ({"name": "other", "application": "nope"}, "application"),
        ({"name": "other", "application": "shop", "environment": "nope"}, "environment"),
    ):
        with pytest.raises(Refused) as refused:
            put_scrape(spec(**fields), COMMAND_LINE, at)
        assert refused.value.field == field
    assert Scrape.objects.count() == 1


def test_a_refused_edit_changes_nothing(at: datetime) -> None:
    row = put_scrape(spec(), COMMAND_LINE, at)
    with pytest.raises(Refused):
        put_scrape(spec(every="1m", application="nope"), COMMAND_LINE, at, existing=row)
    assert (row.every_s, Scrape.objects.get().every_s) == (15.0, 15.0)


def test_secrets_are_sealed_opened_for_the_scraper_and_masked_for_people(at: datetime) -> None:
    row = put_scrape(spec(bearer=SECRET, secret_headers={"X-Key": SECRET}), COMMAND_LINE, at)
    assert is_sealed(row.config["bearer"])
    assert is_sealed(row.config["secret_headers"]["X-Key"])
    assert SECRET not in str(row.config)
    opened = settings_of(Scrape.objects.get())
    assert opened.bearer == SecretStr(SECRET)
    assert shown_spec(row)["bearer"] == MASK
    assert SECRET not in str(shown_spec(row)) + "".join(str(entry.facts) for entry in Entry.objects.all())
    assert spec_of(row) == spec(bearer=SECRET, secret_headers={"X-Key": SECRET})


def test_what_is_shown_can_be_put_again(at: datetime) -> None:
    pasted = {name: value for name, value in PASTED.items() if name not in ("basic_auth", "http_headers")}
    row = put_scrape(ScrapeSpec.model_validate(pasted), COMMAND_LINE, at)
    shown = shown_spec(row)
    assert shown["verify"] is False
    assert shown["file"] == "/srv/files/targets/*.json"
    assert ScrapeSpec.model_validate(shown) == ScrapeSpec.model_validate(pasted)


def test_a_scrape_of_a_file_is_edited_there_but_may_be_paused(at: datetime) -> None:
    row = put_scrape(spec(), COMMAND_LINE, at, by_file="shop.yaml")
    with pytest.raises(Managed):
        put_scrape(spec(), COMMAND_LINE, at, existing=row)
    with pytest.raises(Managed):
        remove_scrape(row, COMMAND_LINE, at)
    pause(row, COMMAND_LINE, at, paused=True)
    assert Scrape.objects.get().paused


# --- what the monitor makes of it -----------------------------------------------------------------------------------


def test_what_should_be_scraped_is_what_the_records_say(at: datetime, shop: Application) -> None:
    plans = Plans()
    row = put_scrape(spec(application="shop", environment="production", labels={"team": "x"}), COMMAND_LINE, at)
    other = put_scrape(spec(name="other"), COMMAND_LINE, at)
    first = plans.wanted(at)
    assert [plan.name for plan in first.values()] == ["node", "other"]
    assert first[row.pk].labels == {"application": "shop", "environment": "production", "team": "x"}
    put_scrape(spec(name="other", every="1m"), COMMAND_LINE, at, existing=other)
    changed = plans.wanted(at)
    assert changed[other.pk].every_s == 60.0
    assert changed[row.pk] == first[row.pk], "what did not change compares equal"
    pause(row, COMMAND_LINE, at, paused=True)
    assert set(plans.wanted(at)) == {other.pk}
    pause(row, COMMAND_LINE, at, paused=False)
    assert set(plans.wanted(at)) == {row.pk, other.pk}


def test_an_edit_that_nobody_announced_is_noticed_within_half_a_minute(at: datetime) -> None:
    plans = Plans()
    row = put_scrape(spec(), COMMAND_LINE, at)
    plans.wanted(at)
    Scrape.objects.filter(pk=row.pk).update(every_s=120)
    assert plans.wanted(at + timedelta(seconds=29))[row.pk].every_s != 120
    assert plans.wanted(at + timedelta(seconds=30))[row.pk].every_s == 120


def test_labels_follow_the_catalog(at: datetime, shop: Application) -> None:
    plans = Plans()
    put_scrape(spec(application="shop"), COMMAND_LINE, at)
    plans.wanted(at)
    put_application(ApplicationSpec(name="store"), COMMAND_LINE, at, existing=shop)
    (changed,) = plans.wanted(at).values()
    assert changed.labels == {"application": "store"}
    remove_application(Application.objects.get(), COMMAND_LINE, at)
    (changed,) = plans.wanted(at).values()
    assert changed.labels == {}


def test_a_scrape_that_cannot_be_read_is_told_once_and_does_not_stop_the_others(
    at: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    put_scrape(spec(bearer=SECRET), COMMAND_LINE, at)
    put_scrape(spec(name="other"), COMMAND_LINE, at)
    Scrape.objects.filter(name="node").update(config={"bearer": "sealed:v1:nonsense", "targets": []})
    plans = Plans()
    for seconds in (0, 40, 80):
        (fine,) = plans.wanted(at + timedelta(seconds=seconds)).values()
        assert fine.name == "other"
    assert caplog.text.count("the scrape node") == 1
    assert "node" in plans.unusable
    document = targets_document([], [], plans.unusable)
    assert document["scrapes"][0]["name"] == "node"


# --- files ----------------------------------------------------------------------------------------------------------

FILE = """\
applications:
  - name: shop
    environments:
      - name: production
scrapes:
  - name: node
    application: shop
    environment: production
    targets:
      - 10.0.0.5:9100
    every: 30s
    bearer: sesame
    relabel:
      - {source_labels: [__address__], regex: '(.*):.*', target_label: host, replacement: '${1}'}
  - job_name: pasted
    static_configs:
      - targets: ['a:1']
        labels: {zone: x}
    metrics_path: /stats
"""


def test_a_file_adds_changes_keeps_and_removes_scrapes(at: datetime) -> None:
    outcome = apply_text(FILE, "shop.yaml", COMMAND_LINE, at)
    assert outcome.fine, outcome.problems
    node, pasted = Scrape.objects.order_by("name")
    assert (node.managed_by, str(node.application), node.every_s) == ("shop.yaml", "shop", 30.0)
    assert settings_of(node).relabel[0].replacement == "${1}"
    assert settings_of(pasted).path == "/stats"
    assert apply_text(FILE, "shop.yaml", COMMAND_LINE, at).changes_nothing
    changed = apply_text(FILE.replace("30s", "1m"), "shop.yaml", COMMAND_LINE, at)
    assert changed.fine, changed.problems
    (change,) = [one for one in changed.changes if one.matters]
    assert [(field.field, field.before, field.after) for field in change.fields] == [("every", "30s", "1m")]
    apply_text(FILE[: FILE.index("  - job_name")], "shop.yaml", COMMAND_LINE, at)
    assert [row.name for row in Scrape.objects.all()] == ["node"]
    apply_text("applications: []", "shop.yaml", COMMAND_LINE, at)
    assert not Scrape.objects.exists()


def test_an_export_applies_again_as_the_same_and_keeps_secrets(at: datetime) -> None:
    apply_text(FILE, "shop.yaml", COMMAND_LINE, at)
    text = export(at).text()
    assert "sesame" not in text
    assert f'bearer: "{MASK}"' in text or f"bearer: '{MASK}'" in text
    assert "- name: pasted" in text
    again = apply_text(text, "shop.yaml", COMMAND_LINE, at)
    assert again.fine, again.problems
    assert again.changes_nothing, [change for change in again.changes if change.matters]
    assert settings_of(Scrape.objects.get(name="node")).bearer == SecretStr("sesame")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("application: shop", "application: shpo", "no application named shpo exists; Did you mean shop?"),
        ("environment: production\n    targets", "environment: prod\n    targets", "no environment named shop/prod"),
        ("every: 30s", "every: 0s", "must be"),
        ("bearer: sesame", f"bearer: '{MASK}'", "keeps the stored secret, and there is none"),
        (
            "bearer: sesame",
            f"basic_auth: {{username: a, password: '{MASK}'}}",
            "a mask is no secret",
        ),
        ("name: node", "name: pasted", "the name pasted is given twice"),
        ("metrics_path", "metric_path", "is not known here"),
        ("targets: ['a:1']", "targets: a:1", "must be a list"),
        ("(.*):.*", "(.*:.*", "is no regular expression of RE2"),
    ],
)
def test_mistakes_in_a_file_are_told_with_their_place(old: str, new: str, problem: str, at: datetime) -> None:
    assert old in FILE
    outcome = plan_text(FILE.replace(old, new), "shop.yaml", COMMAND_LINE, at)
    assert outcome.problems
    assert any(problem in str(each.detail) for each in outcome.problems), outcome.problems
    assert all(each.line for each in outcome.problems)
    assert not Scrape.objects.exists()


# --- the API --------------------------------------------------------------------------------------------------------


def test_the_api_creates_shows_replaces_pauses_and_removes(shop: Application) -> None:
    call = caller()
    made = call.post("/scrapes", PASTED, 201)
    assert made["spec"]["password"] == MASK
    assert made["spec"]["secret_headers"] == {"X-Key": MASK}
    assert call.post("/scrapes", PASTED, 409)
    kept = call.put("/scrapes/node", made["spec"] | {"application": "shop"})
    assert kept["application"] == "shop"
    assert settings_of(Scrape.objects.get()).password == SecretStr(SECRET)
    by_their_name = {**PASTED, "basic_auth": {"username": "ann", "password": MASK}}
    call.put("/scrapes/node", by_their_name)
    assert settings_of(Scrape.objects.get()).password == SecretStr(SECRET)
    assert call.put("/scrapes/node", {"name": "node", "targets": ["a:1"], "bearer": MASK}, 422)["errors"]
    assert call.post("/scrapes/node/pause")["paused"]
    assert not call.post("/scrapes/node/resume")["paused"]
    assert [row["name"] for row in call.get("/scrapes")["items"]] == ["node"]
    assert call.get("/scrapes?paused=true")["items"] == []
    assert call("DELETE", "/scrapes/node").status_code == 204
    assert call.expect(404, "GET", "/scrapes/node")


def test_mistakes_are_told_with_a_pointer() -> None:
    answer = caller().post("/scrapes", {"name": "node", "targets": ["a:1"], "relabel": [{"regex": "("}]}, 422)
    assert answer["errors"][0]["pointer"] == "/relabel/0"


def test_support_may_pause_and_not_edit(at: datetime) -> None:
    put_scrape(spec(), COMMAND_LINE, at)
    call = caller(Role.SUPPORT)
    assert call("PUT", "/scrapes/node", {"name": "node", "targets": ["a:1"]}).status_code == 403
    assert call.post("/scrapes/node/pause")["paused"]


def state(**fields: Any) -> TargetState:
    given: dict[str, Any] = {
        "scrape": 1, "job": "node", "identity": "abc", "url": "http://10.0.0.5:9100/metrics",
        "labels": {"job": "node", "instance": "10.0.0.5:9100"}, "discovered": {"__address__": "10.0.0.5:9100"},
        "health": TargetHealth.UP, "error": "", "last_at": 1_700_000_000.25, "duration_s": 0.012, "samples": 900,
        "kept": 800, "added": 0, "every_s": 15.0, "timeout_s": 10.0, "slots_overlapped": 0, "slots_skipped": 0,
    }  # fmt: skip
    return TargetState(**given | fields)


def test_targets_travel_through_the_prometheus_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    down = state(identity="def", health=TargetHealth.DOWN, error="it is away", last_at=None, every_s=90.0)
    document = targets_document(
        [state(), down], [ScrapeState(1, "node", 2, ({"__address__": "x:1"},), ("there is no file x",))]
    )
    first, second = document["activeTargets"]
    assert first["lastScrape"] == "2023-11-14T22:13:20.250Z"
    assert (first["scrapeInterval"], first["scrapeTimeout"], first["health"]) == ("15s", "10s", "up")
    assert (second["scrapeInterval"], second["lastError"]) == ("1m30s", "it is away")
    assert document["droppedTargetCounts"] == {"node": 1}
    monkeypatch.setattr(health, "_ask_the_monitor", lambda: document)
    answer = caller().get("/targets?health=down")
    assert answer["available"]
    (row,) = answer["items"]
    assert (row["identity"], row["last_at"], row["every_s"]) == ("def", None, 90.0)
    assert answer["troubles"] == [{"scrape": "node", "error": "there is no file x"}]


def test_a_monitor_that_is_away_is_said_and_no_target_is_called_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise MetricsAway("http://127.0.0.1:1 does not answer")

    monkeypatch.setattr(health, "_ask_the_monitor", away)
    answer = caller().get("/targets")
    assert (answer["available"], answer["items"]) == (False, [])
    assert "does not answer" in answer["reason"]
    assert not health.live(lambda: {"unexpected": 1}).available


def test_models_of_scrapes_hold_no_open_secret() -> None:
    def secrets(model: type[BaseModel]) -> set[str]:
        return {name for name, field in model.model_fields.items() if "secret" in name or "password" in name}

    assert secrets(ScrapeSpec) <= set(SECRETS)
    assert settings.SECRET_KEY
