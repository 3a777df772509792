"""Do 95 % intervals hold the truth 95 times in 100? Simulated, with what matching would yield of many photos.

docs/results.md quotes what `pytest tests/test_evaluation_coverage.py -s` prints.
"""

from dataclasses import dataclass
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest

from kps.evaluation import intervals
from kps.evaluation.matching import Matches
from kps.synthetic.plan import plan_split

MANY, FEW = 40_000, 300  # photos of the truth, and of the demo's validation split
REPETITIONS, SAMPLES = 150, 200
RARE = (3, 6)  # categories with 7 items on as many photos
THRESHOLDS = np.arange(0.5, 0.96, 0.05)
WORLDS = {"many false alarms": (4, -0.2), "some": (1, 0.3), "few": (0.1, 1.5)}  # a photo, and mean quality


@dataclass(frozen=True)
class Found:
    """Items and results of many photos as matched; stands for results, and for their comparison."""

    image_ids: np.ndarray
    item: tuple[np.ndarray, ...]  # image, category
    result: tuple[np.ndarray, ...]  # image, category, OKS; best scored first

    @property
    def matches(self) -> dict[int, Matches]:
        """As of a `Comparison`."""
        found = {}
        for category_id in range(1, 14):
            own = self.result[1] == category_id
            right = self.result[2][own] >= THRESHOLDS[:, None]
            image = self.item[0][self.item[1] == category_id]
            found[category_id] = Matches(self.result[0][own], right, np.zeros_like(right), image)
        return found

    def on(self, images: np.ndarray) -> "Found":
        """What lies on some of the images."""
        chosen = np.isin(self.image_ids, images)  # numbered from 0
        parts = (tuple(column[chosen[part[0]]] for column in part) for part in (self.item, self.result))
        return Found(np.sort(images), *parts)


@pytest.fixture(autouse=True)
def matched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results come matched."""
    monkeypatch.setattr(intervals, "compare", lambda truth, results, **_: results)
    monkeypatch.setattr(intervals, "progress", lambda values, **_: values)


def make_world(alarms: float, quality: float, *, methods: int = 1) -> list[Found]:
    """Methods that are equally good at photos dressed as the demo's; hard photos are hard for all of them.

    Categories differ in difficulty; garments are missed, taken for others, badly or well fitted; the score
    knows the fit roughly; false alarms have low scores.
    """
    rng = np.random.default_rng(0)
    plans = plan_split(0, "validation", MANY)
    image = np.repeat(np.arange(MANY), [len(plan.items) for plan in plans])
    category = np.array([item.category_id for plan in plans for item in plan.items])
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


def scores(found: Found, weights: np.ndarray) -> np.ndarray:
    """(S,) AP, the mean over categories."""
    return np.nanmean(intervals.resampled_scores(found, weights)[0].mean(axis=2), axis=1)


def draw(world: list[Found], seed: int) -> list[Found]:
    """What each method finds on the same few photos."""
    images = np.random.default_rng(seed).choice(MANY, FEW, replace=False)
    return [found.on(images) for found in world]


def known_intervals(found: Found, seed: int) -> dict[str, tuple[float, float]]:
    """The interval of AP by the methods that are usual with resamples drawn with replacement."""
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(FEW, np.full(FEW, 1 / FEW), SAMPLES)
    ones = np.ones((FEW, FEW), int)
    values = scores(found, np.concatenate([ones[:1], weights, ones - np.eye(FEW, dtype=int)]))
    estimate, drawn, without = values[0], values[1 : 1 + SAMPLES], values[1 + SAMPLES :]
    low, high = np.percentile(drawn, [2.5, 97.5])
    pull = without.mean() - without
    skew = (pull**3).sum() / (6 * (pull**2).sum() ** 1.5)
    normal = NormalDist()
    shift = normal.inv_cdf(np.clip((drawn < estimate).mean(), 0.5 / SAMPLES, 1 - 0.5 / SAMPLES))
    ends = [shift + normal.inv_cdf(p) for p in (0.025, 0.975)]
    bca = np.percentile(drawn, [100 * normal.cdf(shift + end / (1 - skew * end)) for end in ends])
    return {"percentile": (low, high), "basic": (2 * estimate - high, 2 * estimate - low), "BCa": tuple(bca)}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_intervals_of_few_photos_hold_the_score_of_very_many(name: str) -> None:
    world = make_world(*WORLDS[name])
    truth = intervals.bootstrap(SimpleNamespace(images=range(MANY)), *world, samples=2)
    holds: dict[str, list[bool]] = {}
    estimates, rare = [], []
    for seed in range(REPETITIONS):
        (found,) = draw(world, seed)
        ours = intervals.bootstrap(SimpleNamespace(images=range(FEW)), found, samples=SAMPLES, seed=seed)
        ends = {"halves": (ours.AP.low, ours.AP.high)} | known_intervals(found, seed)
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
def test_equal_methods_are_told_apart_one_time_in_twenty() -> None:
    world = make_world(1, 0.3, methods=2)
    decided = []
    for seed in range(REPETITIONS):
        first, second = ([found] for found in draw(world, seed))
        truth = SimpleNamespace(images=range(FEW))
        gain = intervals.paired_bootstrap(truth, first, second, samples=SAMPLES, seed=seed).AP
        decided.append(gain.low > 0 or gain.high < 0)
    print(f"\nequal methods told apart: {np.mean(decided):.1%}")
    assert np.mean(decided) < 0.1
