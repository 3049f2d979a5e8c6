"""The shop for programs: JSON, errors as problem documents."""

import re
from dataclasses import asdict
from datetime import UTC, datetime

from examples.shop import catalogue, orders
from examples.shop.application import Route, route
from examples.shop.database import Database
from examples.shop.messages import RefusalError, Request, Response, json_response


class Api:
    def __init__(self, database: Database) -> None:
        self._database = database

    def routes(self) -> tuple[Route, ...]:
        return (
            route("GET", r"/api/products", "api_products", self.products),
            route("GET", r"/api/orders/([^/]{1,64})", "api_order", self.order),
        )

    def products(self, request: Request, _: re.Match[str]) -> Response:
        with self._database.reading() as session:
            found = catalogue.products(session)
        return json_response({"items": [asdict(product) for product in found]})

    def order(self, request: Request, match: re.Match[str]) -> Response:
        with self._database.reading() as session:
            found = orders.find(session, match[1])
        if found is None:
            raise RefusalError(404, "There is no such order.")
        # Whoever knows the id may follow the order; who placed it is nobody else's business.
        return json_response(
            {
                "id": found.id,
                "created_at": datetime.fromtimestamp(found.created_at, UTC).isoformat(timespec="seconds"),
                "total_cents": found.total_cents,
                "currency": "EUR",
                "items": [asdict(item) for item in found.items],
            }
        )
