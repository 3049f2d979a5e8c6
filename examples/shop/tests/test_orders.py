"""Orders and stock on a real database file."""

import sqlite3
import threading
from contextlib import closing

import pytest

from examples.shop import carts, catalogue, orders
from examples.shop.database import Database

NOW = 1_800_000_000.0
TABLES = ("orders", "order_items", "carts", "cart_items", "products")


def content(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(database.path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}


def cart_with(database: Database, *lines: tuple[int, int]) -> str:
    token = carts.new_token()
    with database.writing() as session:
        for product_id, quantity in lines:
            carts.add(session, token, product_id, quantity, NOW)
    return token


def order(database: Database, token: str, card: str = "accepted") -> str:
    return orders.place(database, token, "Ada", "ada@example.org", card, NOW)


def stock_of(database: Database, product_id: int) -> int:
    with database.reading() as session:
        found = catalogue.product(session, product_id)
    assert found is not None
    return int(found["stock"])


def set_stock(database: Database, product_id: int, units: int) -> None:
    with database.writing() as session:
        session.change("test", "UPDATE products SET stock = ? WHERE id = ?", (units, product_id))


def test_an_order_takes_its_units_from_stock_and_empties_the_cart(database: Database) -> None:
    order_id = order(database, token := cart_with(database, (1, 3), (2, 1)))
    with database.reading() as session:
        found = orders.find(session, order_id)
        assert carts.units(session, token) == 0
    assert found is not None
    placed, items = found
    assert [(item["product_id"], item["quantity"]) for item in items] == [(1, 3), (2, 1)]
    assert placed["total_cents"] == carts.total_cents(items)
    assert stock_of(database, 1) == catalogue.OPENING_STOCK - 3


@pytest.mark.parametrize("card", ["declined", "unreachable"])
def test_a_failed_payment_leaves_everything_as_it_was(database: Database, card: str) -> None:
    token = cart_with(database, (1, 3), (2, 1))
    before = content(database)
    with pytest.raises(orders.NotOrderedError):
        order(database, token, card)
    assert content(database) == before


@pytest.mark.parametrize("event", ["INSERT ON orders", "UPDATE ON products", "DELETE ON carts", "UPDATE ON orders"])
def test_an_order_that_breaks_at_any_statement_leaves_everything_as_it_was(database: Database, event: str) -> None:
    token = cart_with(database, (1, 3), (2, 1))
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute(f"CREATE TRIGGER broken AFTER {event} BEGIN SELECT raise(ABORT, 'disk on fire'); END")
    before = content(database)
    with pytest.raises(sqlite3.IntegrityError, match="disk on fire"):
        order(database, token)
    assert content(database) == before


def test_an_order_that_breaks_at_its_second_item_leaves_nothing_of_the_first(database: Database) -> None:
    token = cart_with(database, (1, 3), (2, 10))
    set_stock(database, 2, 9)
    before = content(database)
    with pytest.raises(orders.NotOrderedError, match="10 × "):
        order(database, token)
    assert content(database) == before


def test_twelve_customers_cannot_buy_the_last_five(database: Database) -> None:
    set_stock(database, 5, 5)
    tokens = [cart_with(database, (5, 1)) for _ in range(12)]
    outcomes: list[str] = []

    def buy(token: str) -> None:
        try:
            order(database, token)
            outcomes.append("bought")
        except orders.NotOrderedError:
            outcomes.append("sold out")

    threads = [threading.Thread(target=buy, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["bought"] * 5 + ["sold out"] * 7
    assert stock_of(database, 5) == 0


def test_an_empty_cart_is_not_an_order(database: Database) -> None:
    assert order(database, carts.new_token()) == ""


def test_the_job_restocks_what_runs_low(database: Database) -> None:
    set_stock(database, 1, orders.LOW_UNITS)
    set_stock(database, 2, orders.LOW_UNITS - 1)
    assert orders.reconcile(database, NOW) == "1 products restocked, 0 forgotten carts dropped"
    assert (stock_of(database, 1), stock_of(database, 2)) == (100, 99 + orders.DELIVERY_UNITS)


def test_carts_are_dropped_a_day_after_they_were_last_touched(database: Database) -> None:
    cart_with(database, (1, 1))
    assert "0 forgotten carts" in orders.reconcile(database, NOW + carts.LIFETIME_S)
    assert "1 forgotten carts" in orders.reconcile(database, NOW + carts.LIFETIME_S + 1)
    assert content(database)["cart_items"] == []


def test_a_line_of_a_cart_never_holds_more_than_ninety_nine(database: Database) -> None:
    token = cart_with(database, (1, 60), (1, 60))
    with database.reading() as session:
        assert carts.units(session, token) == carts.QUANTITY_MAX


def test_the_demo_data_is_the_same_everywhere_and_seeded_once(database: Database) -> None:
    before = content(database)
    catalogue.seed(database)
    assert content(database) == before
    with closing(sqlite3.connect(database.path)) as connection:
        views = connection.execute("SELECT count(*), sum(visit * product_id) FROM product_views").fetchone()
    assert len(before["products"]) == 20
    assert views == (7200, 29_665_128)


def test_the_slow_search_gives_the_same_answer_without_any_index(database: Database) -> None:
    with database.writing() as session:
        session.change(
            "test", "DELETE FROM product_views WHERE visit >= 100"
        )  # a tenth of the rows, a hundredth of the time
        assert catalogue.search(session, "lamp", slow=True) == catalogue.search(session, "lamp")
