"""The options of every Kafka client, and the settings that do not go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from freshet.core.errors import SettingError
from freshet.core.events.client import client_options, reader_options, tls_context
from freshet.core.settings import Settings

LOGIN = {
    "kafka_sasl_mechanism": "SCRAM-SHA-512",
    "kafka_sasl_username": "freshet",
    "kafka_sasl_password": "s3cretPW",
}


def test_no_client_creates_a_topic_and_no_reader_sees_what_was_aborted() -> None:
    """With settings, and with an address alone."""
    for brokers in (Settings(kafka_bootstrap="one:1"), "one:1"):
        assert client_options(brokers)["bootstrap.servers"] == "one:1"
        assert client_options(brokers)["allow.auto.create.topics"] is False
        options = reader_options(brokers, "any")
        assert options["allow.auto.create.topics"] is False
        assert options["isolation.level"] == "read_committed"
        assert options["enable.auto.commit"] is False


def test_the_settings_have_the_names_of_librdkafka(tmp_path: Path) -> None:
    """Each that is set, and no other."""
    file = tmp_path / "a.pem"
    file.write_text("")
    settings = Settings(
        kafka_security_protocol="sasl_ssl",
        kafka_ssl_ca_location=str(file),
        kafka_ssl_endpoint_identification_algorithm="none",
        **LOGIN,
    )
    options = client_options(settings)
    assert {name: options[name] for name in options if name.startswith(("s", "ssl"))} == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "freshet",
        "sasl.password": "s3cretPW",
        "ssl.ca.location": str(file),
        "ssl.endpoint.identification.algorithm": "none",
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (LOGIN, "kafka_security_protocol"),
        ({"kafka_security_protocol": "SSL", **LOGIN}, "kafka_security_protocol"),
        ({"kafka_ssl_key_password": "x"}, "kafka_security_protocol"),
        ({"kafka_security_protocol": "SASL_PLAINTEXT"}, "kafka_sasl_mechanism"),
        ({"kafka_security_protocol": "SASL_SSL", **LOGIN, "kafka_sasl_password": ""},
         "kafka_sasl_password"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_ca_location": "/nowhere.pem"},
         "kafka_ssl_ca_location"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_key_location": "/nowhere.pem"},
         "kafka_ssl_key_location"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_a_sentence(changes: dict[str, Any], named: str) -> None:
    """It names a setting, and shows no password."""
    with pytest.raises(SettingError) as caught:
        client_options(Settings(**changes))
    assert caught.value.name == named
    assert "s3cretPW" not in str(caught.value)


def test_files_that_are_no_certificates_are_a_sentence(tmp_path: Path) -> None:
    """Of aiokafka's side too."""
    file = tmp_path / "a.pem"
    file.write_text("nothing of the kind")
    own = {"kafka_security_protocol": "SSL"}
    with pytest.raises(SettingError, match="kafka_ssl_ca_location"):
        tls_context(Settings(**own, kafka_ssl_ca_location=str(file)))
    with pytest.raises(SettingError, match="kafka_ssl_certificate_location"):
        tls_context(Settings(**own, kafka_ssl_certificate_location=str(file)))
    assert tls_context(Settings()) is None
