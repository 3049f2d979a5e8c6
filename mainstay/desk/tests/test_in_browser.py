"""The shell in a real browser: accessible, within its window, driven by keys, under the real content policy."""

import mimetypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.test import override_settings

from mainstay.desk.tests.test_components import request
from mainstay.kit import rows
from mainstay.kit.security import CONTENT_SECURITY_POLICY
from mainstay.kit.tests import sheet as components

ORIGIN = "http://mainstay.test"


SWAPPED = '<table id="rows" class="swapped"><tr data-row><td><a href="/checks/7/">seven</a></td></tr></table>'


@pytest.fixture
def sheet() -> str:
    """The component sheet as served."""
    with override_settings(ROOT_URLCONF="mainstay.desk.tests.test_components"):
        return components.sheet(request("/patterns"))


@pytest.fixture
def visit(browser: Any, sheet: str) -> Iterator[Callable[..., Any]]:
    """Open the sheet in a new page, its files served from disk under the real policy; console errors fail the test."""
    complaints: list[str] = []
    contexts = []
    found = render_to_string(
        "components/find_results.html",
        {
            "query": "s",
            "groups": [
                {"label": "Checks", "items": [{"href": "/checks/", "title": n, "state": "up"} for n in ("a", "b")]}
            ],
        },
    )

    def serve(route: Any) -> None:
        address = route.request.url.removeprefix(ORIGIN).split("?")[0]
        if address.startswith("/static/"):
            file = finders.find(address.removeprefix("/static/"))
            assert isinstance(file, str), address
            route.fulfill(body=Path(file).read_bytes(), content_type=mimetypes.guess_type(file)[0] or "text/plain")
        else:
            bodies = {"/patterns": sheet, "/find": found, "/rows": SWAPPED}
            body = bodies.get(address, "<!doctype html><title>x</title>")
            route.fulfill(
                body=body,
                content_type="text/html; charset=utf-8",
                headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY},
            )

    def visit(*, width: int = 1280, scheme: str = "light", bypass_csp: bool = False) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 860},
            color_scheme=scheme,
            reduced_motion="reduce",
            bypass_csp=bypass_csp,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.route(f"{ORIGIN}/**", serve)
        page.goto(f"{ORIGIN}/patterns")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not complaints


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_the_component_sheet_has_no_accessibility_violation(visit: Callable[..., Any], scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = visit(width=width, scheme=scheme, bypass_csp=True)
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = {
        v["id"]: [n["html"][:100] for n in v["nodes"]] for v in Axe().run(page, options=options).response["violations"]
    }
    for dialog in ("acknowledge", "shortcuts", "palette"):
        page.evaluate("id => document.getElementById(id).showModal()", dialog)
        violations = Axe().run(page, f"#{dialog}", options=options).response["violations"]
        found |= {f"{dialog}: {v['id']}": [n["html"][:100] for n in v["nodes"]] for v in violations}
        page.evaluate("id => document.getElementById(id).close()", dialog)
    assert not found


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 820, 390, 320])
def test_the_page_never_scrolls_sideways_and_targets_are_big_enough(visit: Callable[..., Any], width: int) -> None:
    page = visit(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        """[...document.querySelectorAll('a, button, input:not([type=hidden]), select')]
          .filter(e => e.checkVisibility() && !e.closest('p, dd, .timeline, .trouble h3, tr[data-row], .skip, .help'))
          .map(e => [e.outerHTML.slice(0, 90), e.getBoundingClientRect()])
          .filter(([, r]) => r.width && (r.height < 23.5 || r.width < 23.5))
          .filter(([html]) => !/type="(checkbox|radio)"|class="link"/.test(html)).map(([html]) => html)"""
    )
    assert not small


@pytest.mark.browser
def test_the_browser_words_times_as_the_server_does(visit: Callable[..., Any]) -> None:
    page = visit()
    for seconds in (0, 42, 61, 3599, 7300, 90000, -900):
        shown = page.evaluate(
            """seconds => {
              const time = document.querySelector('time[data-live]');
              time.dateTime = new Date(Date.now() - seconds * 1000 - (seconds < 0 ? -500 : 500)).toISOString();
              document.dispatchEvent(new CustomEvent('htmx:afterSwap', {detail: {target: time}}));
              return time.textContent;
            }""",
            seconds,
        )
        assert shown == rows.relative(seconds)


@pytest.mark.browser
@pytest.mark.fault("D6")
def test_keys_find_go_acknowledge_and_move_between_rows(visit: Callable[..., Any]) -> None:
    page = visit()
    page.keyboard.press("Control+k")
    page.wait_for_selector("#find-results [role=option]")
    page.keyboard.press("ArrowDown")
    assert page.locator("#find-results [aria-selected=true] .t").inner_text() == "b"
    active = page.locator("#palette input").get_attribute("aria-activedescendant")
    assert active == page.locator("#find-results [aria-selected=true]").get_attribute("id")
    page.keyboard.press("Escape")
    page.wait_for_selector("#palette", state="hidden")
    page.keyboard.press("a")
    page.wait_for_selector("#acknowledge", state="visible")
    assert page.evaluate("document.activeElement.name") == "note"
    assert page.evaluate("document.activeElement.value") == "", "the key is not typed"
    page.keyboard.type("g")  # typed into the note, not taken as a shortcut
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") == "checkout"
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url("**/alerts/")


@pytest.mark.browser
def test_single_key_shortcuts_can_be_turned_off(visit: Callable[..., Any]) -> None:
    page = visit()
    page.keyboard.press("?")
    page.uncheck("[data-keys]")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    assert not page.evaluate("document.querySelector('#acknowledge').open")


@pytest.mark.browser
def test_a_chosen_theme_is_kept_and_set_before_the_page_is_painted(visit: Callable[..., Any]) -> None:
    page = visit()
    page.click(".side .me")
    page.click("#me [data-theme-choice=dark]")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.reload(wait_until="commit")
    page.wait_for_selector("body", state="attached")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(ground) == dark == "rgb(19, 20, 22)"


@pytest.mark.browser
def test_charts_and_uptime_bars_are_read_by_pointer_and_by_keys(visit: Callable[..., Any]) -> None:
    page = visit()
    chart = page.locator(".chart").nth(1)
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 60)
    assert re.search(r"p95\s*\d+(\.\d+)? ms\s*median", chart.locator(".readout").inner_text())
    bar = page.locator(".uptime[data-days] svg").first
    bar.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert re.search(r"Mar\s+97\s% up, 1 outage", page.locator("#announce").inner_text())
    page.keyboard.press("Escape")
    assert page.locator(".readout").count() == 0


@pytest.mark.browser
def test_polling_rests_while_the_tab_is_hidden(visit: Callable[..., Any]) -> None:
    page = visit()
    asked = []
    page.on("request", lambda made: asked.append(made.url) if made.url.endswith("/live") else None)
    page.evaluate(
        """() => {
          Object.defineProperty(document, 'hidden', {configurable: true, get: () => window.away});
          window.away = true;
          const polling = '<p id="live" hx-get="/live" hx-trigger="every 50ms"></p>';
          document.querySelector('.content').insertAdjacentHTML('beforeend', polling);
          htmx.process(document.getElementById('live'));
        }"""
    )
    page.wait_for_timeout(300)
    assert asked == []
    with page.expect_request("**/live"):
        page.evaluate("window.away = false")


@pytest.mark.browser
def test_a_row_keeps_the_focus_when_its_list_is_swapped(visit: Callable[..., Any]) -> None:
    page = visit()
    page.evaluate(
        """() => {
          const list = '<table id="rows" hx-get="/rows" hx-trigger="refresh" hx-swap="outerHTML"><tr data-row>'
            + '<td><a href="/checks/7/">seven</a></td></tr></table>';
          document.querySelector('.content').innerHTML = list;
          htmx.process(document.querySelector('.content'));
        }"""
    )
    page.keyboard.press("j")
    page.evaluate("document.querySelector('#rows').dispatchEvent(new CustomEvent('refresh'))")
    page.wait_for_selector("#rows.swapped a:focus")


@pytest.mark.browser
def test_a_toast_from_the_server_is_shown_and_announced(visit: Callable[..., Any]) -> None:
    page = visit()
    page.evaluate("document.dispatchEvent(new CustomEvent('toast', {detail: {text: 'Silenced.', tone: 'ok'}}))")
    assert page.locator("#toasts .toast.tone-ok").inner_text() == "Silenced."
    assert page.locator("#announce").inner_text() == "Silenced."
