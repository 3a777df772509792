"""From distances to maps: flip orbits, average linkage under the rules, the choice of a threshold, scores, controls.

The mirror image of a group must be a group, so what is grouped is not landmarks but orbits {i, flip i}: 131
pairs and 32 landmarks on the axis of symmetry. Letters: O = 163 orbits.

Two pairs can join in two ways, left with left or left with right. Which landmark of a pair is the left one is
settled once for all orbits (`_turned`), so that from there on an orbit is one node and sides always agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from kps.aggregation import Aggregation, members
from kps.files import InputError
from kps.likeness.cues import CROSS_PAIRS, cue
from kps.likeness.shapes import Shapes
from kps.schema import FLIP_INDICES, LANDMARK_CATEGORY, NUM_LANDMARKS, own_landmark_mask

FIRST = np.flatnonzero(np.arange(NUM_LANDMARKS) <= FLIP_INDICES)  # (O,) lower-numbered landmark of each orbit
SELF_SYMMETRIC = FLIP_INDICES[FIRST] == FIRST
ORBIT_CATEGORY = LANDMARK_CATEGORY[FIRST]
# A landmark on the axis can join only such landmarks: with a side one it would pull that one's mirror image
# into the group as well, and so two landmarks of a category.
_ON_AXIS = np.arange(NUM_LANDMARKS) == FLIP_INDICES
MAY_SHARE = (LANDMARK_CATEGORY[:, None] != LANDMARK_CATEGORY) & (_ON_AXIS[:, None] == _ON_AXIS)  # (294, 294)
MAY_JOIN = MAY_SHARE[np.ix_(FIRST, FIRST)]
VOTE_POWER = 4  # of the likeness: the many far orbits are not to outvote the few near ones
MIN_TURN_GAIN = 0.1  # of summed votes: with less evidence the numbering decides on a pair's sides

# Dwarfs every distance even when it is one of 13 x 13 in a mean: no cut below it joins a forbidden pair.
FORBIDDEN = 1e6
MAX_ALONE = 0.5  # share of the landmarks without a group to share
THRESHOLDS = tuple(np.round(np.arange(0.05, 0.951, 0.05), 2).tolist())


def derive_map(distance: np.ndarray, threshold: float) -> Aggregation:
    """Derive a map from distances between landmarks: average linkage under the rules, up to a threshold.

    InputError: another shape, or a distance or threshold outside [0, 1].

    Args:
        distance: (294, 294) in [0, 1], NaN where unknown; made symmetric and equal under the mirror image.
        threshold: from 0 (nothing is joined: 294 groups) to 1.
    """
    return derive_maps(distance, [threshold])[0]


def derive_maps(distance: np.ndarray, thresholds: Sequence[float]) -> list[Aggregation]:
    """As `derive_map`, of one tree of merges cut at several thresholds.

    The two clusters with the smallest mean distance that may share a group are joined again and again; what is
    not known is not joined. Forbidden pairs enter SciPy's linkage at a huge distance, which is the same thing: a
    mean with one of them in it never comes first.
    """
    for threshold in thresholds:
        if not 0 <= threshold <= 1:
            raise InputError(f"expected a threshold from 0 to 1, but got {threshold}")
    mean = cue("to group by", distance, "").distance
    straight, crossed = mean[np.ix_(FIRST, FIRST)], mean[np.ix_(FIRST, FLIP_INDICES[FIRST])]
    turned = _turned(straight, crossed)
    of_sides = np.where(turned[:, None] == turned, straight, crossed)
    full = np.where(MAY_JOIN & np.isfinite(of_sides), of_sides, FORBIDDEN)
    np.fill_diagonal(full, 0)
    tree = linkage(squareform(full, checks=False), method="average")
    side = np.where(turned, FLIP_INDICES[FIRST], FIRST)
    below = np.nextafter(thresholds, -1)  # a merge at the very threshold is not made
    return [expand(fcluster(tree, height, criterion="distance"), side) for height in below]


def _turned(straight: np.ndarray, crossed: np.ndarray) -> np.ndarray:
    """(O,) True where an orbit's higher-numbered landmark stands on the common side.

    Two orbits that are alike vote for the relative side in which they are more alike. Sides start from the
    numbering; the orbit with the most votes against it turns, until none has any worth mentioning.
    """
    vote = (1 - straight) ** VOTE_POWER - (1 - crossed) ** VOTE_POWER
    vote = np.where(MAY_JOIN & ~SELF_SYMMETRIC[:, None] & np.isfinite(vote), vote, 0.0)
    sign = np.ones(len(FIRST))
    while True:
        against = -sign * (vote @ sign)
        worst = int(against.argmax())
        if against[worst] < MIN_TURN_GAIN:
            return sign < 0
        sign[worst] *= -1


def expand(labels: np.ndarray, side: np.ndarray) -> Aggregation:
    """Turn clusters of orbits (O,) into a map of landmarks to groups, numbered in the order of their first landmark.

    `side` (O,) is the landmark of each orbit that stands on the common side. Orbits a and b joined means that side[a]
    and side[b] share a group, and so do their mirror images.
    """
    group = np.empty(NUM_LANDMARKS, dtype=np.int64)
    group[side] = 2 * labels
    group[FLIP_INDICES[side]] = np.where(SELF_SYMMETRIC, 2 * labels, 2 * labels + 1)
    return Aggregation(pd.factorize(group)[0])


@dataclass(frozen=True)
class Choice:
    """A threshold and the table behind it: threshold, groups, alone, stability and its standard_error."""

    threshold: float
    table: pd.DataFrame


def choose_threshold(
    replicates: Sequence[np.ndarray], thresholds: Sequence[float] = THRESHOLDS, *, required: bool = True
) -> Choice:
    """Choose the threshold at which resampled data agree on the map, without looking at any known map.

    A map is derived from each replicate. Stability is the mean adjusted Rand index between the maps of two replicates.
    Among the thresholds whose stability is within one standard error of the best (the rule of Breiman et al., 1984, for
    the size of a tree) the largest is taken: equally sure, it shares the most. Thresholds at which some replicate
    leaves most landmarks alone are passed over where there are others: the few surest merges always agree, but are no
    aggregation. InputError: too few replicates, or thresholds at which nothing is merged.

    Args:
        replicates: distances (294, 294) measured on resampled instances, at least 3.
        thresholds: to choose from.
        required: False chooses 0, at which nothing is merged, where no threshold will do.
    """
    if len(replicates) < 3:
        raise InputError(f"expected at least 3 replicates to choose a threshold, but got {len(replicates)}")
    rows, thresholds = [], sorted(thresholds)
    families = [derive_maps(distance, thresholds) for distance in replicates]
    for threshold, *maps in zip(thresholds, *families, strict=True):
        of_each = squareform(pairwise_rand(maps)).sum(1) / (len(maps) - 1)  # mean over the other maps
        rows.append(
            {
                "threshold": threshold,
                "groups": np.mean([map_.num_groups for map_ in maps]),
                "alone": max((np.bincount(map_.group) == 1).sum() for map_ in maps) / NUM_LANDMARKS,
                "stability": of_each.mean(),
                "standard_error": of_each.std(ddof=1) / np.sqrt(len(maps)),
            }
        )
    table = pd.DataFrame(rows)
    if table["stability"].isna().all():
        if not required:
            return Choice(0.0, table)
        raise InputError(f"expected thresholds that merge something, but got {thresholds}")
    usual = table[table["alone"] <= MAX_ALONE]
    allowed = usual if usual["stability"].notna().any() else table
    best = allowed.loc[allowed["stability"].idxmax()]
    stable = allowed["stability"] >= best["stability"] - best["standard_error"]
    return Choice(float(allowed["threshold"][stable].max()), table)


TRADES = 1000  # between two categories each; 13 categories mix within some tens


def same_number() -> np.ndarray:
    """(294,) landmarks with the same number in their category: 39 groups.

    No valid map (mirror images go astray). Its adjusted Rand index against the hand map is 0.42 as `scores`
    counts, 0.38 over all pairs of landmarks.
    """
    return np.nonzero(own_landmark_mask())[1]


def random_map(sizes_like: Aggregation, seed: int) -> Aggregation:
    """A random valid map with the group sizes of a given one.

    Categories trade the groups that only one of two has (the curveball walk of Strona et al., 2014, which
    reaches every filling of the groups equally often); then each category's orbits change places. Left stays
    with left by the landmarks' numbering.
    """
    rng = np.random.default_rng(seed)
    group = sizes_like.group
    labels = np.minimum(group, group[FLIP_INDICES])[FIRST]  # (O,) one for a group and its mirror image
    for on_axis in (False, True):
        of_kind = on_axis == SELF_SYMMETRIC
        kinds = np.unique(ORBIT_CATEGORY[of_kind])
        nodes = {kind: np.flatnonzero(of_kind & (kind == ORBIT_CATEGORY)) for kind in kinds}
        held = {kind: labels[nodes[kind]] for kind in kinds}
        for _ in range(TRADES):
            a, b = rng.choice(kinds, 2, replace=False)
            common = np.intersect1d(held[a], held[b])
            pool = rng.permutation(np.setxor1d(held[a], held[b]))
            of_a = len(held[a]) - len(common)
            held[a], held[b] = np.r_[common, pool[:of_a]], np.r_[common, pool[of_a:]]
        for kind in kinds:
            labels[nodes[kind]] = rng.permutation(held[kind])
    return expand(labels, FIRST)


def placed(aggregation: Aggregation, shapes: Shapes) -> Aggregation:
    """The same map with names that say where a group lies: "left, 60 % down: vest 8 · sling dress 8 · +3".

    Left and right are the picture's; 0 % is the top of a category's mean shape and 100 % its bottom, averaged
    over the group's landmarks. A group whose landmarks were never labelled keeps its name.
    """
    height = pd.DataFrame(shapes.mean[..., 1].T)  # a column a category
    down = (height - height.min()) / (height.max() - height.min()).clip(1e-9)
    down, across = (one[own_landmark_mask()] for one in (down.to_numpy().T, shapes.mean[..., 0]))
    names = []
    for group, landmarks in enumerate(members(aggregation)):
        seen = landmarks[np.isfinite(across[landmarks])]
        name = aggregation.names[group]
        if len(seen):
            on_axis = aggregation.flip_indices[group] == group
            side = "centre" if on_axis else "left" if across[seen].mean() < 0 else "right"
            name = f"{side}, {100 * down[seen].mean():.0f} % down: {name}"
        names.append(name)
    return Aggregation(aggregation.group, names)


WEIGHT = np.where(_ON_AXIS[CROSS_PAIRS[0]] & _ON_AXIS[CROSS_PAIRS[1]], 1.0, 0.5)  # counts mirror images once


def score(map_: Aggregation | np.ndarray, reference: Aggregation | np.ndarray) -> dict[str, float]:
    """Compare a map with a reference; either may be group numbers (294,) that keep no rule.

    precision: share of the map's merged pairs that the reference merges too; recall: share of the reference's
    merged pairs that the map merges; NaN where there are none. These and the adjusted_rand index are 1 at best.
    InputError: group numbers of another shape.
    """
    a, b = CROSS_PAIRS
    ours, theirs = (group[a] == group[b] for group in (_group(map_), _group(reference)))
    total, merged, right, both = (float(WEIGHT[part].sum()) for part in (..., ours, theirs, ours & theirs))
    expected = merged * right / total
    room = (merged + right) / 2 - expected
    return {
        "adjusted_rand": (both - expected) / room if room else 1.0,
        "precision": both / merged if merged else float("nan"),
        "recall": both / right if right else float("nan"),
    }


def adjusted_rand(first: Aggregation | np.ndarray, second: Aggregation | np.ndarray) -> float:
    """The adjusted Rand index alone; 1 for equal maps, about 0 for unrelated ones."""
    return score(first, second)["adjusted_rand"]


def pairwise_rand(maps: Sequence[Aggregation]) -> np.ndarray:
    """(P,) adjusted Rand index of each two maps; NaN if one merges nothing: such maps agree for no reason."""
    unknown = any(map_.num_groups == NUM_LANDMARKS for map_ in maps)
    return np.array([np.nan if unknown else adjusted_rand(a, b) for a, b in combinations(maps, 2)])


def score_table(
    maps: Mapping[str, Aggregation | np.ndarray], references: Mapping[str, Aggregation | np.ndarray]
) -> pd.DataFrame:
    """Every map against every reference: a row a map, its groups, and columns (reference, score)."""
    rows = {}
    for name, map_ in maps.items():
        rows[name] = {("", "groups"): len(np.unique(_group(map_)))}
        for label, reference in references.items():
            rows[name] |= {(label, key): value for key, value in score(map_, reference).items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def _group(map_: Aggregation | np.ndarray) -> np.ndarray:
    group = map_.group if isinstance(map_, Aggregation) else np.asarray(map_)
    if group.shape != (NUM_LANDMARKS,):
        raise InputError(f"expected groups of shape ({NUM_LANDMARKS},), but got {group.shape}")
    return group
