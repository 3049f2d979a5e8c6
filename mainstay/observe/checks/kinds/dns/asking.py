"""A question to name servers, asked until one answers."""

import asyncio
import time
from itertools import cycle

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver

from mainstay.net.connect import judged_addresses
from mainstay.observe.checks.kinds.dns import SHOWN_VALUES, DnsSettings
from mainstay.observe.checks.kinds.stepped import Steps
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import ProbeError

_RETRY_S = 1.0
_KNOWS_NO_EDNS = frozenset({dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS})


async def run(settings: DnsSettings, context: Context, steps: Steps) -> list[str]:
    """Ask; return the values of the answer."""
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
    steps.facts |= {"rcode": steps.dns_rcode, "answers": len(values), "values": ", ".join(values[:SHOWN_VALUES])}
    ttl = min((rrset.ttl for rrset in response.answer), default=None)
    if ttl is not None:
        steps.facts["ttl_s"] = int(ttl)
    return values


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
