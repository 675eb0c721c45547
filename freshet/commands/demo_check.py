"""The demo without a person: measures what it promises, audits every count, and ends.

Past and future are told apart by event time: the past is replayed and learned from, the future is
what the lists must foresee.
"""

from __future__ import annotations

import gzip
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from freshet.commands.demo_parts import Training, play_log
from freshet.commands.processes import Installation, run_installation
from freshet.core.clock import system_clock
from freshet.core.errors import ServiceError
from freshet.core.events.cluster import discover_partitions
from freshet.core.events.codec import encode
from freshet.core.events.recorded import read_events, read_items
from freshet.core.events.schema import Event
from freshet.core.progress import ProgressReader
from freshet.core.settings import Settings
from freshet.core.state.client import connect
from freshet.core.state.reader import StateReader
from online_models.artifacts.registry import Registry
from replay.audit import Audit, Ledger
from replay.feed_client import FeedClient
from replay.generated_log import write_log
from replay.next_click import LIST_LENGTH, RecentPopular, Score, measure
from replay.pacing import Pacer
from replay.probe import Probe
from replay.targets.kafka import KafkaTarget
from replay.world import Plan
from serving.answer import Query

PAST_SHARE = 0.95
PROBES = 150
TRAIN_TIMEOUT_S = 180.0  # a busy machine trains as many steps as an idle one, only later
SWAP_TIMEOUT_S = 15.0
POLL_S = 0.1
SLO_CLICK_TO_FEED_MS = 150.0


def check_demo(
    settings: Settings, plan: Plan, folder: Path, *, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run everything, measure, and return the figures.

    Args:
        settings: of the installation to start.
        plan: of the log.
        folder: for the generated files.
        say: tells a person what is happening.

    Raises:
        ServiceError: something did not start or answer.
    """
    started_s = time.monotonic()
    files = write_log(plan, folder / "films")
    events, items = list(read_events(files.events)), read_items(files.items)
    cut = int(PAST_SHARE * len(events))
    past, future = events[:cut], events[cut:]
    past_file = _write_past(folder, past, files.items)
    ledger = Ledger(low_rating=settings.low_rating)
    with run_installation(settings, logs=folder.parent / "logs", say=say) as installation:
        settings = installation.settings
        played = play_log(settings, past, items, total=len(past))
        ledger.note(past)
        say(f"{played.events:,} events in {played.seconds:.1f} s; training on them")
        with FeedClient(installation.url) as client:
            version = _train(installation, client, past_file, folder.parent / "logs")
            say(f"model {version} is served; living through what it has not seen")
            product, popular = _measure_quality(settings, client, ledger, past, future)
            say(f"{PROBES} newcomers look, click and look again")
            probe = Probe(client, ledger, system_clock)
            for number in range(PROBES):
                probe.visit(number)
        audit = _audit(settings, ledger)
    share = probe.personalised / probe.people
    latency = probe.click_to_feed.percentiles()
    return {
        "events_produced": audit.produced,
        "events_applied": audit.applied,
        "events_lost": audit.lost,
        "events_doubled": audit.doubled,
        "events_per_s": round(played.events_per_s, 1),
        "click_to_feed_ms": latency,
        "recommend_ms": probe.recommend.percentiles(),
        "personalised_share": round(share, 4),
        "quality": _quality(product, popular),
        "model_version": version,
        "seconds": round(time.monotonic() - started_s, 1),
        "checks": {
            "nothing_lost": audit.lost == 0,
            "nothing_doubled": audit.doubled == 0,
            "click_to_feed_p99_within_150_ms": latency["p99"] <= SLO_CLICK_TO_FEED_MS,
            "a_click_changes_the_list": share > 0,
            "the_new_model_is_served": version in Registry(settings.models_dir).versions(),
        },
    }


def _write_past(folder: Path, past: Sequence[Event], items_file: Path) -> Path:
    file = folder / "past.events.jsonl.gz"
    with gzip.open(file, "wb", compresslevel=1) as packed:
        packed.write(b"".join(encode(event) + b"\n" for event in past))
    shutil.copy(items_file, folder / "past.items.jsonl.gz")
    return file


def _train(installation: Installation, client: FeedClient, log: Path, logs: Path) -> str:
    """Train, wait until the server has swapped, and return the version that it serves."""
    output = logs / "train.log"
    with Training(log, installation.settings, output=output, polite=False) as training:
        training.wait(TRAIN_TIMEOUT_S)
    deadline_s = time.monotonic() + SWAP_TIMEOUT_S
    while time.monotonic() < deadline_s:
        answer = client.recommend(Query(user="stranger", impressions="client"))
        if "model" not in answer.degraded:
            return answer.model_version
        time.sleep(POLL_S)
    raise ServiceError(
        "server", f"did not take the new bundle within {SWAP_TIMEOUT_S:.0f} s; see {logs}"
    )


def _measure_quality(
    settings: Settings,
    client: FeedClient,
    ledger: Ledger,
    past: Sequence[Event],
    future: Sequence[Event],
) -> tuple[Score, Score]:
    partitions = discover_partitions(settings)
    target = KafkaTarget(settings, settings.namespace, partitions)
    baseline = RecentPopular()
    baseline.observe(past)

    def recommend(user: str, after: str | None) -> list[str]:
        query = Query(user=user, k=LIST_LENGTH, after=after, impressions="client")
        return [item.item_id for item in client.recommend(query).items]

    def send(window: Sequence[Event]) -> None:
        target.send(window)
        ledger.note(window)
        target.flush()

    try:
        return measure(future, recommend, baseline, send)
    finally:
        target.close()


def _audit(settings: Settings, ledger: Ledger) -> Audit:
    partitions = discover_partitions(settings)
    with ProgressReader(settings, partitions) as reader:
        Pacer(reader).wait_until_drained()
    with connect(settings) as client:
        return ledger.audit(*StateReader(client, settings.namespace, partitions).users())


def _quality(product: Score, popular: Score) -> dict[str, float]:
    return {
        "clicks": product.clicks,
        "hr20": round(product.hr20, 4),
        "mrr20": round(product.mrr20, 4),
        "recent_popular_hr20": round(popular.hr20, 4),
        "recent_popular_mrr20": round(popular.mrr20, 4),
    }
