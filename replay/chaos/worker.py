"""The worker of a chaos run: `freshet worker`, composed with the doors of `controls`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from freshet.core.logging import configure_logging
from freshet.core.settings import load_settings
from replay.chaos.controls import (
    DEAD_LETTERS,
    EVENT_IDS,
    OUTBOX,
    POSITION,
    PROTECTIONS,
    SOURCE_OFFSETS,
    TRANSITIONS,
    Bugs,
    ForgetfulItems,
    LossyItems,
    MuteProducer,
    StruckFold,
    StruckStore,
)
from replay.chaos.kafka_commits import KafkaCommits
from replay.chaos.vectors import chaos_vectors
from replay.chaos.victims import ALONE, folded_mark
from streams import fold_shell
from streams.catalog_shell import CatalogShell
from streams.fold_shell import FoldContext, FoldShell
from streams.item_shell import ItemShell
from streams.item_vectors import LiveVectors
from streams.joiner_shell import JoinerShell
from streams.supervisor import supervise
from streams.user_shell import UserShell
from streams.worker import run_worker

CACHED = 150  # records of a fold in memory: fewer than there are users, so that it overflows


def struck_folds(
    context: FoldContext, vectors: LiveVectors, bugs: Bugs, without: str, folded: Path
) -> list[FoldShell[Any, Any]]:
    """Return the folds of the product with bugs on demand, without one of `PROTECTIONS`.

    Args:
        context: of the worker.
        vectors: replaced by those of the traffic.
        bugs: on demand.
        without: one of `PROTECTIONS`, or "".
        folded: is made when the worker has folded something.
    """
    vectors.current = chaos_vectors()
    settings = context.settings
    commits = KafkaCommits(settings) if without == POSITION else None
    outboxes = [context.keys.outbox(partition) for partition in range(context.partitions)]
    unkept = outboxes if without == OUTBOX else ()
    store = StruckStore(context.store, bugs, commits, unkept=unkept, folded=folded)
    context = replace(context, store=store)
    if without == DEAD_LETTERS:
        producer = MuteProducer(settings, context.topics.dead_letters)
        context = replace(context, producer=producer)
    kinds = {SOURCE_OFFSETS: ForgetfulItems, TRANSITIONS: LossyItems}
    items = kinds.get(without, ItemShell)(context)
    struck = [
        StruckFold(UserShell(context, vectors), bugs, new_ids=without == EVENT_IDS),
        StruckFold(items, bugs),
        CatalogShell(context),
        JoinerShell(context),
    ]
    return cast("list[FoldShell[Any, Any]]", struck)


def main() -> None:
    """Run the worker, or its supervisor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instance-id", required=True)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--without", choices=PROTECTIONS, default="")
    parser.add_argument(ALONE, action="store_true")
    options = parser.parse_args()
    settings = load_settings()
    configure_logging("worker" if options.alone else "supervisor", settings.log_level)
    if not options.alone:
        again = [sys.executable, "-m", __spec__.name, ALONE, *sys.argv[1:]]
        sys.exit(supervise(again, shutdown_s=settings.shutdown_s))
    fold_shell.MOST_CACHED = CACHED
    bugs, folded = Bugs(options.tokens), folded_mark(options.tokens, options.instance_id)
    run_worker(
        settings,
        options.instance_id,
        compose=lambda context, vectors: struck_folds(
            context, vectors, bugs, options.without, folded
        ),
    )


if __name__ == "__main__":
    main()
