"""Orders: from a cart to a paid order, all of it or nothing."""

import secrets
from dataclasses import dataclass

from examples.shop import carts, payment
from examples.shop.database import Database, Session


@dataclass(frozen=True, slots=True)
class Item:
    product_id: int
    name: str
    quantity: int
    price_cents: int


@dataclass(frozen=True, slots=True)
class Order:
    """A paid order. `created_at` is unix time in seconds."""

    id: str
    created_at: float
    customer: str
    email: str
    total_cents: int
    payment: str
    items: tuple[Item, ...]


class CartEmptyError(Exception):
    """There is nothing to order."""


class OutOfStockError(Exception):
    """A product sold out between the cart and the checkout."""


def place(database: Database, token: str, customer: str, email: str, card: str, now: float) -> str:
    """Turn the cart into a paid order and return its id.

    Order, items, stock and the emptied cart are one transaction. Payment comes last, so that whatever fails before
    it has cost nobody anything, and a failed payment leaves the cart as it was. The id is random: knowing one order
    tells nothing about the next. Raises CartEmptyError, OutOfStockError, PaymentDeclinedError,
    PaymentUnreachableError; PoolExhaustedError or sqlite3.OperationalError while the database is busy.
    """
    order_id = secrets.token_hex(10)
    with database.writing() as session:
        lines = carts.lines(session, token)
        if not lines:
            raise CartEmptyError("The cart is empty.")
        total_cents = sum(line.total_cents for line in lines)
        session.change(
            "order_insert",
            "INSERT INTO orders (id, created_at, customer, email, total_cents, payment) VALUES (?, ?, ?, ?, ?, '')",
            (order_id, now, customer, email, total_cents),
        )
        for line in lines:
            _take_from_stock(session, line, order_id, now)
            session.change(
                "order_item_insert",
                "INSERT INTO order_items (order_id, product_id, name, quantity, price_cents) VALUES (?, ?, ?, ?, ?)",
                (order_id, line.product_id, line.name, line.quantity, line.price_cents),
            )
        carts.empty(session, token)
        reference = payment.charge(card, total_cents)
        session.change("order_pay", "UPDATE orders SET payment = ? WHERE id = ?", (reference, order_id))
    return order_id


def find(session: Session, order_id: str) -> Order | None:
    row = session.row(
        "order", "SELECT id, created_at, customer, email, total_cents, payment FROM orders WHERE id = ?", (order_id,)
    )
    if row is None:
        return None
    items = session.rows(
        "order_items",
        "SELECT product_id, name, quantity, price_cents FROM order_items WHERE order_id = ? ORDER BY product_id",
        (order_id,),
    )
    return Order(
        id=row["id"],
        created_at=row["created_at"],
        customer=row["customer"],
        email=row["email"],
        total_cents=row["total_cents"],
        payment=row["payment"],
        items=tuple(Item(*item) for item in items),
    )


def _take_from_stock(session: Session, line: carts.Line, order_id: str, now: float) -> None:
    # The condition is part of the UPDATE: the database decides who gets the last one.
    taken = session.change(
        "stock_take",
        "UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ?",
        (line.quantity, line.product_id, line.quantity),
    )
    if taken == 0:
        raise OutOfStockError(f"We do not have {line.quantity} × {line.name} left. Please order fewer.")
    session.change(
        "stock_move",
        "INSERT INTO stock_movements (product_id, quantity, reason, order_id, at) VALUES (?, ?, 'order', ?, ?)",
        (line.product_id, -line.quantity, order_id, now),
    )
