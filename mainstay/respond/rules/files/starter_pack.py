"""The starter pack: rules for what most people run, each alert with a likely cause and a first step.

The files are Prometheus rule files as any other; their unit tests stand beside them (`starter/tests`).
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from mainstay.respond.rules.files.read import RuleGroup, read_rules


@dataclass(frozen=True, slots=True)
class Pack:
    """Rules for one kind of thing. `needs` is where its series come from."""

    name: str
    title: str
    needs: str
    text: str
    groups: tuple[RuleGroup, ...]


_PACKS = {
    "hosts": ("Hosts", "node_exporter; in part Mainstay's own metrics of its host"),
    "http": (
        "HTTP services",
        "the services' client library: http_requests_total or http_server_request_duration_seconds",
    ),
    "postgresql": ("PostgreSQL", "postgres_exporter"),
    "redis": ("Redis", "redis_exporter"),
    "nginx": ("nginx", "nginx-prometheus-exporter; for status and time by server, the module vts"),
    "checks": ("Checks", "Mainstay's checks"),
    "mainstay": ("Mainstay itself", "a scrape of Mainstay's /metrics and of the monitor's"),
}


@cache
def packs() -> tuple[Pack, ...]:
    """Return all packs, in the order in which they are shown."""
    found = []
    for name, (title, needs) in _PACKS.items():
        text = files("mainstay.respond.rules").joinpath("starter", f"{name}.yml").read_text(encoding="utf-8")
        found.append(Pack(name, title, needs, text, read_rules(text, f"starter/{name}.yml").groups))
    return tuple(found)
