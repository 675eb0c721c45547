"""What every Kafka client of ours begins with: where the brokers are, and how to talk to them.

Law: no other module makes up options of a client. No client creates a topic by naming it, which
brokers do by default, with one partition and their own retention; and no reader sees what a
producer's transaction took back. Clients push no metrics of theirs to the brokers.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final

from freshet.core.errors import SettingError
from freshet.core.settings import Settings

Brokers = Settings | str
"""Settings, or host:port[,host:port] of brokers that want neither encryption nor a password."""

READ_COMMITTED: Final = "read_committed"

_FILES: Final = ("ssl_ca_location", "ssl_certificate_location", "ssl_key_location")
_OF_SASL: Final = ("sasl_mechanism", "sasl_username", "sasl_password")
_OF_TLS: Final = (*_FILES, "ssl_key_password")


def client_options(brokers: Brokers) -> dict[str, Any]:
    """Return the options of a producer or an admin client of librdkafka.

    Raises:
        SettingError: settings of security do not go together, or name a file that is not there.

    >>> client_options("127.0.0.1:9092")["bootstrap.servers"]
    '127.0.0.1:9092'
    """
    bootstrap = brokers if isinstance(brokers, str) else brokers.kafka_bootstrap
    options = {
        "bootstrap.servers": bootstrap,
        "enable.metrics.push": False,
        "allow.auto.create.topics": False,
    }
    return options if isinstance(brokers, str) else options | _security(brokers)


def reader_options(brokers: Brokers, group: str) -> dict[str, Any]:
    """Return the options of a consumer that joins no group and commits nothing.

    Args:
        brokers: see `Brokers`.
        group: a name; it is required, and used for nothing.

    Raises:
        SettingError: see `client_options`.

    >>> reader_options("127.0.0.1:9092", "lag")["isolation.level"]
    'read_committed'
    """
    return client_options(brokers) | {
        "group.id": group,
        "enable.auto.commit": False,
        "isolation.level": READ_COMMITTED,
        "log_level": 0,
    }


def uses_tls(settings: Settings) -> bool:
    """Return whether the brokers are spoken to through TLS."""
    return settings.kafka_security_protocol.upper().endswith("SSL")


def uses_sasl(settings: Settings) -> bool:
    """Return whether a client logs in with a user and a password."""
    return settings.kafka_security_protocol.upper().startswith("SASL")


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the same as what aiokafka takes, None for a connection without TLS.

    Raises:
        SettingError: a file holds no certificate, or the password does not fit the key.
    """
    if not uses_tls(settings):
        return None
    _security(settings)
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ssl_ca_location or None)
    except (ssl.SSLError, OSError) as error:
        raise SettingError(
            "kafka_ssl_ca_location", settings.kafka_ssl_ca_location, f"PEM certificates ({error})"
        ) from error
    if settings.kafka_ssl_endpoint_identification_algorithm == "none":
        context.check_hostname = False
    if settings.kafka_ssl_certificate_location:
        _load_own_certificate(context, settings)
    return context


def _load_own_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    certificate = settings.kafka_ssl_certificate_location
    try:
        context.load_cert_chain(
            certificate,
            settings.kafka_ssl_key_location or None,
            # A function, so that OpenSSL never asks at the terminal.
            password=lambda: settings.kafka_ssl_key_password,
        )
    except (ssl.SSLError, OSError) as error:
        raise SettingError(
            "kafka_ssl_certificate_location",
            certificate,
            f"a PEM certificate that fits kafka_ssl_key_location and kafka_ssl_key_password "
            f"({error})",
        ) from error


def _security(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's options of security, those that are set."""
    _require_consistency(settings)
    names = (*(_OF_SASL if uses_sasl(settings) else ()), *(_OF_TLS if uses_tls(settings) else ()))
    found = {name.replace("_", "."): getattr(settings, f"kafka_{name}") for name in names}
    options = {name: value for name, value in found.items() if value}
    options["security.protocol"] = settings.kafka_security_protocol.upper()
    if uses_tls(settings):
        algorithm = settings.kafka_ssl_endpoint_identification_algorithm
        options["ssl.endpoint.identification.algorithm"] = algorithm
    return options


def _require_consistency(settings: Settings) -> None:
    protocol = settings.kafka_security_protocol.upper()
    for names, used, prefix in (
        (_OF_SASL, uses_sasl(settings), "SASL_"),
        (_OF_TLS, uses_tls(settings), "SSL or SASL_SSL"),
    ):
        named = [name for name in names if getattr(settings, f"kafka_{name}")]
        if named and not used:
            raise SettingError(
                "kafka_security_protocol",
                protocol,
                f"one with {prefix}, because kafka_{named[0]} is set; or leave that out",
            )
    for name in _OF_SASL if uses_sasl(settings) else ():
        if not getattr(settings, f"kafka_{name}"):
            raise SettingError(f"kafka_{name}", "", f"a value, for {protocol}")
    for name in _FILES:
        path = getattr(settings, f"kafka_{name}")
        if path and not Path(path).is_file():
            raise SettingError(f"kafka_{name}", path, "a file that this process can read")
