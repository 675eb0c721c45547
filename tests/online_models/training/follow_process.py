"""A follower in a process of its own, which kills itself on demand; run by test_follow_kills.py.

`python follow_process.py MODELS_DIR CHECKPOINT EXAMPLES KILL`: learns the examples from its
positions on, saves every 100, publishes every 600, and ends with SIGKILL at the example KILL, or
between publication and checkpoint where KILL is "published", or not at all where it is "never".
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from synthetic_stream import registry, stream

from online_models.training.follow import Follower
from online_models.training.gate import GateRules
from online_models.training.stream_learner import FollowOptions

OPTIONS = FollowOptions(first=64, buffer=300, window=400)
RULES = GateRules(most_rank_ms=1_000)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingFollower(Follower):
    """Ends where a bundle is in use and the checkpoint does not know."""

    def save(self) -> None:
        if self.published:
            die()
        super().save()


def main(models_dir: str, checkpoint: str, examples: int, kill: str) -> None:
    torch.set_num_threads(1)
    kind = DyingFollower if kill == "published" else Follower
    follower = kind(
        registry(Path(models_dir)), Path(checkpoint), options=OPTIONS, rules=RULES,
        clock=lambda: 1_763_900_000_000,
    )  # fmt: skip
    positions = follower.learner.positions
    done = sum(positions.values())
    first = min(registry(Path(models_dir)).versions())
    # As Kafka hands them over: each partition from its own position on.
    for logged in stream(0, examples, given_by=first):
        if logged.offset < positions.get(logged.partition, 0):
            continue
        follower.take(logged)
        done += 1
        if str(done) == kill:
            die()
        if done % 100 == 0:
            follower.save()
        if done % 600 == 0:
            follower.publish()
    follower.save()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
