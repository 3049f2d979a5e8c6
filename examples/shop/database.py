"""The SQLite file of the shop: its schema, a small pool of connections, and timed statements.

Writers take the write lock first (`BEGIN IMMEDIATE`), so a transaction never fails half-way for want of it.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from examples.shop.logs import fields

POOL_SIZE = 16
POOL_WAIT_S = 5.0
LOCK_WAIT_S = 2.0
SLOW_QUERY_S = 0.25

SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  category TEXT NOT NULL,
  description TEXT NOT NULL,
  drawing TEXT NOT NULL,
  price_cents INTEGER NOT NULL CHECK (price_cents > 0),
  stock INTEGER NOT NULL CHECK (stock >= 0)
);
CREATE TABLE IF NOT EXISTS carts (
  token TEXT PRIMARY KEY,
  changed_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS carts_by_age ON carts (changed_at);
CREATE TABLE IF NOT EXISTS cart_items (
  token TEXT NOT NULL REFERENCES carts ON DELETE CASCADE,
  product_id INTEGER NOT NULL REFERENCES products,
  quantity INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 99),
  PRIMARY KEY (token, product_id)
);
CREATE TABLE IF NOT EXISTS orders (
  id TEXT PRIMARY KEY,
  created_at REAL NOT NULL,
  customer TEXT NOT NULL,
  email TEXT NOT NULL,
  total_cents INTEGER NOT NULL CHECK (total_cents > 0),
  payment TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS order_items (
  order_id TEXT NOT NULL REFERENCES orders,
  product_id INTEGER NOT NULL REFERENCES products,
  name TEXT NOT NULL,
  quantity INTEGER NOT NULL CHECK (quantity > 0),
  price_cents INTEGER NOT NULL,
  PRIMARY KEY (order_id, product_id)
);
-- The ledger: a product's stock is the sum of its movements; products.stock is kept beside it for speed.
CREATE TABLE IF NOT EXISTS stock_movements (
  id INTEGER PRIMARY KEY,
  product_id INTEGER NOT NULL REFERENCES products,
  quantity INTEGER NOT NULL,
  reason TEXT NOT NULL CHECK (reason IN ('opening', 'order', 'delivery')),
  order_id TEXT REFERENCES orders,
  at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS stock_movements_by_product ON stock_movements (product_id, quantity);
-- Which products were looked at in one visit; ranks search results.
CREATE TABLE IF NOT EXISTS product_views (
  id INTEGER PRIMARY KEY,
  visit INTEGER NOT NULL,
  product_id INTEGER NOT NULL REFERENCES products
);
CREATE INDEX IF NOT EXISTS product_views_by_visit ON product_views (visit);
CREATE INDEX IF NOT EXISTS product_views_by_product ON product_views (product_id, visit);
"""

log = logging.getLogger("shop.database")

Observe = Callable[[str, float], None]
Parameters = Sequence[object] | Mapping[str, object]


class PoolExhaustedError(Exception):
    """Every connection is busy; the caller should try again later."""


class Session:
    """One connection in use. Each statement is named, so that its time is measured under that name."""

    def __init__(self, connection: sqlite3.Connection, observe: Observe) -> None:
        self._connection = connection
        self._observe = observe

    def rows(self, name: str, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        started = time.perf_counter()
        try:
            found = self._connection.execute(sql, parameters).fetchall()
        finally:
            took_s = time.perf_counter() - started
            self._observe(name, took_s)
        if took_s >= SLOW_QUERY_S:
            self._report_slow(name, sql, parameters, took_s)
        return found

    def row(self, name: str, sql: str, parameters: Parameters = ()) -> sqlite3.Row | None:
        found = self.rows(name, sql, parameters)
        return found[0] if found else None

    def change(self, name: str, sql: str, parameters: Parameters = ()) -> int:
        """Run INSERT, UPDATE or DELETE; returns the number of rows changed."""
        started = time.perf_counter()
        try:
            return self._connection.execute(sql, parameters).rowcount
        finally:
            self._observe(name, time.perf_counter() - started)

    def _report_slow(self, name: str, sql: str, parameters: Parameters, took_s: float) -> None:
        plan = [row["detail"] for row in self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
        statement = " ".join(sql.split())
        log.warning(
            "slow query", extra=fields(query=name, duration_ms=round(took_s * 1000, 1), sql=statement, plan=plan)
        )


class Database:
    """The shop's database file. `observe(name, seconds)` is told the time of every statement."""

    def __init__(self, path: Path, observe: Observe) -> None:
        self.path = path
        self._observe = observe
        self._slots = threading.BoundedSemaphore(POOL_SIZE)
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        with closing(self.connect(LOCK_WAIT_S)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)

    def connect(self, lock_wait_s: float) -> sqlite3.Connection:
        """A connection of its own, outside the pool; the caller closes it."""
        connection = sqlite3.connect(self.path, timeout=lock_wait_s, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with self._borrowed() as connection:
            yield Session(connection, self._observe)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back if it raises.

        Raises sqlite3.OperationalError if another writer holds the lock for longer than LOCK_WAIT_S.
        """
        with self._borrowed() as connection:
            session = Session(connection, self._observe)
            session.change("begin", "BEGIN IMMEDIATE")
            try:
                yield session
                session.change("commit", "COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def check(self, lock_wait_s: float) -> float:
        """Seconds it took to open the file, take the write lock, read a row and let go. Raises sqlite3.Error."""
        started = time.perf_counter()
        with closing(self.connect(lock_wait_s)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("SELECT id FROM products LIMIT 1").fetchone()
            connection.execute("ROLLBACK")
        return time.perf_counter() - started

    def close(self) -> None:
        """Close the idle connections; SQLite folds the write-ahead log into the file with the last one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        if not self._slots.acquire(timeout=POOL_WAIT_S):
            raise PoolExhaustedError(f"all {POOL_SIZE} database connections were busy for {POOL_WAIT_S:g} s")
        try:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            connection = connection or self.connect(LOCK_WAIT_S)
            try:
                yield connection
            finally:
                with self._lock:
                    self._idle.append(connection)
        finally:
            self._slots.release()
