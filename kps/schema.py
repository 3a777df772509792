"""The 13 categories and 294 landmarks of DeepFashion2: the one table that everything else is computed from.

Letters: N instances, 294 landmarks, 39 = the most landmarks of a category. An instance's *own* landmarks are
those of its category, in landmark order, padded with zeros to 39.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import orjson

from kps.files import InputError


def package_data(name: str) -> bytes:
    """Return a file that the package carries, by its path in `kps`."""
    return resources.files("kps").joinpath(*name.split("/")).read_bytes()


@dataclass(frozen=True)
class Category:
    """A garment category; `flip_pairs` and `outline_links` number landmarks from 1, as in its figure."""

    id: int
    name: str
    coco_name: str
    num_landmarks: int
    first_index: int
    flip_pairs: tuple[tuple[int, int], ...]
    outline_links: tuple[tuple[int, int], ...]

    @staticmethod
    def named(name: str) -> "Category | None":
        """Return the category of a name in any spelling: "short sleeve top", "Short_sleeved_shirt"."""
        return next((item for item in CATEGORIES if _spelling(item.name) == _spelling(name)), None)

    @property
    def slice(self) -> slice:
        """The category's part of the 294-vector."""
        return slice(self.first_index, self.first_index + self.num_landmarks)

    @property
    def landmark_names(self) -> tuple[str, ...]:
        """Names such as "vest 1", in landmark order."""
        return tuple(f"{self.name} {number}" for number in range(1, self.num_landmarks + 1))

    @property
    def flip_indices(self) -> np.ndarray:
        """(num_landmarks,) 0-based: landmark i of the mirrored garment is landmark flip_indices[i]."""
        indices = np.arange(self.num_landmarks)
        for left, right in self.flip_pairs:
            indices[left - 1], indices[right - 1] = right - 1, left - 1
        return indices


_TABLE = orjson.loads(package_data("data/categories.json"))
CATEGORIES = tuple(
    Category(**{key: tuple(map(tuple, value)) if isinstance(value, list) else value for key, value in row.items()})
    for row in _TABLE["categories"]
)
NUM_CATEGORIES = len(CATEGORIES)
NUM_LANDMARKS = sum(category.num_landmarks for category in CATEGORIES)
MAX_LANDMARKS = max(category.num_landmarks for category in CATEGORIES)
LANDMARK_NAMES = tuple(name for category in CATEGORIES for name in category.landmark_names)
# The official evaluator's table (k_i = 2 sigma_i, as in COCO).
SIGMAS = np.array(_TABLE["sigmas"])
FLIP_INDICES = np.concatenate([category.first_index + category.flip_indices for category in CATEGORIES])
# Category id of each of the 294 landmarks.
LANDMARK_CATEGORY = np.repeat([c.id for c in CATEGORIES], [c.num_landmarks for c in CATEGORIES])
for _constant in (SIGMAS, FLIP_INDICES, LANDMARK_CATEGORY):
    _constant.setflags(write=False)


def category(category_id: int) -> Category:
    """Return a category by its id; InputError: the id is not 1..13."""
    whole = isinstance(category_id, int | np.integer) and not isinstance(category_id, bool)
    if not whole or not 1 <= category_id <= NUM_CATEGORIES:
        expected = f"expected a category id from 1 to {NUM_CATEGORIES}"
        raise InputError(f"{expected}, but got {category_id!r}", "category_unknown")
    return CATEGORIES[category_id - 1]


def _spelling(name: str) -> str:
    letters = re.sub(r"[^a-z]", "", name.lower())
    return re.sub(r"sleeved?(shirt|top|outwear|dress)", r"sleeve\1", letters).replace("shirt", "top")


@lru_cache(maxsize=1)
def own_indices() -> np.ndarray:
    """(13, 39) index in the 294-vector of each own landmark; -1 on padding."""
    indices = np.full((NUM_CATEGORIES, MAX_LANDMARKS), -1)
    for row, item in zip(indices, CATEGORIES, strict=True):
        row[: item.num_landmarks] = np.arange(item.first_index, item.first_index + item.num_landmarks)
    indices.setflags(write=False)
    return indices


def own_landmark_mask() -> np.ndarray:
    """(13, 39) True where the category has that landmark."""
    return own_indices() >= 0


def own_sigmas() -> np.ndarray:
    """(13, 39) OKS sigmas of the own landmarks; 1 on padding, where they are never used."""
    return np.where(own_landmark_mask(), SIGMAS[own_indices()], 1.0)


def own_flip_indices() -> np.ndarray:
    """(13, 39) local 0-based flip index of each own landmark; padding maps to itself."""
    indices = np.tile(np.arange(MAX_LANDMARKS), (NUM_CATEGORIES, 1))
    for row, item in zip(indices, CATEGORIES, strict=True):
        row[: item.num_landmarks] = item.flip_indices
    return indices


def full_from_own(category_id: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Place own landmarks in the 294-vector: (N,), (N, 39, D) -> (N, 294, D), zeros elsewhere."""
    category_id = np.asarray(category_id)
    full = np.zeros((len(own), NUM_LANDMARKS, own.shape[2]), own.dtype)
    for item in CATEGORIES:
        rows = np.flatnonzero(category_id == item.id)
        full[rows, item.slice] = own[rows, : item.num_landmarks]
    return full
