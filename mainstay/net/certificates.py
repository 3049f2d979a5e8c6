"""What the certificates that a server shows say: until when its path holds, and whether they name a host at all.

A server may send more than is needed, such as an old cross-signed root. What counts is the path that is verified: from
the server's own certificate over those that it sends to the first authority that is trusted (RFC 5280, section 6.1;
like OpenSSL, an issuer is looked for among the trusted first).
"""

import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature

USUAL_AUTHORITIES = os.environ.get("SSL_CERT_FILE") or certifi.where()
NAMES_NO_HOST = (
    "the certificate is not accepted: it names no host as an alternative name (subjectAltName), "
    "and its common name does not count (RFC 9525)"
)
_LONGEST_PATH = 20
warnings.filterwarnings("ignore", "Parsed a serial number")  # some old authorities have 0, and are trusted
_PEM = re.compile(rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.+?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the certificates of one server say. Times are unix seconds."""

    ends_at: float
    """The end of the server's own certificate."""
    path_ends_at: float
    """The earliest end on the verified path; where no trusted authority is reached, on the path as far as it leads."""
    names_a_host: bool


class _Trusted:
    def __init__(self, certificates: Iterable[x509.Certificate]) -> None:
        self._by_subject: dict[bytes, list[x509.Certificate]] = defaultdict(list)
        for each in certificates:
            self._by_subject[each.subject.public_bytes()].append(each)

    def issuer_of(self, certificate: x509.Certificate) -> x509.Certificate | None:
        return _issuer(certificate, self._by_subject.get(certificate.issuer.public_bytes(), ()))

    def __contains__(self, certificate: x509.Certificate) -> bool:
        return certificate in self._by_subject.get(certificate.subject.public_bytes(), ())


@lru_cache(maxsize=2048)
def shown(chain: tuple[bytes, ...], authorities: bytes | None = None) -> Shown | None:
    """Read certificates in PEM in the order in which a server sent them, its own first.

    `authorities` are the trusted ones in PEM, None for the usual ones. None comes back when the server's own
    certificate cannot be read.
    """
    own, *others = [_read(each) for each in chain[:_LONGEST_PATH]] or [None]
    if own is None:
        return None
    path = _path(own, [each for each in others if each is not None], _trusted(authorities))
    return Shown(_end(own), min(map(_end, path)), _names_a_host(own))


@lru_cache(maxsize=64)
def _trusted(authorities: bytes | None) -> _Trusted:
    text = Path(USUAL_AUTHORITIES).read_bytes() if authorities is None else authorities
    read = map(_read, _PEM.findall(text))
    return _Trusted(each for each in read if each is not None)


def _read(text: bytes) -> x509.Certificate | None:
    try:
        certificate = x509.load_pem_x509_certificate(text)
        certificate.subject, certificate.issuer  # noqa: B018  # names are read late, and may be malformed
    except ValueError:
        return None
    return certificate


def _path(own: x509.Certificate, sent: Sequence[x509.Certificate], trusted: _Trusted) -> list[x509.Certificate]:
    path = [own]
    while path[-1] not in trusted:
        anchor = trusted.issuer_of(path[-1])
        if anchor is not None:
            return [*path, anchor]
        following = _issuer(path[-1], [each for each in sent if each not in path])
        if following is None:
            break
        path.append(following)
    return path


def _issuer(certificate: x509.Certificate, among: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """Whose key has signed it; of several certificates with that key the one that holds longest."""
    return max((each for each in among if _has_issued(each, certificate)), key=_end, default=None)


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):  # other names, another kind of key, not its signature
        return False
    return True


def _end(certificate: x509.Certificate) -> float:
    return certificate.not_valid_after_utc.timestamp()


def _names_a_host(certificate: x509.Certificate) -> bool:
    """Whether it has a name to be matched with a host (RFC 9525, section 6.3: only the alternative names are)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return any(isinstance(name, x509.DNSName | x509.IPAddress) for name in names)
