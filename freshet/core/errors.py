"""The error tree. Whose fault it is decides the class, and the class decides what happens.

    FreshetError
    ├── RequestError        the caller's fault: answered with 4xx problem+json
    ├── EventError          the data's fault: the event goes to the dead-letter topic
    ├── BundleError         the model's fault: the bundle is refused, the old one serves on
    ├── SettingError        the operator's fault: the process does not start
    ├── LivenessError       the worker's own: it no longer gets on, so it ends and starts anew
    └── ServiceError        a service's fault: the process ends and its supervisor restarts it
        └── PositionError   the state in Redis is not where this worker left it

An exception carries data and builds its own sentence: what was found, what was expected, what to
do.
"""

from __future__ import annotations

from freshet.core.secrets import mask_urls, mask_value


class FreshetError(Exception):
    """Base of every error that Freshet raises on purpose."""


class RequestError(FreshetError):
    """A request that cannot be served as sent.

    Attributes:
        status: the HTTP status that answers it, 400 to 499.
        field: the name of the offending field, or "" when it is the request as a whole.
    """

    def __init__(self, detail: str, *, field: str = "", status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.status = status


class EventError(FreshetError):
    """An event that cannot be applied; its `reason` is a bounded word for metrics and headers."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BundleError(FreshetError):
    """A model bundle that must not serve.

    Attributes:
        path: the bundle that was refused.
        reason: what was found and what was expected.
    """

    def __init__(self, path: object, reason: str) -> None:
        reason = _printable(reason)
        super().__init__(
            f"bundle {path} refused: {reason}. The bundle in use stays; "
            "`freshet models list` shows the others."
        )
        self.path = path
        self.reason = reason


class SettingError(FreshetError):
    """A setting with which no process may start; its sentence shows no password."""

    def __init__(self, name: str, found: object, expected: str) -> None:
        found = mask_value(name, found)
        super().__init__(f"setting {name} is {found!r}, expected {expected}")
        self.name = name
        self.found = found
        self.expected = expected


class LivenessError(FreshetError):
    """A worker that no longer gets on; it ends, and its supervisor starts it again.

    Attributes:
        reason: a bounded word: `stalled`, `broker_gone`, `frozen` or `memory`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}; the worker ends and is started again")
        self.reason = reason
        self.detail = detail


class ServiceError(FreshetError):
    """A service (Kafka, Redis) failed; nothing that depends on it may be acknowledged."""

    def __init__(self, service: str, detail: str) -> None:
        detail = mask_urls(detail)
        super().__init__(f"{service}: {detail}")
        self.service = service
        self.detail = detail


class PositionError(ServiceError):
    """The position in Redis differs from the one this worker left there.

    Redis was rewound or flushed, or another worker owns the partition. Nothing was written; the
    worker must end and start again from the position that Redis holds.
    """

    def __init__(self, partition: str, found: int, expected: int) -> None:
        super().__init__(
            "redis",
            f"position of {partition} is {found}, expected {expected}; "
            "the worker restarts from the position that Redis holds",
        )
        self.partition = partition
        self.found = found
        self.expected = expected


def _printable(reason: str, longest: int = 600) -> str:
    r"""Return a reason as one line for a log or a terminal, whatever a strange file put into it.

    >>> _printable("names\x1b[2J\n  of  items")
    'names\\x1b[2J of items'
    """
    line = " ".join(reason.split())
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
    return line if len(line) <= longest else f"{line[:longest]} ..."
