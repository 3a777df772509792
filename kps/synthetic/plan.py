"""Which garments appear in which photo: the paper's category frequencies, with a floor for rare ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kps.synthetic.look import BOTTOMS, DRESSES, OUTWEAR, TOPS
from kps.synthetic.shapes import Rng

# Items of a category per split in the real data set (the paper's Table 3), categories 1..13.
TRAIN_ITEMS = (71645, 36064, 543, 13457, 16095, 1985, 36616, 55387, 30835, 17211, 7907, 17949, 6492)
ITEMS_PER_PHOTO = 1.63  # 312,186 items on 191,961 photos
# Of a split's items: short sleeve outwear is 0.17 % of the real ones, too few to learn in a small set and to
# score; the price is that the rarest categories are more frequent here than in the real data.
FLOOR_SHARE = 0.015
FLOOR_ITEMS = 3
SPLIT_CODES = {"train": 0, "validation": 1, "test": 2}


@dataclass(frozen=True)
class Item:
    """A garment to draw: its category, its style number in the photo's pair and the seed of its look."""

    category_id: int
    style: int
    look_seed: int


@dataclass(frozen=True)
class PhotoPlan:
    """What a photo shows; photos with one pair_id share the items whose style is above 0."""

    items: tuple[Item, ...]
    source: str  # shop or user
    pair_id: int


def category_counts(photos: int) -> np.ndarray:
    """Items to draw of each category, (13,) int: Table 3's shares, but at least the floor.

    The floor is FLOOR_SHARE of the items and at least FLOOR_ITEMS; a small split spends at most half of its
    items on floors, so from 16 photos on every category is present.
    """
    total = photos * ITEMS_PER_PHOTO
    shares = np.array(TRAIN_ITEMS) / sum(TRAIN_ITEMS)
    half = total / (2 * len(shares))
    floor = min(max(FLOOR_ITEMS, FLOOR_SHARE * total), half)
    rare = shares * total < floor
    counts = np.where(rare, floor, 0.0)
    counts[~rare] = shares[~rare] / shares[~rare].sum() * (total - counts.sum())
    counts = np.maximum(counts, floor)
    counts *= total / max(counts.sum(), 1e-9)
    whole = np.floor(counts).astype(int)
    missing = round(total) - whole.sum()
    whole[np.argsort(whole - counts, kind="stable")[:missing]] += 1
    return whole


def plan_split(seed: int, split: str, photos: int) -> list[PhotoPlan]:
    """The plan of every photo of a split, the same for the same seed, split and size."""
    if photos == 0:
        return []
    rng = np.random.default_rng([seed, SPLIT_CODES[split], 1_000_003])
    return _paired(_outfits(category_counts(photos), photos, rng), rng)


def _outfits(counts: np.ndarray, photos: int, rng: Rng) -> list[tuple[int, ...]]:
    """Combinations that people wear, one for each photo."""

    def pool(categories: set[int]) -> list[int]:
        items = [category for category in sorted(categories) for _ in range(counts[category - 1])]
        return [items[i] for i in rng.permutation(len(items))]

    tops, bottoms, outwear, dresses = pool(TOPS), pool(BOTTOMS), pool(OUTWEAR), pool(DRESSES)
    alone = outwear[: round(0.15 * len(outwear))]
    over_dress = outwear[len(alone) : len(alone) + min(round(0.2 * len(outwear)), len(dresses))]
    over_top = outwear[len(alone) + len(over_dress) :]
    left = max(photos - len(dresses) - len(alone), 0)
    both = int(np.clip(len(tops) + len(bottoms) - left, 0, min(len(tops), len(bottoms))))
    worn = [(tops[i], bottoms[i]) for i in range(both)]
    worn += [(category,) for category in tops[both:]]
    outfits = [(coat, *(worn[i] if i < len(worn) else ())) for i, coat in enumerate(over_top)]
    outfits += worn[len(over_top) :] + [(category,) for category in bottoms[both:]]
    outfits += [(*over_dress[i : i + 1], dress) for i, dress in enumerate(dresses)]
    outfits += [(coat,) for coat in alone]
    while len(outfits) < photos:  # tiny splits: show two garments of an outfit one by one
        longest = max(range(len(outfits)), key=lambda i: len(outfits[i]), default=None)
        if longest is None or len(outfits[longest]) == 1:
            outfits.append((1 + int(rng.choice(13, p=np.array(TRAIN_ITEMS) / sum(TRAIN_ITEMS))),))
        else:
            outfits.append(outfits[longest][:1])
            outfits[longest] = outfits[longest][1:]
    return [outfits[i] for i in rng.permutation(len(outfits))][:photos]


def _paired(outfits: list[tuple[int, ...]], rng: Rng) -> list[PhotoPlan]:
    """Join photos that share a category into pairs of one garment, one from the shop, others from users."""
    groups: list[list[int]] = []
    by_category: dict[int, list[int]] = {}
    for photo, outfit in enumerate(outfits):
        by_category.setdefault(outfit[0], []).append(photo)
    for category in sorted(by_category):
        photos = by_category[category]
        while photos:
            size = min(int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2])), len(photos))
            groups.append([photos.pop() for _ in range(size)])
    plans: dict[int, PhotoPlan] = {}
    for pair_id, number in enumerate(rng.permutation(len(groups)), start=1):
        group = groups[number]
        shared = int(rng.integers(2**31))
        for place, photo in enumerate(group):
            source = "shop" if place == 0 else "user"
            if len(group) == 1:
                source = str(rng.choice(["shop", "user"]))
            own = rng.integers(2**31, size=len(outfits[photo]))
            items = tuple(
                Item(category, int(i == 0 and len(group) > 1), shared if i == 0 else int(own[i]))
                for i, category in enumerate(outfits[photo])
            )
            plans[photo] = PhotoPlan(items, source, pair_id)
    return [plans[photo] for photo in range(len(outfits))]
