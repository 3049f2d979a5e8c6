"""Targets found in the DNS."""

from collections.abc import Iterator

import dns.exception
import dns.rdatatype
import dns.resolver

from mainstay.net.addresses import host_port
from mainstay.observe.metrics.scrape.discovery import ADDRESS, Discovered
from mainstay.observe.metrics.scrape.settings import Dns

_DNS_LIFETIME_S = 5.0


class Names:
    """Targets that DNS records name."""

    def __init__(self, settings: Dns) -> None:
        self.error = ""
        self.looks = True
        self.place: object = settings
        self._settings = settings
        self._found: dict[str, list[Discovered]] = {}
        self._next = 0.0

    def due(self, now: float) -> bool:
        return now >= self._next

    def look(self, now: float) -> None:
        self._next = now + self._settings.refresh
        failures = []
        for name in self._settings.names:
            try:
                self._found[name] = list(self._ask(name))
            except dns.resolver.NXDOMAIN:
                # The server is there and says that there is no such name: so there are no targets.
                self._found[name] = []
                failures.append(f"there is no name {name} in the DNS")
            except (dns.exception.DNSException, OSError, ValueError) as error:
                failures.append(
                    f"no answer to the question for {name} ({self._settings.type}): {_why(error)};"
                    " what was known last is used"
                )
        self.error = "; ".join(failures)[:1000]

    def found(self) -> list[Discovered]:
        return [each for name in self._settings.names for each in self._found.get(name, ())]

    def _ask(self, name: str) -> Iterator[Discovered]:
        settings = self._settings
        resolver = dns.resolver.Resolver()
        resolver.lifetime = _DNS_LIFETIME_S
        answer = resolver.resolve(name, settings.type, search=True, raise_on_no_answer=False)
        for record in answer:
            if record.rdtype == dns.rdatatype.SRV:
                host = str(record.target).rstrip(".")
                port = settings.port or int(record.port)
                about = {
                    "__meta_dns_srv_record_target": str(record.target),
                    "__meta_dns_srv_record_port": str(record.port),
                }
            else:
                assert settings.port is not None
                host, port, about = str(record.address), settings.port, {}
            yield {ADDRESS: host_port(host, port), "__meta_dns_name": name, **about}


def _why(error: Exception) -> str:
    if isinstance(error, dns.resolver.NoNameservers):
        return "every name server failed"
    if isinstance(error, dns.exception.Timeout):
        return "no name server answered in time"
    if isinstance(error, dns.resolver.NoResolverConfiguration):
        return "the system names no name server"
    return str(error).rstrip(".") or type(error).__name__
