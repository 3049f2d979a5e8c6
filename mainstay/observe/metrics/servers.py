"""Whom this installation asks about metrics: its own monitor, or the server that METRICS_URL names."""

from functools import cache

from mainstay.foundation import environment as env
from mainstay.observe.metrics.client import Client, Server, bears, inner_token, scrape_token

MONITOR_PATH = "/prometheus"  # below it, the monitor serves /api/v1/…
INNER_TIMEOUT_S = 35.0  # a little longer than the monitor lets a query run


def server(environment: env.Environment, secret_key: str) -> Server:
    """Return where queries go."""
    if environment.metrics_url:
        return Server.at(environment.metrics_url, dict(environment.metrics_headers), environment.metrics_timeout_s)
    return monitor(environment, secret_key)


def monitor(environment: env.Environment, secret_key: str) -> Server:
    """Return this installation's monitor."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(environment.host, environment.host)  # noqa: S104
    shown = f"[{host}]" if ":" in host else host
    headers = {"Authorization": f"Bearer {inner_token(secret_key)}"}
    return Server(f"http://{shown}:{environment.monitor_port}{MONITOR_PATH}", headers, INNER_TIMEOUT_S)


def may_scrape(authorization: str, secret_key: str) -> bool:
    """Tell whether a scraper with this Authorization header may read the monitor's figures: its own, or by a token.

    Raises:
        DatabaseError.
    """
    # Other processes than the monitor ask only where to ask, without Django.
    from django.db import close_old_connections

    from mainstay.foundation.accounts.actor import NotAllowed
    from mainstay.foundation.accounts.permissions import Permission
    from mainstay.foundation.api.access import token_actor
    from mainstay.foundation.api.problems import Problem

    if bears(authorization, scrape_token(secret_key)):
        return True
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return False
    close_old_connections()
    try:
        token_actor(value.strip()).need(Permission.OPERATIONS_VIEW)
    except (Problem, NotAllowed):
        return False
    return True


@cache
def client() -> Client:
    """Return the client of this process."""
    from django.conf import settings

    return Client(server(settings.ENVIRONMENT, settings.SECRET_KEY))


@cache
def monitor_client() -> Client:
    """Return the client that asks the monitor what only it knows: the health of targets."""
    from django.conf import settings

    return Client(monitor(settings.ENVIRONMENT, settings.SECRET_KEY))
