"""The `dns` check type: one question to one name server, and what its answer must be."""

from ipaddress import ip_address
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from mainstay.net.addresses import Host, IPVersion, Port, punycode
from mainstay.observe.checks.kinds.base import Text
from mainstay.observe.checks.kinds.stepped import LatencyExpect, SteppedKind, SteppedSettings, Steps, load
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.context import Context

SHOWN_VALUES = 10
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
        import dns.exception  # only now, for it is large and most have no such check
        import dns.name

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
        await load(f"{__name__}.asking", context)
        from mainstay.observe.checks.kinds.dns import asking

        values = await asking.run(settings, context, steps)
        steps.wrong = _judged(settings, steps.dns_rcode, values)


def _judged(settings: DnsSettings, rcode: str, values: list[str]) -> str:
    expect = settings.expect
    by_condition = (
        any("DNS_RCODE" in text.upper() for text in settings.conditions) and "rcode" not in expect.model_fields_set
    )
    if rcode != expect.rcode and not by_condition:
        return f"the name server answered {rcode}, expected {expect.rcode}"
    if rcode == "NOERROR" and not values and expect.rcode == "NOERROR" and expect.values != () and not by_condition:
        return f"the name has no {settings.record} record"
    shown = ", ".join(values[:SHOWN_VALUES]) or "nothing"
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
