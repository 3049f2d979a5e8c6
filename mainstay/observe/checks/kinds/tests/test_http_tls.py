"""The http kind over TLS: good, bad, unknown and client certificates, and the name that is asked for."""

import ssl
from pathlib import Path

import pytest

from mainstay.observe.checks.kinds.tests.conftest import Probe
from mainstay.observe.checks.kinds.tests.servers import (
    Authority,
    answering,
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
