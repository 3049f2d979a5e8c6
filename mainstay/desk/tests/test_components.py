"""The components: one source for their HTML, no colour alone, no inline code, quick in a list of a thousand."""

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.template.loader import render_to_string
from django.test import RequestFactory, override_settings
from django.urls import path
from django.utils import timezone

from mainstay.foundation.accounts.models import User
from mainstay.foundation.accounts.permissions import Role
from mainstay.kit import charts, nav, rows
from mainstay.kit.scales import NBSP
from mainstay.kit.templatetags import mainstay as tags

WEB = Path(rows.__file__).parent
CSS = WEB / "static" / "mainstay" / "css"
TEMPLATES = WEB / "templates"
NOW = datetime(2025, 3, 12, 6, 18, tzinfo=UTC)
_styles = "\n".join(file.read_text() for file in sorted(CSS.glob("*.css")))


def _page(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("")


urlpatterns = [
    path("", _page, name="now"),
    path("checks/", _page, name="checks"),
    path("alerts/", _page, name="alerts"),
    path("find", _page),
]


def rendered(source: str, **context: object) -> str:
    return Template("{% load mainstay %}" + source).render(Context({"now": NOW, **context}))


def request(address: str = "/") -> HttpRequest:
    made = RequestFactory().get(address)
    made.user = User(pk=1, email="support@example.org", role=Role.SUPPORT)
    return made


# --- one source -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", rows.STATES)
def test_include_tag_and_row_show_a_state_with_the_same_html(state: str) -> None:
    expected = rows.status(state)
    assert render_to_string("components/status.html", {"state": state}).strip() == expected
    assert rendered("{% status state %}", state=state) == expected
    assert expected in rows.check_row(href="/", name="a", state=state, now=NOW)
    assert expected in rows.alert_row(href="/", name="a", state=state, now=NOW)


def test_every_state_has_a_shape_and_a_colour_and_no_two_tones_share_a_shape() -> None:
    shapes: dict[str, str] = {}
    for selectors, body in re.findall(
        r"^((?:\.is-[a-z]+(?:, )?)+) \{([^}]*)\}", (CSS / "status.css").read_text(), re.M
    ):
        for name in re.findall(r"is-([a-z]+)", selectors):
            if "--shape" in body:
                shapes[name] = body.split("--shape:")[1].strip()
    assert shapes.keys() == rows.STATES.keys()
    tones: dict[str, set[str]] = {}
    for name, shape in shapes.items():
        tones.setdefault(shape, set()).add(rows.STATES[name].tone)
    mixed = {shape: found for shape, found in tones.items() if len(found - {"quiet"}) > 1}
    assert not mixed, "a shape must not mean good in one place and bad in another"


def test_the_colour_of_a_state_in_css_is_the_tone_it_has_in_python() -> None:
    css = (CSS / "status.css").read_text()
    ink = {"ok": "--ok", "warn": "--warn", "bad": "--bad", "accent": "--accent", "quiet": "--muted"}
    for state, look in rows.STATES.items():
        rule = next(
            body
            for names, body in re.findall(r"^(\.is-[^{]*)\{ --tone: ([^;]*);", css, re.M)
            if re.search(rf"\.is-{state}\b", names)
        )
        assert rule == f"var({ink[look.tone]})", state


def test_a_state_nobody_declared_is_never_shown_as_good() -> None:
    assert rows.status("brand-new") == '<span class="status is-unknown">brand-new</span>'
    assert "is-unknown" in rows.status("")


def test_what_people_typed_is_escaped_everywhere() -> None:
    evil = '<script>"&'
    html = rows.check_row(
        href='"><script>', name=evil, state=evil, application=evil, environment=evil, kind=evil, target=evil,
        severity=evil, source=evil, now=NOW,
    ) + rows.alert_row(
        href=evil, name=evil, state=evil, severity=evil, summary=evil, application=evil, owner=evil, routes=evil,
        now=NOW,
    )  # fmt: skip
    html += (
        rows.status("up", evil) + rows.when(None, NOW, missing=evil) + rows.managed_by(evil) + rows.quantity(1, evil)
    )
    html += rows.sentence(evil, subject="script", href=evil, verb='"')
    html += rendered("{% code t %}{% kbd t %}{% badge t t %}{% meter 1 label=t %}", t=evil)
    html += rendered("{% card t t %}x{% endcard %}{% empty t t %}y{% endempty %}", t=evil)
    assert "<script" not in html
    assert evil not in html


# --- wording --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"), (4.9, "just now"), (5, "5 s ago"), (59.9, "59 s ago"), (60, "1 min ago"), (3599, "59 min ago"),
        (3600, "1 h ago"), (86399, "23 h ago"), (86400, "1 d ago"), (40 * 86400, "40 d ago"), (-3, "now"),
        (-900, "in 15 min"),
    ],
)  # fmt: skip
def test_a_relative_time_has_one_unit_and_is_cut_not_rounded(seconds: float, words: str) -> None:
    assert rows.relative(seconds).replace(NBSP, " ") == words


def test_an_instant_shows_relative_with_the_absolute_in_the_persons_zone_on_hover() -> None:
    with timezone.override("Europe/Berlin"):
        html = rows.when(NOW - timedelta(minutes=7), NOW)
    assert html.replace(NBSP, " ") == (
        '<time datetime="2025-03-12T06:11:00Z" title="Wed 12 Mar 2025, 07:11:00 CET" data-live>7 min ago</time>'
    )
    assert rows.when(NOW.timestamp() - 420, NOW) == rows.when(NOW - timedelta(minutes=7), NOW)
    with timezone.override("Europe/Berlin"):
        assert ">07:18</time>" in rows.when(NOW, NOW, clock=True)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0123, "12.3 ms"), (0.412, "412 ms"), (1.94, "1.94 s"), (59.97, "1 min"), (60, "1 min"), (432, "7 min 12 s"),
        (11100, "3 h 05 min"), (7200, "2 h"), (187200, "2 d 4 h"), (0, "0 s"), (None, "–"), (float("nan"), "–"),
        (-432, "−7 min 12 s"),
    ],
)  # fmt: skip
def test_a_duration_has_its_two_greatest_units(seconds: float | None, words: str) -> None:
    assert rows.write_duration(seconds).replace(NBSP, " ") == words


def test_a_sentence_links_its_subject_and_sets_its_verb_in_bold() -> None:
    html = rows.sentence("Alert storefront fired (critical): fired up", subject="storefront", href="/a/1", verb="fired")
    assert html == 'Alert <a href="/a/1">storefront</a> <b>fired</b> (critical): fired up'


# --- files that must agree ------------------------------------------------------------------------------------------


def test_every_stylesheet_is_linked_and_every_link_has_a_file() -> None:
    files = {file.stem for file in CSS.glob("*.css")}
    shared, own = set(tags.STYLESHEETS), {name for name in files if name.startswith("pages-")}
    assert files - own == shared
    templates = "".join(file.read_text() for file in WEB.parent.rglob("*.html"))
    assert own == set(re.findall(r"mainstay/css/(pages-[a-z-]+)\.css", templates))


def test_every_icon_a_template_asks_for_exists() -> None:
    asked = {name for file in TEMPLATES.rglob("*.html") for name in re.findall(r'{% icon "([a-z]+)"', file.read_text())}
    asked |= {place.icon for place in nav.PLACES if place.icon}
    for name in asked:
        assert tags.icon(name).startswith("<svg"), name


def test_every_painted_part_of_a_chart_has_a_style() -> None:
    styled = set(re.findall(r"\.c-([a-z0-9-]+)", (CSS / "chart.css").read_text()))
    needed = {word for part in charts._PARTS for word in part.split()}
    assert needed <= styled
    assert set(charts._TONES) <= set(re.findall(r"\.tone-([a-z0-9-]+)", (CSS / "tokens.css").read_text()))


def test_the_readme_lists_every_component_and_tag() -> None:
    readme = (WEB / "README.md").read_text()
    files = {file.name for file in (TEMPLATES / "components").glob("*.html")}
    missing = [name for name in sorted(files) if f"`{name}`" not in readme]
    missing += [name for name in sorted(tags.register.tags) if f"{{% {name}" not in readme]
    assert not missing


# --- rules of the look ----------------------------------------------------------------------------------------------


def test_no_template_holds_inline_script_style_or_handler() -> None:
    for file in TEMPLATES.rglob("*.html"):
        text = file.read_text()
        for tag in re.findall(r"<script[^>]*>", text):
            assert "src=" in tag or 'type="application/json"' in tag, file
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on", text), file


def test_every_distance_is_a_multiple_of_four_pixels() -> None:
    wrong = []
    rules = re.findall(r"(?:^|[{;\s])((?:margin|padding|gap|column-gap|row-gap)[a-z-]*):([^;}]+)", _styles)
    for name, value in rules:
        wrong += [f"{name}:{value}" for px in re.findall(r"(-?[\d.]+)px", value) if float(px) % 4]
    assert rules
    assert not wrong


def _colours(theme: int) -> dict[str, str]:
    found = re.findall(
        r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", (CSS / "tokens.css").read_text()
    )
    return {name: (light, dark)[theme] for name, light, dark in found}


def _contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_colour_reaches_aa_on_every_ground_it_stands_on(theme: int) -> None:
    c = _colours(theme)
    pairs = [
        (ink, ground)
        for ink in ("text", "muted", "ok", "warn", "bad", "accent")
        for ground in ("ground", "surface", "raised")
    ]
    pairs += [(tone, f"{tone}-soft") for tone in ("ok", "warn", "bad", "accent")]
    pairs += [("muted", "quiet-soft"), ("muted", "accent-soft"), ("text", "accent-soft"), ("on-accent", "accent")]
    low = {f"{a} on {b}": round(_contrast(c[a], c[b]), 2) for a, b in pairs if _contrast(c[a], c[b]) < 4.5}
    assert not low
    graphics = ["quiet", "field-line", *(f"phase-{i}" for i in range(1, 6))]
    faint = {
        name: round(_contrast(c[name], c["surface"]), 2) for name in graphics if _contrast(c[name], c["surface"]) < 3
    }
    assert not faint


# --- behaviour of tags ----------------------------------------------------------------------------------------------


def test_a_column_sorts_up_then_down_and_starts_at_the_first_page() -> None:
    once = rendered('{% th "Name" "name" %}', request=request("/checks/?state=down&before=99"))
    assert 'href="?state=down&amp;sort=name"' in once
    assert "aria-sort" not in once
    again = rendered('{% th "Name" "name" num=True hide="phone" %}', request=request("/checks/?sort=name"))
    assert 'aria-sort="ascending"' in again
    assert 'href="?sort=-name"' in again
    assert 'class="num hide-phone"' in again


def test_a_query_changes_only_what_is_named() -> None:
    asked = request("/?a=1&a=2&page=3")
    assert rendered("{% query page=4 %}", request=asked) == "?a=1&amp;a=2&amp;page=4"
    assert rendered("{% query page=None format='csv' %}", request=asked) == "?a=1&amp;a=2&amp;format=csv"


@override_settings(ROOT_URLCONF=__name__)
@pytest.mark.parametrize(
    ("address", "current"), [("/", "now"), ("/checks/", "checks"), ("/checks/12/", "checks"), ("/x", None)]
)
def test_only_places_that_exist_are_shown_and_one_is_current(address: str, current: str | None) -> None:
    context = Context({"request": request(address)})
    shown = tags.places(context)
    items: list[Any] = [item for group in shown["groups"] for item in group["items"]]  # type: ignore[attr-defined]
    assert {item["name"] for item in items} == {"now", "checks", "alerts"}
    assert [item["name"] for item in items if item["current"]] == ([current] if current else [])
    assert shown["below"] == []


class _Form(forms.Form):
    name = forms.CharField(help_text="Lower case.")
    token = forms.CharField(widget=forms.PasswordInput(render_value=False), required=False)


def test_an_error_stands_beside_its_field_and_is_named_by_it() -> None:
    form = _Form({"name": ""})
    form.is_valid()
    html = rendered("{% field form.name %}", form=form)
    assert 'aria-invalid="true"' in html
    described = re.search(r'aria-describedby="([^"]+)"', html)
    assert described is not None
    for identifier in described[1].split():
        assert f'id="{identifier}"' in html
    assert "This field is required." in html


def test_a_stored_secret_is_not_shown_again_and_an_empty_input_keeps_it() -> None:
    form = _Form({"name": "a", "token": "xoxb-1"})
    form.is_valid()
    html = rendered("{% field form.token stored=True %}", form=form)
    assert "xoxb-1" not in html
    assert "Leave empty to keep it" in html


def test_a_decision_says_yes_and_no_in_words_as_well_as_in_marks() -> None:
    steps = [{"question": "Firing?", "passed": True, "detail": "yes"}, {"question": "Silenced?", "passed": False}]
    html = render_to_string("components/decision.html", {"verdict": "Paged", "steps": steps, "reason": "first"})
    assert "Firing?" in html
    assert ": yes</span>" in html
    assert ": no</span>" in html


# --- speed ----------------------------------------------------------------------------------------------------------


@pytest.mark.timing
def test_a_thousand_checks_are_written_in_well_under_sixty_milliseconds() -> None:
    bar = charts.uptime_bar([charts.Day(str(i), 1.0 if i % 9 else 0.98) for i in range(30)], readout=False)

    def write() -> int:
        return len(
            rows.join(
                rows.check_row(
                    href=f"/checks/{i}/", name=f"storefront-{i}", state=("up", "down", "paused")[i % 3], now=NOW,
                    application="shop", environment="production", kind="HTTP", target="https://shop.example/",
                    severity="critical", duration_s=0.088, uptime_percent=99.98, uptime_html=bar,
                    last_at=NOW - timedelta(seconds=i), since=NOW - timedelta(hours=i),
                )
                for i in range(1000)
            )
        )  # fmt: skip

    taken = []
    for _ in range(5):
        begun = time.process_time()
        size = write()
        taken.append(time.process_time() - begun)
    assert size > 500_000
    assert min(taken) < 0.1, taken


# --- links to elsewhere ---------------------------------------------------------------------------------------------


@pytest.mark.fault("S14")
@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "//evil.example/x",
        "/logout",
        "http:/\x09/x",
        "https://a.example/\njavascript:alert(1)",
        "httpx://a.example/",
        "https://a.example/" + "x" * 5000,
        "see page 12 of the folder",
    ],
)
def test_what_is_no_web_address_is_shown_and_not_linked(address: str) -> None:
    for source in ("{% outside url %}", '{% outside url "Runbook" "button" id="runbook" icon_name="external" %}'):
        html = rendered(source, url=address)
        assert "href" not in html
        assert "<script" not in html
        assert "<span" in html
    assert len(html) < 400


def test_a_web_address_is_linked_and_told_nothing_about_us() -> None:
    html = rendered('{% outside url "Runbook" "button" %}', url='https://wiki.example/a?b=1&c="')
    assert html.startswith("<span")  # a quotation mark is none of an address
    html = rendered('{% outside url "Runbook" "button" %}', url="HTTPS://wiki.example/a?b=1&c=2")
    assert 'href="HTTPS://wiki.example/a?b=1&amp;c=2" rel="noopener noreferrer">Runbook</a>' in html
    assert rendered("{% outside url %}", url="") == ""


OWN_ADDRESSES = re.compile(
    r"(\w+\.)*(\w*_)?href|(chart|course|profile|password|mfa|sessions|logout|request_login_code)_url"
)
"""Variables that hold addresses made here, from names of views."""
FURTHER_OWN = {
    "action", "after", "alt.url", "attrs.action", "attrs.src", "back", "before", "csv", "further", "json", "jsonl",
    "live_url", "new", "new_rule", "one.origin.1", "pages.after", "pages.before", "pinned", "removal", "request.path",
    "targets",
}  # fmt: skip
VARIABLE_ADDRESS = re.compile(r"""(?:href|action|src|hx-get|hx-post)=["']?\{\{\s*([^}|]+?)\s*(?:\||\}\})""")


@pytest.mark.fault("S14")
def test_no_template_links_an_address_from_outside_but_by_the_tag() -> None:
    found = [
        (file.name, variable)
        for file in sorted(WEB.parent.rglob("templates/**/*.html"))
        for variable in VARIABLE_ADDRESS.findall(file.read_text())
    ]
    assert len(found) > 30
    assert [
        (name, variable)
        for name, variable in found
        if variable not in FURTHER_OWN and not OWN_ADDRESSES.fullmatch(variable)
    ] == []
