"""Stock reconciliation: what the shelf says against what the ledger says."""

from dataclasses import dataclass

from examples.shop import carts
from examples.shop.database import Database

LOW_UNITS = 100
DELIVERY_UNITS = 400


@dataclass(frozen=True, slots=True)
class Reconciliation:
    products: int
    corrected: int
    delivered: int
    carts_dropped: int

    def __str__(self) -> str:
        return (
            f"{self.products} products checked, {self.corrected} corrected, {self.delivered} restocked, "
            f"{self.carts_dropped} forgotten carts dropped"
        )


def reconcile(database: Database, now: float) -> Reconciliation:
    """Set every product's stock to the sum of its movements and order more of what runs low; one transaction."""
    with database.writing() as session:
        ledger = session.rows(
            "stock_ledger",
            "SELECT p.id, p.stock, coalesce(sum(m.quantity), 0) AS counted"
            " FROM products p LEFT JOIN stock_movements m ON m.product_id = p.id GROUP BY p.id",
        )
        corrected = delivered = 0
        for row in ledger:
            right = max(row["counted"], 0)
            corrected += right != row["stock"]
            if right < LOW_UNITS:
                session.change(
                    "stock_move",
                    "INSERT INTO stock_movements (product_id, quantity, reason, at) VALUES (?, ?, 'delivery', ?)",
                    (row["id"], DELIVERY_UNITS, now),
                )
                right += DELIVERY_UNITS
                delivered += 1
            if right != row["stock"]:
                session.change("stock_set", "UPDATE products SET stock = ? WHERE id = ?", (right, row["id"]))
        return Reconciliation(len(ledger), corrected, delivered, carts.drop_forgotten(session, now))
