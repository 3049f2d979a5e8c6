"""Carts: what a visitor has laid aside, kept under a random token in a cookie."""

import re
import secrets
from dataclasses import dataclass

from examples.shop.database import Session

COOKIE = "cart"
LIFETIME_S = 24 * 3600
QUANTITY_MAX = 99
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class Line:
    """One product in a cart, at today's price."""

    product_id: int
    name: str
    drawing: str
    category: str
    quantity: int
    price_cents: int

    @property
    def total_cents(self) -> int:
        return self.quantity * self.price_cents


def new_token() -> str:
    return secrets.token_urlsafe(16)


def known_token(cookie: str | None) -> str | None:
    """The cookie's token, if it could be one of ours; anything else is treated as no cart."""
    return cookie if cookie and _TOKEN.fullmatch(cookie) else None


def lines(session: Session, token: str | None) -> list[Line]:
    if token is None:
        return []
    found = session.rows(
        "cart_lines",
        "SELECT i.product_id, p.name, p.drawing, p.category, i.quantity, p.price_cents"
        " FROM cart_items i JOIN products p ON p.id = i.product_id WHERE i.token = ? ORDER BY p.id",
        (token,),
    )
    return [Line(*row) for row in found]


def units(session: Session, token: str | None) -> int:
    if token is None:
        return 0
    row = session.row("cart_units", "SELECT coalesce(sum(quantity), 0) FROM cart_items WHERE token = ?", (token,))
    return int(row[0]) if row else 0


def units_in_all_carts(session: Session) -> int:
    row = session.row("all_cart_units", "SELECT coalesce(sum(quantity), 0) FROM cart_items")
    return int(row[0]) if row else 0


def add(session: Session, token: str, product_id: int, quantity: int, now: float) -> None:
    """Add units of a product; a line never holds more than QUANTITY_MAX. Call inside a transaction."""
    _touch(session, token, now)
    session.change(
        "cart_add",
        "INSERT INTO cart_items (token, product_id, quantity) VALUES (?, ?, ?)"
        " ON CONFLICT (token, product_id) DO UPDATE SET quantity = min(quantity + excluded.quantity, ?)",
        (token, product_id, quantity, QUANTITY_MAX),
    )


def set_quantity(session: Session, token: str, product_id: int, quantity: int, now: float) -> None:
    """Change a line that exists; zero removes it. Call inside a transaction."""
    if quantity == 0:
        session.change("cart_remove", "DELETE FROM cart_items WHERE token = ? AND product_id = ?", (token, product_id))
        return
    _touch(session, token, now)
    session.change(
        "cart_set",
        "UPDATE cart_items SET quantity = ? WHERE token = ? AND product_id = ?",
        (quantity, token, product_id),
    )


def empty(session: Session, token: str) -> None:
    session.change("cart_empty", "DELETE FROM carts WHERE token = ?", (token,))


def drop_forgotten(session: Session, now: float) -> int:
    """Delete carts untouched for LIFETIME_S; returns how many."""
    return session.change("carts_drop", "DELETE FROM carts WHERE changed_at < ?", (now - LIFETIME_S,))


def _touch(session: Session, token: str, now: float) -> None:
    session.change(
        "cart_touch",
        "INSERT INTO carts (token, changed_at) VALUES (?, ?)"
        " ON CONFLICT (token) DO UPDATE SET changed_at = excluded.changed_at",
        (token, now),
    )
