"""What the data say about a hand-made map: merges to doubt, and pairs it keeps apart that look alike.

A decision is a pair of landmarks of different categories that the rules allow to share a group; its mirror
image is the same decision and is listed once. Pairs of unknown distance are left out.
"""

import numpy as np
import pandas as pd

from kps.aggregation import Aggregation
from kps.likeness.cues import cue
from kps.likeness.grouping import MAY_SHARE
from kps.schema import CATEGORIES, FLIP_INDICES, LANDMARK_CATEGORY, LANDMARK_NAMES


def audit_merges(distance: np.ndarray, map_: Aggregation, *, derived: Aggregation | None = None) -> pd.DataFrame:
    """Every pair that a map merges, the most doubtful first.

    Columns: `landmark`, `other` (names), `index`, `other_index` (0-based, in the 294), `group`, `other_group`
    (from 1; here the same), `distance`, `mutual` (each is the other's nearest in its category), `doubt` (share
    of the merged pairs that are nearer: 0.99 is nearer than hardly any) and, with a derived map,
    `derived_together`.

    Args:
        distance: (294, 294) in [0, 1], NaN where unknown.
        map_: the map to audit.
        derived: a map to compare with.
    """
    table = _decisions(distance, map_, derived)
    table = table[table["group"] == table["other_group"]].copy()
    table["doubt"] = np.searchsorted(table["distance"].sort_values(), table["distance"]) / max(len(table), 1)
    return _most_doubtful_first(table)


def audit_missed(distance: np.ndarray, map_: Aggregation, *, derived: Aggregation | None = None) -> pd.DataFrame:
    """Pairs that a map keeps apart though each is the other's nearest in its category, most alike first.

    As `audit_merges`, but `doubt` is the share of the merged pairs that are farther apart (pairs with none are
    left out), and `allowed` says whether the two groups could be joined as they are: they hold no category twice.
    """
    table = _decisions(distance, map_, derived)
    apart = table["group"] != table["other_group"]
    joined = table["distance"][~apart].sort_values()
    table = table[apart & table["mutual"]].copy()
    table["doubt"] = 1 - np.searchsorted(joined, table["distance"], side="right") / max(len(joined), 1)
    holds = np.zeros((map_.num_groups + 1, len(CATEGORIES) + 1), bool)
    holds[map_.group + 1, LANDMARK_CATEGORY] = True
    table["allowed"] = ~(holds[table["group"]] & holds[table["other_group"]]).any(1)
    return _most_doubtful_first(table[table["doubt"] > 0])


def _most_doubtful_first(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["doubt", "index"], ascending=[False, True], ignore_index=True)


def _decisions(distance: np.ndarray, map_: Aggregation, derived: Aggregation | None) -> pd.DataFrame:
    """All decisions of known distance, with the columns that both audits have."""
    mean = cue("audited", distance, "").distance
    allowed = np.where(MAY_SHARE & np.isfinite(mean), mean, np.inf)
    starts = [item.first_index for item in CATEGORIES]
    nearest = np.minimum.reduceat(allowed, starts, axis=1)[:, LANDMARK_CATEGORY - 1]
    first, second = np.nonzero(np.isfinite(allowed))
    # The lower-numbered landmark of the first pair stands for both, so a mirror image is not met again.
    once = (LANDMARK_CATEGORY[first] < LANDMARK_CATEGORY[second]) & (first <= FLIP_INDICES[first])
    first, second = first[once], second[once]
    names = np.array(LANDMARK_NAMES, dtype=object)
    columns = {
        "landmark": names[first],
        "other": names[second],
        "index": first,
        "other_index": second,
        "group": map_.group[first] + 1,
        "other_group": map_.group[second] + 1,
        "distance": allowed[first, second],
        "mutual": allowed[first, second] <= np.minimum(nearest[first, second], nearest[second, first]),
    }
    if derived is not None:
        columns["derived_together"] = derived.group[first] == derived.group[second]
    return pd.DataFrame(columns)
