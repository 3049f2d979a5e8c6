import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mainstay.net.policy import AddressPolicy, PolicyError, literal_address

METADATA = "169.254.169.254"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "8.8.8.8", "fd12::1", "2606:4700::1111"]
)
def test_private_and_public_addresses_are_allowed_by_default(address: str) -> None:
    assert AddressPolicy().check_address(address) is None


@pytest.mark.parametrize(
    "address",
    [
        METADATA, "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200", "168.63.129.16",
        "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.255.255.250", "255.255.255.255", "ff02::1",
        "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::169.254.169.254", "64:ff9b:1::a9fe:a9fe",
        "::169.254.169.254", "2002:a9fe:a9fe::1", "::ffff:0:a9fe:a9fe", "2001:db8::5efe:a9fe:a9fe",
        "2001:0:a9fe:a9fe::1", "::ffff:0.0.0.0", "64:ff9b::0.0.0.0", "64:ff9b::224.0.0.1",
    ],
)  # fmt: skip
def test_what_no_check_has_business_with_is_refused(address: str) -> None:
    refusal = AddressPolicy().check_address(address)
    assert refusal is not None
    assert "to `allow` to allow it" in refusal.message


@pytest.mark.parametrize(
    "spelling",
    [
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "0xa9.0xfe.0xa9.0xfe",
        "169.254.43518",
        "169.16689662",
        f"{METADATA}.",
        f"[{'::ffff:' + METADATA}]",
        "１６９.254.169.254",
        " 169.254.169.254 ",
        "fe80::1%25eth0",
    ],
)
def test_other_spellings_are_seen_through(spelling: str) -> None:
    assert AddressPolicy().check_host(spelling) is not None


@pytest.mark.parametrize(
    "name",
    [
        "metadata.google.internal", "METADATA.GOOGLE.INTERNAL.", "metadata", "metadata.goog", "instance-data",
        "instance-data.ec2.internal",
    ],
)  # fmt: skip
def test_metadata_names_are_refused(name: str) -> None:
    assert AddressPolicy().check_host(name) is not None


def test_public_only_refuses_what_is_not_public() -> None:
    policy = AddressPolicy("public-only")
    for address in ("127.0.0.1", "10.0.0.1", "::1", "fd12::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "100.64.0.1"):
        refusal = policy.check_address(address)
        assert refusal is not None
        assert "private-allowed" in refusal.message
    assert policy.check_address("8.8.8.8") is None


def test_allow_lifts_a_refusal_and_deny_wins() -> None:
    assert AddressPolicy(allow=["169.254.0.0/16"]).check_address(METADATA) is None
    assert AddressPolicy("public-only", allow=["10.0.0.0/8"]).check_address("10.2.3.4") is None
    both = AddressPolicy(allow=["10.0.0.0/8"], deny=["10.9.0.0/16"])
    assert both.check_address("10.1.0.1") is None
    refusal = both.check_address("::ffff:10.9.0.1")
    assert refusal is not None
    assert "remove 10.9.0.0/16 from `deny`" in refusal.message


def test_an_allowed_network_does_not_lift_what_hides_behind_another_face() -> None:
    """A Teredo address names a server and a client: an allowed server must not let in a metadata client."""
    client = int(ipaddress.IPv4Address(METADATA)) ^ 0xFFFFFFFF
    teredo = ipaddress.IPv6Address((0x20010000 << 96) | (int(ipaddress.IPv4Address("10.0.0.1")) << 64) | client)
    assert AddressPolicy(allow=["10.0.0.0/8"]).check_address(str(teredo)) is not None


def test_messages_name_the_settings_as_people_know_them() -> None:
    policy = AddressPolicy("public-only", deny=["8.8.8.8"], called=("TARGETS", "TARGETS_ALLOW", "TARGETS_DENY"))
    private, denied = policy.check_address("10.0.0.1"), policy.check_address("8.8.8.8")
    assert private is not None
    assert denied is not None
    assert "add 10.0.0.1 to `TARGETS_ALLOW` to allow it, or set `TARGETS` to `private-allowed`" in private.message
    assert "remove 8.8.8.8/32 from `TARGETS_DENY`" in denied.message


def test_names_can_be_denied_and_allowed() -> None:
    policy = AddressPolicy("public-only", allow=["*.intern.test"], deny=["secret.intern.test"])
    assert policy.check_host("secret.intern.test") is not None
    assert policy.check_host("Secret.Intern.Test.") is not None
    assert policy.check_address("10.0.0.1", host="db.intern.test") is None
    assert policy.check_address("10.0.0.1", host="db.other.test") is not None
    assert policy.check_address(METADATA, host="db.intern.test") is not None, "a name never opens metadata addresses"


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "a b", "", "a/b"])
def test_an_entry_that_is_neither_network_nor_name_is_refused(entry: str) -> None:
    with pytest.raises(PolicyError):
        AddressPolicy(allow=[entry])


@given(st.ip_addresses(v=4))
@example(ipaddress.IPv4Address(METADATA))
@example(ipaddress.IPv4Address("10.0.0.1"))
def test_every_spelling_of_an_address_gets_the_same_verdict(address: ipaddress.IPv4Address) -> None:
    value = int(address)
    octets = address.packed
    spellings = [
        str(value),
        hex(value),
        ".".join(f"0{octet:o}" for octet in octets),
        ".".join(hex(octet) for octet in octets),
        f"{octets[0]}.{octets[1]}.{value & 0xFFFF}",
        f"::ffff:{address}",
        f"[64:ff9b::{address}]",
    ]
    for policy in (AddressPolicy(), AddressPolicy("public-only"), AddressPolicy(deny=["10.0.0.0/8"])):
        refused = policy.check_address(str(address)) is not None
        for spelling in spellings:
            if refused:
                assert policy.check_host(spelling) is not None, spelling


@given(st.text(max_size=60))
def test_no_host_makes_the_policy_raise(host: str) -> None:
    AddressPolicy().check_host(host)
    literal_address(host)


@given(st.ip_addresses())
def test_public_only_never_allows_more(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if AddressPolicy("public-only").check_address(str(address)) is None:
        assert AddressPolicy().check_address(str(address)) is None
