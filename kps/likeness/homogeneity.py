"""All cues of a data set and the distance fused from them, and how far that can be trusted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu, spearmanr

from kps.aggregation import Aggregation
from kps.data.coco import Instances
from kps.files import InputError, read_json, write_json
from kps.likeness.contour import counterparts
from kps.likeness.cues import CROSS_PAIRS, Cue, cue, position_distance
from kps.likeness.shapes import Shapes, category_shapes
from kps.schema import MAX_LANDMARKS, NUM_CATEGORIES, NUM_LANDMARKS, SIGMAS

# By reason, not by fitting a map: 1 for what can tell a landmark of a garment from all its others by itself,
# 1/2 for what can only object (many landmarks share a precision, and many places of a garment look alike).
WEIGHTS = {"position": 1.0, "sigma": 0.5, "contour": 1.0}
MEANINGS = {
    "position": "Hellinger distance of the landmarks' Gaussians after laying the categories' mean shapes on each "
    "other by their outlines (0: same place and spread, 1: no overlap; no unit).",
    "sigma": "1 - exp(-|log sigma_i - log sigma_j|) of the evaluator's OKS sigmas: 1 minus the smaller sigma "
    "over the larger (no unit).",
    "contour": "1 - the probability that two landmarks are counterparts when their categories' outlines are walked "
    "side by side and compared by the directions of the mean outline's edges (no unit).",
}
LIKENESS_FLOOR = 0.01  # a cue that says "no" leaves this likeness, so that none decides alone
KNOWN_SHARE = 0.5  # of all weights: a pair that only a table of sigmas knows is not known


@dataclass(frozen=True)
class Homogeneity:
    """Cues by name with their weights, the fused distance (294, 294) in [0, 1], and the mean shapes.

    Distances are NaN where no cue knows the pair.
    """

    shapes: Shapes
    cues: dict[str, Cue]
    weights: dict[str, float]
    fused: np.ndarray

    def save(self, path: Path) -> None:
        """Write as JSON, numbers at 4 decimals."""
        cues = {
            name: {"meaning": each.meaning, "weight": self.weights[name], "distance": np.round(each.distance, 4)}
            for name, each in self.cues.items()
        }
        shapes = {name: np.round(value, 4) for name, value in vars(self.shapes).items()}
        write_json(path, {"shapes": shapes, "cues": cues, "fused": np.round(self.fused, 4)})

    @classmethod
    def load(cls, path: Path) -> "Homogeneity":
        """Read what `save` wrote.

        InputError: the file is absent, or one of its arrays or cues is absent or malformed.
        """
        value = read_json(path)
        if not isinstance(value, dict) or not isinstance(value.get("cues"), dict) or not value["cues"]:
            raise InputError(f"{path}: expected an object with shapes, cues and fused distances")
        per_landmark, square = (NUM_CATEGORIES, MAX_LANDMARKS), (NUM_LANDMARKS, NUM_LANDMARKS)
        try:
            shapes = Shapes(
                mean=_array(value, "shapes", "mean", shape=(*per_landmark, 2)),
                covariance=_array(value, "shapes", "covariance", shape=(*per_landmark, 2, 2)),
                count=_array(value, "shapes", "count", shape=per_landmark).astype(int),
            )
            fused = Cue("fused", _array(value, "fused", shape=square), "").distance  # it obeys the same rules
            cues, weights = {}, {}
            for name, saved in value["cues"].items():
                distance = _array(value, "cues", name, "distance", shape=square)
                cues[name] = Cue(name, distance, str(saved.get("meaning", "")))
                weights[name] = float(_array(value, "cues", name, "weight", shape=()))
                if not weights[name] >= 0:
                    raise InputError(f"expected a weight of at least 0 for cue {name!r}, but got {weights[name]}")
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return cls(shapes, cues, weights, fused)


def _array(value: object, *keys: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array of numbers under the keys, null as NaN."""
    try:
        for key in keys:
            value = value[key]
        array = np.array(value, dtype=float)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"expected an array {' '.join(keys)} of shape {shape}, but found none") from None
    if array.shape != shape:
        raise InputError(f"expected {' '.join(keys)} of shape {shape}, but got {array.shape}")
    return array


def measure(instances: Instances) -> Homogeneity:
    """Measure how alike the landmarks are, from labelled instances (of the training split)."""
    shapes, log_sigma = category_shapes(instances), np.log(SIGMAS)
    probability = counterparts(shapes)
    distances = {
        "position": position_distance(shapes, probability),
        "sigma": 1 - np.exp(-np.abs(log_sigma[:, None] - log_sigma)),
        "contour": 1 - probability,
    }
    cues = {name: cue(name, distance, MEANINGS[name]) for name, distance in distances.items()}
    return Homogeneity(shapes, cues, WEIGHTS, fuse(cues, WEIGHTS))


def fuse(cues: Mapping[str, Cue], weights: Mapping[str, float]) -> np.ndarray:
    """(294, 294) 1 minus the weighted geometric mean of the cues' likenesses (1 - distance).

    A cue that does not know a pair is left out there; NaN where those that do carry less than KNOWN_SHARE of
    the weights.
    """
    total, weight = np.zeros((2, NUM_LANDMARKS, NUM_LANDMARKS))
    for name, each in cues.items():
        known = np.isfinite(each.distance)
        total += weights[name] * np.where(known, np.log(np.maximum(1 - each.distance, LIKENESS_FLOOR)), 0)
        weight += weights[name] * known
    least = KNOWN_SHARE * sum(weights[name] for name in cues)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight >= least, 1 - np.exp(total / weight), np.nan)


def separation(distance: np.ndarray, aggregation: Aggregation) -> float:
    """How well a distance agrees with a map: the chance that a merged pair is closer than an unmerged one.

    Over all pairs of landmarks of different categories with a known distance (area under the ROC curve: 0.5
    is chance, 1 is perfect); NaN where the map merges none of them, or all.
    """
    values, merged = distance[CROSS_PAIRS], np.equal(*aggregation.group[list(CROSS_PAIRS)])
    near, far = (values[np.isfinite(values) & part] for part in (merged, ~merged))
    if not len(near) or not len(far):
        return float("nan")
    return float(mannwhitneyu(far, near, method="asymptotic").statistic / (len(near) * len(far)))


def leave_one_out(homogeneity: Homogeneity, score: Callable[[np.ndarray], float]) -> dict[str, float]:
    """What each cue contributes: the fused distance's score minus the score without the cue.

    Args:
        homogeneity: two cues or more.
        score: of a distance (294, 294); more is better. Such as `lambda d: separation(d, aggregation)`.
    """
    full, cues = score(homogeneity.fused), homogeneity.cues
    return {
        left_out: full - score(fuse({k: v for k, v in cues.items() if k != left_out}, homogeneity.weights))
        for left_out in cues
    }


def resampled(instances: Instances, seed: int) -> Instances:
    """A bootstrap sample: as many photos as there are, drawn with replacement, with all their instances.

    Instances of a photo drawn twice appear twice, with the same ids.
    """
    photos, photo = np.unique(instances.image_id, return_inverse=True)
    drawn = np.random.default_rng(seed).integers(0, len(photos), len(photos))
    times = np.bincount(drawn, minlength=len(photos))
    return instances.take(np.repeat(np.arange(len(instances)), times[photo]))


def split_half(instances: Instances, *, seed: int = 0) -> float:
    """How far two random halves of the photos agree: rank correlation of their fused distances.

    Over all pairs of landmarks of different categories that both halves know; NaN where there are none.
    """
    photos, photo = np.unique(instances.image_id, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(photos))
    halves = (instances.take(np.isin(photo, half)) for half in (order[::2], order[1::2]))
    first, second = (measure(half).fused[CROSS_PAIRS] for half in halves)
    known = np.isfinite(first) & np.isfinite(second)
    if not known.any():
        return float("nan")
    return float(spearmanr(first[known], second[known]).statistic)
