"""Settings of the connections to Kafka and Redis: encryption, certificates and passwords.

Those of Kafka have the names of librdkafka, with underscores for dots. `Settings` holds them all.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class SecuritySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this installation proves who it is, and whom it trusts."""

    kafka_security_protocol: Annotated[
        str,
        Meta(
            pattern=r"^(?i:plaintext|ssl|sasl_plaintext|sasl_ssl)$",
            description="what the brokers speak: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        ),
    ] = "PLAINTEXT"
    kafka_sasl_mechanism: Annotated[
        str,
        Meta(
            pattern=r"^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)?$",
            description="how to log in where the protocol begins with SASL: PLAIN, SCRAM-SHA-256 "
            "or SCRAM-SHA-512",
        ),
    ] = ""
    kafka_sasl_username: Annotated[str, Meta(description="user of the brokers, for SASL")] = ""
    kafka_sasl_password: Annotated[
        str, Meta(description="password of that user; never shown anywhere")
    ] = ""
    kafka_ssl_ca_location: Annotated[
        str,
        Meta(
            description="file with the certificates (PEM) of the authorities that sign those of "
            "the brokers; the system's when empty"
        ),
    ] = ""
    kafka_ssl_certificate_location: Annotated[
        str, Meta(description="file with our own certificate (PEM), where the brokers want one")
    ] = ""
    kafka_ssl_key_location: Annotated[
        str, Meta(description="file with the key (PEM) of our certificate")
    ] = ""
    kafka_ssl_key_password: Annotated[
        str, Meta(description="password of that key; never shown anywhere")
    ] = ""
    kafka_ssl_endpoint_identification_algorithm: Annotated[
        str,
        Meta(
            pattern=r"^(https|none)$",
            description="https: the certificate of a broker must name its host; none: any host",
        ),
    ] = "https"
    redis_ssl_ca_location: Annotated[
        str,
        Meta(
            description="file with the certificates (PEM) of the authorities that sign that of "
            "Redis, for rediss://; the system's when empty"
        ),
    ] = ""
    redis_ssl_certificate_location: Annotated[
        str, Meta(description="file with our own certificate (PEM), where Redis wants one")
    ] = ""
    redis_ssl_key_location: Annotated[
        str, Meta(description="file with the key (PEM) of that certificate")
    ] = ""
    redis_ssl_key_password: Annotated[
        str, Meta(description="password of that key; never shown anywhere")
    ] = ""
