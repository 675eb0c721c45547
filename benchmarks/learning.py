"""What learning costs on this machine: trainings of encoder and ranker, and their answers by ONNX.

The log is generated, so that everyone measures the same; the ranker learns from exposures of it,
made by the product's own folds and funnel.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from freshet.core.events.schema import EVENT_TYPES
from freshet.core.settings import Settings
from freshet.core.state.records import EMBEDDING_DIM, HISTORY_LENGTH
from online_models.artifacts.sessions import OnnxModel
from online_models.features import FEATURES
from online_models.training.budget import Budget
from online_models.training.encoder import EncoderModel, fit_encoder
from online_models.training.export import export_encoder, export_ranker
from online_models.training.exposures import Exposure
from online_models.training.histories import Histories
from online_models.training.log import TrainingLog, build_log
from online_models.training.networks import HistoryEncoder
from online_models.training.ranker import fit_ranker
from online_models.training.trial import trial_bundle
from online_models.training.windows import Windows
from replay.exposing import ExposingLife
from replay.generated_log import to_events, to_items
from replay.generator import generate
from replay.world import Plan

CANDIDATES = 500
SESSIONS = 256
WARM_UP = 20


@click.command()
@click.option("--users", default=4_000, help="Of the generated log.")
@click.option("--exposures", default=3_000, help="That the ranker learns from.")
@click.option("--epochs", default=3, help="Of each training.")
@click.option("--repeats", default=300, help="Answers that are timed.")
def main(users: int, exposures: int, epochs: int, repeats: int) -> None:
    """Measure training time, examples per second and the latency of answers."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("log", total=4)
        plan = Plan(users=users, seed=1)
        world, rows = generate(plan)
        events = sorted(to_events(plan, rows), key=lambda event: event.ts_ms)
        log = build_log(events, list(to_items(plan, world)))
        progress.update(bar, advance=1, description="encoder")
        model, encoder_s = _timed(lambda: _encoder(log, epochs, rng))
        targets = int(Windows(log, len(log)).target_counts.sum()) * epochs
        progress.update(bar, advance=1, description="exposures")
        seen, expose_s = _timed(lambda: _exposures(log, events, model, exposures, rng))
        progress.update(bar, advance=1, description="ranker")
        cut = int(len(seen) * 0.85)
        ranker, ranker_s = _timed(
            lambda: fit_ranker(
                seen[:cut], seen[cut:], epochs=epochs, budget=Budget.of(600), rng=rng
            )
        )
        progress.update(bar, advance=1)
    encoder = export_encoder(HistoryEncoder(model.encoder))
    features = rng.normal(0, 1, (CANDIDATES, len(FEATURES))).astype(np.float32)
    figures = {
        "events": len(log),
        "items": len(log.items),
        "encoder_epoch_s": round(encoder_s / epochs, 2),
        "encoder_examples_per_s": round(targets / encoder_s),
        "exposures_per_s": round(len(seen) / expose_s),
        "ranker_epoch_s": round(ranker_s / epochs, 2),
        "ranker_examples_per_s": round(cut * epochs / ranker_s),
        **_latency("rank_500", export_ranker(ranker), {"features": features}, repeats),
        **_latency("encode_1", encoder, _sessions(1, rng), repeats),
        **_latency("encode_256", encoder, _sessions(SESSIONS, rng), max(repeats // 10, 10)),
        "load_average": os.getloadavg()[0],
    }
    click.echo(json.dumps(figures))


def _encoder(log: TrainingLog, epochs: int, rng: np.random.Generator) -> EncoderModel:
    model = EncoderModel.fresh(log)
    fit_encoder(model, log, len(log), epochs=epochs, budget=Budget.of(600), rng=rng)
    return model


def _exposures(
    log: TrainingLog, events: list[Any], model: EncoderModel, most: int, rng: np.random.Generator
) -> list[Exposure]:
    histories = Histories(log)
    start = log.cut(0.5)
    life = ExposingLife(log, events, Settings())
    life.use(trial_bundle(log, np.flatnonzero(histories.available(start)), model))
    wanted = histories.requests(start, len(log), most).tolist()
    return [life.expose(event).thinned(rng) for event in wanted]


def _sessions(n: int, rng: np.random.Generator) -> dict[str, Any]:
    shape = (n, HISTORY_LENGTH)
    return {
        "vectors": rng.normal(0, 0.1, (*shape, EMBEDDING_DIM)).astype(np.float32),
        "types": rng.integers(0, len(EVENT_TYPES), shape),
        "ages_s": np.cumsum(rng.exponential(60, shape), axis=1).astype(np.float32),
        "mask": np.ones(shape, bool),
    }


def _latency(name: str, graph: bytes, inputs: dict[str, Any], repeats: int) -> dict[str, float]:
    """Return the median and the 99th percentile of a graph's answers, ms."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(graph)
        model = OnnxModel(path)
    for _ in range(WARM_UP):
        model(**inputs)
    took = [_timed(lambda: model(**inputs))[1] * 1000 for _ in range(repeats)]
    return {
        f"{name}_p50_ms": round(float(np.percentile(took, 50)), 3),
        f"{name}_p99_ms": round(float(np.percentile(took, 99)), 3),
    }


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started_s = perf_counter()
    result = work()
    return result, perf_counter() - started_s


if __name__ == "__main__":
    main()
