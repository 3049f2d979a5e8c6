"""Orders: from a cart to a paid order, all of it or nothing; and the stock they are taken from."""

import secrets
import sqlite3

from examples.shop import carts
from examples.shop.database import Database, Session

LOW_UNITS = 100
DELIVERY_UNITS = 400

# The payment provider is a stand-in that accepts, declines or cannot be reached, as the card says.
CARDS = {
    "accepted": "Demo card",
    "declined": "Demo card that the bank declines",
    "unreachable": "Demo card of a bank that does not answer",
}


class NotOrderedError(Exception):
    """The order failed and nothing changed; the message tells the customer why."""

    def __init__(self, outcome: str, status: int, why: str) -> None:
        super().__init__(why)
        self.outcome = outcome
        self.status = status


def place(database: Database, token: str, customer: str, email: str, card: str, now: float) -> str:
    """Turn the cart into a paid order and return its id, or "" for an empty cart.

    Order, items, stock and the emptied cart are one transaction. Payment comes last, so that whatever fails before
    it has cost nobody anything, and a failed payment leaves the cart as it was. The id is random: knowing one order
    tells nothing about the next. Raises NotOrderedError; sqlite3.OperationalError while the database is busy.
    """
    order_id = secrets.token_hex(10)
    with database.writing() as session:
        lines = carts.lines(session, token)
        if not lines:
            return ""
        total_cents = carts.total_cents(lines)
        session.change(
            "order_insert",
            "INSERT INTO orders (id, created_at, customer, email, total_cents, payment) VALUES (?, ?, ?, ?, ?, '')",
            (order_id, now, customer, email, total_cents),
        )
        for line in lines:
            quantity, product_id = line["quantity"], line["product_id"]
            # The condition is part of the UPDATE: the database decides who gets the last one.
            sql = "UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ?"
            if session.change("stock_take", sql, (quantity, product_id, quantity)) == 0:
                why = f"We do not have {quantity} × {line['name']} left. Please order fewer."
                raise NotOrderedError("out_of_stock", 409, why)
            session.change(
                "order_item_insert",
                "INSERT INTO order_items (order_id, product_id, name, quantity, price_cents) VALUES (?, ?, ?, ?, ?)",
                (order_id, product_id, line["name"], quantity, line["price_cents"]),
            )
        session.change("cart_empty", "DELETE FROM carts WHERE token = ?", (token,))
        session.change("order_pay", "UPDATE orders SET payment = ? WHERE id = ?", (_charge(card), order_id))
    return order_id


def find(session: Session, order_id: str) -> tuple[sqlite3.Row, list[sqlite3.Row]] | None:
    """The order and its items."""
    order = session.row("order", "SELECT * FROM orders WHERE id = ?", (order_id,))
    if order is None:
        return None
    columns = "product_id, name, quantity, price_cents"
    sql = f"SELECT {columns} FROM order_items WHERE order_id = ? ORDER BY product_id"
    return order, session.rows("order_items", sql, (order_id,))


def reconcile(database: Database, now: float) -> str:
    """Order more of what runs low and drop forgotten carts; tells what it did."""
    with database.writing() as session:
        sql = "UPDATE products SET stock = stock + ? WHERE stock < ?"
        restocked = session.change("restock", sql, (DELIVERY_UNITS, LOW_UNITS))
        forgotten = (now - carts.LIFETIME_S,)
        dropped = session.change("carts_drop", "DELETE FROM carts WHERE changed_at < ?", forgotten)
    return f"{restocked} products restocked, {dropped} forgotten carts dropped"


def _charge(card: str) -> str:
    """Take the money; returns the payment's reference."""
    if card == "declined":
        raise NotOrderedError("declined", 402, "The bank declined this card. Your cart is as it was.")
    if card != "accepted":
        raise NotOrderedError("payment_failed", 502, "The bank did not answer. You were not charged.")
    return f"pay_{secrets.token_hex(8)}"
