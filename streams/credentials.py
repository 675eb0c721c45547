"""What Faust takes for the security of its broker, from the settings."""

from __future__ import annotations

from faust.auth import Credentials, SASLCredentials, SSLCredentials

from freshet.core.events.client import tls_context, uses_sasl
from freshet.core.settings import Settings


def broker_credentials(settings: Settings) -> Credentials | None:
    """Return the credentials of a Faust app, None where the brokers want none.

    Raises:
        SettingError: see `tls_context`.
    """
    context = tls_context(settings)
    if uses_sasl(settings):
        return SASLCredentials(
            username=settings.kafka_sasl_username,
            password=settings.kafka_sasl_password,
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None
