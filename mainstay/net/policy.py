"""Where probes may go. The decision is made on the address that is really connected to, not on the name.

A monitor watches internal things, so private and loopback addresses are allowed by default; what no check has
business with is refused: link-local and cloud metadata addresses, the unspecified address, multicast, broadcast.
Names are resolved by us, each address is judged here, and the connection goes to the judged address: a name that
changes its answer between the look-up and the connection (DNS rebinding) cannot pass.
"""

import ipaddress
import socket
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from mainstay.foundation.environment import Environment

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_NEVER: tuple[tuple[IPNetwork, str], ...] = tuple(
    (ipaddress.ip_network(network), rule)
    for network, rule in (
        ("169.254.0.0/16", "link-local and cloud metadata addresses are refused"),
        ("fe80::/10", "link-local addresses are refused"),
        ("fd00:ec2::254/128", "cloud metadata addresses are refused"),
        ("100.100.100.200/32", "cloud metadata addresses are refused"),
        ("168.63.129.16/32", "cloud metadata addresses are refused"),
        ("0.0.0.0/8", "the unspecified address is refused"),
        ("::/128", "the unspecified address is refused"),
        ("224.0.0.0/4", "multicast addresses are refused"),
        ("ff00::/8", "multicast addresses are refused"),
        ("255.255.255.255/32", "the broadcast address is refused"),
    )
)
_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
# Prefixes whose addresses carry an IPv4 address, and the shift of its lowest bit.
_EMBEDDING: tuple[tuple[ipaddress.IPv6Network, int], ...] = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated (RFC 2765)
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible, deprecated but still routed by some stacks
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64 (RFC 6052)
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 0),  # NAT64 for local use (RFC 8215), as /96
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
)
_TEREDO = ipaddress.IPv6Network("2001::/32")
_CACHED_ADDRESSES = 4096


class Mode(StrEnum):
    """Which networks are reachable at all."""

    PRIVATE_ALLOWED = "private-allowed"
    PUBLIC_ONLY = "public-only"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an address or a name may not be probed, and which setting would change that."""

    subject: str
    rule: str
    remedy: str

    @property
    def message(self) -> str:
        return f"The probe policy refuses {self.subject}: {self.rule}; {self.remedy}."


class PolicyError(ValueError):
    """An `allow` or `deny` entry is neither a network nor a host name."""


class AddressPolicy:
    """Immutable; safe to share between threads.

    `allow` and `deny` hold networks (`10.0.0.0/8`), addresses or host names (`*.example.com` allowed). `deny` wins
    over everything. An allowed network lifts every other rule. An allowed *name* lifts the rule on names and
    `public-only`, but never lets its addresses be link-local, metadata, multicast or unspecified: whoever controls
    that name's DNS must not gain those.
    """

    __slots__ = (
        "_allow_names",
        "_allow_networks",
        "_called",
        "_deny_names",
        "_deny_networks",
        "_judged",
        "allow",
        "deny",
        "mode",
    )

    def __init__(
        self,
        mode: Mode | str = Mode.PRIVATE_ALLOWED,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        *,
        called: tuple[str, str, str] = ("mode", "allow", "deny"),
    ) -> None:
        """`called` is what the three settings are called where people make them, for messages."""
        self._called = called
        self.mode = Mode(mode)
        self.allow = tuple(allow)
        self.deny = tuple(deny)
        self._allow_networks, self._allow_names = _sorted_out(self.allow)
        self._deny_networks, self._deny_names = _sorted_out(self.deny)
        self._judged: dict[tuple[str, bool], Refusal | None] = {}

    def __repr__(self) -> str:
        return f"AddressPolicy(mode={self.mode.value!r}, allow={self.allow!r}, deny={self.deny!r})"

    def check_host(self, host: str) -> Refusal | None:
        """Judge a host as written in a setting, before it is resolved. A literal address is judged as an address."""
        address = literal_address(host)
        if address is not None:
            return self.check_address(str(address))
        name = _plain_name(host)
        denied = _matching(name, self._deny_names)
        if denied is not None:
            return Refusal(
                host,
                f"the name matches {denied!r} of the deny list",
                f"remove {denied!r} from `{self._called[2]}` to allow it",
            )
        if name in _METADATA_NAMES and _matching(name, self._allow_names) is None:
            return Refusal(
                host, "names of cloud metadata services are refused", f"add {name!r} to `{self._called[1]}` to allow it"
            )
        return None

    def check_address(self, address: str, *, host: str = "") -> Refusal | None:
        """Judge the address about to be connected to; `host` is the name it came from, if any."""
        by_allowed_name = (
            bool(host) and bool(self._allow_names) and _matching(_plain_name(host), self._allow_names) is not None
        )
        key = (address, by_allowed_name)
        try:
            return self._judged[key]
        except KeyError:
            refusal = self._judge(address, by_allowed_name=by_allowed_name)
            if len(self._judged) >= _CACHED_ADDRESSES:
                self._judged.clear()
            self._judged[key] = refusal
            return refusal

    def _judge(self, text: str, *, by_allowed_name: bool) -> Refusal | None:
        outer = literal_address(text)
        if outer is None:
            return Refusal(text, "it is not an address", "give an IPv4 or IPv6 address")
        faces = _faces(outer)
        shown = (
            str(outer)
            if len(faces) == 1
            else f"{outer} (which stands for {', '.join(str(face) for face in faces[1:])})"
        )
        for face in faces:
            denied = _containing(face, self._deny_networks)
            if denied is not None:
                return Refusal(
                    shown,
                    f"it lies in {denied} of the deny list",
                    f"remove {denied} from `{self._called[2]}` to allow it",
                )
        allowed = [_containing(face, self._allow_networks) is not None for face in faces]
        if allowed[0] or (len(faces) > 1 and all(allowed[1:])):
            return None
        remedy = f"add {faces[-1]} to `{self._called[1]}` to allow it"
        for face in faces:
            for network, rule in _NEVER:
                if face.version == network.version and face in network:
                    # ::1 and friends lie in the "IPv4-compatible" prefix without standing for an IPv4 address.
                    return Refusal(shown, rule, remedy)
        if self.mode is Mode.PUBLIC_ONLY and not by_allowed_name and not all(face.is_global for face in faces):
            return Refusal(
                shown,
                f"`{self._called[0]}: public-only` refuses addresses that are not public",
                f"{remedy}, or set `{self._called[0]}` to `private-allowed`",
            )
        return None


def literal_address(host: str) -> IPAddress | None:
    """The address that `host` spells, in any spelling a resolver would take for one, else None.

    Besides the standard forms: brackets, a trailing dot, a zone (`fe80::1%eth0`, dropped), full-width digits, and
    inet_aton's decimal, octal, hexadecimal and shortened forms (`2852039166`, `0xa9.0xfe.43518`, `127.1`).
    """
    text = host.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.partition("%")[0].removesuffix(".")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    if not text or not text.isascii() or not text[0].isdigit() or any(character.isspace() for character in text):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except OSError:
        return None


def _faces(address: IPAddress) -> tuple[IPAddress, ...]:
    """The address itself and every IPv4 address it stands for."""
    if isinstance(address, ipaddress.IPv4Address) or int(address) <= 0xFFFF:
        # ::1 and :: are IPv6's own loopback and unspecified addresses, not 0.0.0.1 in disguise.
        return (address,)
    value = int(address)
    faces: list[IPAddress] = [address]
    faces += [ipaddress.IPv4Address(value >> shift & 0xFFFFFFFF) for network, shift in _EMBEDDING if address in network]
    if address in _TEREDO:
        faces += [ipaddress.IPv4Address(value >> 64 & 0xFFFFFFFF), ipaddress.IPv4Address(~value & 0xFFFFFFFF)]
    if value >> 32 & 0xFFFFFFFF in (0x5EFE, 0x02005EFE):  # ISATAP (RFC 5214)
        faces.append(ipaddress.IPv4Address(value & 0xFFFFFFFF))
    return tuple(faces)


def _sorted_out(entries: tuple[str, ...]) -> tuple[tuple[IPNetwork, ...], tuple[str, ...]]:
    networks: list[IPNetwork] = []
    names: list[str] = []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry.strip(), strict=False))
        except ValueError:
            name = _plain_name(entry)
            if not name or "/" in name or any(character.isspace() for character in name):
                raise PolicyError(
                    f"{entry!r} in the probe policy is neither a network such as 10.0.0.0/8 nor a host name"
                ) from None
            names.append(name)
    return tuple(networks), tuple(names)


def _plain_name(host: str) -> str:
    """Return a name in the one form in which names are compared: as it goes over the wire (RFC 3490), in lower case."""
    name = unicodedata.normalize("NFKC", host).strip()
    with suppress(UnicodeError):
        name = name if name.isascii() else name.encode("idna").decode()
    return name.rstrip(".").lower()


def _matching(name: str, patterns: tuple[str, ...]) -> str | None:
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)


def _containing(address: IPAddress, networks: tuple[IPNetwork, ...]) -> IPNetwork | None:
    return next((network for network in networks if network.version == address.version and address in network), None)


def policy(environment: Environment) -> AddressPolicy:
    """Return the policy that MAINSTAY_TARGETS, _ALLOW and _DENY describe."""
    return AddressPolicy(
        environment.targets,
        environment.targets_allow,
        environment.targets_deny,
        called=("MAINSTAY_TARGETS", "MAINSTAY_TARGETS_ALLOW", "MAINSTAY_TARGETS_DENY"),
    )


class Connections:
    """The policy as delivery asks it: one address about to be connected to."""

    def __init__(self, rules: AddressPolicy) -> None:
        self._rules = rules

    def check(self, ip: str, host: str) -> str | None:
        """Return why `ip` (what `host` resolved to) is refused, or None."""
        refusal = self._rules.check_host(host) or self._rules.check_address(ip, host=host)
        return refusal.message if refusal else None
