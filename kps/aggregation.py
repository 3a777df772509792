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
    FLIP_INDICES,
    LANDMARK_CATEGORY,
    LANDMARK_NAMES,
    MAX_LANDMARKS,
    NUM_LANDMARKS,
    category,
    own_indices,
    own_landmark_mask,
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
        self.flip_indices = _flip_of_groups(self.group)
        self.names = tuple(map(_name_of, members(self)) if names is None else names)
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
        group = value.get("group") if isinstance(value, dict) else None
        if not isinstance(group, list) or not all(type(number) is int and number >= 1 for number in group):
            raise InputError(f"{path}: expected an object with a list of {NUM_LANDMARKS} groups, integers from 1")
        try:
            aggregation = cls(np.array(group) - 1, value.get("names"))
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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Aggregation) and bool(np.array_equal(self.group, other.group))

    def channels(self, category_id: int) -> np.ndarray:
        """(num_landmarks,) group of each landmark of a category."""
        return self.group[category(category_id).slice]

    @cached_property
    def own_channels(self) -> np.ndarray:
        """(13, 39) group of each own landmark; 0 on padding."""
        return np.where(own_landmark_mask(), self.group[own_indices()], 0)

    def aggregate(self, category_id: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Place own landmarks in their groups: (N,), (N, 39, D) -> (N, G, D), zeros in other groups."""
        row, landmark, channel = self._places(category_id)
        grouped = np.zeros((len(own), self.num_groups, own.shape[2]), own.dtype)
        grouped[row, channel] = own[row, landmark]
        return grouped

    def expand(self, category_id: np.ndarray, grouped: np.ndarray) -> np.ndarray:
        """Take each instance's own landmarks from the groups: (N,), (N, G, D) -> (N, 39, D)."""
        row, landmark, channel = self._places(category_id)
        own = np.zeros((len(grouped), MAX_LANDMARKS, grouped.shape[2]), grouped.dtype)
        own[row, landmark] = grouped[row, channel]
        return own

    def _places(self, category_id: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of every landmark that the instances (N,) have: the instance, its number there, and its group."""
        kind = np.asarray(category_id) - 1
        row, landmark = np.nonzero(own_landmark_mask()[kind])
        return row, landmark, self.own_channels[kind[row], landmark]


def _name_of(landmarks: np.ndarray) -> str:
    """Unique, since no other group has the first landmark; the last shows how far the group reaches."""
    ends = [LANDMARK_NAMES[landmark] for landmark in sorted({landmarks[0], landmarks[-1]})]
    between = [f"+{len(landmarks) - 2}"] if len(landmarks) > 2 else []
    return " · ".join(ends + between)


def _first_alike(key: np.ndarray) -> np.ndarray:
    """(294,) the first landmark with the same key as each."""
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return first[inverse]


def _check_apart(group: np.ndarray) -> None:
    """Two landmarks of a category never share a group."""
    first = _first_alike(LANDMARK_CATEGORY * NUM_LANDMARKS + group)
    for landmark in np.flatnonzero(first != np.arange(NUM_LANDMARKS)):
        raise InputError(
            f"expected landmarks of a category in different groups, but {LANDMARK_NAMES[first[landmark]]!r} "
            f"and {LANDMARK_NAMES[landmark]!r} share group {group[landmark] + 1}"
        )


def _flip_of_groups(group: np.ndarray) -> np.ndarray:
    """(G,) the group of the mirrored landmark, which must be the same for all members of a group."""
    first, mirrored = _first_alike(group), group[FLIP_INDICES]
    for landmark in np.flatnonzero(mirrored != mirrored[first]):
        other = first[landmark]
        raise InputError(
            f"expected a group's landmarks to mirror into one group, but {LANDMARK_NAMES[other]!r} and "
            f"{LANDMARK_NAMES[landmark]!r} of group {group[landmark] + 1} mirror into groups "
            f"{mirrored[other] + 1} and {mirrored[landmark] + 1}"
        )
    flip = np.empty(group.max() + 1, group.dtype)
    flip[group] = mirrored
    return flip


def members(aggregation: Aggregation) -> list[np.ndarray]:
    """Landmark indices of each group, groups in order."""
    return [np.flatnonzero(aggregation.group == g) for g in range(aggregation.num_groups)]
