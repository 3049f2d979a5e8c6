"""The tour of the README in a real Chromium: what a newcomer sees, on a fresh machine, with the example shop.

Screenshots are kept under `output/screenshots` for looking at; axe must find nothing on any page.
"""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.program import ROOT, Program, free_port, until

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(400)]

SHOTS = ROOT / "output" / "screenshots"
PING = "5b6f1d0a-7c1e-4a53-9a57-3e1c8d2f4b60"


class Tour:
    """`make run`, on ports of its own."""

    def __init__(self, home: Path) -> None:
        self.shop_port, self.receiver_port = free_port(), free_port()
        self.program = Program(home / "program", from_nothing=True)
        text = (ROOT / "examples" / "shop.yaml").read_text()
        self.file = home / "shop.yaml"
        self.file.write_text(
            text.replace(":9001", f":{self.shop_port}")
            .replace("port: 9001", f"port: {self.shop_port}")
            .replace(":9999", f":{self.receiver_port}")
        )
        ping = f"{self.program.url}/ping/{PING}"
        shop = f"{sys.executable} -m examples.shop --port {self.shop_port} --data {home / 'shop'} --heartbeat {ping}"
        receiver = f"{sys.executable} -m examples.receiver --port {self.receiver_port}"
        rules = str(ROOT / "examples" / "shop.rules.yml")
        self.program.start("--apply", str(self.file), "--apply", rules, "--with", shop, "--with", receiver)

    def fault(self, *arguments: str) -> None:
        """What `make outage` and `make recover` do."""
        command = [sys.executable, "-m", "examples.shop.fault", *arguments, "--port", str(self.shop_port)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)

    def received(self) -> list[dict[str, Any]]:
        """Return the pages that the receiver has."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.receiver_port}/pages", timeout=5) as answer:
            items: list[dict[str, Any]] = json.loads(answer.read())["items"]
            return items

    def heard(self, event: str, about: str) -> bool:
        """Whether the receiver has a message of `event` that names `about`."""
        return any(event in json.dumps(page) and about in json.dumps(page) for page in self.received())

    def sign_in_link(self) -> str:
        """Return the link that the first start printed."""
        found = re.search(r"http://\S+/sign-in/\S+", self.program.log)
        assert found, self.program.log
        return found.group(0)


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    """The program with shop and receiver, running."""
    one = Tour(tmp_path_factory.mktemp("tour"))
    yield one
    one.program.stop()


def shoot(page: Page, name: str) -> None:
    """Keep a screenshot."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}.png"))


BEYOND = """[...document.querySelectorAll('main .card')].flatMap(card => [...card.querySelectorAll('table, .code, p')]
  .filter(e => e.checkVisibility() && !e.closest('.scroll-x') &&
    e.getBoundingClientRect().right > card.getBoundingClientRect().right + 1).map(e => e.outerHTML.slice(0, 90)))"""
"""What is cut off by the edge of its card, which no scrollbar tells."""


def check_accessibility(page: Page, where: str) -> None:
    """Fail with axe's findings, if any. (axe itself needs `eval`, so this page runs without the policy.)"""
    found = Axe().run(page)
    assert not found.response["violations"], f"{where}:\n{found.generate_report()}"


def headline(page: Page) -> str:
    """Return the page's sentence."""
    return page.locator("h1").first.inner_text()


def test_the_tour(tour: Tour, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 860}, bypass_csp=True, reduced_motion="reduce")
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    base = tour.program.url

    # 1. The link signs in once, and a password is chosen.
    page.goto(tour.sign_in_link())
    check_accessibility(page, "the sign-in link")
    page.get_by_role("button").first.click()
    page.wait_for_url("**/sign-in/password")
    shoot(page, "password")
    for place in page.locator("input[type=password]").all():
        place.fill("a long harbour of words")
    page.locator("main form button[type=submit], form button").first.click()
    page.goto(f"{base}/")
    until(lambda: "Nothing is wrong" in headline(page), f"all is well on Now, it says: {headline(page)}", within_s=40)
    page.wait_for_timeout(3500)
    shoot(page, "now-up")
    check_accessibility(page, "Now, all well")

    # 2. Break it: within 15 s an alert is open on Now, without a reload, and the receiver has the page.
    begin = time.monotonic()
    tour.fault("errors", "1")
    trouble = page.locator(".trouble", has_text="storefront is down")
    until(lambda: trouble.count() > 0, "the alert is open on Now", within_s=15, every_s=0.2)
    until(
        lambda: tour.heard("firing", "storefront"),
        "the receiver has the page",
        within_s=max(0.5, 15 - (time.monotonic() - begin)),
    )
    page.wait_for_timeout(6000)
    shoot(page, "now-down")
    check_accessibility(page, "Now, in trouble")
    assert not tour.heard("firing", '"check": "search"'), "the search needs the storefront, so it is no news"

    # 3. Why?
    trouble.get_by_role("link", name=re.compile("Why this page")).first.click()
    page.wait_for_url("**/alerts/*/")
    assert "Why did this page?" in page.content()
    shoot(page, "alert")
    check_accessibility(page, "the alert")

    # 4. Take it.
    page.get_by_role("button", name=re.compile("^Acknowledge")).first.click()
    dialog = page.locator("dialog[open]")
    if dialog.count():
        dialog.locator("textarea, input[name=note]").first.fill("rolling back")
        dialog.get_by_role("button", name=re.compile("Acknowledge")).first.click()
    until(lambda: "Administrator has it" in page.locator("main").inner_text(), "it is acknowledged")
    until(lambda: tour.heard("acknowledge", "storefront"), "those who were paged hear who has it")

    # 6. Look wider: a rule fires, too, and its alert begins with the first step, beside the value.
    until(lambda: tour.heard("firing", "ShopErrorRate"), "the rule pages", within_s=60)
    page.goto(f"{base}/alerts/")
    page.get_by_role("link", name=re.compile("of its requests with errors")).first.click()
    until(lambda: page.locator("#course svg").count() > 0, "the chart of the value against its threshold")
    assert "Look which handler fails" in page.locator("main").inner_text()
    shoot(page, "alert-of-a-rule")
    check_accessibility(page, "the alert of a rule")
    page.goto(f"{base}/metrics/explore?q=sum+by+(handler)+(rate(http_requests_total[1m]))&range=15m")
    until(lambda: page.locator("main svg").count() > 0, "the chart of the explorer")
    shoot(page, "explorer")
    page.goto(f"{base}/applications/shop/")
    until(lambda: "http_requests_total" in page.locator("main").inner_text(), "the golden signals")
    shoot(page, "application")

    # 7. Mend it: the alerts resolve and the resolutions are sent.
    tour.fault("clear")
    page.goto(f"{base}/")
    until(lambda: "Nothing is wrong" in headline(page), "all is well again", within_s=150)
    until(lambda: tour.heard("resolved", "storefront"), "the resolution is sent")
    until(lambda: tour.heard("resolved", "ShopErrorRate"), "the rule's resolution is sent")

    # 8. The journal tells the whole story and verifies.
    page.goto(f"{base}/journal/")
    story = page.locator("main").inner_text()
    for words in ("went from up to down", "fired", "pages ops", "was acknowledged", "resolved after"):
        assert words in story, f"{words!r} is missing in the journal"
    shoot(page, "journal")
    tour.program.command("journal", "verify")
    assert not troubles, troubles
    context.close()


@pytest.fixture(scope="module")
def session(tour: Tour, browser: Browser) -> Path:
    """The cookies of somebody who has signed in by a link from the command line, after an outage to look at."""
    if not tour.program.api("GET", "/alerts?limit=1")["items"]:
        tour.fault("errors", "1")
        until(lambda: tour.program.api("GET", "/alerts?state=open")["items"], "an alert", within_s=30)
        tour.fault("clear")
    context = browser.new_context()
    page = context.new_page()
    page.goto(tour.program.command("user", "link", "admin@localhost").strip())
    page.get_by_role("button").first.click()
    page.wait_for_load_state()
    file = tour.file.parent / "session.json"
    context.storage_state(path=str(file))
    context.close()
    return file


PAGES = {
    "now": "/",
    "applications": "/applications/",
    "application": "/applications/shop/",
    "application-edit": "/applications/shop/edit/",
    "checks": "/checks/",
    "check": "/checks/1/",
    "check-new": "/checks/new/",
    "check-edit": "/checks/1/edit/",
    "alerts": "/alerts/",
    "alert": "/alerts/1/",
    "silences": "/silences/",
    "explorer": "/metrics/explore?q=sum+by+(handler)+(rate(http_requests_total[1m]))",
    "rules": "/rules/",
    "rule": "/rules/2/",
    "rule-new": "/rules/new",
    "rule-starter": "/rules/starter",
    "targets": "/targets/",
    "scrape-new": "/add/scrape/",
    "channels": "/channels/",
    "channel": "/channels/ops/",
    "route-new": "/routes/new",
    "deliveries": "/deliveries/",
    "delivery": "/deliveries/1/",
    "maintenance": "/maintenance/",
    "journal": "/journal/",
    "journal-entry": "/journal/1/",
    "people": "/people/",
    "permissions": "/people/permissions/",
    "tokens": "/tokens/",
    "settings": "/settings/",
    "me": "/me/",
}


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (1024, "light"), (390, "light"), (390, "dark")]
)
def test_every_page_is_accessible_in_every_look(
    tour: Tour, browser: Browser, session: Path, width: int, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme="dark" if scheme == "dark" else "light",
        storage_state=str(session),
        bypass_csp=True,
        reduced_motion="reduce",
    )
    page = context.new_page()
    for name, path in PAGES.items():
        answer = page.goto(f"{tour.program.url}{path}")
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"
        shoot(page, f"{name}-{width}-{scheme}")
        check_accessibility(page, f"{path} at {width} px, {scheme}")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} scrolls sideways by {wide} px at {width} px"
        assert not page.evaluate(BEYOND), f"{path}: reaches beyond its card at {width} px"
    context.close()


def test_the_pages_obey_their_content_security_policy(tour: Tour, browser: Browser, session: Path) -> None:
    context = browser.new_context(storage_state=str(session))
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    for path in PAGES.values():
        page.goto(f"{tour.program.url}{path}")
        page.wait_for_timeout(150)
        assert not troubles, f"{path}: {troubles}"
    page.keyboard.press("Control+k")
    page.locator("dialog[open] input").first.fill("storefront")
    until(lambda: "storefront" in page.locator("dialog[open]").inner_text(), "Ctrl-K finds the check")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/(checks|alerts)/\d+/"))
    assert not troubles, troubles
    context.close()
