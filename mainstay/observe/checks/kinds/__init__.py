"""The check types, in one explicit dict. Adding one costs a module here and a line below."""

from mainstay.observe.checks.kinds.base import AnyKind, Kind
from mainstay.observe.checks.kinds.dns import Dns
from mainstay.observe.checks.kinds.heartbeat import Heartbeat
from mainstay.observe.checks.kinds.http import Http
from mainstay.observe.checks.kinds.icmp import Icmp
from mainstay.observe.checks.kinds.tcp import Tcp
from mainstay.observe.checks.kinds.tls import Tls

KINDS: dict[str, AnyKind] = {
    "http": Http(),
    "tcp": Tcp(),
    "tls": Tls(),
    "dns": Dns(),
    "icmp": Icmp(),
    "heartbeat": Heartbeat(),
}

__all__ = ["KINDS", "AnyKind", "Kind"]
