"""Secret parameters of a query (row S16): known by their names, apart from the URL, added when it is asked."""

import pytest
from pydantic import SecretStr

from mainstay.net.params import apart, is_secret_name, masked, with_params

pytestmark = pytest.mark.fault("S16")


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "accessToken",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "sig",
        "key",
        "apikey",
        "api_key",
        "API-KEY",
        "subscription-key",
        "private_token",
        "client_secret",
        "passwd",
        "JWT",
        "session_id",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["page", "q", "sort_key", "keyword", "monkey", "passenger", "author", "tokens_used_by", "signal", "collect[]", ""],
)
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("url", "left", "secret"),
    [
        ("http://a/?token=x", "http://a/", {"token": "x"}),
        ("http://a/?page=2&token=x&q=%20a", "http://a/?page=2&q=%20a", {"token": "x"}),
        ("http://a/p?sig=a%2Bb%3D#part", "http://a/p#part", {"sig": "a+b="}),
        ("http://a/?token=", "http://a/", {"token": ""}),
        ("http://a/?tok%65n=x+y", "http://a/", {"token": "x y"}),
        ("wss://a/s?jwt=e.y.J&v=1", "wss://a/s?v=1", {"jwt": "e.y.J"}),
    ],
)
def test_a_url_with_secrets_is_taken_apart(url: str, left: str, secret: dict[str, str]) -> None:
    assert apart({"url": url}) == {"url": left, "secret_params": secret}


@pytest.mark.parametrize("url", ["http://a/", "http://a/?page=2&token", "http://a/#token=x", "http://a/?"])
def test_a_url_without_secrets_stays_as_it_is(url: str) -> None:
    assert apart({"url": url}) == {"url": url}


@pytest.mark.parametrize(
    "given", [{"url": "http://a/?token=1&token=2"}, {"url": "http://a/?token=1", "secret_params": {"token": "2"}}]
)
def test_a_secret_that_is_given_twice_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="the parameter 'token' is given twice: leave one"):
        apart(given)


def test_together_again() -> None:
    params = {"token": SecretStr("a+b= c")}
    assert with_params("http://a/?page=2#part", params) == "http://a/?page=2&token=a%2Bb%3D+c"
    assert with_params("http://a/", params) == "http://a/?token=a%2Bb%3D+c"
    assert with_params("http://a/?page=2#part", {}) == "http://a/?page=2#part"


def test_labels_of_parameters_are_masked_for_people() -> None:
    labels = {"__param_token": "x", "__param_module": "http_2xx", "token": "a label of theirs"}
    assert masked(labels, "__param_") == labels | {"__param_token": "********"}
