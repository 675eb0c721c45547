"""What a list costs is measured where it is asked for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freshet.core.errors import BundleError
from online_models.artifacts.bundle import Bundle, open_bundle
from online_models.artifacts.checks.latency import check_latency


class Work:
    """Processor time, and models that use it up."""

    now_s = 0.0
    calls = 0

    def clock(self) -> float:
        return self.now_s

    def around(self, model: Callable[..., Any], *costs_s: float) -> Callable[..., Any]:
        """A model of which each call costs so much, the last cost again and again."""
        left = list(costs_s)

        def answer(**inputs: Any) -> Any:
            self.calls += 1
            self.now_s += left.pop(0) if len(left) > 1 else left[0]
            return model(**inputs)

        return answer


@pytest.fixture(scope="module")
def bundle(pristine: Path) -> Bundle:
    return open_bundle(pristine)


@pytest.fixture
def work() -> Work:
    return Work()


def test_a_quick_bundle_passes(bundle: Bundle, pristine: Path, work: Work) -> None:
    """In the time of this machine, and in none."""
    check_latency(pristine, bundle, 10_000)
    check_latency(pristine, bundle, 0.001, now_s=work.clock)


def test_a_slow_ranker_is_refused(bundle: Bundle, pristine: Path, work: Work) -> None:
    """After two runs: it is far above what is allowed."""
    slow = replace(bundle, ranker=work.around(bundle.ranker, 0.25))
    with pytest.raises(BundleError, match=r"250.0 ms .* list .* its ranker, expected at most 20"):
        check_latency(pristine, slow, 20, now_s=work.clock)
    assert work.calls == 2


def test_one_slow_run_refuses_nothing(bundle: Bundle, pristine: Path, work: Work) -> None:
    """The machine may have been busy, or the first run have reserved memory."""
    once = replace(bundle, ranker=work.around(bundle.ranker, 0.25, 0.001, 0.25))
    check_latency(pristine, once, 20, now_s=work.clock)


def test_what_a_list_costs_is_the_sum(bundle: Bundle, pristine: Path, work: Work) -> None:
    """Ranker and encoder are asked for the same list."""
    both = replace(
        bundle,
        ranker=work.around(bundle.ranker, 0.015),
        encoder=work.around(bundle.encoder, 0.012),
    )
    with pytest.raises(BundleError, match=r"27\.0 ms"):
        check_latency(pristine, both, 20, now_s=work.clock)
    check_latency(pristine, both, 30, now_s=work.clock)


def test_a_slow_item_tower_is_refused(bundle: Bundle, pristine: Path, work: Work) -> None:
    """By what one new item costs."""
    slow = replace(bundle, item_tower=work.around(bundle.item_tower, 32 * 0.03))
    with pytest.raises(BundleError, match=r"its item tower takes 30.0 ms"):
        check_latency(pristine, slow, 20, now_s=work.clock)
    assert np.isclose(work.now_s, 5 * 32 * 0.03)
