"""The check types, in one explicit dict. Adding one costs a module here and a line below."""

from mainstay.observe.checks.kinds.base import AnyKind, Kind
from mainstay.observe.checks.kinds.command import Command
from mainstay.observe.checks.kinds.dns import Dns
from mainstay.observe.checks.kinds.heartbeat import Heartbeat
from mainstay.observe.checks.kinds.http import Http
from mainstay.observe.checks.kinds.icmp import Icmp
from mainstay.observe.checks.kinds.mysql import Mysql
from mainstay.observe.checks.kinds.postgresql import Postgresql
from mainstay.observe.checks.kinds.redis import Redis
from mainstay.observe.checks.kinds.smtp import Smtp
from mainstay.observe.checks.kinds.tcp import Tcp
from mainstay.observe.checks.kinds.tls import Tls
from mainstay.observe.checks.kinds.websocket import Websocket

KINDS: dict[str, AnyKind] = {
    "http": Http(),
    "tcp": Tcp(),
    "tls": Tls(),
    "dns": Dns(),
    "icmp": Icmp(),
    "postgresql": Postgresql(),
    "mysql": Mysql(),
    "redis": Redis(),
    "smtp": Smtp(),
    "websocket": Websocket(),
    "command": Command(),
    "heartbeat": Heartbeat(),
}

__all__ = ["KINDS", "AnyKind", "Kind"]
