"""The `tls` check type: the certificate a server shows, and how long it is still good."""

import ssl
import sys
import time
from datetime import UTC, datetime
from typing import ClassVar

from cryptography import x509
from pydantic import Field

from mainstay.foundation.clock import utc_text
from mainstay.foundation.outside_files import PemText, pem
from mainstay.net.addresses import Host, IPVersion, Port, host_port
from mainstay.net.certificates import shown
from mainstay.net.connect import NetworkError, Stream, open_stream, tls_context
from mainstay.observe.checks.kinds.stepped import LatencyExpect, LatencyWarn, SteppedKind, SteppedSettings, Steps
from mainstay.observe.checks.probe.conditions import Placeholder
from mainstay.observe.checks.probe.context import Context
from mainstay.observe.checks.probe.outcome import ProbeError

DAY_S = 86400.0


class TlsExpect(LatencyExpect):
    """What must hold for the check to be up."""

    certificate_days_left: float = Field(
        default=3, ge=0, description="The certificate must be valid for this many more days."
    )


class TlsWarn(LatencyWarn):
    """Softer limits: missing them makes the check degraded instead of down."""

    certificate_days_left: float = Field(
        default=14, ge=0, description="A certificate valid for fewer days is degraded."
    )


class TlsSettings(SteppedSettings):
    """A TLS server whose certificate must be trusted, match the name and not end soon."""

    PLACEHOLDERS: ClassVar[frozenset[Placeholder]] = frozenset(
        {Placeholder.CONNECTED, Placeholder.IP, Placeholder.RESPONSE_TIME, Placeholder.CERTIFICATE_EXPIRATION}
    )

    host: Host = Field(description="Name or address to connect to.")
    port: Port = Field(default=443, description="Port to connect to; TLS must begin at once (no STARTTLS).")
    server_name: Host | None = Field(
        default=None, description="Name to ask for (SNI) and to match, if it is not `host`."
    )
    ip_version: IPVersion | None = Field(default=None, description="Use only IPv4 (4) or only IPv6 (6).")
    verify: bool = Field(default=True, description="Whether the chain must lead to a trusted authority.")
    verify_name: bool = Field(default=True, description="Whether the certificate must match the name.")
    ca: PemText | None = Field(
        default=None, description="Authorities to trust instead of the usual ones: PEM text, or the path of a PEM file."
    )
    expect: TlsExpect = Field(default_factory=TlsExpect, description="What must hold for the check to be up.")
    warn: TlsWarn = Field(default_factory=TlsWarn, description="Softer limits whose violation is degraded.")


class Tls(SteppedKind[TlsSettings]):
    name: ClassVar[str] = "tls"
    label: ClassVar[str] = "TLS certificate"
    Settings = TlsSettings

    def target(self, settings: TlsSettings) -> str:
        return host_port(settings.host, settings.port)

    async def run(self, settings: TlsSettings, context: Context, steps: Steps) -> None:
        try:
            stream = await self._open(settings, context, steps, verify=settings.verify)
        except NetworkError as error:
            if settings.verify:
                await self._look_again(settings, context, steps, str(error))
            raise
        try:
            steps.took(stream)
            left_s = _take_certificate(stream, steps, settings.ca)
        finally:
            stream.close()
        days = left_s / DAY_S
        if left_s < 0:
            steps.wrong = f"the certificate ended {-days:.1f} days ago"
        elif days < settings.expect.certificate_days_left:
            required = settings.expect.certificate_days_left
            steps.wrong = f"the certificate ends in {days:.1f} days; at least {required:g} are required"
        elif days < settings.warn.certificate_days_left:
            wanted = settings.warn.certificate_days_left
            steps.warning = f"the certificate ends in {days:.1f} days; fewer than {wanted:g} is too few"

    async def _open(self, settings: TlsSettings, context: Context, steps: Steps, *, verify: bool) -> Stream:
        tls = tls_context(verify=verify, ca=settings.ca, check_name=settings.verify_name)
        return await open_stream(
            context,
            settings.host,
            settings.port,
            ip_version=settings.ip_version,
            tls=tls,
            server_name=settings.server_name,
            at=steps.at,
        )

    async def _look_again(self, settings: TlsSettings, context: Context, steps: Steps, wrong: str) -> None:
        """After a certificate was refused, shake hands without judging, so that the outcome can tell its facts."""
        if "certificate" not in wrong:
            return
        steps.connected = True
        try:
            stream = await self._open(settings, context, steps, verify=False)
        except NetworkError:
            return
        try:
            steps.took(stream)
            _take_certificate(stream, steps, settings.ca)
        finally:
            stream.close()
        subject, issuer = steps.facts.get("certificate_subject", ""), steps.facts.get("certificate_issuer", "")
        ends = steps.facts.get("certificate_ends", "")
        raise ProbeError(f"{wrong} (subject {subject}, issued by {issuer}, valid until {ends})")


def _take_certificate(stream: Stream, steps: Steps, ca: str | None) -> float:
    """Put the certificate's facts into the steps; returns the seconds it is still valid."""
    tls = stream.writer.get_extra_info("ssl_object")
    assert isinstance(tls, ssl.SSLObject)
    der = tls.getpeercert(binary_form=True)
    if der is None:
        raise ProbeError("the server shows no certificate")
    try:
        certificate = x509.load_der_x509_certificate(der)
        ends = certificate.not_valid_after_utc
        subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    except ValueError as error:
        raise ProbeError(f"the certificate can't be read: {error}") from None
    left_s = (ends - datetime.fromtimestamp(time.time(), UTC)).total_seconds()
    steps.certificate_expires_in_s = left_s
    path = shown(_sent(tls), pem(ca) if ca is not None else None)
    steps.facts |= {
        "certificate_days_left": round(left_s / DAY_S, 3),
        "certificate_expires_at": ends.timestamp(),
        "chain_expires_at": path.path_ends_at if path is not None else ends.timestamp(),
        "certificate_ends": utc_text(ends),
        "certificate_subject": subject,
        "certificate_issuer": issuer,
        "tls_version": tls.version() or "",
        "tls_cipher": (tls.cipher() or ("",))[0],
    }
    return left_s


def _sent(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """The certificates that the server sent, in PEM."""
    if sys.version_info >= (3, 13):
        return tuple(ssl.DER_cert_to_PEM_cert(each).encode() for each in tls.get_unverified_chain())
    chain = tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # public since 3.13
    return tuple(each.public_bytes().encode() for each in chain)
