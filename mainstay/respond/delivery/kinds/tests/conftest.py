import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mainstay.respond.delivery.kinds.tests.receiver import Receiver

SCHEMAS = Path(__file__).with_name("schemas")


class AllowAll:
    def check(self, ip: str, host: str) -> str | None:
        return None


class Refuse:
    """Allows nothing, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def check(self, ip: str, host: str) -> str | None:
        self.asked.append((ip, host))
        return "loopback addresses are not allowed here"


@pytest.fixture
def policy() -> AllowAll:
    return AllowAll()


@pytest.fixture
def refuse() -> Refuse:
    return Refuse()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


def assert_fits(schema: str, value: Any) -> None:
    """Fail unless `value` fits the receiver's schema in `schemas/`."""
    validator = jsonschema_rs.validator_for(json.loads((SCHEMAS / f"{schema}.json").read_text()))
    errors = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]
    assert not errors, errors


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 (and no host name), with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver.test")])
    begin = datetime.now(UTC) - timedelta(days=1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture(scope="session")
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


class TlsServer(Receiver):
    """The receiver behind TLS."""

    tls: ssl.SSLContext

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        return self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def url(self, path: str = "/") -> str:
        return super().url(path).replace("http:", "https:")


@pytest.fixture
def tls_server(server_tls: ssl.SSLContext) -> Iterator[TlsServer]:
    server = TlsServer()
    server.tls = server_tls
    with server:
        yield server
