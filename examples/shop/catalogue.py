"""Products: listing, finding, searching; and the demo data, the same on every machine."""

import random
import sqlite3

from examples.shop.database import Database, Session

OPENING_STOCK = 300
VISITS = 800
VIEWS_PER_VISIT = 9
_VISITS_SEED = 1868

# name, category, price in cents, description
PRODUCTS: tuple[tuple[str, str, int, str], ...] = (
    ("Enamel mug", "kitchen", 1_400, "Holds 350 ml, survives a fall from the pier."),
    ("Linen notebook", "desk", 1_600, "192 pages that lie flat, 100 g paper."),
    ("Reading lamp", "light", 7_900, "A warm 400 lumens, dimmed by turning the shade."),
    ("Terracotta pot", "garden", 1_300, "Breathes, so that roots do not drown."),
    ("Canvas bag", "travel", 2_900, "Waxed, and the straps are sewn twice."),
    ("Copper kettle", "kitchen", 8_900, "Boils a litre in four minutes and whistles in D."),
    ("Pocket notebook", "desk", 700, "Fits a shirt pocket; the corners are round."),
    ("Workbench lamp", "light", 11_500, "Bends to where the work is and stays there."),
    ("Herb planter", "garden", 3_400, "Room for basil, thyme and something ambitious."),
    ("Weekend bag", "travel", 12_900, "Two shirts, one book, no waiting at the belt."),
    ("Stoneware bowl", "kitchen", 2_200, "Thrown by hand, so no two are quite the same."),
    ("Harbour logbook", "desk", 2_400, "A page a day, with room for the tides."),
    ("Storm lantern", "light", 4_900, "Burns twelve hours in any wind the harbour has."),
    ("Window fern", "garden", 2_100, "Asks for shade and a glass of water a week."),
    ("Day pack", "travel", 7_400, "Eighteen litres and a dry place for the camera."),
    ("Storage jar", "kitchen", 1_800, "A cork lid keeps coffee fresh for a month."),
    ("Letter box", "desk", 3_800, "Beech, with three compartments for the unanswered."),
    ("Bedside lamp", "light", 6_200, "Remembers how bright you left it."),
    ("Bird bath", "garden", 6_800, "Cast stone; sparrows arrive within the week."),
    ("Compass", "travel", 4_800, "Liquid-filled; settles in three seconds."),
)
_COLUMNS = "p.id, p.name, p.category, p.description, p.price_cents, p.stock"

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


def products(session: Session) -> list[sqlite3.Row]:
    return session.rows("products", f"SELECT {_COLUMNS} FROM products p ORDER BY p.id")


def product(session: Session, product_id: int) -> sqlite3.Row | None:
    return session.row("product", f"SELECT {_COLUMNS} FROM products p WHERE p.id = ?", (product_id,))


def search(session: Session, words: str, *, slow: bool = False) -> list[sqlite3.Row]:
    """Products whose name, description or category contains `words`, letter for letter, most interesting first."""
    literal = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    parameters = {"pattern": f"%{literal}%", "word": words.lower()}
    return session.rows("search", _SEARCH_SLOW if slow else _SEARCH, parameters)


def seed(database: Database) -> None:
    """Fill an empty database; leave any other as it is. One transaction: all of it or nothing."""
    with database.writing() as session:
        if session.row("seed", "SELECT 1 FROM products LIMIT 1"):
            return
        for product_id, product in enumerate(PRODUCTS, start=1):
            session.change(
                "seed",
                "INSERT INTO products (id, name, category, price_cents, description, stock) VALUES (?, ?, ?, ?, ?, ?)",
                (product_id, *product, OPENING_STOCK),
            )
        chance = random.Random(_VISITS_SEED)
        for visit in range(VISITS):
            viewed = [str((visit, chance.randint(1, len(PRODUCTS)))) for _ in range(VIEWS_PER_VISIT)]
            session.change("seed", f"INSERT INTO product_views (visit, product_id) VALUES {', '.join(viewed)}")
