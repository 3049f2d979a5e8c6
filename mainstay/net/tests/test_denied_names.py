"""A name on the deny list is refused however it is written, by all who connect somewhere."""

from typing import Any

import pytest

from mainstay.net import http
from mainstay.net.addresses import split_url, valid_url, wire_url
from mainstay.net.policy import AddressPolicy, Connections
from mainstay.net.request import Request
from mainstay.net.resolver import Resolution
from mainstay.net.transfer import Plan, Transfer

DENIED = AddressPolicy(deny=["denied.test", "xn--bcher-kva.test"])
SPELLINGS = [
    "denied.test", "DENIED.test", "denied.test.", "denied.test..", "ｄｅｎｉｅｄ.test", "denied。test", "denied．test",
    "de\u00adnied.test", "denied.ⓣest", "bücher.test", "BÜCHER.test", "bu\u0308cher.test", "xn--bcher-kva.test",
    "XN--BCHER-KVA.TEST",
]  # fmt: skip
PERCENT = ["d%65nied.test", "denied%2etest", "denied%2Etest", "%64enied.test", "denied.test%00", "denied.test%2f.other"]


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """All names stand for this machine, where nothing is refused by its address."""

    def look_up(host: str, *_: Any) -> Resolution:
        return Resolution(host, ("127.0.0.1",), 0.0)

    monkeypatch.setattr(http, "look_up", look_up)


@pytest.mark.fault("S7")
@pytest.mark.parametrize("name", SPELLINGS)
def test_a_denied_name_is_refused_in_every_spelling(name: str) -> None:
    assert DENIED.check_host(name) is not None
    for url in (f"http://{name}/", f"http://u@{name}:81/x", f"http://a@b:c@{name}/"):
        answer = http.request("GET", url, headers={}, body=None, timeout_s=2, policy=Connections(DENIED))
        assert answer.failure in {http.Failure.FORBIDDEN, http.Failure.BAD_URL}, url


@pytest.mark.fault("S7")
@pytest.mark.parametrize("name", PERCENT)
def test_a_percent_sign_in_a_host_is_refused(name: str) -> None:
    url = f"http://{name}/"
    for parse in (split_url, wire_url, valid_url):
        with pytest.raises(ValueError, match="without percent-encoding"):
            parse(url)
    answer = http.request("POST", url, headers={}, body=b"", timeout_s=2, policy=Connections(DENIED))
    assert answer.failure is http.Failure.BAD_URL
    assert "denied" not in answer.problem


def test_percent_signs_elsewhere_and_zones_are_none_of_a_host() -> None:
    assert split_url("http://a.test/d%65nied?x=%20").hostname == "a.test"
    assert split_url("http://u%40:p%3A@a.test/").hostname == "a.test"
    assert split_url("http://[fe80::1%25eth0]/").port is None


@pytest.mark.fault("S7")
@pytest.mark.parametrize("name", ["denied.test", "Denied.test", "bücher.test"])
def test_an_address_given_for_a_denied_name_does_not_let_it_pass(name: str) -> None:
    request = Request(f"http://{name}/", resolve={name: "127.0.0.1"})
    transfer = Transfer(Plan(request), DENIED, 0.0, 0.0, 5.0)
    assert transfer.resolve_next() is None
    assert transfer.ended
    assert "deny list" in transfer.failure


def test_an_address_given_for_an_allowed_name_is_used() -> None:
    transfer = Transfer(Plan(Request("http://a.test/", resolve={"A.test": "127.0.0.1"})), DENIED, 0.0, 0.0, 5.0)
    assert transfer.resolve_next() is None
    assert not transfer.ended
    assert transfer.addresses == ("127.0.0.1",)


@pytest.mark.parametrize("given", [{"127.0.0.9": "127.0.0.1"}, {"a.test": "127.0.0.9"}])
def test_both_the_written_address_and_the_given_one_are_judged(given: dict[str, str]) -> None:
    (name, address), policy = next(iter(given.items())), AddressPolicy(deny=["127.0.0.9"])
    transfer = Transfer(Plan(Request(f"http://{name}/", resolve={name: address})), policy, 0.0, 0.0, 5.0)
    transfer.resolve_next()
    assert transfer.ended


def test_a_password_survives_a_path_with_other_letters() -> None:
    assert wire_url("https://u:p%40@a.test/ä") == "https://u:p%40@a.test/%C3%A4"
