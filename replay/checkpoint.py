"""How far an interrupted replay came, in a small file, so that another can go on from there.

Law: what the file says was dealt with is in Kafka for good, and no row behind it was passed over.
Rows behind it may be in Kafka too, when the process was killed: `replay.already_sent` finds them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from freshet.core.errors import FreshetError
from freshet.core.events.recorded import log_name

FOLDER: Final = Path(".freshet/replays")
_WORDS: Final = {
    "digest": "the file has changed since",
    "items_digest": "the catalogue has changed since",
    "speed": "--speed was {before}, now {now}",
    "target": "--target was {before}, now {now}",
    "sort": "--sort was {before}, now {now}",
    "from_ms": "--from was {before}, now {now}",
    "to_ms": "--to was {before}, now {now}",
    "limit": "--limit was {before}, now {now}",
    "shift": "--shift-to-now was {before}, now {now}",
    "cluster": "the broker is another, or was started again: its log is not the one of before",
}
"""What must be as it was, and how it is said when it is not."""


class Plan(Struct, frozen=True, kw_only=True):
    """What a replay plays, and how: what must not change when it goes on.

    Attributes:
        digest: hash of the log's content.
        items_digest: hash of the catalogue's, "" without one.
        cluster: name of the Kafka cluster.
        shift: whether the times are moved.
    """

    digest: str
    items_digest: str
    speed: str
    target: str
    sort: bool
    from_ms: int
    to_ms: int
    limit: int
    shift: bool
    cluster: str


class Checkpoint(Struct, frozen=True, kw_only=True):
    """How far a replay has come.

    Attributes:
        log: the file.
        plan: what is played.
        shift_ms: by how much the times are moved.
        done: events of the log that were dealt with, in the order in which they are played.
        line: of the last of them in the file, 0 = none.
        ends: offset of `events` behind which nothing of what was done lies, by partition.
        finished: whether that is all of the log.
        settled: whether the replay ended in order, so that nothing of it can still come in.
    """

    log: str
    plan: Plan
    shift_ms: int
    done: int
    line: int
    ends: list[int]
    finished: bool = False
    settled: bool = False


class CheckpointFile:
    """The file of the replays of a log into a namespace.

    Args:
        namespace: into which is played.
        log: the file that is played.
        folder: of all such files.
    """

    def __init__(self, namespace: str, log: Path, folder: Path = FOLDER) -> None:
        place = hashlib.blake2b(str(log.resolve()).encode(), digest_size=4).hexdigest()
        self.path = folder / namespace / f"{log_name(log)[:40]}-{place}.json"

    def read(self) -> Checkpoint | None:
        """Return what the file says, None when there is none.

        Raises:
            FreshetError: it is damaged.
        """
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Checkpoint)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise FreshetError(
                f"{self.path} is damaged ({error}), so where to go on is not known; delete it and "
                "replay under another FRESHET_NAMESPACE"
            ) from error

    def write(self, checkpoint: Checkpoint) -> None:
        """Put it in the place of what was there, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(checkpoint))
        os.replace(new, self.path)


def require_same(before: Plan, now: Plan) -> None:
    """Refuse to go on with another replay than the one that was interrupted.

    Raises:
        FreshetError: says all that differs.
    """
    differences = [
        words.format(before=getattr(before, name), now=getattr(now, name))
        for name, words in _WORDS.items()
        if getattr(before, name) != getattr(now, name)
    ]
    if differences:
        raise FreshetError(
            f"--resume goes on with what was interrupted, and {'; '.join(differences)}. Give the "
            "options of before, or replay from the start under another FRESHET_NAMESPACE"
        )
