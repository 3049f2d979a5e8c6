"""The HTML of the shop. Every value that came from outside passes through `escape`."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from examples.shop.carts import QUANTITY_MAX, Line
from examples.shop.catalogue import Product
from examples.shop.drawings import drawing, symbols
from examples.shop.orders import Order
from examples.shop.payment import CARDS

CATEGORIES = {
    "kitchen": "Kitchen",
    "desk": "Desk",
    "light": "Light",
    "garden": "Garden",
    "travel": "Travel",
}
FEW_LEFT_UNITS = 10

_STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# Nothing is loaded and no script runs; the one style sheet is the one whose hash stands here.
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
    "%3Crect width='32' height='32' rx='8' fill='%231d5c63'/%3E"
    "%3Cpath d='M16 6v20M10 11h12M7 18c0 5 4 8 9 8s9-3 9-8' fill='none' stroke='%23fff' stroke-width='2.5'/%3E"
    "%3C/svg%3E"
)


def catalogue(products: Sequence[Product], category: str, units: int) -> str:
    if category:
        heading = f'<div class="plain-head"><h1>{CATEGORIES[category]}</h1><p>{_count(products)}</p></div>'
    else:
        heading = (
            '<div class="hero"><p class="eyebrow">Free delivery by boat and bicycle</p>'
            "<h1>Things that last,<br>from the quay.</h1>"
            "<p>Forty objects for the house and the road, made to be mended.</p></div>"
        )
    tabs = [_tab("/", "All", current=not category)]
    tabs += [_tab(f"/?category={key}", name, current=key == category) for key, name in CATEGORIES.items()]
    body = f'{heading}<nav class="tabs" aria-label="Departments">{"".join(tabs)}</nav>{_grid(products)}'
    return _page(CATEGORIES.get(category, "Catalogue"), body, units, _drawings_of(products))


def product(item: Product, units: int) -> str:
    left = f"Only {item.stock} left" if item.stock < FEW_LEFT_UNITS else "In stock"
    buy = (
        f'<p class="stock">{left}</p>'
        '<form class="buy" method="post" action="/cart">'
        f'<input type="hidden" name="product_id" value="{item.id}">'
        '<label for="quantity">Quantity</label>'
        f'<input id="quantity" name="quantity" type="number" value="1" min="1" max="{QUANTITY_MAX}" required>'
        '<button class="primary">Add to cart</button></form>'
    )
    sold_out = '<p class="stock out">Sold out. The next delivery is on its way.</p>'
    body = (
        f'<nav class="crumbs" aria-label="Where you are"><a href="/">Catalogue</a> <span>/</span> '
        f'<a href="/?category={escape(item.category)}">{escape(CATEGORIES.get(item.category, item.category))}</a></nav>'
        f'<article class="product"><div class="plate">{drawing(item.drawing, item.category)}</div><div>'
        f'<h1>{escape(item.name)}</h1><p class="lead">{escape(item.description)}</p>'
        f'<p class="price large">{_euro(item.price_cents)}</p>{buy if item.stock else sold_out}</div></article>'
    )
    return _page(item.name, body, units, {item.drawing})


def search(products: Sequence[Product], words: str, units: int) -> str:
    title = f"Results for “{words}”" if words else "Everything we have"
    if products:
        found = _grid(products)
    else:
        found = '<p class="empty">Nothing matches. Try a shorter word, or <a href="/">see the whole catalogue</a>.</p>'
    heading = f'<div class="plain-head"><h1>{escape(title)}</h1><p>{_count(products)}</p></div>'
    return _page(title, heading + found, units, _drawings_of(products), words)


def cart(lines: Sequence[Line]) -> str:
    if not lines:
        body = '<h1>Your cart</h1><p class="empty">It is empty so far. <a href="/">See what we have</a>.</p>'
        return _page("Cart", body, 0)
    rows = "".join(
        f'<li><div class="thumb">{drawing(line.drawing, line.category)}</div>'
        f'<a class="name" href="/products/{line.product_id}">{escape(line.name)}</a>'
        f'<form method="post" action="/cart/{line.product_id}">'
        f'<label class="unseen" for="q{line.product_id}">Quantity of {escape(line.name)}</label>'
        f'<input id="q{line.product_id}" name="quantity" type="number" value="{line.quantity}" min="0"'
        f' max="{QUANTITY_MAX}" required><button>Update</button></form>'
        f'<span class="price">{_euro(line.total_cents)}</span></li>'
        for line in lines
    )
    body = (
        f'<h1>Your cart</h1><ul class="lines">{rows}</ul>'
        f'<div class="sum"><span>Total</span><strong>{_euro(_total(lines))}</strong>'
        '<a class="button primary" href="/checkout">To checkout</a></div>'
    )
    return _page("Cart", body, _units(lines), {line.drawing for line in lines})


def checkout(lines: Sequence[Line], problem: str = "", customer: str = "", email: str = "") -> str:
    cards = "".join(f'<option value="{escape(key)}">{escape(name)}</option>' for key, name in CARDS.items())
    notice = f'<p class="notice" role="alert">{escape(problem)}</p>' if problem else ""
    body = (
        f'<h1>Checkout</h1>{notice}<div class="columns"><form class="fields" method="post" action="/checkout">'
        '<label for="name">Name</label><input id="name" name="name" maxlength="100" autocomplete="name" required'
        f' value="{escape(customer)}">'
        '<label for="email">E-mail</label>'
        '<input id="email" name="email" type="email" maxlength="254" autocomplete="email" required'
        f' value="{escape(email)}">'
        f'<label for="card">Pay with</label><select id="card" name="card">{cards}</select>'
        f'<button class="primary">Pay {_euro(_total(lines))}</button></form>'
        f'<aside class="receipt"><h2>Your order</h2>'
        f"{_receipt((line.name, line.quantity, line.total_cents) for line in lines)}"
        f'<p class="total"><span>Total</span><strong>{_euro(_total(lines))}</strong></p></aside></div>'
    )
    return _page("Checkout", body, _units(lines))


def order(placed: Order, units: int) -> str:
    when = datetime.fromtimestamp(placed.created_at, UTC)
    body = (
        f'<div class="plain-head"><p class="eyebrow">Order {escape(placed.id)}</p>'
        f"<h1>Thank you, {escape(placed.customer)}.</h1>"
        f'<p>Paid on <time datetime="{when.isoformat()}">{when:%d %B %Y at %H:%M} UTC</time>.'
        " We are packing it now.</p></div>"
        '<aside class="receipt narrow"><h2>Receipt</h2>'
        f"{_receipt((item.name, item.quantity, item.quantity * item.price_cents) for item in placed.items)}"
        f'<p class="total"><span>Total</span><strong>{_euro(placed.total_cents)}</strong></p></aside>'
        '<p><a href="/">Back to the catalogue</a></p>'
    )
    return _page("Order", body, units)


def error(status: int, title: str, detail: str, request_id: str) -> str:
    """An error page without the shop's name or menu, so that no check takes it for the shop."""
    body = (
        f'<main id="main" class="error"><p class="eyebrow">{status}</p><h1>{escape(title)}</h1>'
        f'<p>{escape(detail)}</p><p class="fine">Request {escape(request_id)}</p>'
        '<p><a href="/">Back to the start</a></p></main>'
    )
    return _document(title, body)


def _page(title: str, body: str, units: int, used: set[str] | None = None, words: str = "") -> str:
    badge = f' <span class="badge">{units}</span>' if units else ""
    inner = (
        '<a class="skip" href="#main">Skip to the goods</a>'
        '<header class="top"><a class="brand" href="/"><svg viewBox="0 0 32 32" aria-hidden="true">'
        '<path d="M16 5v22M10 11h12M6 18c0 6 4 9 10 9s10-3 10-9"/></svg>Harbour Shop</a>'
        '<form class="search" role="search" action="/search"><label class="unseen" for="q">Search</label>'
        f'<input id="q" name="q" type="search" maxlength="100" placeholder="Search" value="{escape(words)}"></form>'
        f'<a class="cart-link" href="/cart">Cart{badge}</a></header>'
        f'<main id="main">{body}</main>'
        "<footer>Harbour Shop sells nothing real: it is the example application of Mainstay. "
        '<a href="/health">Health</a> <a href="/metrics">Metrics</a></footer>'
    )
    return _document(f"{title} · Harbour Shop", (symbols(used) if used else "") + inner)


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title>'
        f'<link rel="icon" href="{_ICON}"><style>{_STYLE}</style></head><body>{body}</body></html>\n'
    )


def _grid(products: Sequence[Product]) -> str:
    cards = "".join(
        f'<li><a class="card" href="/products/{item.id}"><span class="plate">'
        f'{drawing(item.drawing, item.category)}</span><span class="name">{escape(item.name)}</span>'
        f'<span class="about">{escape(item.description)}</span>'
        f'<span class="price">{_euro(item.price_cents)}</span></a></li>'
        for item in products
    )
    return f'<ul class="grid">{cards}</ul>'


def _receipt(entries: Iterable[tuple[str, int, int]]) -> str:
    rows = "".join(
        f"<tr><td>{quantity} × {escape(name)}</td><td>{_euro(cents)}</td></tr>" for name, quantity, cents in entries
    )
    return f"<table>{rows}</table>"


def _tab(href: str, name: str, *, current: bool) -> str:
    marker = ' aria-current="page"' if current else ""
    return f'<a href="{href}"{marker}>{name}</a>'


def _count(products: Sequence[Product]) -> str:
    return f"{len(products)} {'product' if len(products) == 1 else 'products'}"


def _drawings_of(products: Sequence[Product]) -> set[str]:
    return {item.drawing for item in products}


def _total(lines: Sequence[Line]) -> int:
    return sum(line.total_cents for line in lines)


def _units(lines: Sequence[Line]) -> int:
    return sum(line.quantity for line in lines)


def _euro(cents: int) -> str:
    return f"€{cents // 100:,}.{cents % 100:02d}"
