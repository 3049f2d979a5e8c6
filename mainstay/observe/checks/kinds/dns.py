"""The `dns` check type: one question to one name server, and what its answer must be."""

import asyncio
import time
from ipaddress import ip_address
from itertools import cycle
from typing import ClassVar, Literal

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
from pydantic import Field, field_validator

from mainstay.net.addresses import Host, IPVersion, Port, punycode
from mainstay.net.connect import judged_addresses
from mainstay.observe.checks.kinds.base import Text
from mainstay.observe.checks.kinds.stepped import LatencyExpect, SteppedKind, SteppedSettings, Steps
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import ProbeError

_SHOWN_VALUES = 10
_RETRY_S = 1.0
_KNOWS_NO_EDNS = frozenset({dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS})
_WITH_NAMES = frozenset({"CNAME", "MX", "NS", "SOA", "SRV", "PTR", "SVCB", "HTTPS", "NAPTR"})
_IN_HEX = frozenset({"DS", "TLSA"})
Rcode = Literal["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "NOTAUTH"]
Record = Literal[
    "A",
    "AAAA",
    "CNAME",
    "MX",
    "NS",
    "TXT",
    "SOA",
    "SRV",
    "CAA",
    "PTR",
    "DS",
    "DNSKEY",
    "TLSA",
    "SVCB",
    "HTTPS",
    "NAPTR",
]


class DnsExpect(LatencyExpect):
    """What must hold for the check to be up."""

    rcode: Rcode = Field(default="NOERROR", description="The response code.")
    values: tuple[Text, ...] | None = Field(
        default=None, description="Exactly these values, in any order, e.g. [203.0.113.7]."
    )
    contains: tuple[Text, ...] = Field(default=(), description="Values that must be among the answers.")


class DnsSettings(SteppedSettings):
    """A name that must resolve, to the expected values if they are given."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(
        {Placeholder.CONNECTED, Placeholder.IP, Placeholder.RESPONSE_TIME, Placeholder.BODY, Placeholder.DNS_RCODE}
    )

    name: str = Field(max_length=255, description="The name to ask for, e.g. example.com.")
    record: Record = Field(default="A", description="The record type to ask for.")
    server: Host | None = Field(default=None, description="The name server to ask; without it, those of the system.")
    port: Port = Field(default=53, description="The name server's port.")
    ip_version: IPVersion | None = Field(
        default=None, description="Reach the name server only by IPv4 (4) or only by IPv6 (6)."
    )
    transport: Literal["udp", "tcp"] = Field(
        default="udp", description="UDP (with TCP when the answer is cut off) or TCP only."
    )
    expect: DnsExpect = Field(default_factory=DnsExpect, description="What must hold for the check to be up.")

    @field_validator("name")
    @classmethod
    def _name_is_well_formed(cls, name: str) -> str:
        try:
            dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError) as error:
            raise ValueError(f"{name!r} is no domain name: {error}") from None
        return name


class Dns(SteppedKind[DnsSettings]):
    name: ClassVar[str] = "dns"
    label: ClassVar[str] = "DNS record"
    Settings = DnsSettings

    def target(self, settings: DnsSettings) -> str:
        at = f" at {settings.server}" if settings.server is not None else ""
        return f"{settings.record} {settings.name}{at}"

    async def run(self, settings: DnsSettings, context: Context, steps: Steps) -> None:
        servers, port = await _servers(settings, context, steps)
        query = dns.message.make_query(settings.name, settings.record)
        steps.now = f"waiting for the answer of {', '.join(servers)}"
        began = time.perf_counter()
        response = await _ask(query, servers, port, settings.transport, steps)
        steps.first_byte_s = time.perf_counter() - began
        steps.connected = True
        steps.dns_rcode = dns.rcode.to_text(response.rcode())
        values = _values(response, settings.record)
        steps.body = "\n".join(values).encode()
        steps.facts |= {"rcode": steps.dns_rcode, "answers": len(values), "values": ", ".join(values[:_SHOWN_VALUES])}
        ttl = min((rrset.ttl for rrset in response.answer), default=None)
        if ttl is not None:
            steps.facts["ttl_s"] = int(ttl)
        steps.wrong = _judged(settings, steps.dns_rcode, values)


async def _servers(settings: DnsSettings, context: Context, steps: Steps) -> tuple[tuple[str, ...], int]:
    """Addresses to ask. The system's own name servers are not judged by the policy: the administrator chose them
    (clouds put them on link-local addresses), and a check can't change them."""
    if settings.server is not None:
        judged = await judged_addresses(context, settings.server, settings.ip_version)
        steps.dns_s = judged.dns_s
        return judged.addresses, settings.port
    try:
        system = dns.resolver.Resolver()
    except dns.exception.DNSException as error:
        raise ProbeError(f"the system names no name server ({error}); give one as `server`") from None
    addresses = tuple(str(server) for server in system.nameservers)
    if not addresses:
        raise ProbeError("the system names no name server; give one as `server`")
    return addresses, system.port


async def _ask(
    query: dns.message.Message, servers: tuple[str, ...], port: int, transport: str, steps: Steps
) -> dns.message.Message:
    """Ask one server after the other, again and again, until one answers; the caller's timeout ends it.

    UDP loses packets, so a question is repeated every second, as a resolver would; every second time, and at once
    where a server says that it knows no EDNS, in the plain form of old (RFC 6891, section 6.2.2 and 7).
    """
    failure = ""
    attempt_s = _RETRY_S
    for edns in cycle((True, False)):
        for server in servers:
            steps.ip = server
            try:
                response = await _answer(query, server, port, transport, attempt_s, edns=edns)
                if edns and response.rcode() in _KNOWS_NO_EDNS:
                    response = await _answer(query, server, port, transport, attempt_s, edns=False)
                return response
            except dns.exception.Timeout:
                continue
            except (dns.exception.DNSException, EOFError) as error:
                failure = f"the answer of {server} can't be read: {str(error) or type(error).__name__}"
            except OSError as error:
                failure = f"{server} port {port}: {error.strerror or error}"
        if failure and not edns:
            raise ProbeError(failure)
        attempt_s *= 1.0 if edns else 1.5
        await asyncio.sleep(0)
    raise AssertionError("the caller's timeout ends it")


async def _answer(
    query: dns.message.Message, server: str, port: int, transport: str, attempt_s: float, *, edns: bool
) -> dns.message.Message:
    query.use_edns(0 if edns else -1, payload=1232)
    if transport == "tcp":
        return await dns.asyncquery.tcp(query, server, port=port)
    # What comes from elsewhere, with another id or to another question is waited past (RFC 5452, 9.1).
    response, _ = await dns.asyncquery.udp_with_fallback(
        query, server, timeout=attempt_s, port=port, ignore_unexpected=True, ignore_errors=True
    )
    return response


def _values(response: dns.message.Message, record: str) -> list[str]:
    """The records of the asked type, also behind aliases, as text: TXT without quotes, names without the last dot."""
    wanted = dns.rdatatype.from_text(record)
    values = []
    for rrset in response.answer:
        if rrset.rdtype != wanted:
            continue
        for rdata in rrset:
            if wanted == dns.rdatatype.TXT:
                values.append(b"".join(rdata.strings).decode("utf-8", "replace"))
            else:
                values.append(_plain(rdata.to_text()))
    return sorted(values)


def _plain(value: str) -> str:
    return " ".join(
        part.removesuffix(".").lower() if part.endswith(".") and len(part) > 1 else part for part in value.split(" ")
    )


def _judged(settings: DnsSettings, rcode: str, values: list[str]) -> str:
    expect = settings.expect
    by_condition = (
        any("DNS_RCODE" in text.upper() for text in settings.conditions) and "rcode" not in expect.model_fields_set
    )
    if rcode != expect.rcode and not by_condition:
        return f"the name server answered {rcode}, expected {expect.rcode}"
    if rcode == "NOERROR" and not values and expect.rcode == "NOERROR" and expect.values != () and not by_condition:
        return f"the name has no {settings.record} record"
    shown = ", ".join(values[:_SHOWN_VALUES]) or "nothing"
    seen = sorted(comparable(settings.record, value) for value in values)
    wanted = sorted(comparable(settings.record, value) for value in expect.values or ())
    if expect.values is not None and wanted != seen:
        return f"the answer is {shown}; expected {', '.join(expect.values) or 'nothing'}"
    missing = [value for value in expect.contains if comparable(settings.record, value) not in seen]
    return f"the answer is {shown}; it lacks {', '.join(missing)}" if missing else ""


def comparable(record: str, value: str) -> str:
    """A record's value so that equal ones are equal texts: addresses as addresses, names without case, last dot and
    letters beyond ASCII, digests without case and blanks; texts as they are."""
    if record == "TXT":
        return value
    if record in ("A", "AAAA"):
        try:
            return str(ip_address(value.strip()))
        except ValueError:
            return value.strip()
    parts = value.split()
    if record in _WITH_NAMES:
        return " ".join(_name(part) for part in parts)
    if record in _IN_HEX:
        return " ".join([*parts[:3], "".join(parts[3:]).lower()])
    return " ".join(parts)


def _name(part: str) -> str:
    try:
        part = punycode(part)
    except ValueError:
        pass
    return part.lower().removesuffix(".") or "."
