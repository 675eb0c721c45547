"""No password is shown, however it is written."""

from __future__ import annotations

import pytest

from freshet.core.secrets import MASK, mask_urls, mask_value

PASSWORDS = ("s3cretPW", "s3cret%50W", "s3c/ret@PW", "s3cret:PW", "s3cret#PW?x", "s3cretPW=&y")


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize(
    "url",
    [
        "redis://:{}@127.0.0.1:6379/0",
        "rediss://me:{}@redis.example",
        "redis+cluster://me:{}@one:7000,two:7000",
        "unix://:{}@/run/redis.sock",
        "reddis://:{}@typo.example:1",
        ":{}@no.scheme.example:6379",
    ],
)
def test_the_password_of_a_url_is_masked(url: str, password: str) -> None:
    """Host and user stay, so that a person sees which one is meant."""
    before, after = url.split("{}")
    assert mask_value("redis_url", url.format(password)) == f"{before}{MASK}{after}"


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_sentence_with_a_url_is_masked(password: str) -> None:
    """As in a log line or an exception."""
    masked = mask_urls(f"connecting to redis://:{password}@one:1 failed, retrying rediss://two:2")
    assert masked == f"connecting to redis://:{MASK}@one:1 failed, retrying rediss://two:2"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "redis://one:6379/0",
        "unix:///run/redis.sock",
        "one:9092,two:9092",
        "a@b.example",
    ],
)
def test_what_holds_no_password_is_left_alone(text: str) -> None:
    """Addresses are there to be read."""
    assert mask_urls(text) == text


@pytest.mark.parametrize("name", ["redis_password", "KAFKA_SASL_PASSWORD", "api_key", "ssl_secret"])
def test_a_secret_name_shows_nothing(name: str) -> None:
    """Also of a name that is no setting."""
    assert mask_value(name, "s3cretPW") == MASK
