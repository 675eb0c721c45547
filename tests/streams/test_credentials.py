"""What Faust takes, from the same settings as the other clients."""

from __future__ import annotations

import pytest

from freshet.core.settings import Settings
from streams.credentials import broker_credentials

LOGIN = {"kafka_sasl_username": "u", "kafka_sasl_password": "s3cretPW"}


def test_without_security_there_are_none() -> None:
    """A broker on loopback."""
    assert broker_credentials(Settings()) is None


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_SSL", "sasl_plaintext"])
def test_a_login_is_handed_over(protocol: str, mechanism: str) -> None:
    """With TLS where the protocol says so; it prints no password."""
    settings = Settings(kafka_security_protocol=protocol, kafka_sasl_mechanism=mechanism, **LOGIN)
    found = broker_credentials(settings)
    assert (found.protocol.value, found.mechanism.value) == (protocol.upper(), mechanism)
    assert (found.username, found.password) == ("u", "s3cretPW")
    assert "s3cretPW" not in repr(found)


@pytest.mark.parametrize(("algorithm", "checked"), [("https", True), ("none", False)])
def test_tls_alone_checks_the_host_unless_told_not_to(algorithm: str, checked: bool) -> None:
    """As librdkafka does."""
    settings = Settings(
        kafka_security_protocol="SSL", kafka_ssl_endpoint_identification_algorithm=algorithm
    )
    found = broker_credentials(settings)
    assert found.protocol.value == "SSL"
    assert found.context.check_hostname is checked
