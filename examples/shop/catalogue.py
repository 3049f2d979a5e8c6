"""Products: listing, finding, searching."""

import sqlite3
from dataclasses import dataclass

from examples.shop.database import Session


@dataclass(frozen=True, slots=True)
class Product:
    id: int
    name: str
    category: str
    description: str
    drawing: str
    price_cents: int
    stock: int


_COLUMNS = "p.id, p.name, p.category, p.description, p.drawing, p.price_cents, p.stock"

_LIST = f"SELECT {_COLUMNS} FROM products p ORDER BY p.id"
_LIST_CATEGORY = f"SELECT {_COLUMNS} FROM products p WHERE p.category = ? ORDER BY p.id"
_FIND = f"SELECT {_COLUMNS} FROM products p WHERE p.id = ?"

_MATCHES = "(p.name LIKE :pattern ESCAPE '\\' OR p.description LIKE :pattern ESCAPE '\\' OR p.category = :word)"

# Hits are ranked by how much else was looked at in the visits that looked at them.
_SEARCH = f"""
SELECT {_COLUMNS}, (
    SELECT count(*) FROM product_views seen JOIN product_views other ON other.visit = seen.visit
    WHERE seen.product_id = p.id
) AS interest
FROM products p WHERE {_MATCHES} ORDER BY interest DESC, p.id
"""

# The same answer the slow way: ranks every product before it filters, and as if no index existed, so SQLite
# compares each view with each other view. The fault `slow_query` runs this one.
_SEARCH_SLOW = f"""
SELECT {_COLUMNS}, coalesce(ranked.interest, 0) AS interest
FROM products p LEFT JOIN (
    SELECT seen.product_id, count(*) AS interest
    FROM product_views seen NOT INDEXED CROSS JOIN product_views other NOT INDEXED
    WHERE other.visit = seen.visit
    GROUP BY seen.product_id
) ranked ON ranked.product_id = p.id
WHERE {_MATCHES} ORDER BY interest DESC, p.id
"""


def products(session: Session, category: str = "") -> list[Product]:
    if category:
        return [_product(row) for row in session.rows("products_of_category", _LIST_CATEGORY, (category,))]
    return [_product(row) for row in session.rows("products", _LIST)]


def product(session: Session, product_id: int) -> Product | None:
    row = session.row("product", _FIND, (product_id,))
    return _product(row) if row else None


def search(session: Session, words: str, *, slow: bool = False) -> list[Product]:
    """Products whose name, description or category contains `words`, letter for letter, most interesting first."""
    literal = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    found = session.rows(
        "search", _SEARCH_SLOW if slow else _SEARCH, {"pattern": f"%{literal}%", "word": words.lower()}
    )
    return [_product(row) for row in found]


def _product(row: sqlite3.Row) -> Product:
    return Product(
        id=row["id"],
        name=row["name"],
        category=row["category"],
        description=row["description"],
        drawing=row["drawing"],
        price_cents=row["price_cents"],
        stock=row["stock"],
    )
