"""The environment variables that Mainstay reads: names, defaults, checks. Imports no Django.

An unknown `MAINSTAY_*` variable or a bad value is an error that names the variable: a setting that is
silently ignored is found at 3 a.m.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

PREFIX = "MAINSTAY_"


class BadEnvironment(ValueError):
    """A variable has a bad value or is not known; the message names it and says how to mend it."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: its name, its default as text, and what it is for (shown in docs and `mainstay doctor`)."""

    name: str
    default: str
    help: str
    secret: bool = False


VARIABLES: tuple[Variable, ...] = (
    Variable("MAINSTAY_HOME", "./var", "The one directory that holds all state."),
    Variable("MAINSTAY_HOST", "127.0.0.1", "Address that the web process listens on."),
    Variable("MAINSTAY_PORT", "8000", "Port of the web process: pages, API, pings."),
    Variable("MAINSTAY_MONITOR_PORT", "8001", "Port of the monitor process."),
    Variable("MAINSTAY_CONNECTIONS_MOST", "4000", "How many connections of clients each of these ports keeps at most."),
    Variable(
        "MAINSTAY_CONNECTIONS_PER_ADDRESS",
        "1000",
        "How many of them from one address, other than loopback. A reverse proxy on another host is one address.",
    ),
    Variable("MAINSTAY_BASE_URL", "", "Address that people use, for links in pages and mail. Empty: http://HOST:PORT."),
    Variable("MAINSTAY_HOSTS", "", "Comma-separated further host names under which it answers, besides that one's."),
    Variable(
        "MAINSTAY_PROXIES",
        "",
        "Comma-separated networks of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto hold. Empty: none.",
    ),
    Variable("MAINSTAY_HSTS", "365d", "How long browsers keep to https, when people use https: a duration, or off."),
    Variable(
        "MAINSTAY_SECRET_KEY",
        "",
        "Key that signs sessions and encrypts stored secrets. Empty: made at first start.",
        secret=True,
    ),
    Variable("MAINSTAY_SECRET_KEY_FILE", "", "File that holds that key. Empty: HOME/keys/secret.key."),
    Variable("MAINSTAY_ADMIN_EMAIL", "admin@localhost", "Address of the administrator that the first start creates."),
    Variable(
        "MAINSTAY_TARGETS", "private-allowed", "Where probes and channels may connect: private-allowed or public-only."
    ),
    Variable("MAINSTAY_TARGETS_ALLOW", "", "Comma-separated networks or hosts allowed on top of that."),
    Variable("MAINSTAY_TARGETS_DENY", "", "Comma-separated networks or hosts refused whatever else allows them."),
    Variable("MAINSTAY_COMMANDS", "off", "Whether checks of kind command may run programs: on or off."),
    Variable(
        "MAINSTAY_FILES",
        "",
        "Comma-separated directories whose files settings may name: certificates, target lists. Empty: HOME/files.",
    ),
    Variable("MAINSTAY_RESULTS_KEPT", "48h", "How long single check results are kept; hourly figures stay 400 days."),
    Variable("MAINSTAY_OIDC_URL", "", "OpenID Connect issuer for single sign-on. Empty: off."),
    Variable("MAINSTAY_OIDC_CLIENT_ID", "", "Client id at that issuer."),
    Variable("MAINSTAY_OIDC_CLIENT_SECRET", "", "Client secret at that issuer.", secret=True),
    Variable("MAINSTAY_WEBAUTHN", "off", "Whether people may sign in with passkeys (needs https): on or off."),
    Variable(
        "MAINSTAY_HEARTBEAT_URL",
        "",
        "URL that gets a POST every 30 s while all of Mainstay is well, so that its end is noticed. Empty: off.",
        secret=True,
    ),
    Variable("DATABASE_URL", "", "postgresql://… or sqlite:///PATH. Empty: SQLite in HOME.", secret=True),
    Variable("METRICS_URL", "", "Prometheus-compatible server for metrics. Empty: the embedded store.", secret=True),
    Variable(
        "MAINSTAY_METRICS_HEADERS",
        "",
        "Headers for METRICS_URL, separated by semicolons: X-Scope-OrgID: shop; Authorization: Bearer ….",
        secret=True,
    ),
    Variable("MAINSTAY_METRICS_TIMEOUT", "30s", "How long a query to METRICS_URL may take."),
    Variable("MAINSTAY_METRICS_KEPT", "15d", "How long single samples of metrics are kept; rollups stay longer."),
    Variable("MAINSTAY_METRICS_SERIES_MOST", "500000", "How many series the embedded store takes at most."),
    Variable("MAINSTAY_METRICS_MEMORY_MOST", "1GiB", "How much memory series and their recent samples take at most."),
    Variable("MAINSTAY_METRICS_DISK_MOST", "10GiB", "How much disk the embedded store uses; the oldest goes first."),
    Variable(
        "SMTP_URL",
        "",
        "smtp://USER:PASSWORD@HOST:PORT, the default of e-mail channels.",
        secret=True,
    ),
)
_NAMES = {variable.name for variable in VARIABLES}
_SIZES = {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HOST_NAME = re.compile(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\]")
_DURATION_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Environment:
    """The checked settings of this process."""

    home: Path
    host: str
    port: int
    monitor_port: int
    connections_most: int
    connections_per_address: int
    base_url: str
    hosts: tuple[str, ...]
    proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    hsts_s: float
    secret_key: str = field(repr=False)
    secret_key_file: Path
    admin_email: str
    targets: str
    targets_allow: tuple[str, ...]
    targets_deny: tuple[str, ...]
    commands_allowed: bool
    files: tuple[Path, ...]
    results_kept_s: float
    oidc_url: str
    oidc_client_id: str
    oidc_client_secret: str = field(repr=False)
    webauthn: bool
    heartbeat_url: str = field(repr=False)
    database_url: str = field(repr=False)
    metrics_url: str = field(repr=False)
    metrics_headers: tuple[tuple[str, str], ...] = field(repr=False)
    metrics_timeout_s: float
    metrics_kept_s: float
    metrics_series_most: int
    metrics_memory_most_bytes: int
    metrics_disk_most_bytes: int
    smtp_url: str = field(repr=False)

    @property
    def database_file(self) -> Path:
        """The SQLite file when no DATABASE_URL is set."""
        return self.home / "mainstay.sqlite3"


def read(environ: Mapping[str, str] = os.environ) -> Environment:
    """Return the checked environment.

    Raises:
        BadEnvironment: a variable is unknown or its value is bad; all such are named in one message.
    """
    problems: list[str] = [
        f"{name}: not a setting of Mainstay. {_nearest(name)}"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in _NAMES
    ]
    text = {variable.name: environ.get(variable.name, "").strip() or variable.default for variable in VARIABLES}

    def port(name: str) -> int:
        value = text[name]
        if value.isdecimal() and 0 < int(value) < 65536:
            return int(value)
        problems.append(f"{name}: {value!r} is not a port. Give a number from 1 to 65535.")
        return 0

    def switch(name: str) -> bool:
        if text[name] not in {"on", "off"}:
            problems.append(f"{name}: {text[name]!r} is neither on nor off.")
        return text[name] == "on"

    def url(name: str, schemes: tuple[str, ...]) -> str:
        value = text[name]
        if value:
            try:
                scheme = urlsplit(value).scheme
            except ValueError as error:
                problems.append(f"{name}: not a URL ({error}).")
                return ""
            if scheme not in schemes:
                problems.append(f"{name}: must begin with {' or '.join(s + '://' for s in schemes)}.")
        return value

    def web_address(name: str) -> str:
        value = url(name, ("http", "https"))
        try:
            named = not value or (urlsplit(value).hostname and urlsplit(value).port != 0)
        except ValueError:
            named = False
        if not named or not (value.isascii() and value.isprintable()) or " " in value:
            problems.append(f"{name}: not a whole web address such as https://hc.example/ping/UUID.")
        return value

    def duration_s(name: str, example: str) -> float:
        value = text[name]
        if value[-1:] in _DURATION_UNITS_S and value[:-1].isdecimal() and int(value[:-1]):
            return float(int(value[:-1]) * _DURATION_UNITS_S[value[-1]])
        problems.append(f"{name}: {value!r} is not a duration such as {example}.")
        return 0.0

    def number_of(name: str, units: Mapping[str, int], example: str) -> int:
        digits = text[name].rstrip("BGKMTi")
        unit = text[name][len(digits) :]
        if digits.isdecimal() and int(digits) and unit in units:
            return int(digits) * units[unit]
        problems.append(f"{name}: {text[name]!r} is not a number such as {example}.")
        return 0

    def headers(name: str) -> tuple[tuple[str, str], ...]:
        found = []
        for place, line in enumerate(text[name].split(";") if text[name] else (), 1):
            header, colon, value = line.partition(":")
            if not (colon and _HEADER.fullmatch(header.strip()) and value.strip().isprintable()):
                problems.append(f"{name}: its header {place} is not of the form Name: value.")  # it may hold a secret
            found.append((header.strip(), value.strip()))
        return tuple(found)

    def names(name: str) -> tuple[str, ...]:
        found = tuple(word.strip().lower() for word in text[name].split(",") if word.strip())
        problems.extend(
            f"{name}: {entry!r} is not a host name such as desk.example or .example (with all below it)."
            for entry in found
            if not _HOST_NAME.fullmatch(entry)
        )
        return found

    def networks(name: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        found = []
        for word in filter(None, map(str.strip, text[name].split(","))):
            try:
                found.append(ipaddress.ip_network(word, strict=False))
            except ValueError:
                problems.append(f"{name}: {word!r} is neither an address nor a network such as 10.0.0.0/8.")
        return tuple(found)

    def targets(name: str) -> tuple[str, ...]:
        found = tuple(word.strip() for word in text[name].split(",") if word.strip())
        problems.extend(f"{name}: {wrong}" for entry in found if (wrong := _wrong_target(entry)))
        return found

    files = file_directories(text["MAINSTAY_FILES"], text["MAINSTAY_HOME"])
    problems.extend(
        f"MAINSTAY_FILES: {str(entry)!r} is not the absolute path of a directory below /."
        for entry in files
        if not entry.is_absolute() or entry == Path("/")
    )
    if text["MAINSTAY_TARGETS"] not in {"private-allowed", "public-only"}:
        problems.append(f"MAINSTAY_TARGETS: {text['MAINSTAY_TARGETS']!r} is neither private-allowed nor public-only.")
    host, number, monitor_port = text["MAINSTAY_HOST"], port("MAINSTAY_PORT"), port("MAINSTAY_MONITOR_PORT")
    if number and number == monitor_port:
        problems.append("MAINSTAY_MONITOR_PORT: the same as MAINSTAY_PORT. Give each process its own.")
    shown = f"[{host}]" if ":" in host else {"0.0.0.0": "localhost", "": "localhost"}.get(host, host)  # noqa: S104
    home = Path(text["MAINSTAY_HOME"]).absolute()
    environment = Environment(
        home=home,
        host=host,
        port=number,
        monitor_port=monitor_port,
        connections_most=number_of("MAINSTAY_CONNECTIONS_MOST", {"": 1}, "4000"),
        connections_per_address=number_of("MAINSTAY_CONNECTIONS_PER_ADDRESS", {"": 1}, "1000"),
        base_url=(url("MAINSTAY_BASE_URL", ("http", "https")) or f"http://{shown}:{number}").rstrip("/"),
        hosts=names("MAINSTAY_HOSTS"),
        proxies=networks("MAINSTAY_PROXIES"),
        hsts_s=0.0 if text["MAINSTAY_HSTS"] == "off" else duration_s("MAINSTAY_HSTS", "365d, or off"),
        secret_key=text["MAINSTAY_SECRET_KEY"],
        secret_key_file=Path(text["MAINSTAY_SECRET_KEY_FILE"] or home / "keys" / "secret.key"),
        admin_email=text["MAINSTAY_ADMIN_EMAIL"],
        targets=text["MAINSTAY_TARGETS"],
        targets_allow=targets("MAINSTAY_TARGETS_ALLOW"),
        targets_deny=targets("MAINSTAY_TARGETS_DENY"),
        commands_allowed=switch("MAINSTAY_COMMANDS"),
        files=files,
        results_kept_s=duration_s("MAINSTAY_RESULTS_KEPT", "48h or 7d"),
        oidc_url=url("MAINSTAY_OIDC_URL", ("http", "https")),
        oidc_client_id=text["MAINSTAY_OIDC_CLIENT_ID"],
        oidc_client_secret=text["MAINSTAY_OIDC_CLIENT_SECRET"],
        webauthn=switch("MAINSTAY_WEBAUTHN"),
        heartbeat_url=web_address("MAINSTAY_HEARTBEAT_URL"),
        database_url=url("DATABASE_URL", ("postgresql", "postgres", "sqlite")),
        metrics_url=url("METRICS_URL", ("http", "https")),
        metrics_headers=headers("MAINSTAY_METRICS_HEADERS"),
        metrics_timeout_s=duration_s("MAINSTAY_METRICS_TIMEOUT", "30s or 2m"),
        metrics_kept_s=duration_s("MAINSTAY_METRICS_KEPT", "15d"),
        metrics_series_most=number_of("MAINSTAY_METRICS_SERIES_MOST", {"": 1}, "500000"),
        metrics_memory_most_bytes=number_of("MAINSTAY_METRICS_MEMORY_MOST", _SIZES, "1GiB"),
        metrics_disk_most_bytes=number_of("MAINSTAY_METRICS_DISK_MOST", _SIZES, "10GiB"),
        smtp_url=url("SMTP_URL", ("smtp", "smtps")),
    )
    if problems:
        raise BadEnvironment("\n".join(problems))
    return environment


def file_directories(given: str, home: str) -> tuple[Path, ...]:
    """Return the directories whose files settings may name, from MAINSTAY_FILES and MAINSTAY_HOME."""
    found = tuple(Path(os.path.normpath(word.strip())) for word in given.split(",") if word.strip())
    return found or (Path(home.strip() or "./var").absolute() / "files",)


def _wrong_target(entry: str) -> str:
    """Return why `entry` is neither a network, an address nor a host name, as a sentence; empty when it is one.

    Stricter than the policy that it is for (`net/policy.py`): what only looks like an address would
    there pass for a name, and silently allow or refuse nothing.
    """
    try:
        ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    else:
        return ""
    labels = entry.removesuffix(".").split(".")
    like_an_address = re.fullmatch(r"[\d.*?]*\d[\d.*?]*", entry) or re.fullmatch(r"\d+|0[xX][\da-fA-F]*", labels[-1])
    if re.fullmatch(r"[\w*?.-]+", entry) and all(labels) and not like_an_address:
        return ""
    return f"{entry!r} is neither a network such as 10.0.0.0/8, an address, nor a host such as db.example or *.example."


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, _NAMES, n=1)
    return f"Did you mean {found[0]}?" if found else "See docs/configuration.md for those that exist."
