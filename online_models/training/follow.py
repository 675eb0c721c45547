"""Following the stream: what was learned is published when it passes the gate.

Law: the bundle in use is replaced by one rename, whole or not at all. A bundle is published between
two checkpoints; whoever ends between them left a bundle in use that the first one foretold: it
names the run and the number of examples.

Law: a candidate is judged by answers whose features were made as they are made now, and published
beside the vectors that made them. So only answers count that were given by the bundle in use, or by
one that differs from it in its ranker alone; and where another bundle has come into use, nothing of
ours takes its place. What was given by others is learned from all the same: most features know
nothing of the vectors.

Law: the slate head of the bundle in use is carried along as it is; a training on a log makes
another. Where the bundle has none, the click of the candidate orders slates.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from msgspec import Struct
from numpy.typing import NDArray

from freshet.core.clock import Clock
from freshet.core.errors import BundleError
from freshet.core.events.example_log import LoggedExample
from online_models.artifacts.figures import numbers
from online_models.artifacts.manifest import GOLDEN, RANKER
from online_models.artifacts.new_ranker import write_with_ranker
from online_models.artifacts.registry import Registry
from online_models.artifacts.sessions import OnnxModel
from online_models.features import FEATURES
from online_models.tasks import GIVEN_CLICK, TASKS, counted
from online_models.training.calibration import platt
from online_models.training.checkpoint import load_checkpoint, save_checkpoint
from online_models.training.export import export_ranker
from online_models.training.gate import GateRules, Probabilities, Trial, Verdict, judge
from online_models.training.networks import CalibratedRanker
from online_models.training.restore import restore_ranker
from online_models.training.slate_graph import read_slate_head
from online_models.training.stream_learner import FollowOptions, StreamLearner

MADE_BY: Final = "follow"
"""Under this name the manifest says which run made a ranker, and from how many examples."""

KEPT: Final = 20
"""Rankers of this kind that stay in the registry."""

KIN: Final = 1_000
"""Newest versions that are known to differ in their ranker alone."""

RANKED_ROWS: Final = 500
_TIMINGS: Final = 9
_MOST_ODDS: Final = 16.0  # beyond it, a probability in float32 is 0 or 1

Event = Literal["published", "refused", "began_anew"]


class Decision(Struct, frozen=True, kw_only=True):
    """What became of a candidate.

    Attributes:
        event: `published`, `refused`, or `began_anew` where another bundle had come into use.
        version: the bundle in use afterwards.
        examples: that were learned.
        reasons: why it was refused.
        figures: what the gate compared.
    """

    event: Event
    version: str
    examples: int
    ts_ms: int
    reasons: list[str] = []
    figures: dict[str, float] = {}


class Follower:
    """Learns from examples, and publishes rankers.

    Args:
        registry: gives the bundle in use, and takes the new ones.
        checkpoint: the file that it keeps.
        options: how to learn.
        rules: of the gate.
        clock: wall clock, for the bundles.
        timer: of the time that ranking takes, s.

    Attributes:
        learner: what learns.
        published: rankers that were put in use.
        refused: rankers that were not.

    Raises:
        BundleError: no bundle is in use.
        CheckpointError: the file is damaged.
    """

    def __init__(
        self,
        registry: Registry,
        checkpoint: Path,
        *,
        options: FollowOptions,
        rules: GateRules,
        clock: Clock,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.learner = StreamLearner(self._ranker_in_use, options)
        self.published = 0
        self.refused = 0
        self._registry = registry
        self._checkpoint = checkpoint
        self._rules = rules
        self._clock = clock
        self._timer = timer
        self._run = clock()
        self._base = self._in_use()
        self._kin = self._found_kin()
        self._resume()

    def take(self, logged: LoggedExample) -> None:
        """Take the next example, and learn when there are enough of them."""
        self.learner.take(logged)

    def publish(self) -> Decision | None:
        """Put the ranker in use if it passes; None where nothing can be said of it yet.

        Where another bundle has come into use meanwhile, by training or by a person, learning
        begins anew from its ranker: someone knew better.
        """
        if (version := self._in_use()) != self._base:
            self._base = version
            self._kin = self._found_kin()
            self.learner.begin_anew()
            self.save()
            return self._decision("began_anew")
        candidate = self.learner.candidate
        trial = self._trial(candidate) if candidate else None
        if candidate is None or trial is None:
            return None
        verdict = judge(trial, self._rules)
        if verdict.passed:
            verdict = self._put_in_use(candidate, verdict.figures)
        if not verdict.passed:
            self.refused += 1
            return self._decision("refused", verdict)
        self._remove_old()
        return self._decision("published", verdict)

    def _put_in_use(self, candidate: CalibratedRanker, figures: dict[str, float]) -> Verdict:
        """Publish a candidate that passed, unless its graph is slow or differs from it."""
        try:
            base = self._registry.path(self._base)
            graph = export_ranker(candidate, read_slate_head(base / RANKER))
            with self._registry.staging() as folder:
                rank_ms = self._rank_ms(folder, graph)
                figures = figures | {"rank_ms": rank_ms}
                if rank_ms > self._rules.most_rank_ms:
                    return Verdict([f"{RANKED_ROWS} candidates take {rank_ms:.1f} ms"], figures)
                metrics = {MADE_BY: {**self._foretold(), "gate": figures}}
                write_with_ranker(folder, base, graph, metrics=metrics, created_ts_ms=self._clock())
                self.save()
                self._base = self._registry.publish(folder, instead_of=self._base)
        except BundleError as error:
            return Verdict([error.reason], figures)
        self.published += 1
        self._kin = [*self._kin, self._base][-KIN:]
        self.save()
        return Verdict([], figures)

    def _trial(self, candidate: CalibratedRanker) -> Trial | None:
        """Return how a candidate does beside the ranker in use, None where too little is known.

        The ranker in use is calibrated anew on these very answers, a small advantage: so that it
        is its order that the candidate must match, not how sure it was of something else.
        """
        found = self.learner.foreseen(set(self._kin))
        if found.answers < self._rules.least_answers:
            return None
        rows = found.rows
        graph = OnnxModel(self._registry.path(self._base) / RANKER)
        in_use = graph(features=rows.features)[:, : len(TASKS)]
        with torch.no_grad():
            standing = candidate.eval()(torch.from_numpy(rows.features)).numpy()
        return Trial(
            answers=found.answers,
            labels=rows.labels,
            foreseen=found.probabilities.astype(np.float64),
            candidate=standing.astype(np.float64),
            in_use=_calibrated(in_use, rows.labels),
        )

    def _rank_ms(self, folder: Path, graph: bytes) -> float:
        """Return how long it takes to rank, the best of several: others use the processor too."""
        (folder / RANKER).write_bytes(graph)
        ranker = OnnxModel(folder / RANKER)
        features: NDArray[np.float32] = np.zeros((RANKED_ROWS, len(FEATURES)), np.float32)
        took_s = []
        for _ in range(_TIMINGS):
            started_s = self._timer()
            ranker(features=features)
            took_s.append(self._timer() - started_s)
        return 1000 * min(took_s)

    def _decision(self, event: Event, verdict: Verdict | None = None) -> Decision:
        verdict = verdict or Verdict([], {})
        return Decision(
            event=event,
            version=self._base,
            examples=self.learner.counts["learned"],
            ts_ms=self._clock(),
            reasons=verdict.reasons,
            figures={name: round(value, 6) for name, value in verdict.figures.items()},
        )

    def _remove_old(self) -> None:
        """Remove rankers of this kind that nobody will go back to."""
        own = [each for each in self._registry.versions() if self._made_from(each)]
        for version in own[:-KEPT]:
            if version not in (self._registry.current(), self._registry.previous()):
                self._registry.remove(version)

    # --- what is kept ---

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "run": self._run,
            "base": self._base,
            "kin": self._kin,
            "published": self.published,
            "refused": self.refused,
            "learner": self.learner.state(),
        }
        save_checkpoint(self._checkpoint, state)

    def _resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        state = load_checkpoint(self._checkpoint)
        if state is None:
            return
        self._run = state["run"]
        self.published, self.refused = state["published"], state["refused"]
        foretold = {"run": self._run, "examples": state["learner"]["counts"]["learned"]}
        came_true = self._base != state["base"] and self._made_from(self._base) == foretold
        self.published += came_true
        own = came_true or self._base == state["base"]
        if own:  # those that were removed since are known from before
            self._kin = list(dict.fromkeys([*state.get("kin", []), *self._kin]))[-KIN:]
        self.learner.restore(state["learner"], ranker=own)

    def _foretold(self) -> dict[str, int]:
        return {"run": self._run, "examples": self.learner.counts["learned"]}

    def _made_from(self, version: str) -> dict[str, int]:
        """Return which run made a ranker and from how many examples; nothing for one of a log."""
        try:
            made = numbers(self._registry.manifest(version).metrics, MADE_BY)
        except BundleError:
            return {}
        return {name: int(made[name]) for name in ("run", "examples") if name in made}

    def _found_kin(self) -> list[str]:
        """Return the published versions that differ from the one in use in their ranker alone."""
        rest = self._all_but_ranker(self._base)
        if rest is None:
            return []
        return [each for each in self._registry.versions() if self._all_but_ranker(each) == rest]

    def _all_but_ranker(self, version: str) -> dict[str, str] | None:
        """Return the digests of what a version shares with others; None where it is damaged."""
        try:
            files = self._registry.manifest(version).files
        except BundleError:
            return None
        return {name: file.sha256 for name, file in files.items() if name not in {RANKER, GOLDEN}}

    def _in_use(self) -> str:
        version = self._registry.current()
        if version is None:
            raise BundleError(
                self._registry.models_dir, "no bundle is in use; `freshet train LOG` makes one"
            )
        return version

    def _ranker_in_use(self) -> CalibratedRanker | None:
        return restore_ranker(self._registry.path(self._base) / RANKER)


def _calibrated(probabilities: NDArray[np.float32], labels: NDArray[np.bool_]) -> Probabilities:
    """Return (n, T) probabilities in the same order, as large as the (n, T) labels say."""
    log_odds = torch.logit(torch.from_numpy(probabilities).double()).clamp(-_MOST_ODDS, _MOST_ODDS)
    columns = []
    rows = np.where(GIVEN_CLICK, True, counted(labels))  # as their columns count, see the tasks
    for scores, came, counts in zip(
        log_odds.T, torch.from_numpy(labels).T, torch.from_numpy(rows).T, strict=True
    ):
        slope, intercept = platt(scores[counts], came[counts])
        columns.append(torch.sigmoid(slope * scores + intercept))
    calibrated: Probabilities = torch.stack(columns, dim=1).numpy()
    return calibrated
