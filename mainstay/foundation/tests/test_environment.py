"""The environment: every variable checked, every problem named, nothing silently ignored."""

from pathlib import Path

import pytest

from mainstay.foundation.environment import VARIABLES, BadEnvironment, read


def test_an_empty_environment_has_usable_defaults() -> None:
    found = read({})
    assert (found.host, found.port, found.monitor_port) == ("127.0.0.1", 8000, 8001)
    assert found.base_url == "http://127.0.0.1:8000"
    assert found.home == Path.cwd() / "var"
    assert found.secret_key_file == found.home / "keys" / "secret.key"
    assert found.results_kept_s == 48 * 3600
    assert not found.commands_allowed


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("MAINSTAY_PORT", "0", "not a port"),
        ("MAINSTAY_PORT", "65536", "not a port"),
        ("MAINSTAY_PORT", "http", "not a port"),
        ("MAINSTAY_PORT", "8001", "the same as MAINSTAY_PORT"),
        ("MAINSTAY_MONITOR_PORT", "-1", "not a port"),
        ("MAINSTAY_TARGETS", "all", "private-allowed"),
        ("MAINSTAY_COMMANDS", "yes", "on nor off"),
        ("MAINSTAY_WEBAUTHN", "1", "on nor off"),
        ("MAINSTAY_RESULTS_KEPT", "48", "not a duration"),
        ("MAINSTAY_RESULTS_KEPT", "0h", "not a duration"),
        ("MAINSTAY_RESULTS_KEPT", "h", "not a duration"),
        ("MAINSTAY_RESULTS_KEPT", "1.5h", "not a duration"),
        ("MAINSTAY_BASE_URL", "desk.example", "http://"),
        ("MAINSTAY_BASE_URL", "http://[", "not a URL"),
        ("MAINSTAY_OIDC_URL", "ldap://x", "https://"),
        ("DATABASE_URL", "mysql://x", "postgresql://"),
        ("METRICS_URL", "x", "http://"),
        ("SMTP_URL", "http://x", "smtp://"),
        ("MAINSTAY_HOEM", "x", "Did you mean MAINSTAY_HOME?"),
        ("MAINSTAY_", "x", "not a setting"),
    ],
)
def test_a_bad_value_is_an_error_that_names_the_variable(name: str, value: str, word: str) -> None:
    with pytest.raises(BadEnvironment, match=word) as error:
        read({name: value})
    assert name in str(error.value) or "MAINSTAY_MONITOR_PORT" in str(error.value)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(BadEnvironment) as error:
        read({"MAINSTAY_PORT": "x", "MAINSTAY_COMMANDS": "x", "MAINSTAY_X": "1"})
    assert len(str(error.value).splitlines()) == 3


def test_others_variables_are_left_alone() -> None:
    assert read({"HOME": "/x", "PORT": "x", "mainstay_port": "x"}).port == 8000


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"MAINSTAY_HOST": "0.0.0.0"}, "http://localhost:8000"),
        ({"MAINSTAY_HOST": "::1"}, "http://[::1]:8000"),
        ({"MAINSTAY_BASE_URL": "https://desk.example/"}, "https://desk.example"),
        ({"MAINSTAY_PORT": " 9000 "}, "http://127.0.0.1:9000"),
    ],
)
def test_the_address_for_links(given: dict[str, str], url: str) -> None:
    assert read(given).base_url == url


def test_an_empty_value_means_the_default() -> None:
    assert read({variable.name: "" for variable in VARIABLES}) == read({})


def test_lists_are_split_at_commas() -> None:
    assert read({"MAINSTAY_TARGETS_ALLOW": " 10.0.0.0/8, db.example ,"}).targets_allow == ("10.0.0.0/8", "db.example")


@pytest.mark.parametrize("name", ["MAINSTAY_TARGETS_ALLOW", "MAINSTAY_TARGETS_DENY"])
@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.0/33", "10.0.0.300", "10.0.0.1-10.0.0.9", "10.0.0/8", "10.*", "192.168.*.*", "0x7f000001", "[::1]",
        "fe80::/129", "::1/x", "http://db.example", "db.example:5432", "db example", "a..b", ".", "db.example/24",
        "10.0.0.1;10.0.0.2", "a$b",
    ],
)  # fmt: skip
def test_an_entry_that_is_neither_network_nor_host_is_an_error_at_start(name: str, entry: str) -> None:
    with pytest.raises(BadEnvironment) as error:
        read({name: f"10.0.0.0/8, {entry}"})
    assert str(error.value).startswith(f"{name}: {entry!r} is neither a network such as 10.0.0.0/8")
    assert len(str(error.value).splitlines()) == 1


def test_networks_addresses_and_names_are_targets() -> None:
    given = (
        "10.0.0.0/8",
        "10.1.2.3/8",
        "192.0.2.7",
        "fd00::/8",
        "::1",
        "db",
        "*.example",
        "db-?.example.",
        "bücher.de",
    )
    assert read({"MAINSTAY_TARGETS_DENY": ",".join(given)}).targets_deny == given


def test_no_secret_shows_in_a_representation() -> None:
    secrets = {
        variable.name: f"smtp://u:s3cret-{number}@h" for number, variable in enumerate(VARIABLES) if variable.secret
    }
    secrets |= {"DATABASE_URL": "postgresql://u:s3cret@h/d", "METRICS_URL": "http://u:s3cret@h"}
    secrets |= {"MAINSTAY_HEARTBEAT_URL": "https://hc.example/ping/s3cret"}
    assert "s3cret" not in repr(read(secrets))


def test_every_variable_says_what_it_is_for() -> None:
    assert all(variable.help.endswith(".") for variable in VARIABLES)
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)


def test_the_address_of_the_outgoing_heartbeat_is_a_whole_one() -> None:
    assert read({"MAINSTAY_HEARTBEAT_URL": "https://hc.example:8443/ping/1"}).heartbeat_url
    assert read({}).heartbeat_url == ""
    for wrong in ("hc.example/ping/1", "https://", "https://hc.example:port/", "https://hc.example/a b", "ftp://h/"):
        with pytest.raises(BadEnvironment, match="MAINSTAY_HEARTBEAT_URL"):
            read({"MAINSTAY_HEARTBEAT_URL": wrong})
