"""Secrets in what people and programs read: passwords are masked, in URLs and by name.

Law: a message, a log line or a listing shows a setting through here, so that a password stands in
no terminal, log or bug report.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

_SECRET_NAME: Final = re.compile(r"passw|secret|token|passphrase|credential|private|api_?key", re.I)
# Up to the last @ of a word: a password that nobody percent-encoded may hold any character.
_USER_INFO: Final = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*://)(?:(?P<user>[^\s:@/]*):)?\S*@")
_BARE_USER_INFO: Final = re.compile(r"^(?!\S*://)(?:(?P<user>[^\s:@/]*):)?\S+@")
_QUERY: Final = re.compile(r"([?&][^\s=&]*(?:passw|secret|token)[^\s=&]*=)[^\s&#]*", re.I)


def is_secret_name(name: str) -> bool:
    """Return whether what has this name is never shown.

    >>> is_secret_name("kafka_sasl_password"), is_secret_name("kafka_ssl_key_location")
    (True, False)
    """
    return bool(_SECRET_NAME.search(name))


def mask_urls(text: str) -> str:
    """Return a text without the passwords of the URLs in it; users and hosts stay.

    >>> mask_urls("redis://:s3cret@one:6379/0 does not answer")
    'redis://:***@one:6379/0 does not answer'
    >>> mask_urls("rediss+cluster://me:p@ss/w%40rd@one:7000,two:7000")
    'rediss+cluster://me:***@one:7000,two:7000'
    >>> mask_urls("redis://one:6379?db=1&ssl_password=s3cret")
    'redis://one:6379?db=1&ssl_password=***'
    >>> mask_urls("me@host.example is no URL")
    'me@host.example is no URL'
    """
    text = _USER_INFO.sub(
        lambda found: (
            f"{found['scheme']}{found['user'] + ':' if found['user'] is not None else ''}{MASK}@"
        ),
        text,
    )
    return _QUERY.sub(rf"\1{MASK}", text)


def mask_value(name: str, value: object) -> object:
    """Return what may be shown of a setting.

    Args:
        name: of the setting, as it was given.
        value: of any type.

    >>> mask_value("kafka_sasl_password", "s3cret"), mask_value("kafka_sasl_password", "")
    ('***', '')
    >>> mask_value("redis_url", ":s3cret@one:6379"), mask_value("partitions", 4)
    (':***@one:6379', 4)
    """
    if is_secret_name(name):
        return MASK if value else value
    if not isinstance(value, str):
        return value
    if _BARE_USER_INFO.match(value):  # of an address that lacks its scheme
        value = _BARE_USER_INFO.sub(
            lambda found: f"{found['user'] + ':' if found['user'] is not None else ''}{MASK}@",
            value,
        )
    return mask_urls(value)
