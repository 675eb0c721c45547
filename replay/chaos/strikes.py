"""The strikes: what each kind of the plan does to the processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from replay.chaos.plan import Strike
from replay.chaos.victims import Victims

Wait = Callable[[float], None]
"""Lets so many seconds pass."""


def _kill_worker(victims: Victims, strike: Strike, _wait: Wait) -> None:
    victims.kill_workers(strike.worker)


def _kill_all_workers(victims: Victims, _strike: Strike, _wait: Wait) -> None:
    victims.kill_workers(*range(len(victims.workers)))


def _stop_worker(victims: Victims, strike: Strike, _wait: Wait) -> None:
    victims.restart_worker(strike.worker)


def _freeze_worker(victims: Victims, strike: Strike, wait: Wait) -> None:
    with victims.frozen_worker(strike.worker):
        wait(strike.lasts_s)


def _extra_worker(victims: Victims, strike: Strike, wait: Wait) -> None:
    number = len(victims.workers)
    extra = victims.start_worker(number)
    victims.await_folded(number)  # a worker needs seconds to get a partition, and a record of it
    wait(strike.lasts_s)
    victims.end_worker(extra)


def _burst(victims: Victims, _strike: Strike, _wait: Wait) -> None:
    victims.kill_workers(*range(len(victims.workers)))  # so that all of it waits for them
    victims.send_burst()


def _kill_server(victims: Victims, _strike: Strike, _wait: Wait) -> None:
    victims.kill_server()


def _bug(victims: Victims, strike: Strike, _wait: Wait) -> None:
    victims.strike_bug(strike.place)


def _kill_broker(victims: Victims, strike: Strike, wait: Wait) -> None:
    with victims.dead_broker():
        wait(strike.lasts_s)


def _freeze_broker(victims: Victims, strike: Strike, wait: Wait) -> None:
    with victims.frozen_broker():
        wait(strike.lasts_s)


def _kill_redis(victims: Victims, strike: Strike, wait: Wait) -> None:
    with victims.dead_redis():
        wait(strike.lasts_s)


def _rewind_redis(victims: Victims, strike: Strike, wait: Wait) -> None:
    copied = victims.folder / "redis-before"
    victims.copy_redis_log(copied)
    wait(strike.lasts_s)
    victims.await_commit()  # else Kafka's commit would know no more than the old log
    with victims.dead_redis():
        victims.put_redis_log(copied)


def _flush_redis(victims: Victims, _strike: Strike, _wait: Wait) -> None:
    victims.flush_redis()


STRIKES: Final[dict[str, Callable[[Victims, Strike, Wait], None]]] = {
    "kill_worker": _kill_worker,
    "kill_all_workers": _kill_all_workers,
    "stop_worker": _stop_worker,
    "freeze_worker": _freeze_worker,
    "extra_worker": _extra_worker,
    "burst": _burst,
    "kill_server": _kill_server,
    "bug": _bug,
    "kill_broker": _kill_broker,
    "freeze_broker": _freeze_broker,
    "kill_redis": _kill_redis,
    "rewind_redis": _rewind_redis,
    "flush_redis": _flush_redis,
}
"""One for each of `plan.KINDS`; returns when the damage is over."""
