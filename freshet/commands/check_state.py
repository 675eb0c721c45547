"""Law 4 as a command: the state after living a log equals the state after replaying it.

Both lives run on backends of their own. The second one applies other batch sizes, and its worker
is killed with -9 several times on the way.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import click
import msgspec
import psutil
import redis

from freshet.commands.processes import require_running, start_worker
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.recorded import Part, RecordedLog, open_log
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings, load_settings
from freshet.core.state.reader import state_digest, state_hash
from freshet.embedded.broker import EmbeddedBroker
from freshet.embedded.child import Child
from freshet.embedded.redis import RedisServer
from replay.pacing import MOST_IN_FLIGHT, Pacer
from replay.play import Played, Player
from replay.progress_bar import ReplayBar
from replay.targets.kafka import KafkaTarget

NOBODY_IS_FORGOTTEN_S = 100 * 365 * 86_400  # when depends on the pace of a run
OTHER_BATCH_EVENTS = 173  # shares no factor with the default: no batch ends where another ended
KILLS_AT = (0.2, 0.6)  # shares of the log


@dataclass(frozen=True, slots=True)
class _Life:
    played: Played
    state_hash: str
    sections: dict[str, str]


@dataclass(slots=True)
class _Killer:
    """Shows progress and kills the worker when given numbers of events have been applied."""

    bar: ReplayBar
    worker: Child
    at_events: list[int]
    killed: int = field(default=0)

    def show(self, events: int, in_flight: int, ts_ms: int) -> None:
        """Show, and kill when it is time; see `replay.play.Display`."""
        require_running([self.worker])
        if self.at_events and events - in_flight >= self.at_events[0]:
            self.at_events.pop(0)
            self.killed += kill_worker(self.worker)
        self.bar.show(events, in_flight, ts_ms)


def kill_worker(supervisor: Child) -> int:
    """Kill -9 what the supervisor runs, leave the supervisor; return how many were killed."""
    victims = psutil.Process(supervisor.pid).children(recursive=True)
    for victim in victims:
        victim.kill()
    return len(victims)


def check_state(
    path: Path, items_file: Path | None, *, part: Part, speed: float
) -> dict[str, object]:
    """Live a log twice and compare.

    Args:
        path: of the log.
        items_file: the catalogue; when None, the one beside it.
        part: what of the log is lived.
        speed: times faster than it was lived.

    Returns:
        `events`, `events_per_s` of the first life, `state_hash_live`, `state_hash_replay`,
        `equal`, how often a worker was `killed`, and the sections of the state that differ.
    """
    log = open_log(path, items_file, part=part)
    for sentence in log.sentences():
        click.echo(sentence, err=True)
    total, _, _ = log.extent()
    # A record of no event moves the offsets that are compared.
    settings = load_settings(heartbeat_s=0, user_ttl_s=NOBODY_IS_FORGOTTEN_S)
    kills = [int(share * total) for share in KILLS_AT]
    live, _ = _live(settings, log, speed=speed, total=total, kill_at=[])
    other = OTHER_BATCH_EVENTS if settings.batch_events != OTHER_BATCH_EVENTS else 211
    changed = msgspec.structs.replace(settings, batch_events=other)
    again, killed = _live(changed, log, speed=speed, total=total, kill_at=kills)
    differing = [name for name in live.sections if live.sections[name] != again.sections.get(name)]
    return {
        "events": live.played.events,
        "events_per_s": round(live.played.events_per_s, 1),
        "batch_events": [settings.batch_events, other],
        "workers_killed": killed,
        "state_hash_live": live.state_hash,
        "state_hash_replay": again.state_hash,
        "equal": live.state_hash == again.state_hash,
        "differing_sections": differing,
        "read": log.summary(),
    }


def _live(
    settings: Settings,
    log: RecordedLog,
    *,
    speed: float,
    total: int,
    kill_at: list[int],
) -> tuple[_Life, int]:
    with (
        tempfile.TemporaryDirectory(prefix="freshet-check-") as folder,
        EmbeddedBroker() as broker,
        RedisServer() as server,
    ):
        settings = msgspec.structs.replace(
            settings,
            kafka_bootstrap=broker.bootstrap,
            redis_url=server.url,
            models_dir=f"{folder}/models",  # a bundle that appears between the lives would differ
        )
        partitions = discover_partitions(settings)
        worker = start_worker(settings, log=Path(folder) / "worker.log")
        target = KafkaTarget(broker.bootstrap, settings.namespace, partitions)
        title = f"{log.name}, batches of {settings.batch_events}"
        try:
            with ProgressReader(settings, partitions) as reader, ReplayBar(title, total) as bar:
                killer = _Killer(bar, worker, kill_at)
                # A short log, sent at once, would be over before the first kill.
                short = max(total // (10 * partitions), 1)
                most = min(MOST_IN_FLIGHT, short) if kill_at else MOST_IN_FLIGHT
                player = Player(target, Pacer(reader, most_in_flight=most), killer)
                played = player.play(log.events(), log.items(), speed=speed)
            with redis.Redis.from_url(server.url) as client:
                life = _Life(
                    played,
                    state_hash(client, settings.namespace, partitions),
                    state_digest(client, settings.namespace, partitions),
                )
        finally:
            target.close()
            worker.stop()
    return life, killer.killed
