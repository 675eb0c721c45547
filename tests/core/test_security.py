"""What may be set of the security of connections."""

from __future__ import annotations

import pytest

from freshet.core.errors import SettingError
from freshet.core.secrets import is_secret_name
from freshet.core.security import SecuritySettings
from freshet.core.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("name", "good", "wrong"),
    [
        ("kafka_security_protocol", ("PLAINTEXT", "sasl_ssl", "SSL"), ("TLS", "", "SASL")),
        ("kafka_sasl_mechanism", ("", "PLAIN", "SCRAM-SHA-256"), ("GSSAPI", "scram")),
        ("kafka_ssl_endpoint_identification_algorithm", ("https", "none"), ("", "off")),
    ],
)
def test_a_word_that_no_client_knows_is_refused(
    name: str, good: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    """Before anything connects."""
    for value in good:
        assert getattr(load_settings({f"FRESHET_{name.upper()}": value}), name) == value
    for value in wrong:
        with pytest.raises(SettingError, match=name):
            load_settings({f"FRESHET_{name.upper()}": value})


def test_passwords_are_known_by_their_names() -> None:
    """A new one with another kind of name would be shown."""
    secret = {name for name in SecuritySettings.__struct_fields__ if is_secret_name(name)}
    assert secret == {"kafka_sasl_password", "kafka_ssl_key_password", "redis_ssl_key_password"}
    assert not [name for name in Settings().__struct_fields__
                if is_secret_name(name) and name not in secret]  # fmt: skip
