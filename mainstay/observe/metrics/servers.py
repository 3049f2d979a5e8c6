"""Which server is asked about metrics: the monitor that keeps them, or the server that METRICS_URL names."""

import socket
import threading
import time
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address

from mainstay.foundation import environment as env
from mainstay.foundation.secrets import bears, inner_token, scrape_token
from mainstay.observe.metrics.client import Client, MetricsAway, Server

MONITOR_PATH = "/prometheus"  # below it, the monitor serves /api/v1/…
INNER_TIMEOUT_S = 35.0  # a little longer than the monitor lets a query run
OWNING_SHARD = 0  # whose holder keeps the metrics
LISTENS = "listens"  # in the beat of a monitor: host and port of its server
LOOKED_UP_S = 3.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


def server(environment: env.Environment, secret_key: str) -> Server:
    """Return where queries go."""
    if environment.metrics_url:
        return Server.at(environment.metrics_url, dict(environment.metrics_headers), environment.metrics_timeout_s)
    return monitor(environment, secret_key)


def monitor(environment: env.Environment, secret_key: str) -> Server:
    """Return the monitor of this host, where the environment says that it listens."""
    host = _EVERYWHERE.get(environment.host, environment.host)
    return _monitor_at(host, environment.monitor_port, secret_key)


def _monitor_at(host: str, port: int, secret_key: str) -> Server:
    shown = f"[{host}]" if ":" in host else host
    headers = {"Authorization": f"Bearer {inner_token(secret_key)}"}
    return Server(f"http://{shown}:{port}{MONITOR_PATH}", headers, INNER_TIMEOUT_S)


def keeper(own: Server, secret_key: str, here: str) -> Server:
    """Return the monitor that keeps the metrics: it holds the first shard, on whichever host.

    Args:
        own: that of this host, asked while nobody is known to hold it.
        here: the name of this host.

    Raises:
        MetricsAway: it is on another host and answers there only; the message says what to set.
    """
    from mainstay.foundation.processes.models import Process
    from mainstay.observe.checks.models import Lease

    holder = Lease.objects.filter(shard=OWNING_SHARD).values_list("holder", flat=True).first()
    process = Process.objects.filter(pk=holder).first() if holder is not None else None
    listens = process.detail.get(LISTENS) if process is not None else None
    if process is None or not (isinstance(listens, list) and len(listens) == 2):
        return own
    host, port = listens
    if process.host == here:
        return _monitor_at(_EVERYWHERE.get(host) or host, port, secret_key)
    if _is_loopback(host):
        raise MetricsAway(
            f"the metrics are kept by the monitor on the host {process.host}, which answers on that host only."
            " With several hosts, set METRICS_URL on all of them to one Prometheus-compatible server"
            f" (or MAINSTAY_HOST on {process.host} to an address that this host reaches)"
        )
    return _monitor_at(process.host if host in _EVERYWHERE else host, port, secret_key)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Keeper:
    """Looks up who keeps the metrics, and remembers it for a moment. Any thread may ask."""

    def __init__(self, look_up: Callable[[], Server], seconds: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._seconds = seconds
        self._lock = threading.Lock()
        self._until = 0.0
        self._found: Server | MetricsAway | None = None

    def __call__(self) -> Server:
        """Return it.

        Raises:
            MetricsAway: it cannot be asked from here.
        """
        with self._lock:
            if self._found is None or self._seconds() >= self._until:
                try:
                    self._found = self._look_up()
                except MetricsAway as error:
                    self._found = error
                self._until = self._seconds() + LOOKED_UP_S
            found = self._found
        if isinstance(found, MetricsAway):
            raise MetricsAway(str(found))
        return found


@cache
def find() -> Callable[[], Server] | None:
    """Return what finds the monitor to ask; None where METRICS_URL names the server."""
    from django.conf import settings

    if settings.ENVIRONMENT.metrics_url:
        return None
    key = settings.SECRET_KEY
    own = monitor(settings.ENVIRONMENT, key)
    return Keeper(lambda: keeper(own, key, socket.gethostname()))


def may_scrape(authorization: str, secret_key: str) -> bool:
    """Tell whether a scraper with this Authorization header may read the monitor's figures: its own, or by a token.

    Raises:
        DatabaseError.
    """
    # Other processes than the monitor ask only where to ask, without Django.
    from django.db import close_old_connections

    from mainstay.foundation.accounts.actor import NotAllowed
    from mainstay.foundation.accounts.permissions import OPERATIONS_VIEW
    from mainstay.foundation.api.access import token_actor
    from mainstay.foundation.api.problems import Problem

    if bears(authorization, scrape_token(secret_key)):
        return True
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return False
    close_old_connections()
    try:
        token_actor(value.strip()).need(OPERATIONS_VIEW)
    except (Problem, NotAllowed):
        return False
    return True


@cache
def client() -> Client:
    """Return the client of this process."""
    from django.conf import settings

    return Client(server(settings.ENVIRONMENT, settings.SECRET_KEY), find())


@cache
def monitor_client() -> Client:
    """Return the client that asks the monitor what only it knows: the health of targets."""
    from django.conf import settings

    return Client(monitor(settings.ENVIRONMENT, settings.SECRET_KEY), find())
