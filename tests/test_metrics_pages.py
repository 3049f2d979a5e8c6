"""The explorer, the golden signals and the pages of rules in a real Chromium, before a real Prometheus and the shop.

Screenshots are kept under `output/screenshots`; axe must find nothing on any page, in the light and in the dark, and at
390 px nothing scrolls sideways.
"""

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from tests.program import ROOT, Program, free_port, until

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(300)]

SHOTS = ROOT / "output" / "screenshots"
RULES = {
    "name": "shop",
    "interval": "1s",
    "rules": [
        {
            "alert": "ShopBusy",
            "expr": 'sum by (application) (rate(http_requests_total{application="shop"}[10s])) > 0.01',
            "labels": {"severity": "minor"},
            "annotations": {
                "summary": "The shop is asked {{ $value }} times a second",
                "cause": "Somebody buys something.",
                "first_step": "Look into the till.",
            },
        },
        {"alert": "ShopGone", "expr": 'up{application="shop"} == 0', "for": "1m", "labels": {"severity": "critical"}},
        {"alert": "Blind", "expr": "no_such_metric > 1"},
    ],
}


@contextmanager
def child(*command: str, log: Path) -> Iterator[None]:
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(15)


def read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=2) as answer:
        found: bytes = answer.read()
        return found


def answers(url: str) -> bool:
    try:
        return bool(read(url))
    except OSError:
        return False


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Mainstay with METRICS_URL at a Prometheus that scrapes the shop, and two groups of rules."""
    if shutil.which("prometheus") is None:
        pytest.skip("needs Prometheus: apt-get install prometheus")
    home = tmp_path_factory.mktemp("metrics")
    shop, port = free_port(), free_port()
    config = home / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n"
        f"  - {{job_name: shop, static_configs: [{{targets: ['127.0.0.1:{shop}'], labels: {{application: shop}}}}]}}\n"
    )
    with (
        child(
            sys.executable, "-m", "examples.shop", "--port", str(shop), "--data", str(home / "shop"),
            log=home / "shop.log",
        ),
        child(
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={home / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}", log=home / "prometheus.log",
        ),
    ):  # fmt: skip
        until(lambda: answers(f"http://127.0.0.1:{port}/-/ready"), "Prometheus is ready", within_s=30)
        one = Program(home / "program", extra={"METRICS_URL": f"http://127.0.0.1:{port}"})
        one.start()
        try:
            one.api("POST", "/applications", {"name": "shop", "tier": "critical"})
            one.api("POST", "/rules", RULES)
            for _ in range(12):  # requests for the shop to count
                answers(f"http://127.0.0.1:{shop}/")
                time.sleep(0.2)
            counted = f"http://127.0.0.1:{port}/api/v1/label/handler/values"
            until(lambda: b"catalogue" in read(counted), "Prometheus has scraped the requests", within_s=30)
            yield one
        finally:
            one.stop()


@pytest.fixture(scope="module")
def signed_in(program: Program, browser: Browser) -> str:
    """Sign in by the link of the first start, choose a password, and keep the state of the browser."""
    context = browser.new_context()
    page = context.new_page()
    link = next(word for word in program.log.split() if "/sign-in/" in word)
    page.goto(link)
    page.get_by_role("button").first.click()
    page.wait_for_url("**/sign-in/password")
    for place in page.locator("input[type=password]").all():
        place.fill("a long harbour of words")
    page.locator("main form button[type=submit], form button").first.click()
    page.wait_for_load_state()
    kept = str(program.home / "browser.json")
    context.storage_state(path=kept)
    context.close()
    return kept


class Window:
    """A browser window whose complaints fail the test."""

    def __init__(self, browser: Browser, program: Program, kept: str, *, width: int, scheme: str, axe: bool) -> None:
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": 860},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            storage_state=kept,
            bypass_csp=axe,  # axe itself needs `eval`
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.base = program.url
        self.width = width
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    def go(self, address: str) -> Page:
        self.page.goto(f"{self.base}{address}")
        return self.page

    def sound(self, where: str) -> None:
        """Nothing scrolls sideways, axe finds nothing; a screenshot is kept."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(SHOTS / f"{where}-{self.width}.png"), full_page=True)
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width, where
        found = Axe().run(self.page)
        assert not found.response["violations"], f"{where}:\n{found.generate_report()}"

    def close(self) -> None:
        self.context.close()
        assert not self.complaints


@pytest.fixture
def window(browser: Browser, program: Program, signed_in: str) -> Iterator[Window]:
    """A window under the real content policy."""
    one = Window(browser, program, signed_in, width=1280, scheme="light", axe=False)
    yield one
    one.close()


def test_an_expression_is_written_with_what_is_offered_and_run_by_keys_alone(window: Window) -> None:
    page = window.go("/metrics/explore")
    field = page.locator("textarea").first
    page.keyboard.press("/")  # the field is what `/` focuses
    offers = page.locator("#offers [role=option]")
    page.keyboard.type("sum by (ha")
    page.wait_for_selector("#offers")
    page.keyboard.press("Tab")
    page.keyboard.type(") (ra")
    page.wait_for_selector("#offers")
    assert offers.first.locator(".what").inner_text() == "rate"
    page.keyboard.press("Tab")
    page.keyboard.type("http_req")
    page.wait_for_selector("#offers >> text=Requests answered.")
    page.keyboard.press("ArrowDown")
    assert field.get_attribute("aria-activedescendant") == offers.first.get_attribute("id")
    assert offers.first.get_attribute("aria-selected") == "true"
    page.keyboard.press("Enter")
    assert field.input_value() == "sum by (handler) (rate(http_requests_total)"
    page.keyboard.type("{co")
    page.wait_for_selector("#offers >> text=code")
    page.keyboard.press("Tab")
    page.wait_for_selector("#offers >> text=200")
    page.keyboard.press("Tab")
    assert field.input_value() == 'sum by (handler) (rate(http_requests_total{code="200")'
    page.keyboard.type("}[")
    page.wait_for_selector("#offers")
    page.keyboard.press("Escape")
    assert offers.count() == 0
    page.keyboard.press("End")
    field.fill('sum by (handler) (rate(http_requests_total{code="200"}[1m]))')
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .chart")
    assert page.url.endswith("&range=1h")
    told = page.locator("h1").inner_text()
    assert "series" in told or "at last" in told, "one handler is told by its value, several by their number"
    page.keyboard.press("Shift+Enter")
    assert field.input_value().endswith("\n")


def test_an_error_stands_at_its_place_without_a_reload_and_leaves_when_it_is_mended(window: Window) -> None:
    page = window.go("/metrics/explore?q=up")
    page.evaluate("window.kept = true")
    field = page.locator("textarea").first
    field.fill("sum(up")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".write-error .said")
    assert field.get_attribute("aria-invalid") == "true"
    field.fill("sum(up)")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#results .chart")
    until(lambda: field.get_attribute("aria-invalid") is None, "the field is valid")
    assert page.locator(".write-error .said").count() == 0
    assert page.evaluate("window.kept")


def test_a_second_expression_is_added_and_taken_away(window: Window) -> None:
    page = window.go("/metrics/explore?q=up")
    page.get_by_role("button", name="Add an expression").click()
    page.keyboard.type("process_resident_memory_bytes")
    page.keyboard.press("Control+Enter")
    until(lambda: page.locator("#results .chart").count() == 2, "a chart for each unit")
    assert "q=up&q=process_resident_memory_bytes" in page.url
    page.get_by_role("button", name="Remove this expression").last.click()
    until(lambda: page.locator("#results .chart").count() == 1, "one chart")
    page.locator("label", has_text="15m").click()
    page.wait_for_url("**range=15m")


def test_the_preview_follows_what_is_typed(window: Window) -> None:
    page = window.go("/rules/new")
    page.wait_for_selector("#preview >> text=As soon as there is an expression")
    field = page.locator("#id_expr")
    field.fill('up{application="shop"} == ')
    page.wait_for_selector("#preview >> text=not valid")
    field.fill('up{application="shop"} == 1')
    page.wait_for_selector("#preview >> text=It holds now for 1 series.")
    page.wait_for_selector("#preview >> text=It would have paged once in the last 24 hours")
    page.fill("#id_for_", "1d")
    page.wait_for_selector("#preview >> text=It would not have paged in the last 24 hours.")
    page.locator("label", has_text="7d").click()
    page.wait_for_selector("#preview >> text=It would not have paged in the last 7 days.")
    page.fill("#id_name", "ShopUp")
    page.fill("#id_first_step", "Be glad.")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/rules/*/")
    assert "ShopUp" in page.locator("h1").inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_the_pages_are_accessible_and_never_scroll_sideways(
    browser: Browser, program: Program, signed_in: str, width: int, scheme: str
) -> None:
    window = Window(browser, program, signed_in, width=width, scheme=scheme, axe=True)
    page = window.go("/metrics/explore")
    page.wait_for_selector("#browse tr")
    window.sound(f"explore-start-{scheme}")
    page.locator("textarea").first.click()
    page.keyboard.type("http_")
    page.wait_for_selector("#offers")
    page.keyboard.press("ArrowDown")
    window.sound(f"explore-offers-{scheme}")
    page = window.go("/metrics/explore?q=rate(http_request_duration_seconds_bucket%5B1m%5D)&range=15m&q=sum(")
    page.wait_for_selector(".write-error .said")
    window.sound(f"explore-{scheme}")

    page = window.go("/rules/")
    until(lambda: "fire" in page.locator("h1").inner_text(), "a rule fires", within_s=30)
    page.wait_for_selector("[id^=spark-] svg", state="attached")
    window.sound(f"rules-{scheme}")
    page.get_by_role("link", name="ShopBusy").click()
    page.wait_for_selector("#course .chart")
    window.sound(f"rule-{scheme}")
    page.get_by_role("link", name="Edit").click()
    page.wait_for_selector("#preview .chart")
    window.sound(f"rule-edit-{scheme}")

    page = window.go("/alerts/?q=shop")
    page.locator("td.name a").first.click()
    page.wait_for_selector("#course .chart")
    assert "Look into the till." in page.locator(".alert-lead").inner_text()
    window.sound(f"rule-alert-{scheme}")
    page = window.go("/applications/shop/")
    page.wait_for_selector(".signals .chart")
    assert page.locator(".signal").count() == 4
    window.sound(f"signals-{scheme}")
    window.close()
