"""Aggregation: which of the 294 landmarks share a group, and so a channel of the landmark model.

Source: section 2.1 of the paper; the hand map of 81 groups is the winning solution's. Letters: N instances,
G groups, 39 own landmarks (padded).
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import orjson

from kps.files import InputError, read_json, write_json
from kps.schema import (
    CATEGORIES,
    FLIP_INDICES,
    LANDMARK_CATEGORY,
    LANDMARK_NAMES,
    NUM_LANDMARKS,
    category,
    own_indices,
    package_data,
)

NAMED = ("hand81", "identity")


class Aggregation:
    """A map from landmarks to groups that keeps landmarks of a category apart and commutes with the flip.

    InputError: the map breaks a constraint; the message names the two landmarks at fault.

    Args:
        group: (294,) 0-based group of each landmark; every group 0..G-1 occurs.
        names: G names; made from the members where absent, such as "vest 8 · sling dress 8 · +3": the first
            and the last, and how many are between them.
    """

    def __init__(self, group: Sequence[int] | np.ndarray, names: Sequence[str] | None = None) -> None:
        self.group = np.array(group)
        if self.group.shape != (NUM_LANDMARKS,) or not np.issubdtype(self.group.dtype, np.integer):
            raise InputError(f"expected {NUM_LANDMARKS} integer groups, but got shape {self.group.shape}")
        self.num_groups = int(self.group.max()) + 1
        if set(self.group.tolist()) != set(range(self.num_groups)):
            raise InputError(f"expected every group from 1 to {self.num_groups} to have a landmark")
        self.group.setflags(write=False)
        _check_apart(self.group)
        self.flip_indices = _flip_of_groups(self.group, self.num_groups)
        self.names = tuple(names) if names is not None else self._default_names()
        if len(self.names) != self.num_groups:
            raise InputError(f"expected {self.num_groups} group names, but got {len(self.names)}")

    @classmethod
    def named(cls, name: str) -> "Aggregation":
        """Return the hand map ("hand81") or one group a landmark ("identity")."""
        if name == "identity":
            return cls(np.arange(NUM_LANDMARKS), LANDMARK_NAMES)
        if name == "hand81":
            return cls(np.array(orjson.loads(package_data("data/aggregation_81.json"))["group"]) - 1)
        raise InputError(f"expected an aggregation out of {', '.join(NAMED)} or a file, but got {name!r}")

    @classmethod
    def load(cls, path: Path) -> "Aggregation":
        """Read an aggregation file: {"num_groups": G, "group": [294 integers 1..G], "names": [G strings]}."""
        value = read_json(path)
        if not isinstance(value, dict) or not isinstance(value.get("group"), list):
            raise InputError(f"{path}: expected an object with a list of {NUM_LANDMARKS} groups")
        if not all(isinstance(g, int) and not isinstance(g, bool) and g >= 1 for g in value["group"]):
            raise InputError(f"{path}: expected groups as integers from 1")
        try:
            aggregation = cls(np.array(value["group"]) - 1, value.get("names"))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        if value.get("num_groups", aggregation.num_groups) != aggregation.num_groups:
            raise InputError(f"{path}: expected {value['num_groups']} groups, but got {aggregation.num_groups}")
        return aggregation

    @classmethod
    def resolve(cls, name_or_path: str) -> "Aggregation":
        """Return a named aggregation, or read it from a file."""
        return cls.named(name_or_path) if name_or_path in NAMED else cls.load(Path(name_or_path))

    def save(self, path: Path) -> None:
        """Write the aggregation file."""
        write_json(path, {"num_groups": self.num_groups, "group": self.group + 1, "names": list(self.names)})

    def _default_names(self) -> tuple[str, ...]:
        members: list[list[str]] = [[] for _ in range(self.num_groups)]
        for landmark, group in enumerate(self.group):
            members[group].append(LANDMARK_NAMES[landmark])
        return tuple(_name_of(names) for names in members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Aggregation) and bool(np.array_equal(self.group, other.group))

    def __hash__(self) -> int:
        return hash(self.group.tobytes())

    def channels(self, category_id: int) -> np.ndarray:
        """(num_landmarks,) group of each landmark of a category."""
        return self.group[category(category_id).slice]

    @cached_property
    def own_channels(self) -> np.ndarray:
        """(13, 39) group of each own landmark; 0 on padding."""
        indices = own_indices()
        return np.where(indices >= 0, self.group[indices], 0)

    def aggregate(self, category_id: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Place own landmarks in their groups: (N,), (N, 39, D) -> (N, G, D), zeros in other groups."""
        category_id = np.asarray(category_id)
        grouped = np.zeros((len(own), self.num_groups, own.shape[2]), own.dtype)
        for item in CATEGORIES:
            rows = np.flatnonzero(category_id == item.id)
            grouped[np.ix_(rows, self.channels(item.id))] = own[rows, : item.num_landmarks]
        return grouped

    def expand(self, category_id: np.ndarray, grouped: np.ndarray) -> np.ndarray:
        """Take each instance's own landmarks from the groups: (N,), (N, G, D) -> (N, 39, D)."""
        category_id = np.asarray(category_id)
        own = np.zeros((len(grouped), own_indices().shape[1], grouped.shape[2]), grouped.dtype)
        for item in CATEGORIES:
            rows = np.flatnonzero(category_id == item.id)
            own[rows, : item.num_landmarks] = grouped[rows][:, self.channels(item.id)]
        return own


def _name_of(landmarks: Sequence[str]) -> str:
    """Unique, since no other group has the first landmark; the last shows how far the group reaches."""
    ends = landmarks[:1] if len(landmarks) == 1 else (landmarks[0], landmarks[-1])
    between = [f"+{len(landmarks) - 2}"] if len(landmarks) > 2 else []
    return " · ".join((*ends, *between))


def _check_apart(group: np.ndarray) -> None:
    """Two landmarks of a category never share a group."""
    for item in CATEGORIES:
        seen: dict[int, int] = {}
        for landmark in range(item.slice.start, item.slice.stop):
            other = seen.setdefault(int(group[landmark]), landmark)
            if other != landmark:
                raise InputError(
                    f"expected landmarks of a category in different groups, but "
                    f"{LANDMARK_NAMES[other]!r} and {LANDMARK_NAMES[landmark]!r} "
                    f"share group {group[landmark] + 1}"
                )


def _flip_of_groups(group: np.ndarray, num_groups: int) -> np.ndarray:
    """(G,) the group of the mirrored landmark, which must be the same for all members of a group."""
    flip = np.full(num_groups, -1)
    first = np.zeros(num_groups, dtype=np.int64)
    for landmark in range(NUM_LANDMARKS):
        mirrored = group[FLIP_INDICES[landmark]]
        own = group[landmark]
        if flip[own] < 0:
            flip[own], first[own] = mirrored, landmark
        elif flip[own] != mirrored:
            raise InputError(
                f"expected a group's landmarks to mirror into one group, but "
                f"{LANDMARK_NAMES[first[own]]!r} and {LANDMARK_NAMES[landmark]!r} "
                f"of group {own + 1} mirror into groups {flip[own] + 1} and {mirrored + 1}"
            )
    return flip


def members(aggregation: Aggregation) -> list[np.ndarray]:
    """Landmark indices of each group, groups in order."""
    return [np.flatnonzero(aggregation.group == g) for g in range(aggregation.num_groups)]


def categories_of_group(aggregation: Aggregation, group: int) -> np.ndarray:
    """Ids of the categories that have a landmark in the group."""
    return LANDMARK_CATEGORY[aggregation.group == group]
