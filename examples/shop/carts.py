"""Carts: what a visitor has laid aside, kept under a random token in a cookie."""

import re
import secrets
import sqlite3
from collections.abc import Iterable

from examples.shop.database import Session

COOKIE = "cart"
LIFETIME_S = 24 * 3600
QUANTITY_MAX = 99
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")


def new_token() -> str:
    return secrets.token_urlsafe(16)


def known_token(cookie: str) -> str:
    """The cookie's token, if it could be one of ours; anything else is treated as no cart."""
    return cookie if _TOKEN.fullmatch(cookie) else ""


def lines(session: Session, token: str) -> list[sqlite3.Row]:
    """product_id, name, quantity, price_cents of each line, at today's price."""
    return session.rows(
        "cart_lines",
        "SELECT i.product_id, p.name, i.quantity, p.price_cents"
        " FROM cart_items i JOIN products p ON p.id = i.product_id WHERE i.token = ? ORDER BY p.id",
        (token,),
    )


def total_cents(rows: Iterable[sqlite3.Row]) -> int:
    return sum(row["quantity"] * row["price_cents"] for row in rows)


def units(session: Session, token: str | None) -> int:
    """How many units lie in one cart, or (None) in all of them."""
    sql = "SELECT coalesce(sum(quantity), 0) FROM cart_items WHERE token = ?1 OR ?1 IS NULL"
    row = session.row("cart_units", sql, (token,))
    return int(row[0]) if row else 0


def add(session: Session, token: str, product_id: int, quantity: int, now: float) -> None:
    """Add units of a product; a line never holds more than QUANTITY_MAX. Call inside a transaction."""
    session.change(
        "cart_touch",
        "INSERT INTO carts (token, changed_at) VALUES (?, ?)"
        " ON CONFLICT (token) DO UPDATE SET changed_at = excluded.changed_at",
        (token, now),
    )
    session.change(
        "cart_add",
        "INSERT INTO cart_items (token, product_id, quantity) VALUES (?, ?, ?)"
        " ON CONFLICT (token, product_id) DO UPDATE SET quantity = min(quantity + excluded.quantity, ?)",
        (token, product_id, quantity, QUANTITY_MAX),
    )


def set_quantity(session: Session, token: str, product_id: int, quantity: int) -> None:
    """Change a line that exists; zero removes it. Call inside a transaction."""
    which = "WHERE token = ?1 AND product_id = ?2"
    sql = f"UPDATE cart_items SET quantity = ?3 {which}" if quantity else f"DELETE FROM cart_items {which} AND ?3 = 0"
    session.change("cart_set", sql, (token, product_id, quantity))
