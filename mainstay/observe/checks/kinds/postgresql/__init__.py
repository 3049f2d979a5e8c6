"""The `postgresql` check type: connect, authenticate, one query."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

from pydantic import Field

from mainstay.foundation.outside_files import PemPath, UnreadableFileError, pem
from mainstay.foundation.strict import Secret
from mainstay.net.addresses import Host, IPVersion, Port, host_port
from mainstay.net.connect import judged_addresses
from mainstay.observe.checks.kinds.database import LONGEST_QUERY, DatabaseExpect, take_phases, take_value
from mainstay.observe.checks.kinds.stepped import SteppedKind, SteppedSettings, Steps, load
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import ProbeError


class PostgresqlSettings(SteppedSettings):
    """A PostgreSQL server that must let us in and answer a query."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(
        {Placeholder.CONNECTED, Placeholder.IP, Placeholder.RESPONSE_TIME, Placeholder.BODY}
    )

    host: Host = Field(description="Name or address of the server.")
    port: Port = Field(default=5432, description="Port of the server.")
    ip_version: IPVersion | None = Field(default=None, description="Use only IPv4 (4) or only IPv6 (6).")
    database: str = Field(default="postgres", max_length=63, description="Database to connect to.")
    username: str = Field(
        default="postgres",
        max_length=63,
        description="User to connect as; give it no more rights than the query needs.",
    )
    password: Secret | None = Field(default=None, description="The user's password.")
    tls: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        default="prefer", description="libpq's sslmode: whether to use TLS, and whether to check the certificate."
    )
    ca_file: PemPath | None = Field(
        default=None, description="Path of a PEM file with the authorities for verify-ca and verify-full."
    )
    query: str = Field(
        default="SELECT 1",
        max_length=LONGEST_QUERY,
        description="One query; the first column of its first row is the value.",
    )
    expect: DatabaseExpect = Field(default_factory=DatabaseExpect, description="What must hold for the check to be up.")


class Postgresql(SteppedKind[PostgresqlSettings]):
    """Drives libpq itself instead of a psycopg connection, to tell the phases apart and to read one row only."""

    name: ClassVar[str] = "postgresql"
    label: ClassVar[str] = "PostgreSQL"
    Settings = PostgresqlSettings

    def target(self, settings: PostgresqlSettings) -> str:
        return f"{host_port(settings.host, settings.port)}/{settings.database}"

    async def run(self, settings: PostgresqlSettings, context: Context, steps: Steps) -> None:
        judged = await judged_addresses(context, settings.host, settings.ip_version)
        steps.dns_s = judged.dns_s
        steps.ip = judged.addresses[0]
        await load(f"{__name__}.libpq", context)
        from mainstay.observe.checks.kinds.postgresql import libpq

        with _authorities(settings) as ca_file:
            options = _options(settings, judged.addresses) | ca_file
            authenticated_s, queried_s, value = await libpq.ask(options, settings.query, steps)
        take_phases(steps, authenticated_s, queried_s)
        take_value(steps, value, settings.expect.value, "the query")


def _options(settings: PostgresqlSettings, addresses: tuple[str, ...]) -> dict[str, str]:
    """`hostaddr` pins the judged addresses; `host` stays for the certificate's name. Empty settings shut out the
    passwords of the environment (PGPASSFILE, PGPASSWORD, PGSERVICE)."""
    return {
        "host": ",".join([settings.host] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "port": str(settings.port),
        "dbname": settings.database,
        "user": settings.username,
        "sslmode": settings.tls,
        "application_name": "mainstay",
        "passfile": "/nonexistent",
        "gssencmode": "disable",
        "password": settings.password.get_secret_value() if settings.password is not None else "",
    }


@contextmanager
def _authorities(settings: PostgresqlSettings) -> Iterator[dict[str, str]]:
    """libpq takes authorities from a file only, and would wait for any: it gets a copy of what may be read."""
    if settings.ca_file is None:
        yield {}
        return
    try:
        content = pem(str(settings.ca_file))
    except UnreadableFileError as error:
        raise ProbeError(f"`ca_file` {error}") from None
    with tempfile.NamedTemporaryFile(suffix=".pem") as copy:
        copy.write(content)
        copy.flush()
        yield {"sslrootcert": copy.name}
