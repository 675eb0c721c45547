"""What to do when Kafka or Redis cannot be used, by what the client heard from them.

The messages are those of librdkafka, OpenSSL and redis-py; of each kind one row. What no row knows
is said as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from freshet.core.secrets import mask_urls
from freshet.core.settings import Settings

SILENT: Final = "something listens and does not answer"
"""What is heard of a port that takes a connection, and of which a client says no more."""

_KAFKA: Final = (
    (r"connecting to a PLAINTEXT broker|wrong.version.number|record layer failure",
     "the brokers do not speak TLS at this port: set FRESHET_KAFKA_SECURITY_PROTOCOL to PLAINTEXT "
     "or SASL_PLAINTEXT, or name their TLS port"),
    (r"certificate verify failed|unable to get (local )?issuer|could not be verified",
     "nobody that is trusted here signed their certificate: set FRESHET_KAFKA_SSL_CA_LOCATION "
     "to the certificate of the authority that signed it; if it names another host, see "
     "FRESHET_KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM"),
    (r"certificate.required|bad certificate|peer did not return a certificate",
     "the brokers want a certificate of ours: set FRESHET_KAFKA_SSL_CERTIFICATE_LOCATION and "
     "FRESHET_KAFKA_SSL_KEY_LOCATION"),
    (r"mechanism.*(not supported|unsupported)|unsupported.*mechanism|not enabled in the server",
     "the brokers want another FRESHET_KAFKA_SASL_MECHANISM"),
    (r"authentication failed|invalid (credentials|username)|_AUTHENTICATION|SaslAuthentication",
     "the brokers refuse the user or the password: see FRESHET_KAFKA_SASL_USERNAME, "
     "FRESHET_KAFKA_SASL_PASSWORD and FRESHET_KAFKA_SASL_MECHANISM"),
    (r"authorization failed|not authorized",
     "this user is known and not allowed to: give it the rights on topics, group and cluster "
     "that the README lists"),
    (r"incorrect security\.protocol|connecting to a SSL broker|SASL required|"
     r"Disconnected while requesting ApiVersion|unexpected message during SASL|"
     r"timed out in queue.*ApiVersion|ILLEGAL_SASL_STATE|" + SILENT,
     "something listens there and does not talk to us. Either it is not ready yet, or the brokers "
     "want encryption or a password, or do not want it: FRESHET_KAFKA_SECURITY_PROTOCOL is "
     "{protocol}, the others are "
     "PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL"),
)  # fmt: skip
_KAFKA_GONE: Final = (
    "start it, set FRESHET_KAFKA_BOOTSTRAP, or call this in the folder where `freshet up` runs"
)

_REDIS: Final = (
    (r"WRONG_VERSION_NUMBER|record layer failure|wrong version number",
     "Redis does not speak TLS at this port: begin FRESHET_REDIS_URL with redis:// instead of "
     "rediss://, or name its TLS port"),
    (r"hostname mismatch|certificate is not valid for",
     "its certificate names another host: use the name that it holds in FRESHET_REDIS_URL"),
    (r"CERTIFICATE_VERIFY_FAILED",
     "its certificate is signed by nobody that is trusted here: set FRESHET_REDIS_SSL_CA_LOCATION "
     "to the certificate of the authority that signed it"),
    (r"certificate.required|bad certificate|EOF occurred in violation|SSLEOF|unexpected eof",
     "Redis wants a certificate of ours: set FRESHET_REDIS_SSL_CERTIFICATE_LOCATION and "
     "FRESHET_REDIS_SSL_KEY_LOCATION"),
    (r"WRONGPASS|invalid username-password|NOAUTH|Authentication required|AUTH <password> called|"
     r"without any password configured",
     "Redis refuses the user or the password: FRESHET_REDIS_URL names them, as in "
     "redis://user:password@host:6379/0"),
    (r"NOPERM|no permissions",
     "this user may not do that: `ACL LOG` in Redis says which command or key it lacks"),
    (r"Connection closed by server|Connection reset by peer|Error while reading from",
     "something listens there and breaks the connection off: where Redis wants TLS, begin "
     "FRESHET_REDIS_URL with rediss://; where it wants a certificate of ours, set "
     "FRESHET_REDIS_SSL_CERTIFICATE_LOCATION and FRESHET_REDIS_SSL_KEY_LOCATION"),
)  # fmt: skip
_REDIS_GONE: Final = "start it, set FRESHET_REDIS_URL, or use `freshet up`, which brings its own"


def kafka_advice(settings: Settings, heard: Iterable[str]) -> str:
    """Return what to do about brokers that cannot be used.

    Args:
        settings: what was tried.
        heard: messages of the client.

    >>> kafka_advice(Settings(), ["Connect to ipv4#127.0.0.1:1 failed: Connection refused"])[:8]
    'start it'
    """
    said = _first(_KAFKA, heard) or _KAFKA_GONE
    return said.format(protocol=settings.kafka_security_protocol.upper())


def redis_advice(heard: object) -> str:
    """Return what to do about a Redis that cannot be used, after an exception of its client.

    >>> redis_advice("NOAUTH Authentication required.")[:32]
    'Redis refuses the user or the pa'
    """
    return _first(_REDIS, [str(heard)]) or _REDIS_GONE


def redis_trouble(url: str, error: object) -> str:
    """Return a sentence about a Redis that cannot be used: what was found, and what to do."""
    return mask_urls(f"{url} cannot be used ({error}): {redis_advice(error)}")


def _first(table: Iterable[tuple[str, str]], heard: Iterable[str]) -> str:
    """Return the advice of the first row that knows one of the messages, "" for none."""
    messages = list(heard)
    for pattern, advice in table:
        if any(re.search(pattern, message, re.I) for message in messages):
            return advice
    return ""
