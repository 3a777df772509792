"""What a data set shows: a garment's shape apart from pose, and the plan of each photo of a split."""

from dataclasses import dataclass

import numpy as np

from kps.synthetic.drawing import Rng

SHORT_SLEEVED, LONG_SLEEVED = {1, 3, 10}, {2, 4, 11}
OUTWEAR, DRESSES, TOPS, BOTTOMS = {3, 4}, {10, 11, 12, 13}, {1, 2, 5, 6}, {7, 8, 9}
SLINGS, BARE_DRESSES = {6, 13}, {12, 13}


@dataclass
class Look:
    """Shape parameters in cm (heights from the base of the neck) or as fractions."""

    ease: float  # between body and cloth at the armpit
    waist_ease: float
    hem_y: float
    flare: float  # added to the half width at the hem
    hem_curve: float
    neck_width: float  # half
    neck_depth: float
    neck_shape: str  # round, v, square
    collar: str  # none, band, shirt, roll, lapel
    sleeve: float  # along the arm from the shoulder joint
    cuff_width: float  # half
    cuff: str  # plain, band, rolled, elastic
    shoulder_drop: float
    opening: float  # outwear: 0 closed to 1 wide open
    rise: float  # bottoms: height of the waistband
    asymmetry: float  # of the hem, cm
    strap: float  # slings: half width of a strap
    placket: bool
    pleats: bool
    waist_seam: bool
    print_size: float  # chest print, 0 for none
    leg_length: float = 0.0  # bottoms: along the leg from the hip joint
    leg_width: float = 0.0  # bottoms: ease of the leg at its hem
    sheer: float = 0.0  # share of what lies behind that shows through


def sample_look(category_id: int, rng: Rng) -> Look:
    """A random garment of the category."""
    neck_shape = str(rng.choice(["round", "v", "square"], p=[0.66, 0.26, 0.08]))
    loose = rng.beta(1.4, 2.0)
    look = Look(
        ease=0.8 + 4.2 * loose,
        waist_ease=1.0 + 7.0 * loose * rng.uniform(0.4, 1.0),
        hem_y=rng.normal(58, 4.5),
        flare=rng.uniform(-0.5, 2.0) + 2.5 * loose,
        hem_curve=rng.uniform(0.2, 2.5),
        neck_width=rng.uniform(6.6, 9.6),
        neck_depth=rng.uniform(4.5, 9.0) if neck_shape == "round" else rng.uniform(7, 16),
        neck_shape=neck_shape,
        collar=str(rng.choice(["none", "band", "shirt"], p=[0.4, 0.45, 0.15])),
        sleeve=rng.uniform(10, 29),
        cuff_width=rng.uniform(6.0, 9.5),
        cuff=str(rng.choice(["plain", "band", "rolled"], p=[0.45, 0.35, 0.2])),
        shoulder_drop=max(0.0, rng.normal(0.6, 1.6)),
        opening=float(rng.beta(1.6, 1.8)),
        rise=rng.uniform(38, 47),
        asymmetry=rng.normal(0, 0.7),
        strap=rng.uniform(0.35, 1.1),
        placket=bool(rng.random() < 0.2),
        pleats=bool(rng.random() < 0.3),
        waist_seam=bool(rng.random() < 0.7),
        print_size=float(rng.choice([0.0, rng.uniform(4, 15)], p=[0.6, 0.4])),
    )
    if category_id in LONG_SLEEVED:
        look.sleeve = float(rng.choice([rng.uniform(46, 52), rng.uniform(32, 44)], p=[0.72, 0.28]))
        look.cuff_width = rng.uniform(3.6, 7.0)
        look.cuff = str(rng.choice(["plain", "band", "elastic"], p=[0.4, 0.35, 0.25]))
        look.collar = str(rng.choice(["none", "band", "shirt", "roll"], p=[0.3, 0.35, 0.25, 0.1]))
        if look.collar == "roll":
            look.neck_depth, look.neck_shape = rng.uniform(2.5, 4.0), "round"
    if category_id in OUTWEAR:
        look.ease += rng.uniform(1.0, 2.5)
        look.waist_ease += 2.5
        look.hem_y = float(rng.choice([rng.normal(60, 6), rng.uniform(72, 125)], p=[0.5, 0.5]))
        look.neck_depth = rng.uniform(6, 24)
        look.collar = str(rng.choice(["none", "lapel", "shirt"], p=[0.35, 0.4, 0.25]))
        look.cuff_width += 0.8
        look.print_size = 0.0
        look.sheer = rng.uniform(0.15, 0.6) if rng.random() < (0.4 if look.hem_y > 72 else 0.15) else 0.0
    if category_id in DRESSES:
        look.hem_y = float(np.clip(rng.normal(97, 13), 74, 140))
        look.flare = rng.uniform(1, 7) if rng.random() < 0.5 else rng.uniform(7, 20)
        look.waist_ease = 1.0 + 5.0 * rng.beta(1.1, 2.0)
        look.print_size *= rng.random() < 0.3
        if rng.random() < 0.3:  # falls from the chest, without a waist
            look.waist_ease, look.flare, look.waist_seam = rng.uniform(6, 14), rng.uniform(6, 30), False
    if category_id in {5, 12}:
        look.neck_width, look.ease = rng.uniform(6.5, 11), rng.uniform(0.4, 2.6)
        look.neck_depth = rng.uniform(5, 17)
        look.shoulder_drop = rng.uniform(-6.0, -0.5)
    if category_id in SLINGS:
        look.ease, look.neck_width = rng.uniform(0.2, 1.6), rng.uniform(7.5, 10.5)
        look.neck_depth = rng.uniform(12.5, 19)
        look.hem_y = look.hem_y if category_id == 13 else rng.uniform(44, 60)
        look.print_size = 0.0
    if category_id == 7:
        look.leg_length, look.leg_width = 13 + 31 * rng.beta(1.1, 2.0), rng.uniform(0.8, 5.0)
    if category_id == 8:
        look.leg_length = float(rng.choice([rng.uniform(76, 86), rng.uniform(60, 75)], p=[0.82, 0.18]))
        look.leg_width = float(rng.choice([rng.uniform(0.1, 1.2), rng.uniform(1.2, 6)], p=[0.6, 0.4]))
    if category_id == 9:
        look.hem_y = look.rise + rng.uniform(27, 56) + (rng.uniform(10, 25) if rng.random() < 0.2 else 0)
        look.flare = float(rng.choice([rng.uniform(-1, 3), rng.uniform(4, 18)], p=[0.4, 0.6]))
    return look


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
    bare = [place for place in range(len(over_dress), len(dresses)) if dresses[place] in BARE_DRESSES]
    below: dict[int, int] = {}  # a top with sleeves, by the place of the dress that is worn over it
    for place in bare[: round(0.2 * len(bare))]:
        if (top := next((top for top in tops if top in SHORT_SLEEVED | LONG_SLEEVED), None)) is not None:
            tops.remove(top)
            below[place] = top
    left = max(photos - len(dresses) - len(alone), 0)
    both = int(np.clip(len(tops) + len(bottoms) - left, 0, min(len(tops), len(bottoms))))
    worn = [(tops[i], bottoms[i]) for i in range(both)]
    worn += [(category,) for category in tops[both:]]
    outfits = [(coat, *(worn[i] if i < len(worn) else ())) for i, coat in enumerate(over_top)]
    outfits += worn[len(over_top) :] + [(category,) for category in bottoms[both:]]
    outfits += [(*over_dress[i : i + 1], dress, *([below[i]] if i in below else [])) for i, dress in enumerate(dresses)]
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
            source = str(rng.choice(["shop", "user"])) if len(group) == 1 else "user" if place else "shop"
            own = rng.integers(2**31, size=len(outfits[photo]))
            items = tuple(
                Item(category, int(i == 0 and len(group) > 1), shared if i == 0 else int(own[i]))
                for i, category in enumerate(outfits[photo])
            )
            plans[photo] = PhotoPlan(items, source, pair_id)
    return [plans[photo] for photo in range(len(outfits))]
