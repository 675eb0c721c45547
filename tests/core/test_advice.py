"""What the clients of Kafka and Redis really say, and what is advised."""

from __future__ import annotations

import pytest

from freshet.core.advice import kafka_advice, redis_advice, redis_trouble
from freshet.core.settings import Settings

AT = "sasl_ssl://127.0.0.1:1/bootstrap: "


@pytest.mark.parametrize(
    ("heard", "advised"),
    [
        ("SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
         "do not speak TLS"),
        ("SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker "
         "certificate could not be verified, verify that ssl.ca.location is correctly configured",
         "FRESHET_KAFKA_SSL_CA_LOCATION"),
        ("SASL authentication error: Authentication failed: Invalid username or password",
         "FRESHET_KAFKA_SASL_PASSWORD"),
        ("SASL authentication error: Authentication failed during authentication due to invalid "
         "credentials with SASL mechanism SCRAM-SHA-512", "FRESHET_KAFKA_SASL_PASSWORD"),
        ("SASL handshake failed: SASL mechanism handshake failed: Broker: Unsupported SASL "
         "mechanism: broker's supported mechanisms: PLAIN", "FRESHET_KAFKA_SASL_MECHANISM"),
        ("Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol "
         "configuration (connecting to a SSL listener?)", "_SECURITY_PROTOCOL is PLAIN"),
        ("Connect to ipv4#127.0.0.1:1 failed: Connection refused", "start it"),
        ("", "start it"),
    ],
)  # fmt: skip
def test_what_brokers_want_is_named(heard: str, advised: str) -> None:
    """Among messages that say nothing; and where nothing was heard."""
    assert advised in kafka_advice(Settings(), ["Local: Broker transport failure", AT + heard])
    assert "start it" in kafka_advice(Settings(), [])


@pytest.mark.parametrize(
    ("heard", "advised"),
    [
        ("invalid username-password pair or user is disabled.", "FRESHET_REDIS_URL names them"),
        ("Authentication required.", "FRESHET_REDIS_URL names them"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1016)", "does not speak TLS"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate",
         "FRESHET_REDIS_SSL_CA_LOCATION"),
        ("certificate verify failed: Hostname mismatch, certificate is not valid for 'a'",
         "names another host"),
        ("Connection closed by server.", "begin FRESHET_REDIS_URL with rediss://"),
        ("Error 111 connecting to one:1. Connection refused.", "start it"),
    ],
)  # fmt: skip
def test_what_redis_wants_is_named(heard: str, advised: str) -> None:
    """By what redis-py raises."""
    assert advised in redis_advice(ConnectionError(heard))


def test_the_sentence_shows_no_password() -> None:
    """Host, reason and advice are enough."""
    sentence = redis_trouble("redis://me:s3cretPW@one:1", ConnectionError("Connection refused"))
    assert sentence.startswith("redis://me:***@one:1 cannot be used (Connection refused): start it")
