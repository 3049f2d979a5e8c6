"""The http kind over TLS: good, bad, unknown and client certificates, and the name that is asked for."""

import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from mainstay.observe.checks.kinds.tests.conftest import Probe
from mainstay.observe.checks.kinds.tests.servers import (
    Authority,
    answering,
    key_pem,
    new_authority,
    pem_of,
    server_context,
    serving,
)
from mainstay.observe.checks.probe.outcome import Health


def test_a_good_certificate_tells_its_days(probe: Probe, authority: Authority, tmp_path: Path) -> None:
    with serving(answering(), authority.server(tmp_path, days=30)) as server:
        outcome = probe("http", {"url": server.url, "ca": authority.pem})
        soft = probe("http", {"url": server.url, "ca": authority.pem, "warn": {"certificate_days_left": 40}})
        hard = probe("http", {"url": server.url, "ca": authority.pem, "expect": {"certificate_days_left": 40}})
        asked = probe(
            "http", {"url": server.url, "ca": authority.pem, "conditions": ["[CERTIFICATE_EXPIRATION] > 48h"]}
        )
    assert outcome.health is Health.UP
    assert outcome.facts["certificate_days_left"] == pytest.approx(30, abs=0.1)
    assert outcome.phases is not None
    assert outcome.phases.tls_s > 0
    assert soft.health is Health.DEGRADED
    assert hard.health is Health.DOWN
    assert "expires in 30.0 days; at least 40" in hard.message
    assert asked.health is Health.UP


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"days": -1}, "expired"),
        ({"names": ("other.test",)}, "certificate"),
    ],
)
def test_a_bad_certificate_is_down_unless_verification_is_off(
    probe: Probe, authority: Authority, tmp_path: Path, options: dict[str, object], words: str
) -> None:
    with serving(answering(), authority.server(tmp_path, **options)) as server:
        strict = probe("http", {"url": server.url, "ca": authority.pem})
        lenient = probe("http", {"url": server.url, "verify": False})
    assert strict.health is Health.DOWN
    assert words in strict.message
    assert lenient.health is Health.UP
    assert "certificate_days_left" in lenient.facts


def test_an_unknown_authority_is_down(probe: Probe, authority: Authority, tmp_path: Path) -> None:
    with serving(answering(), authority.server(tmp_path)) as server:
        outcome = probe("http", {"url": server.url})
    assert outcome.health is Health.DOWN
    assert "the certificate is not accepted" in outcome.message


def test_a_client_certificate_is_shown(probe: Probe, authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue(("client.test",))
    (tmp_path / "client.pem").write_text(certificate)
    (tmp_path / "ca.pem").write_text(authority.pem)
    context = server_context(tmp_path, *authority.issue())
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(answering(), context) as server:
        common = {"url": server.url, "ca": str(tmp_path / "ca.pem")}
        shown = probe("http", {**common, "client_certificate": certificate, "client_key": key})
        from_file = probe("http", {**common, "client_certificate": str(tmp_path / "client.pem"), "client_key": key})
        without = probe("http", common)
        unreadable = probe("http", {**common, "client_certificate": "nonexistent.pem", "client_key": key})
    assert shown.health is Health.UP, shown.message
    assert from_file.health is Health.UP
    assert without.health is Health.DOWN
    assert "`client_certificate` cannot be read as a PEM file" in unreadable.message


def test_the_resolve_override_keeps_host_and_name_of_the_certificate(
    probe: Probe, authority: Authority, tmp_path: Path
) -> None:
    seen: list[bytes] = []
    with serving(answering(seen=seen), authority.server(tmp_path, names=("shop.test",))) as server:
        settings = {
            "url": f"https://shop.test:{server.port}/",
            "ca": authority.pem,
            "resolve": {"Shop.test": "127.0.0.1"},
        }
        outcome = probe("http", settings)
    assert outcome.health is Health.UP, outcome.message
    assert f"Host: shop.test:{server.port}\r\n".encode() in seen[0]


def chained(folder: Path, certificate: str, key: str, *others: x509.Certificate) -> ssl.SSLContext:
    """A server that sends these certificates after its own."""
    return server_context(folder, certificate + "".join(map(pem_of, others)), key)


@pytest.mark.fault("C1")
@pytest.mark.parametrize("kind", ["http", "tls"])
@pytest.mark.parametrize(
    "also", ["a cross-signed root that ended", "an unrelated one that ended", "an older intermediate that ended"]
)
def test_only_the_path_that_is_verified_ends(
    also: str, kind: str, probe: Probe, authority: Authority, tmp_path: Path
) -> None:
    intermediate = authority.intermediate("Intermediate")
    elsewhere = new_authority("Root B")
    key, name = authority.key, "Test authority"
    more = {
        "a cross-signed root that ended": elsewhere.sign(key, name, -10, of_authority=True),
        "an unrelated one that ended": elsewhere.sign(elsewhere.key, "Somebody", -10),
        "an older intermediate that ended": authority.sign(intermediate.key, "Intermediate", -10, of_authority=True),
    }[also]
    certificate, key_text = intermediate.issue(days=60)
    context = chained(tmp_path, certificate, key_text, intermediate.certificate, more)
    with serving(answering(), context) as server:
        at = {"url": server.url} if kind == "http" else {"host": server.host, "port": server.port}
        outcome = probe(kind, {**at, "ca": authority.pem})
    assert outcome.health is Health.UP, outcome.message
    ends_in_days = (float(outcome.facts["chain_expires_at"]) - time.time()) / 86400
    assert ends_in_days == pytest.approx(60, abs=0.1)
    assert outcome.facts["certificate_days_left"] == pytest.approx(60, abs=0.1)


@pytest.mark.fault("C1")
@pytest.mark.parametrize("kind", ["http", "tls"])
def test_an_intermediate_that_ends_first_is_the_end_of_the_path(
    kind: str, probe: Probe, authority: Authority, tmp_path: Path
) -> None:
    intermediate = authority.intermediate("Intermediate", days=20)
    context = chained(tmp_path, *intermediate.issue(days=60), intermediate.certificate)
    with serving(answering(), context) as server:
        at = {"url": server.url} if kind == "http" else {"host": server.host, "port": server.port}
        outcome = probe(kind, {**at, "ca": authority.pem})
        unverified = probe(kind, {**at, "verify": False})
    for each in (outcome, unverified):
        assert (float(each.facts["chain_expires_at"]) - time.time()) / 86400 == pytest.approx(20, abs=0.1)
        assert each.facts["certificate_days_left"] == pytest.approx(60, abs=0.1)


@pytest.mark.fault("C5")
@pytest.mark.parametrize("then", ["https", "http"])
def test_the_certificate_of_every_hop_counts(then: str, probe: Probe, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "last").mkdir()
    last = authority.server(tmp_path / "last", days=60) if then == "https" else None
    with serving(answering(), last) as target:
        redirect = answering(302, b"", f"Location: {target.url}/there\r\n")
        with serving(redirect, authority.server(tmp_path, days=2)) as first:
            settings = {"url": first.url, "ca": authority.pem}
            soft = probe("http", {**settings, "warn": {"certificate_days_left": 14}})
            hard = probe("http", {**settings, "expect": {"certificate_days_left": 14}})
            asked = probe("http", {**settings, "conditions": ["[CERTIFICATE_EXPIRATION] > 72h"]})
            plain = probe("http", settings)
    assert (soft.health, hard.health, asked.health) == (Health.DEGRADED, Health.DOWN, Health.DOWN)
    assert f"The certificate of 127.0.0.1:{first.port} expires in 2.0 days" in soft.message
    assert plain.facts["certificate_days_left"] == pytest.approx(2, abs=0.1)
    assert (float(plain.facts["chain_expires_at"]) - time.time()) / 86400 == pytest.approx(2, abs=0.1)


def only_a_common_name(authority: Authority, folder: Path, name: str) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    return server_context(folder, pem_of(authority.sign(key, name, 60)), key_pem(key))


@pytest.mark.fault("C7")
@pytest.mark.parametrize("kind", ["http", "tls", "tcp", "websocket", "smtp", "redis"])
def test_a_common_name_does_not_count(kind: str, probe: Probe, authority: Authority, tmp_path: Path) -> None:
    with serving(answering(), only_a_common_name(authority, tmp_path, "shop.test")) as server:
        settings: dict[str, dict[str, object]] = {
            "http": {"url": f"https://shop.test:{server.port}/"},
            "tls": {"host": "shop.test", "port": server.port},
            "tcp": {"host": "shop.test", "port": server.port, "tls": True},
            "websocket": {"url": f"wss://shop.test:{server.port}/"},
            "smtp": {"host": "shop.test", "port": server.port, "tls": "implicit"},
            "redis": {"host": "shop.test", "port": server.port, "tls": True},
        }
        outcome = probe(kind, {**settings[kind], "ca": authority.pem}, names={"shop.test": ["127.0.0.1"]})
    assert outcome.health is Health.DOWN
    assert "certificate" in outcome.message
