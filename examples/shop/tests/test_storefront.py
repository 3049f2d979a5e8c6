"""What customers see and do."""

import base64
import hashlib
import re

import pytest

from examples.shop.tests.conftest import Answer, RunningShop

ATTACKS = [
    "' OR 1=1 --",
    "'; DROP TABLE products; --",
    '" UNION SELECT * FROM orders --',
    "%' OR '%'='",
    "\\",
    "%",
    "_",
]


def fill_cart(shop: RunningShop, *lines: tuple[int, int]) -> str:
    cookie = ""
    for product_id, quantity in lines:
        answer = shop.post_form("/cart", cookie, product_id=product_id, quantity=quantity)
        assert answer.status == 303
        cookie = cookie or answer.headers["Set-Cookie"].split(";")[0]
    return cookie


def pay(shop: RunningShop, cookie: str, card: str = "accepted") -> Answer:
    return shop.post_form("/checkout", cookie, name="Ada", email="ada@example.org", card=card)


def search(shop: RunningShop, words: str) -> Answer:
    return shop.get("/search?q=" + "".join(f"%{byte:02x}" for byte in words.encode()))


def test_the_catalogue_shows_the_shop_and_its_twenty_products(shop: RunningShop) -> None:
    answer = shop.get("/")
    assert answer.status == 200
    assert "Shop" in answer.text
    assert len(re.findall(r'class="card"', answer.text)) == 20


def test_pages_load_nothing_and_run_no_script(shop: RunningShop) -> None:
    answer = shop.get("/")
    assert not re.search(r"<script|<img|@import|url\(|src=|https?://(?!www\.w3\.org/2000/svg)", answer.text)
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"\sstyle=", answer.text)


def test_search_finds_by_name_description_and_department(shop: RunningShop) -> None:
    assert "Reading lamp" in search(shop, "lamp").text
    assert "Compass" in search(shop, "liquid-filled").text
    assert len(re.findall(r'class="card"', search(shop, "Garden").text)) >= 4
    assert "Nothing matches" in search(shop, "submarine").text


@pytest.mark.parametrize("words", ATTACKS)
def test_a_search_that_looks_like_sql_is_only_text(shop: RunningShop, words: str) -> None:
    answer = search(shop, words)
    assert answer.status == 200
    assert "Nothing matches" in answer.text
    assert len(re.findall(r'class="card"', shop.get("/").text)) == 20


def test_markup_in_the_search_box_comes_back_as_text(shop: RunningShop) -> None:
    answer = search(shop, '"><script>alert(1)</script>')
    assert answer.status == 200
    assert "<script" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


def test_a_search_longer_than_a_hundred_characters_is_refused_with_the_reason(shop: RunningShop) -> None:
    answer = search(shop, "x" * 101)
    assert answer.status == 400
    assert "too long: 101 characters, at most 100" in answer.text


def test_a_cart_is_filled_changed_and_becomes_a_paid_order(shop: RunningShop) -> None:
    cookie = fill_cart(shop, (1, 2), (7, 1))
    assert shop.post_form("/cart/7", cookie, quantity=0).status == 303
    assert 'class="badge">2<' in shop.get("/", Cookie=cookie).text
    paid = pay(shop, cookie)
    assert paid.status == 303
    page = shop.get(paid.headers["Location"])
    assert "Thank you, Ada." in page.text
    order = shop.get("/api" + paid.headers["Location"]).json()
    assert [item["quantity"] for item in order["items"]] == [2]
    assert "ada@example.org" not in str(order)
    assert "empty so far" in shop.get("/cart", Cookie=cookie).text


def test_paying_twice_orders_once(shop: RunningShop) -> None:
    cookie = fill_cart(shop, (2, 1))
    assert pay(shop, cookie).headers["Location"].startswith("/orders/")
    assert pay(shop, cookie).headers["Location"] == "/cart"


@pytest.mark.parametrize(("card", "status"), [("declined", 402), ("unreachable", 502)])
def test_a_failed_payment_says_so_and_keeps_the_cart(shop: RunningShop, card: str, status: int) -> None:
    cookie = fill_cart(shop, (3, 2))
    answer = pay(shop, cookie, card)
    assert answer.status == status
    assert 'role="alert"' in answer.text
    assert 'value="ada@example.org"' in answer.text
    assert 'value="2"' in shop.get("/cart", Cookie=cookie).text


def test_names_are_shown_as_text(shop: RunningShop) -> None:
    cookie = fill_cart(shop, (4, 1))
    paid = shop.post_form("/checkout", cookie, name="<b>Ada</b>", email="ada@example.org", card="accepted")
    assert "&lt;b&gt;Ada&lt;/b&gt;" in shop.get(paid.headers["Location"]).text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/cart", {"product_id": "1", "quantity": "0"}),
        ("/cart", {"product_id": "1", "quantity": "100"}),
        ("/cart", {"product_id": "one", "quantity": "1"}),
        ("/cart", {"product_id": "1"}),
        ("/cart/1", {"quantity": "-1"}),
        ("/checkout", {"name": "", "email": "a@b.example", "card": "accepted"}),
        ("/checkout", {"name": "Ada", "email": "nobody", "card": "accepted"}),
        ("/checkout", {"name": "Ada", "email": "a@b.example", "card": "gold"}),
    ],
)
def test_a_form_filled_in_badly_is_refused(shop: RunningShop, path: str, fields: dict[str, str]) -> None:
    assert shop.post_form(path, **fields).status == 400


def test_what_does_not_exist_is_not_found(shop: RunningShop) -> None:
    for path in ("/nowhere", "/products/999", "/orders/" + "0" * 20, "/orders/1", "/../etc/passwd", "/%00"):
        assert shop.get(path).status == 404, path
    missing = shop.get("/api/orders/1")
    assert missing.status == 404
    assert missing.headers["Content-Type"] == "application/problem+json"
    assert shop.post_form("/cart", product_id=999, quantity=1).status == 404


def test_the_error_page_could_not_be_taken_for_the_shop(shop: RunningShop) -> None:
    assert "Shop" not in shop.get("/nowhere").text


def test_products_are_listed_for_programs(shop: RunningShop) -> None:
    items = shop.get("/api/products").json()["items"]
    assert isinstance(items, list)
    assert len(items) == 20
    assert items[0].keys() >= {"id", "name", "price_cents", "stock"}
