"""Do 95 % intervals hold the truth 95 times in 100? Simulated, with what matching would yield of many photos.

docs/results.md quotes what `pytest tests/test_evaluation_coverage.py -s` prints.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from kps.evaluation import intervals
from kps.evaluation.matching import Matches
from kps.synthetic.plan import plan_split

MANY, FEW = 40_000, 300  # photos of the truth, and of the demo's validation split
REPETITIONS, SAMPLES = 100, 150
RARE = (3, 6)  # categories with 7 items on as many photos
THRESHOLDS = np.arange(0.5, 0.96, 0.05)
WORLDS = {"many false alarms": (4, -0.2), "some": (1, 0.3), "few": (0.1, 1.5)}  # a photo, and mean quality


@dataclass(frozen=True)
class Found:
    """Items and results of many photos as matched; stands for results, and for their Comparison."""

    image_ids: np.ndarray
    item: tuple[np.ndarray, ...]  # image, category
    result: tuple[np.ndarray, ...]  # image, category, OKS; best scored first

    @property
    def matches(self) -> dict[int, Matches]:
        found = {}
        for category_id in range(1, 14):
            own = self.result[1] == category_id
            right = self.result[2][own] >= THRESHOLDS[:, None]
            image = self.item[0][self.item[1] == category_id]
            found[category_id] = Matches(self.result[0][own], right, np.zeros_like(right), image)
        return found

    def on(self, images: np.ndarray) -> "Found":
        chosen = np.isin(self.image_ids, images)  # numbered from 0
        parts = (tuple(column[chosen[part[0]]] for column in part) for part in (self.item, self.result))
        return Found(np.sort(images), *parts)


@pytest.fixture(autouse=True)
def _results_come_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "compare", lambda truth, results, **_: results)
    monkeypatch.setattr(intervals, "progress", lambda values, **_: values)


@pytest.fixture(scope="module")
def garments() -> tuple[np.ndarray, np.ndarray]:
    """Image and category of each garment of photos dressed as the demo's."""
    plans = plan_split(0, "validation", MANY)
    image = np.repeat(np.arange(MANY), [len(plan.items) for plan in plans])
    return image, np.array([item.category_id for plan in plans for item in plan.items])


def make_world(
    garments: tuple[np.ndarray, np.ndarray], alarms: float, quality: float, *, methods: int = 1
) -> list[Found]:
    """Methods that are equally good; hard photos are hard for all of them.

    Categories differ in difficulty; garments are missed, taken for others, badly or well fitted; the score
    knows the fit roughly; false alarms have low scores.
    """
    rng = np.random.default_rng(0)
    image, category = garments
    ease = rng.normal(quality, 0.8, 14)[category] + rng.normal(0, 0.6, MANY)[image]
    worlds = []
    for _ in range(methods):
        fit = ease + rng.normal(0, 0.8, len(image))
        found = rng.random(len(image)) < 1 / (1 + np.exp(-fit - 1.5))
        said = np.where(rng.random(len(image)) < 0.12, rng.integers(1, 14, len(image)), category)
        oks = np.where(said == category, 1 / (1 + np.exp(-fit - 1)), 0)
        where = np.repeat(np.arange(MANY), rng.poisson(3 * alarms, MANY))
        alarm = np.where(rng.random(len(where)) < 0.5, rng.choice(category, len(where)), 0)
        alarm[alarm == 0] = rng.integers(1, 14, np.count_nonzero(alarm == 0))
        known = 0.8 * fit[found] + rng.normal(size=found.sum())
        score = np.concatenate([known, rng.normal(-1.5, 1, len(where))])
        parts = ((image[found], where), (said[found], alarm), (oks[found], np.zeros(len(where))))
        result = tuple(np.concatenate(part)[np.argsort(-score)] for part in parts)
        worlds.append(Found(np.arange(MANY), (image, category), result))
    return worlds


def draw(world: list[Found], seed: int) -> list[Found]:
    """What each method finds on the same few photos."""
    images = np.random.default_rng(seed).choice(MANY, FEW, replace=False)
    return [found.on(images) for found in world]


def by_percentiles(found: Found, seed: int) -> dict[str, tuple[float, float]]:
    """The interval of AP by the methods that are usual with resamples drawn with replacement."""
    weights = np.random.default_rng(seed).multinomial(FEW, np.full(FEW, 1 / FEW), SAMPLES).astype(np.uint8)
    precision, _ = intervals.resampled_scores(found, np.concatenate([np.ones_like(weights[:1]), weights]))
    estimate, *drawn = np.nanmean(precision.mean(axis=2), axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"percentile": (low, high), "basic": (2 * estimate - high, 2 * estimate - low)}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_intervals_of_few_photos_hold_the_score_of_very_many(name: str, garments) -> None:
    world = make_world(garments, *WORLDS[name])
    truth = intervals.bootstrap(SimpleNamespace(images=range(MANY)), *world, samples=2)
    holds: dict[str, list[bool]] = {}
    estimates, rare = [], []
    for seed in range(REPETITIONS):
        (found,) = draw(world, seed)
        ours = intervals.bootstrap(SimpleNamespace(images=range(FEW)), found, samples=SAMPLES, seed=seed)
        ends = {"halves": (ours.AP.low, ours.AP.high)} | by_percentiles(found, seed)
        for method, (low, high) in ends.items():
            holds.setdefault(method, []).append(low <= truth.AP.estimate <= high)
        estimates.append(ours.AP.estimate)
        of_rare = [(ours.per_category[key], truth.per_category[key].estimate) for key in RARE]
        rare += [one.low <= value <= one.high for one, value in of_rare if one.low == one.low]
    share = {method: np.mean(held) for method, held in holds.items()}
    print(f"\n{name}: AP {truth.AP.estimate:.3f}, of {FEW} photos {np.mean(estimates):.3f};", end=" ")
    print(", ".join(f"{method} {held:.1%}" for method, held in share.items()), f"; rare {np.mean(rare):.1%}")
    assert share["halves"] > 0.85 and share["halves"] > share["percentile"] + 0.2
    assert np.mean(rare) > 0.75


@pytest.mark.slow
def test_equal_methods_are_told_apart_one_time_in_twenty(garments) -> None:
    world = make_world(garments, *WORLDS["some"], methods=2)
    decided = []
    for seed in range(REPETITIONS):
        first, second = ([found] for found in draw(world, seed))
        truth = SimpleNamespace(images=range(FEW))
        gain = intervals.paired_bootstrap(truth, first, second, samples=SAMPLES, seed=seed).AP
        decided.append(gain.low > 0 or gain.high < 0)
    print(f"\nequal methods told apart: {np.mean(decided):.1%}")
    assert np.mean(decided) < 0.1
