"""The environment variables that Mainstay reads: names, defaults, checks. Imports no Django.

An unknown `MAINSTAY_*` variable or a bad value is an error that names the variable: a setting that is
silently ignored is found at 3 a.m.
"""

import os
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
    Variable("MAINSTAY_BASE_URL", "", "Address that people use, for links in pages and mail. Empty: http://HOST:PORT."),
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
    Variable("MAINSTAY_RESULTS_KEPT", "48h", "How long single check results are kept; hourly figures stay 400 days."),
    Variable("MAINSTAY_OIDC_URL", "", "OpenID Connect issuer for single sign-on. Empty: off."),
    Variable("MAINSTAY_OIDC_CLIENT_ID", "", "Client id at that issuer."),
    Variable("MAINSTAY_OIDC_CLIENT_SECRET", "", "Client secret at that issuer.", secret=True),
    Variable("MAINSTAY_WEBAUTHN", "off", "Whether people may sign in with passkeys (needs https): on or off."),
    Variable("DATABASE_URL", "", "postgresql://… or sqlite:///PATH. Empty: SQLite in HOME.", secret=True),
    Variable("METRICS_URL", "", "Prometheus-compatible server for metrics. Empty: the embedded store.", secret=True),
    Variable(
        "SMTP_URL",
        "",
        "smtp://USER:PASSWORD@HOST:PORT for sign-in mail and as default of e-mail channels.",
        secret=True,
    ),
)
_NAMES = {variable.name for variable in VARIABLES}
_DURATION_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Environment:
    """The checked settings of this process."""

    home: Path
    host: str
    port: int
    monitor_port: int
    base_url: str
    secret_key: str = field(repr=False)
    secret_key_file: Path
    admin_email: str
    targets: str
    targets_allow: tuple[str, ...]
    targets_deny: tuple[str, ...]
    commands_allowed: bool
    results_kept_s: float
    oidc_url: str
    oidc_client_id: str
    oidc_client_secret: str = field(repr=False)
    webauthn: bool
    database_url: str = field(repr=False)
    metrics_url: str = field(repr=False)
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

    if text["MAINSTAY_TARGETS"] not in {"private-allowed", "public-only"}:
        problems.append(f"MAINSTAY_TARGETS: {text['MAINSTAY_TARGETS']!r} is neither private-allowed nor public-only.")
    kept = text["MAINSTAY_RESULTS_KEPT"]
    kept_s = 0.0
    if kept[-1:] in _DURATION_UNITS_S and kept[:-1].isdecimal() and int(kept[:-1]):
        kept_s = float(int(kept[:-1]) * _DURATION_UNITS_S[kept[-1]])
    else:
        problems.append(f"MAINSTAY_RESULTS_KEPT: {kept!r} is not a duration such as 48h or 7d.")
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
        base_url=(url("MAINSTAY_BASE_URL", ("http", "https")) or f"http://{shown}:{number}").rstrip("/"),
        secret_key=text["MAINSTAY_SECRET_KEY"],
        secret_key_file=Path(text["MAINSTAY_SECRET_KEY_FILE"] or home / "keys" / "secret.key"),
        admin_email=text["MAINSTAY_ADMIN_EMAIL"],
        targets=text["MAINSTAY_TARGETS"],
        targets_allow=_words(text["MAINSTAY_TARGETS_ALLOW"]),
        targets_deny=_words(text["MAINSTAY_TARGETS_DENY"]),
        commands_allowed=switch("MAINSTAY_COMMANDS"),
        results_kept_s=kept_s,
        oidc_url=url("MAINSTAY_OIDC_URL", ("http", "https")),
        oidc_client_id=text["MAINSTAY_OIDC_CLIENT_ID"],
        oidc_client_secret=text["MAINSTAY_OIDC_CLIENT_SECRET"],
        webauthn=switch("MAINSTAY_WEBAUTHN"),
        database_url=url("DATABASE_URL", ("postgresql", "postgres", "sqlite")),
        metrics_url=url("METRICS_URL", ("http", "https")),
        smtp_url=url("SMTP_URL", ("smtp", "smtps")),
    )
    if problems:
        raise BadEnvironment("\n".join(problems))
    return environment


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, _NAMES, n=1)
    return f"Did you mean {found[0]}?" if found else "See docs/configuration.md for those that exist."
