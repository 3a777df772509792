"""All cues of a data set and the distance fused from them: measuring, weighing, saving, loading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kps.data.coco import Instances
from kps.files import InputError, read_json, write_json
from kps.likeness.contour import contour_cue
from kps.likeness.cue import Cue
from kps.likeness.position import position_cue
from kps.likeness.shapes import Shapes, category_shapes
from kps.likeness.sigma import sigma_cue
from kps.schema import MAX_LANDMARKS, NUM_CATEGORIES, NUM_LANDMARKS

# By reason, not by fitting a map: 1 for what can tell a landmark of a garment from all its others by itself,
# 1/2 for what can only object (many landmarks share a precision, and many places of a garment look alike).
WEIGHTS = {
    "position": 1.0,
    "sigma": 0.5,
    "contour": 1.0,
    "appearance": 0.5,
    "backbone": 1.0,
    "cross_prediction": 1.0,
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
            name: {"meaning": cue.meaning, "weight": weight, "distance": np.round(cue.distance, 4)}
            for (name, cue), weight in zip(self.cues.items(), self.weights.values(), strict=True)
        }
        shapes = {name: np.round(value, 4) for name, value in vars(self.shapes).items()}
        write_json(path, {"shapes": shapes, "cues": cues, "fused": np.round(self.fused, 4)})

    @classmethod
    def load(cls, path: Path) -> Homogeneity:
        """Read what `save` wrote.

        Raises:
            InputError: the file is absent, or one of its arrays or cues is absent or malformed.
        """
        value = read_json(path)
        if not isinstance(value, dict) or not isinstance(value.get("cues"), dict) or not value["cues"]:
            raise InputError(f"{path}: expected an object with shapes, cues and fused distances")
        per_landmark = (NUM_CATEGORIES, MAX_LANDMARKS)
        square = (NUM_LANDMARKS, NUM_LANDMARKS)
        shapes = Shapes(
            mean=_array(path, value, "shapes", "mean", shape=(*per_landmark, 2)),
            covariance=_array(path, value, "shapes", "covariance", shape=(*per_landmark, 2, 2)),
            count=_array(path, value, "shapes", "count", shape=per_landmark).astype(int),
        )
        fused = _array(path, value, "fused", shape=square)
        distances = {name: _array(path, value, "cues", name, "distance", shape=square) for name in value["cues"]}
        weights = {name: float(_array(path, value, "cues", name, "weight", shape=())) for name in distances}
        try:
            cues = {
                name: Cue(name, distance, str(value["cues"][name].get("meaning", "")))
                for name, distance in distances.items()
            }
            _check_weights(weights)
            Cue("fused", fused, "")  # it obeys the same rules
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return cls(shapes, cues, weights, fused)


def _check_weights(weights: Mapping[str, float | None]) -> None:
    for name, weight in weights.items():
        if weight is None or not weight >= 0:
            raise InputError(f"expected a weight of at least 0 for cue {name!r}, but got {weight}")


def _array(path: Path, value: object, *keys: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array of numbers under the keys, null as NaN."""
    try:
        for key in keys:
            value = value[key]
        array = np.array(value, dtype=float)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: expected an array {' '.join(keys)} of shape {shape}, but found none") from None
    if array.shape != shape:
        raise InputError(f"{path}: expected {' '.join(keys)} of shape {shape}, but got {array.shape}")
    return array


def measure(instances: Instances, *, extra: Sequence[Cue] = ()) -> Homogeneity:
    """Measure how alike the landmarks are, from labelled instances (of the training split).

    Args:
        instances: what position, sigma and contour are measured on.
        extra: further cues, such as appearance and cross-prediction.

    Raises:
        InputError: two cues with one name, or a cue without a weight in WEIGHTS.
    """
    shapes = category_shapes(instances)
    return fused_of(shapes, [position_cue(instances, shapes), sigma_cue(), contour_cue(shapes), *extra])


def fused_of(shapes: Shapes, cues: Iterable[Cue]) -> Homogeneity:
    """Put measured cues together; arguments and errors as for `measure`."""
    by_name: dict[str, Cue] = {}
    for cue in cues:
        if by_name.setdefault(cue.name, cue) is not cue:
            raise InputError(f"expected each cue once, but got two named {cue.name!r}")
    weights = {name: WEIGHTS.get(name) for name in by_name}
    _check_weights(weights)
    return Homogeneity(shapes, by_name, weights, fuse(by_name, weights))


def fuse(cues: Mapping[str, Cue], weights: Mapping[str, float]) -> np.ndarray:
    """(294, 294) 1 minus the weighted geometric mean of the cues' likenesses (1 - distance).

    A cue that does not know a pair is left out there; NaN where those that do carry less than KNOWN_SHARE of
    the weights.
    """
    total, weight = np.zeros((2, NUM_LANDMARKS, NUM_LANDMARKS))
    for name, cue in cues.items():
        known = np.isfinite(cue.distance)
        total += weights[name] * np.where(known, np.log(np.maximum(1 - cue.distance, LIKENESS_FLOOR)), 0)
        weight += weights[name] * known
    least = KNOWN_SHARE * sum(weights[name] for name in cues)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight >= least, 1 - np.exp(total / weight), np.nan)
