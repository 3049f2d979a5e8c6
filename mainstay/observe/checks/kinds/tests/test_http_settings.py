"""The settings of the http kind: what can not be is refused with words, and no secret is in them."""

import pytest
from pydantic import ValidationError

from mainstay.observe.checks.kinds.http.settings import HttpSettings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "ftp://a/"}, "not of http or https"),
        ({"url": "http://"}, "names no host"),
        ({"url": "http://a:b@c/"}, "give them as `username` and `password`"),
        ({"url": "http://a b/"}, "white space"),
        ({"url": "http://[::1/"}, "not well formed"),
        ({"url": "http://a:99999/"}, "not well formed"),
        ({"url": "http://a\\@b/"}, "names no host"),
        ({"url": "http://a/", "headers": {"X": "a\r\nY: b"}}, "line end"),
        ({"url": "http://a/", "headers": {"X Y": "a"}}, "no name of a header"),
        ({"url": "http://a/", "secret_headers": {"X": "a\nb"}}, "line end"),
        ({"url": "http://a/", "body": "x", "form": {"a": "b"}}, "one body only"),
        ({"url": "http://a/", "password": "x"}, "needs `username`"),
        ({"url": "http://a/", "bearer": "x", "username": "y"}, "either `bearer`"),
        ({"url": "http://a/", "expect": {"status": 99}}, "between 100 and 599"),
        ({"url": "http://a/", "expect": {"status": "20x"}}, "no set of statuses"),
        ({"url": "http://a/", "expect": {"body_matches": "(?=a)"}}, "look-around"),
        ({"url": "http://a/", "expect": {"body_matches": "(a{30}){30}(b{30}){30}"}}, "too large"),
        ({"url": "http://a/", "expect": {"json": {"a..b": 1}}}, "not well formed"),
        ({"url": "http://a/", "expect": {"certificate_days_left": 3}}, "needs a URL of https"),
        ({"url": "http://a/", "conditions": ["[DNS_RCODE] == NOERROR"]}, "this check type doesn't have"),
        ({"url": "http://a/", "conditions": ["[DOMAIN_EXPIRATION] > 720h"]}, "not supported"),
        ({"url": "http://a/", "colour": "red"}, "Extra inputs"),
    ],
)
def test_settings_that_can_not_be_are_refused_with_words(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        HttpSettings.model_validate(settings)
    assert words in str(refused.value)


def test_an_error_does_not_show_the_secret() -> None:
    with pytest.raises(ValidationError) as refused:
        HttpSettings.model_validate({"url": "http://a/", "secret_headers": {"X": "s3cret\n"}})
    assert "s3cret" not in str(refused.value)


def test_the_contract_of_the_yaml_file() -> None:
    written = {
        "url": "http://127.0.0.1:9001/",
        "expect": {"status": 200, "max_latency": "800ms", "body_contains": "Shop"},
    }
    settings = HttpSettings.model_validate(written)
    assert settings.expect.max_latency == 0.8
    assert settings.model_dump(mode="json", exclude_unset=True) == written
