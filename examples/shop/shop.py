"""The shop behind its addresses: what customers see, the API, and what those who run it see. Measured and logged."""

import ipaddress
import json
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from examples.shop import __version__, carts, catalogue, faults, metrics, orders, pages
from examples.shop.database import Database
from examples.shop.faults import FaultError, Faults
from examples.shop.job import Job, iso
from examples.shop.logs import fields
from examples.shop.server import Headers, RefusalError, Request, Response, clean, problem_response

HEALTH_LOCK_WAIT_S = 0.5
PRODUCT_ID_MAX = 999_999_999
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")

Found = TypeVar("Found")

access_log = logging.getLogger("shop.access")
log = logging.getLogger("shop.errors")
operations_log = logging.getLogger("shop.operations")


class Route(NamedTuple):
    """`name` labels the metrics; the handler gets what the pattern's group matched. Faults strike `for_customers`."""

    method: str
    pattern: str
    name: str
    handler: Callable[[Request, str], Response]
    for_customers: bool = True


class Shop:
    """A request in, a response out. Operations never wait for a fault, so that a failing shop can be watched."""

    def __init__(self, database: Database, job: Job, faults: Faults) -> None:
        self.stopping = threading.Event()
        self._started_at = time.time()
        self._database = database
        self._job = job
        self._faults = faults
        self._routes = (
            Route("GET", r"/", "catalogue", self.catalogue),
            Route("GET", r"/products/([0-9]{1,9})", "product", self.product),
            Route("GET", r"/search", "search", self.search),
            Route("GET", r"/cart", "cart", self.cart),
            Route("POST", r"/cart", "cart_add", self.add_to_cart),
            Route("POST", r"/cart/([0-9]{1,9})", "cart_change", self.change_cart),
            Route("GET", r"/checkout", "checkout", self.checkout),
            Route("POST", r"/checkout", "checkout_pay", self.pay),
            Route("GET", r"/orders/([0-9a-f]{20})", "order", self.order),
            Route("GET", r"/api/products", "api_products", self.api_products),
            Route("GET", r"/api/orders/([^/]{1,64})", "api_order", self.api_order),
            Route("GET", r"/health", "health", self.health, for_customers=False),
            Route("GET", r"/metrics", "metrics", self.metrics, for_customers=False),
            Route("GET", r"/faults", "faults", self.show_faults, for_customers=False),
            Route("POST", r"/faults", "faults_change", self.change_faults, for_customers=False),
        )

    def respond(self, request: Request) -> Response:
        """Answer one request. Never raises: whatever goes wrong is logged with its stack and becomes a 5xx."""
        started = time.perf_counter()
        name = "unmatched"
        try:
            route, part = self._find(request)
            name = route.name
            if route.for_customers:
                self.stopping.wait(self._faults.strike())
            response = route.handler(request, part)
        except RefusalError as refusal:
            response = _error(request, refusal.status, refusal.detail, refusal.headers)
        except Exception as problem:
            log.exception("request failed", extra=fields(**_known(request)))
            # The code is absent on errors raised by Python's module itself; its low byte is the primary one.
            if getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF == sqlite3.SQLITE_BUSY:
                response = _error(request, 503, "We are busy. Please try again shortly.", (("Retry-After", "2"),))
            else:
                response = _error(request, 500, "Something broke on our side. Please try again shortly.")
        duration_s = time.perf_counter() - started
        metrics.REQUESTS.labels(name, request.command, str(response.status)).inc()
        metrics.REQUEST_DURATION.labels(name).observe(duration_s)
        level = logging.ERROR if response.status >= 500 else logging.INFO
        told = fields(**_known(request), status=response.status, duration_ms=round(duration_s * 1000, 2))
        access_log.log(level, "request answered", extra=told)
        return response

    def catalogue(self, request: Request, _: str) -> Response:
        with self._database.reading() as session:
            return _html(pages.catalogue(catalogue.products(session), carts.units(session, _token(request))))

    def product(self, request: Request, product_id: str) -> Response:
        with self._database.reading() as session:
            found = _found(catalogue.product(session, int(product_id)))
            return _html(pages.product(found, carts.units(session, _token(request))))

    def search(self, request: Request, _: str) -> Response:
        words = clean("q", request.query.get("q", ""), 100)
        with self._database.reading() as session:
            found = catalogue.search(session, words, slow=self._faults.active("slow_query"))
            return _html(pages.search(found, words, carts.units(session, _token(request))))

    def cart(self, request: Request, _: str) -> Response:
        with self._database.reading() as session:
            return _html(pages.cart(carts.lines(session, _token(request))))

    def add_to_cart(self, request: Request, _: str) -> Response:
        form = request.form()
        product_id = _whole_number(form, "product_id", 1, PRODUCT_ID_MAX)
        quantity = _whole_number(form, "quantity", 1, carts.QUANTITY_MAX)
        token = _token(request) or carts.new_token()
        with self._database.writing() as session:
            _found(catalogue.product(session, product_id))
            carts.add(session, token, product_id, quantity, time.time())
        cookie = f"{carts.COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={carts.LIFETIME_S}"
        return _see_other("/cart", (("Set-Cookie", cookie),))

    def change_cart(self, request: Request, product_id: str) -> Response:
        quantity = _whole_number(request.form(), "quantity", 0, carts.QUANTITY_MAX)
        with self._database.writing() as session:
            carts.set_quantity(session, _token(request), int(product_id), quantity)
        return _see_other("/cart")

    def checkout(self, request: Request, _: str) -> Response:
        with self._database.reading() as session:
            lines = carts.lines(session, _token(request))
        return _html(pages.checkout(lines)) if lines else _see_other("/cart")

    def pay(self, request: Request, _: str) -> Response:
        form = request.form()
        customer, email, card = _text(form, "name", 100), _text(form, "email", 254), _text(form, "card", 20)
        if not _EMAIL.fullmatch(email):
            raise RefusalError(400, "Please check the e-mail address.")
        if card not in orders.CARDS:
            raise RefusalError(400, "Please choose one of the cards.")
        token = _token(request)
        try:
            order_id = orders.place(self._database, token, customer, email, card, time.time())
        except orders.NotOrderedError as problem:
            metrics.ORDERS.labels(problem.outcome).inc()
            with self._database.reading() as session:
                page = pages.checkout(carts.lines(session, token), str(problem), customer, email)
            return _html(page, problem.status)
        if not order_id:
            return _see_other("/cart")
        metrics.ORDERS.labels("paid").inc()
        return _see_other(f"/orders/{order_id}")

    def order(self, request: Request, order_id: str) -> Response:
        with self._database.reading() as session:
            placed, items = _found(orders.find(session, order_id))
            return _html(pages.order(placed, items, carts.units(session, _token(request))))

    def api_products(self, request: Request, _: str) -> Response:
        with self._database.reading() as session:
            return _json({"items": [dict(product) for product in catalogue.products(session)]})

    def api_order(self, request: Request, order_id: str) -> Response:
        with self._database.reading() as session:
            placed, items = _found(orders.find(session, order_id))
        # Whoever knows the id may follow the order; who placed it is nobody else's business.
        told = {"id": placed["id"], "total_cents": placed["total_cents"], "currency": "EUR"}
        return _json(told | {"created_at": iso(placed["created_at"]), "items": [dict(item) for item in items]})

    def health(self, request: Request, _: str) -> Response:
        """ok; degraded (200) while the job is late; down (503) while the database cannot be written."""
        now = time.time()
        status = self._job.status(now)
        overall = "ok" if status["status"] == "ok" else "degraded"
        database: dict[str, object]
        try:
            with self._database.writing(HEALTH_LOCK_WAIT_S) as session:
                catalogue.product(session, 1)
            database = {"status": "ok", "duration_ms": round((time.time() - now) * 1000, 2)}
        except sqlite3.Error as problem:
            operations_log.warning("the database check failed: %s", problem)
            database = {"status": "down", "reason": str(problem)}
            overall = "down"
        document = {
            "status": overall,
            "version": __version__,
            "uptime_s": round(now - self._started_at, 3),
            "database": database,
            "job": status,
        }
        return _json(document, 503 if overall == "down" else 200)

    def metrics(self, request: Request, _: str) -> Response:
        try:
            with self._database.reading(HEALTH_LOCK_WAIT_S) as session:
                metrics.CART_SIZE.set(carts.units(session, None))
        except sqlite3.Error as problem:
            operations_log.warning("the carts could not be counted: %s", problem)
        return Response(200, generate_latest(), CONTENT_TYPE_PLAIN_0_0_4)

    def show_faults(self, request: Request, _: str) -> Response:
        return _json(self._faults.report())

    def change_faults(self, request: Request, _: str) -> Response:
        _require_this_machine(request)
        try:
            ends = self._faults.change(faults.parse_changes(request.json()))
        except FaultError as problem:
            raise RefusalError(400, str(problem)) from problem
        return replace(_json(self._faults.report()), after_sent=faults.crash if ends else None)

    def _find(self, request: Request) -> tuple[Route, str]:
        method = "GET" if request.command == "HEAD" else request.command
        allowed: list[str] = []
        for route in self._routes:
            if match := re.fullmatch(route.pattern, request.path):
                if route.method == method:
                    return route, match[1] if match.re.groups else ""
                allowed.append(route.method)
        if not allowed:
            raise RefusalError(404, "There is no such page.")
        allowed += ["HEAD"] if "GET" in allowed else []
        raise RefusalError(405, f"This address does not take {request.command}.", (("Allow", ", ".join(allowed)),))


def _error(request: Request, status: int, detail: str, headers: Headers = ()) -> Response:
    if request.path.startswith(("/api/", "/faults", "/health")):
        return problem_response(status, detail, request.request_id, headers)
    return _html(pages.error(status, HTTPStatus(status).phrase, detail, request.request_id), status, headers)


def _html(markup: str, status: int = 200, headers: Headers = ()) -> Response:
    return Response(status, markup.encode(), headers=headers)


def _json(document: object, status: int = 200) -> Response:
    return Response(status, json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n", "application/json")


def _see_other(path: str, headers: Headers = ()) -> Response:
    return Response(303, headers=(("Location", path), *headers))


def _known(request: Request) -> dict[str, object]:
    return {"request_id": request.request_id, "method": request.command, "path": request.path}


def _token(request: Request) -> str:
    return carts.known_token(request.cookie(carts.COOKIE))


def _found(what: Found | None) -> Found:
    if what is None:
        raise RefusalError(404, "We do not have this, or no longer.")
    return what


def _text(form: Mapping[str, str], name: str, longest: int) -> str:
    value = clean(name, form.get(name, ""), longest)
    if not value:
        raise RefusalError(400, f"Please fill in '{name}'.")
    return value


def _whole_number(form: Mapping[str, str], name: str, lowest: int, highest: int) -> int:
    value = form.get(name, "").strip()
    if not re.fullmatch(r"[0-9]{1,9}", value) or not lowest <= int(value) <= highest:
        raise RefusalError(400, f"'{name}' must be a whole number from {lowest} to {highest}.")
    return int(value)


def _require_this_machine(request: Request) -> None:
    # A proxy on this machine connects from loopback for the whole world, so forwarded requests are refused too; a
    # Host that is a name of elsewhere means that a page in a browser was led here (DNS rebinding).
    try:
        host = (urlsplit(f"//{request.headers.get('Host', '')}").hostname or "").replace("localhost", "127.0.0.1")
        local = all(ipaddress.ip_address(each).is_loopback for each in (request.client_address[0], host))
    except ValueError:
        local = False
    if not local or "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        raise RefusalError(403, "Faults can be changed only from this machine, at http://127.0.0.1.")
