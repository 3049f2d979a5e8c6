"""What customers see: catalogue, product, search, cart, checkout, order."""

import re
import time

from examples.shop import carts, catalogue, orders, pages, payment
from examples.shop.application import Route, route
from examples.shop.database import Database
from examples.shop.faults import Faults
from examples.shop.instruments import Instruments
from examples.shop.messages import (
    RefusalError,
    Request,
    Response,
    form_text,
    form_whole_number,
    html_response,
    see_other,
)

SEARCH_MAX_CHARACTERS = 100
NAME_MAX_CHARACTERS = 100
EMAIL_MAX_CHARACTERS = 254
PRODUCT_ID_MAX = 999_999_999
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


class Storefront:
    def __init__(self, database: Database, faults: Faults, instruments: Instruments) -> None:
        self._database = database
        self._faults = faults
        self._instruments = instruments

    def routes(self) -> tuple[Route, ...]:
        return (
            route("GET", r"/", "catalogue", self.catalogue),
            route("GET", r"/products/([0-9]{1,9})", "product", self.product),
            route("GET", r"/search", "search", self.search),
            route("GET", r"/cart", "cart", self.cart),
            route("POST", r"/cart", "cart_add", self.add_to_cart),
            route("POST", r"/cart/([0-9]{1,9})", "cart_change", self.change_cart),
            route("GET", r"/checkout", "checkout", self.checkout),
            route("POST", r"/checkout", "checkout_pay", self.pay),
            route("GET", r"/orders/([0-9a-f]{20})", "order", self.order),
        )

    def catalogue(self, request: Request, _: re.Match[str]) -> Response:
        category = request.text("category", 40)
        if category and category not in pages.CATEGORIES:
            raise RefusalError(404, "There is no such department.")
        with self._database.reading() as session:
            found = catalogue.products(session, category)
            units = carts.units(session, _token(request))
        return html_response(pages.catalogue(found, category, units))

    def product(self, request: Request, match: re.Match[str]) -> Response:
        with self._database.reading() as session:
            found = catalogue.product(session, int(match[1]))
            units = carts.units(session, _token(request))
        if found is None:
            raise RefusalError(404, "We do not sell this, or no longer.")
        return html_response(pages.product(found, units))

    def search(self, request: Request, _: re.Match[str]) -> Response:
        words = request.text("q", SEARCH_MAX_CHARACTERS)
        with self._database.reading() as session:
            found = catalogue.search(session, words, slow=self._faults.active("slow_query"))
            units = carts.units(session, _token(request))
        return html_response(pages.search(found, words, units))

    def cart(self, request: Request, _: re.Match[str]) -> Response:
        with self._database.reading() as session:
            lines = carts.lines(session, _token(request))
        return html_response(pages.cart(lines))

    def add_to_cart(self, request: Request, _: re.Match[str]) -> Response:
        form = request.form()
        product_id = form_whole_number(form, "product_id", 1, PRODUCT_ID_MAX)
        quantity = form_whole_number(form, "quantity", 1, carts.QUANTITY_MAX)
        token = _token(request)
        cookies: tuple[tuple[str, str], ...] = ()
        if token is None:
            token = carts.new_token()
            cookies = (("Set-Cookie", f"{carts.COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age=86400"),)
        with self._database.writing() as session:
            if catalogue.product(session, product_id) is None:
                raise RefusalError(404, "We do not sell this, or no longer.")
            carts.add(session, token, product_id, quantity, time.time())
        return see_other("/cart", cookies)

    def change_cart(self, request: Request, match: re.Match[str]) -> Response:
        quantity = form_whole_number(request.form(), "quantity", 0, carts.QUANTITY_MAX)
        token = _token(request)
        if token is not None:
            with self._database.writing() as session:
                carts.set_quantity(session, token, int(match[1]), quantity, time.time())
        return see_other("/cart")

    def checkout(self, request: Request, _: re.Match[str]) -> Response:
        with self._database.reading() as session:
            lines = carts.lines(session, _token(request))
        if not lines:
            return see_other("/cart")
        return html_response(pages.checkout(lines))

    def pay(self, request: Request, _: re.Match[str]) -> Response:
        form = request.form()
        customer = form_text(form, "name", NAME_MAX_CHARACTERS)
        email = form_text(form, "email", EMAIL_MAX_CHARACTERS)
        card = form_text(form, "card", 20)
        if not _EMAIL.fullmatch(email):
            raise RefusalError(400, "Please check the e-mail address.")
        if card not in payment.CARDS:
            raise RefusalError(400, "Please choose one of the cards.")
        token = _token(request)
        if token is None:
            return see_other("/cart")
        try:
            order_id = orders.place(self._database, token, customer, email, card, time.time())
        except orders.CartEmptyError:
            return see_other("/cart")
        except orders.OutOfStockError as problem:
            outcome, status, reason = "out_of_stock", 409, str(problem)
        except payment.PaymentDeclinedError as problem:
            outcome, status, reason = "declined", 402, f"{problem} Your cart is as it was."
        except payment.PaymentUnreachableError as problem:
            outcome, status, reason = "payment_failed", 502, f"{problem} You were not charged."
        else:
            self._instruments.orders.add(outcome="paid")
            return see_other(f"/orders/{order_id}")
        self._instruments.orders.add(outcome=outcome)
        with self._database.reading() as session:
            lines = carts.lines(session, token)
        return html_response(pages.checkout(lines, reason, customer, email), status)

    def order(self, request: Request, match: re.Match[str]) -> Response:
        with self._database.reading() as session:
            found = orders.find(session, match[1])
            units = carts.units(session, _token(request))
        if found is None:
            raise RefusalError(404, "There is no such order.")
        return html_response(pages.order(found, units))


def _token(request: Request) -> str | None:
    return carts.known_token(request.cookie(carts.COOKIE))
