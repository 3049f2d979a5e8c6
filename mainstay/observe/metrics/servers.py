"""Whom this installation asks about metrics: its own monitor, or the server that METRICS_URL names."""

from functools import cache

from mainstay.foundation import environment as env
from mainstay.observe.metrics.client import Client, Server, inner_token

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
