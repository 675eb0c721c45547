"""Settings: one list for all processes, from a TOML file and from the environment.

The environment wins over the file. Each setting's unit ends its name; its default and meaning
stand here and nowhere else (`freshet doctor --settings` prints them).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from freshet.core.errors import SettingError
from freshet.core.secrets import MASK, mask_value
from freshet.core.security import SecuritySettings

ENV_PREFIX = "FRESHET_"
# The settings file; the logs of the tests; what the tests do without.
NOT_SETTINGS = {
    "FRESHET_CONFIG",
    "FRESHET_DATA",
    "FRESHET_NO_BROWSER",
    "FRESHET_NO_KAFKA",
    "FRESHET_TEST_REDIS",
}
# A scheme and a host, without a path; what a page without an origin sends is the word null.
_ORIGIN = r"^([A-Za-z][A-Za-z0-9+.-]*://[^/\s]+/?|null)$"


class Settings(SecuritySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of an installation; printing it shows no password."""

    namespace: Annotated[
        str,
        Meta(pattern="^[a-z][a-z0-9-]{0,31}$", description="first word of every topic and key"),
    ] = "freshet"
    kafka_bootstrap: Annotated[
        str, Meta(min_length=3, description="host:port[,host:port] of the Kafka brokers")
    ] = "127.0.0.1:9092"
    redis_url: Annotated[
        str,
        Meta(
            pattern=r"^(rediss?(\+cluster)?|unix)://",
            description="where the state lives; redis+cluster://host:port[,host:port] is a cluster",
        ),
    ] = "redis://127.0.0.1:6379/0"
    partitions: Annotated[
        int, Meta(ge=1, le=256, description="partitions of topics that Freshet creates")
    ] = 4
    models_dir: Annotated[
        str, Meta(min_length=1, description="folder of the published model bundles")
    ] = ".freshet/models"
    log_level: Annotated[
        str, Meta(pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged")
    ] = "INFO"

    batch_events: Annotated[
        int, Meta(ge=1, le=5000, description="most events that one Redis script applies")
    ] = 768
    fetch_wait_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=1500,
            description="under load a fetch is answered when there is much, or after so long: the "
            "pace of the folds, and most of their delay",
        ),
    ] = 5
    user_ttl_s: Annotated[
        int, Meta(ge=60, description="a user without events for so long is forgotten")
    ] = 30 * 86_400
    low_rating: Annotated[
        float,
        Meta(
            ge=-1_000_000,
            le=1_000_000,
            description="a `rating` of so many stars or fewer counts as a `dislike`; choose it by "
            "your scale",
        ),
    ] = 2.0
    unwanted_ttl_s: Annotated[
        int,
        Meta(
            ge=0,
            description="an item that a user rejected is not offered to them for so long, unless "
            "they take it back; 0 = never again. Who is idle for `user_ttl_s` is forgotten with it",
        ),
    ] = 180 * 86_400
    contribution_window_s: Annotated[
        int,
        Meta(
            ge=0,
            le=10 * 365 * 86_400,
            description="a user adds to an item's popularity, trend, click rate and transitions "
            "once in so long; 0 = every event adds",
        ),
    ] = 86_400
    covisit_distance: Annotated[
        int, Meta(ge=1, le=10, description="visits back that a visit is tied to")
    ] = 2
    covisit_half_life_s: Annotated[
        int, Meta(ge=60, description="a transition so old weighs half")
    ] = 30 * 86_400
    session_half_life_s: Annotated[
        int, Meta(ge=1, description="an event so old weighs half in the session embedding")
    ] = 1_800
    join_window_s: Annotated[
        int,
        Meta(ge=1, description="an answer waits so long for what people do with it; event time"),
    ] = 1_800
    join_slates: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="most answers of a partition that wait; beyond it the oldest go early",
        ),
    ] = 10_000
    late_s: Annotated[
        int,
        Meta(ge=1, description="an event so far behind the newest of its partition is late"),
    ] = 86_400
    heartbeat_s: Annotated[
        float,
        Meta(
            ge=0,
            description="the worker sends a heartbeat into a partition of events without records "
            "for so long; 0 = never",
        ),
    ] = 2.0
    worker_metrics_port: Annotated[
        int, Meta(ge=0, le=65535, description="port of the worker's /metrics; 0 = none")
    ] = 0
    worker_metrics_host: Annotated[
        str, Meta(description="address that the worker's /metrics binds to")
    ] = "127.0.0.1"
    shutdown_s: Annotated[
        float, Meta(gt=0, le=60, description="a worker asked to stop is killed after so long")
    ] = 10.0

    stall_s: Annotated[
        float,
        Meta(
            ge=0,
            description="a worker is restarted when its position stands still for so long while "
            "records wait; 0 = never",
        ),
    ] = 30.0
    broker_gone_s: Annotated[
        float,
        Meta(
            ge=0, description="a worker that no broker answers for so long is restarted; 0 = never"
        ),
    ] = 60.0
    worker_memory_mib: Annotated[
        int, Meta(ge=0, description="a worker that holds more memory is restarted; 0 = no limit")
    ] = 1536

    http_host: Annotated[str, Meta(description="address that `freshet serve` binds to")] = (
        "127.0.0.1"
    )
    http_port: Annotated[int, Meta(ge=0, le=65535, description="port of `freshet serve`")] = 8080
    http_head_timeout_s: Annotated[
        float,
        Meta(gt=0, le=300, description="address and headers of a request arrive within so long"),
    ] = 10.0
    http_body_timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3_600,
            description="the body of a request arrives, and an answer is taken, within so long",
        ),
    ] = 30.0
    intake_mib: Annotated[
        float,
        Meta(
            gt=0,
            le=1_024,
            description="events and items that wait for Kafka's acknowledgement, at most; beyond "
            "it they are refused with 503. Answers to be logged have as much again",
        ),
    ] = 8.0
    feeds_per_user: Annotated[
        int,
        Meta(ge=1, description="WebSockets of a user that are open at a time, on each server"),
    ] = 20
    allowed_origins: Annotated[
        tuple[Annotated[str, Meta(pattern=_ORIGIN)], ...],
        Meta(
            description="origins whose pages may call `freshet serve` besides its own, such as "
            "https://shop.example,https://m.shop.example"
        ),
    ] = ()
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="names by which `freshet serve` may be asked (the Host header), such as "
            "rec.example,127.0.0.1; any when there is none. Against DNS rebinding"
        ),
    ] = ()
    candidates: Annotated[
        int, Meta(ge=10, le=5000, description="most candidates that are ranked for an answer")
    ] = 500
    diversity: Annotated[
        float, Meta(ge=0, le=1, description="MMR: 0 = relevance alone, 1 = diversity alone")
    ] = 0.05
    value_dwell: Annotated[
        float,
        Meta(ge=0, le=1_000, description="what a stay of 30 s is worth, in clicks"),
    ] = 0.0
    value_conversion: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000,
            description="what a like, a cart or a purchase is worth, in clicks",
        ),
    ] = 0.0
    rejection_weight: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="how strongly dislikes, hides and reports lower what is like their items; "
            "0 = only the items themselves are hidden",
        ),
    ] = 0.3
    value_negative: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="share of its score that an item loses which is sure to be hidden, "
            "disliked or reported; 0 = the ranker's prediction of that does not count",
        ),
    ] = 0.5
    exploration_slots: Annotated[
        int, Meta(ge=0, le=10, description="slots of an answer that the bandit fills")
    ] = 2
    deadline_ms: Annotated[
        int, Meta(ge=5, le=10_000, description="an answer is sent within so long")
    ] = 100
    redis_read_timeout_ms: Annotated[
        int, Meta(ge=1, le=5_000, description="serving waits so long for Redis")
    ] = 30
    model_budget_ms: Annotated[
        float,
        Meta(
            gt=0,
            le=10_000,
            description="processor time that the models of a bundle may take for one list; a "
            "bundle that takes more where it serves is refused",
        ),
    ] = 20.0
    model_memory_mib: Annotated[
        int, Meta(ge=64, description="memory that a bundle may take in the check before it serves")
    ] = 4096
    model_check_s: Annotated[
        float,
        Meta(
            ge=1, le=3600, description="processor time after which the check of a bundle is ended"
        ),
    ] = 120.0
    hide_seen: Annotated[bool, Meta(description="leave out items that the user has acted on")] = (
        True
    )

    def __repr__(self) -> str:
        """Return what may stand in a log."""
        shown = (f"{name}={shown_value(self, name)!r}" for name in self.__struct_fields__)
        return f"Settings({', '.join(shown)})"


def load_settings(
    environ: Mapping[str, str] | None = None, *, path: str | Path | None = None, **overrides: Any
) -> Settings:
    """Return the settings of this process.

    Args:
        environ: variables `FRESHET_<NAME>`; the process' own when None.
        path: a TOML file; the one that `FRESHET_CONFIG` names when None.
        overrides: settings that win over both; None values are passed over.

    Raises:
        SettingError: a value that no process may start with, or a name that is no setting.

    >>> load_settings({"FRESHET_PARTITIONS": "16"}).partitions
    16
    """
    environ = os.environ if environ is None else environ
    types = get_type_hints(Settings, include_extras=True)
    values: dict[str, Any] = {}
    path = path or environ.get("FRESHET_CONFIG")
    if path:
        values |= _read_file(Path(path))
    for variable, value in environ.items():
        if variable.startswith(ENV_PREFIX) and variable not in NOT_SETTINGS:
            values[variable.removeprefix(ENV_PREFIX).lower()] = value
    values |= {name: value for name, value in overrides.items() if value is not None}
    for name, value in values.items():
        if name not in types:
            near = difflib.get_close_matches(name, types, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            # What a misspelt name holds may be a password.
            raise SettingError(name, MASK, f"the name of a setting{hint}")
        try:
            values[name] = msgspec.convert(_parsed(value, types[name]), types[name], strict=False)
        except msgspec.ValidationError as error:
            raise SettingError(name, value, str(error)) from error
    return Settings(**values)


def _parsed(value: Any, kind: Any) -> Any:
    """Return a value as its type takes it: a list may be written with commas.

    >>> _parsed("https://a.example, https://b.example", Annotated[tuple[str, ...], None])
    ['https://a.example', 'https://b.example']
    """
    if isinstance(value, str) and get_origin(kind.__origin__) is tuple:
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(
            "FRESHET_CONFIG", str(path), f"a readable TOML file ({error})"
        ) from error


def describe_settings() -> list[tuple[str, Any, str]]:
    """Return (name, default, meaning) of every setting, in the order of their definition."""
    defaults = Settings()
    rows = []
    hints = get_type_hints(Settings, include_extras=True)
    for name in sorted(hints, key=lambda each: each in SecuritySettings.__struct_fields__):
        hint = hints[name]
        meta: Meta = hint.__metadata__[0]
        rows.append((name, getattr(defaults, name), meta.description or ""))
    return rows


def shown_value(settings: Settings, name: str) -> Any:
    """Return the value of a setting as people may see it: without passwords.

    >>> shown_value(Settings(redis_url="redis://:s3cret@one:6379"), "redis_url")
    'redis://:***@one:6379'
    """
    return mask_value(name, getattr(settings, name))


def value_text(value: Any) -> str:
    """Return a value of a setting as the environment has it.

    >>> value_text(("https://a.example", "null")), value_text(0.5)
    ('https://a.example,null', '0.5')
    """
    return ",".join(value) if isinstance(value, tuple | list) else str(value)


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the variables that give a child process these settings."""
    return {
        f"{ENV_PREFIX}{name.upper()}": value_text(value)
        for name, value in msgspec.structs.asdict(settings).items()
    }
