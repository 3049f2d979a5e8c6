"""The SQLite file of the shop: its schema and timed statements.

Writers take the write lock first (`BEGIN IMMEDIATE`), so a transaction never fails half-way for want of it.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from examples.shop.logs import fields
from examples.shop.metrics import QUERY_DURATION

LOCK_WAIT_S = 2.0
SLOW_QUERY_S = 0.25

SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, category TEXT NOT NULL, description TEXT NOT NULL,
  price_cents INTEGER NOT NULL CHECK (price_cents > 0), stock INTEGER NOT NULL CHECK (stock >= 0)
);
CREATE TABLE IF NOT EXISTS carts (token TEXT PRIMARY KEY, changed_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS carts_by_age ON carts (changed_at);
CREATE TABLE IF NOT EXISTS cart_items (
  token TEXT NOT NULL REFERENCES carts ON DELETE CASCADE, product_id INTEGER NOT NULL REFERENCES products,
  quantity INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 99), PRIMARY KEY (token, product_id)
);
CREATE TABLE IF NOT EXISTS orders (
  id TEXT PRIMARY KEY, created_at REAL NOT NULL, customer TEXT NOT NULL, email TEXT NOT NULL,
  total_cents INTEGER NOT NULL CHECK (total_cents > 0), payment TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS order_items (
  order_id TEXT NOT NULL REFERENCES orders, product_id INTEGER NOT NULL REFERENCES products, name TEXT NOT NULL,
  quantity INTEGER NOT NULL CHECK (quantity > 0), price_cents INTEGER NOT NULL, PRIMARY KEY (order_id, product_id)
);
-- Which products were looked at in one visit; ranks search results.
CREATE TABLE IF NOT EXISTS product_views (
  id INTEGER PRIMARY KEY, visit INTEGER NOT NULL, product_id INTEGER NOT NULL REFERENCES products
);
CREATE INDEX IF NOT EXISTS product_views_by_visit ON product_views (visit);
CREATE INDEX IF NOT EXISTS product_views_by_product ON product_views (product_id, visit);
"""

log = logging.getLogger("shop.database")

Parameters = Sequence[object] | Mapping[str, object]


class Session:
    """One connection in use. Each statement is named, so that its time is measured under that name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, name: str, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        started = time.perf_counter()
        with QUERY_DURATION.labels(name).time():
            found = self._connection.execute(sql, parameters).fetchall()
        if (took_s := time.perf_counter() - started) >= SLOW_QUERY_S:
            plan = [row["detail"] for row in self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
            told = fields(query=name, duration_ms=round(took_s * 1000, 1), sql=" ".join(sql.split()), plan=plan)
            log.warning("slow query", extra=told)
        return found

    def row(self, name: str, sql: str, parameters: Parameters = ()) -> sqlite3.Row | None:
        found = self.rows(name, sql, parameters)
        return found[0] if found else None

    def change(self, name: str, sql: str, parameters: Parameters = ()) -> int:
        """Run INSERT, UPDATE or DELETE; returns the number of rows changed."""
        with QUERY_DURATION.labels(name).time():
            return self._connection.execute(sql, parameters).rowcount


class Database:
    """The shop's database file. Opening a connection is cheap, so each use has its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # With one connection open, the others neither make nor remove the files of the write-ahead log.
        self._kept = self.connect(LOCK_WAIT_S)
        self._kept.execute("PRAGMA journal_mode = WAL")
        self._kept.executescript(SCHEMA)

    def connect(self, lock_wait_s: float) -> sqlite3.Connection:
        """A new connection; the caller closes it."""
        connection = sqlite3.connect(self.path, timeout=lock_wait_s, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    @contextmanager
    def reading(self, lock_wait_s: float = LOCK_WAIT_S) -> Iterator[Session]:
        with closing(self.connect(lock_wait_s)) as connection:
            yield Session(connection)

    @contextmanager
    def writing(self, lock_wait_s: float = LOCK_WAIT_S) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back if it raises.

        Raises sqlite3.OperationalError if another writer holds the lock for longer than `lock_wait_s`.
        """
        with self.reading(lock_wait_s) as session:
            session.change("begin", "BEGIN IMMEDIATE")
            yield session
            session.change("commit", "COMMIT")  # without it, closing the connection rolls back

    def close(self) -> None:
        """SQLite folds the write-ahead log into the file with the last connection."""
        self._kept.close()
