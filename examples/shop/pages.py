"""The HTML of the shop. Every value that came from outside passes through `escape`."""

import base64
import hashlib
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from examples.shop.carts import QUANTITY_MAX, total_cents
from examples.shop.orders import CARDS

_STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# Nothing is loaded and no script runs; the one style sheet is the one whose hash stands here.
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)


def catalogue(products: Sequence[sqlite3.Row], units: int) -> str:
    return _page("Catalogue", f"<h1>Catalogue</h1>{_grid(products)}", units)


def product(item: sqlite3.Row, units: int) -> str:
    buy = (
        f'<form method="post" action="/cart"><input type="hidden" name="product_id" value="{item["id"]}">'
        '<label for="quantity">Quantity</label><input id="quantity" name="quantity" type="number" value="1" min="1"'
        f' max="{QUANTITY_MAX}" required><button>Add to cart</button></form>'
    )
    body = (
        f"<h1>{escape(item['name'])}</h1><p>{escape(item['description'])}</p><p>{_euro(item['price_cents'])}</p>"
        f"{buy if item['stock'] else '<p>Sold out. The next delivery is on its way.</p>'}"
    )
    return _page(item["name"], body, units)


def search(products: Sequence[sqlite3.Row], words: str, units: int) -> str:
    title = f"Results for “{words}”" if words else "Everything we have"
    nothing = '<p>Nothing matches. Try a shorter word, or <a href="/">see the whole catalogue</a>.</p>'
    return _page(title, f"<h1>{escape(title)}</h1>{_grid(products) if products else nothing}", units, words)


def cart(lines: Sequence[sqlite3.Row]) -> str:
    if not lines:
        return _page("Cart", '<h1>Your cart</h1><p>It is empty so far. <a href="/">See what we have</a>.</p>', 0)
    rows = "".join(
        f'<tr><td><a href="/products/{line["product_id"]}">{escape(line["name"])}</a></td>'
        f'<td><form method="post" action="/cart/{line["product_id"]}">'
        f'<input name="quantity" type="number" value="{line["quantity"]}" min="0" max="{QUANTITY_MAX}"'
        f' aria-label="Quantity of {escape(line["name"])}" required><button>Update</button></form></td>'
        f"<td>{_euro(line['quantity'] * line['price_cents'])}</td></tr>"
        for line in lines
    )
    total = f"<tfoot><tr><th colspan=2>Total</th><th>{_euro(total_cents(lines))}</th></tr></tfoot>"
    body = f'<h1>Your cart</h1><table>{rows}{total}</table><p><a href="/checkout">To checkout</a></p>'
    return _page("Cart", body, sum(line["quantity"] for line in lines))


def checkout(lines: Sequence[sqlite3.Row], problem: str = "", customer: str = "", email: str = "") -> str:
    cards = "".join(f'<option value="{key}">{name}</option>' for key, name in CARDS.items())
    notice = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    body = (
        f'<h1>Checkout</h1>{notice}<form class="fields" method="post" action="/checkout"><label for="name">Name</label>'
        f'<input id="name" name="name" maxlength="100" autocomplete="name" required value="{escape(customer)}">'
        '<label for="email">E-mail</label>'
        f'<input id="email" name="email" type="email" maxlength="254" required value="{escape(email)}">'
        f'<label for="card">Pay with</label><select id="card" name="card">{cards}</select>'
        f"<button>Pay {_euro(total_cents(lines))}</button></form><h2>Your order</h2>{_receipt(lines)}"
    )
    return _page("Checkout", body, 0)


def order(placed: sqlite3.Row, items: Sequence[sqlite3.Row], units: int) -> str:
    when = datetime.fromtimestamp(placed["created_at"], UTC)
    body = (
        f"<h1>Thank you, {escape(placed['customer'])}.</h1>"
        f"<p>Order {placed['id']}, paid on {when:%d %B %Y at %H:%M} UTC. We are packing it now.</p>"
        f'{_receipt(items)}<p><a href="/">Back to the catalogue</a></p>'
    )
    return _page("Order", body, units)


def error(status: int, title: str, detail: str, request_id: str) -> str:
    """An error page without the shop's name or menu, so that no check takes it for the shop."""
    body = f"<p>{status}</p><h1>{escape(title)}</h1><p>{escape(detail)}</p><p>Request {escape(request_id)}</p>"
    return _document(title, f'<main>{body}<p><a href="/">Back to the start</a></p></main>')


def _page(title: str, body: str, units: int, words: str = "") -> str:
    badge = f' <span class="badge">{units}</span>' if units else ""
    inner = (
        '<header><a class="brand" href="/">Harbour Shop</a><form role="search" action="/search">'
        f'<input name="q" type="search" maxlength="100" placeholder="Search" aria-label="Search"'
        f' value="{escape(words)}"></form><a href="/cart">Cart{badge}</a></header><main>{body}</main>'
        "<footer>Harbour Shop sells nothing real: it is the example application of Mainstay. "
        '<a href="/health">Health</a> <a href="/metrics">Metrics</a></footer>'
    )
    return _document(f"{title} · Harbour Shop", inner)


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _grid(products: Sequence[sqlite3.Row]) -> str:
    cards = "".join(
        f'<li><a class="card" href="/products/{item["id"]}"><strong>{escape(item["name"])}</strong>'
        f"<span>{escape(item['description'])}</span><span>{_euro(item['price_cents'])}</span></a></li>"
        for item in products
    )
    return f'<ul class="grid">{cards}</ul>'


def _receipt(lines: Sequence[sqlite3.Row]) -> str:
    told = [(f"{line['quantity']} × {line['name']}", line["quantity"] * line["price_cents"]) for line in lines]
    told.append(("Total", total_cents(lines)))
    rows = (f"<tr><td>{escape(what)}</td><td>{_euro(cents)}</td></tr>" for what, cents in told)
    return f"<table>{''.join(rows)}</table>"


def _euro(cents: int) -> str:
    return f"€{cents // 100:,}.{cents % 100:02d}"
