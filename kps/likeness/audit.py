"""What the data say about a hand-made map: merges to doubt, and pairs it keeps apart that look alike.

A decision is a pair of landmarks of different categories that the rules allow to share a group; its mirror
image is the same decision and is listed once.
"""

from typing import Literal

import numpy as np
import pandas as pd

from kps.aggregation import Aggregation, categories_of_group
from kps.likeness.grouping import MAY_SHARE, symmetrised
from kps.schema import CATEGORIES, FLIP_INDICES, LANDMARK_CATEGORY, LANDMARK_NAMES


def audit_merges(distance: np.ndarray, map_: Aggregation, *, derived: Aggregation | None = None) -> pd.DataFrame:
    """Every pair that a map merges, the most doubtful first.

    Columns: `landmark`, `other` (names), `index`, `other_index` (0-based, in the 294), `group` (from 1),
    `group_name`, `distance`, `doubt` (share of the merged pairs that are nearer: 0.99 is nearer than hardly
    any), `nearer_unmerged` (share of the unmerged pairs that are nearer), `mutual` (each is the other's
    nearest in its category) and, with a derived map, `derived_apart`. Pairs of unknown distance are left out.

    Args:
        distance: (294, 294) in [0, 1], NaN where unknown.
        map_: the map to audit.
        derived: a map to compare with.
    """
    table = _decisions(distance, map_)
    merged = table.pop("merged").to_numpy()
    rivals = np.sort(table["distance"].to_numpy()[~merged])
    table = table[merged].copy()
    table["doubt"] = _share_below(table["distance"].to_numpy(), table["distance"].to_numpy())
    table["nearer_unmerged"] = _share_below(rivals, table["distance"].to_numpy())
    table.insert(4, "group", map_.group[table["index"]] + 1)
    table.insert(5, "group_name", [map_.names[group - 1] for group in table["group"]])
    table["mutual"] = table.pop("mutual")  # after the doubts
    if derived is not None:
        table["derived_apart"] = derived.group[table["index"]] != derived.group[table["other_index"]]
    return table.sort_values(["doubt", "index"], ascending=[False, True], ignore_index=True)


def audit_missed(distance: np.ndarray, map_: Aggregation, *, derived: Aggregation | None = None) -> pd.DataFrame:
    """Pairs that a map keeps apart though each is the other's nearest in its category, most alike first.

    Columns as in `audit_merges`, with `group` and `other_group`; `doubt` is the share of the merged pairs
    that are farther apart (pairs with none are left out), and `allowed` says whether the two groups could be
    joined as they are: they hold no category twice. With a derived map, `derived_together`.
    """
    table = _decisions(distance, map_)
    merged, mutual = table.pop("merged").to_numpy(), table.pop("mutual").to_numpy()
    joined = table["distance"].to_numpy()[merged]
    table = table[mutual & ~merged].copy()
    first, second = map_.group[table["index"]], map_.group[table["other_index"]]
    table.insert(4, "group", first + 1)
    table.insert(5, "other_group", second + 1)
    table["doubt"] = 1 - _share_below(joined, table["distance"].to_numpy(), side="right")
    table["allowed"] = [
        not np.intersect1d(categories_of_group(map_, a), categories_of_group(map_, b)).size
        for a, b in zip(first, second, strict=True)
    ]
    if derived is not None:
        table["derived_together"] = derived.group[table["index"]] == derived.group[table["other_index"]]
    return table[table["doubt"] > 0].sort_values(["doubt", "index"], ascending=[False, True], ignore_index=True)


def _decisions(distance: np.ndarray, map_: Aggregation) -> pd.DataFrame:
    """All decisions of known distance: whether the map merges, and whether each is the other's nearest."""
    mean = symmetrised(distance)
    allowed = np.where(MAY_SHARE & np.isfinite(mean), mean, np.inf)
    starts = [item.first_index for item in CATEGORIES]
    nearest = np.minimum.reduceat(allowed, starts, axis=1)[:, LANDMARK_CATEGORY - 1]
    first, second = np.nonzero(np.isfinite(allowed))
    # The lower-numbered landmark of the first pair stands for both, so a mirror image is not met again.
    once = (LANDMARK_CATEGORY[first] < LANDMARK_CATEGORY[second]) & (first <= FLIP_INDICES[first])
    first, second = first[once], second[once]
    names = np.array(LANDMARK_NAMES, dtype=object)
    return pd.DataFrame(
        {
            "landmark": names[first],
            "other": names[second],
            "index": first,
            "other_index": second,
            "distance": allowed[first, second],
            "merged": map_.group[first] == map_.group[second],
            "mutual": allowed[first, second] <= np.minimum(nearest[first, second], nearest[second, first]),
        }
    )


def _share_below(values: np.ndarray, of: np.ndarray, *, side: Literal["left", "right"] = "left") -> np.ndarray:
    """Share of values below each of some numbers; with "right", at most as large."""
    return np.searchsorted(np.sort(values), of, side=side) / max(len(values), 1)
