"""Prints the addresses of all pages as JSON: every URL pattern, with the id or name of something that exists.

A pattern whose parameters nothing fits, and one that only takes POST, is left out.
"""

import json
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

import bench.inside  # noqa: F401  # sets Django up
from mainstay.foundation.accounts.models import Team, User
from mainstay.foundation.catalog.models import Application
from mainstay.foundation.journal.models import Entry
from mainstay.observe.checks.models import Check
from mainstay.respond.alerts.models import Alert, Route
from mainstay.respond.delivery.models import Channel, Delivery

BUSY = 42  # an object somewhere in the middle


def values() -> dict[str, Any]:
    """Return parameter → a value that exists."""
    check = Check.objects.order_by("id")[1]
    return {
        "check_id": check.pk,
        "alert_id": Alert.objects.order_by("-id")[0].pk,
        "delivery_id": Delivery.objects.order_by("-id")[BUSY].pk,
        "entry_id": Entry.objects.order_by("-id")[BUSY].pk,
        "user_id": User.objects.order_by("id")[1].pk,
        "team_id": Team.objects.order_by("id")[0].pk,
        "route_id": Route.objects.order_by("id")[0].pk,
        "applications/name": Application.objects.order_by("id")[0].name,
        "channels/name": Channel.objects.order_by("id")[0].name,
        "kind": "webhook",
    }


def addresses(resolver: URLResolver, prefix: str = "/") -> Iterator[str]:
    """Yield the addresses below a resolver."""
    found = values()
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern, route)
        elif isinstance(pattern, URLPattern) and "^" not in route:
            names = {
                name: found.get(f"{route.split('/')[1]}/{name}", found.get(name)) for name in pattern.pattern.converters
            }
            if None not in names.values():
                for name, converter in pattern.pattern.converters.items():
                    kind = next(part for part in route.split("<") if part.partition(">")[0].endswith(name)).partition(
                        ">"
                    )[0]
                    route = route.replace(f"<{kind}>", str(converter.to_url(names[name])))
                yield route


def main() -> None:
    """Print them, without those that change something."""
    print(json.dumps(sorted(set(addresses(get_resolver())))))


if __name__ == "__main__":
    main()
