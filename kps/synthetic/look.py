"""The shape of a garment, apart from pose: what makes two photos show the same garment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kps.synthetic.shapes import Rng

SHORT_SLEEVED, LONG_SLEEVED = {1, 3, 10}, {2, 4, 11}
OUTWEAR, DRESSES, TOPS, BOTTOMS = {3, 4}, {10, 11, 12, 13}, {1, 2, 5, 6}, {7, 8, 9}
SLINGS = {6, 13}


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
    leg_length: float  # bottoms: along the leg from the hip joint
    leg_width: float  # bottoms: ease of the leg at its hem
    asymmetry: float  # of the hem, cm
    strap: float  # slings: half width of a strap
    placket: bool
    pleats: bool
    waist_seam: bool
    print_size: float  # chest print, 0 for none


def sample_look(category_id: int, rng: Rng) -> Look:
    """A random garment of the category."""
    neck_shape = str(rng.choice(["round", "v", "square"], p=[0.66, 0.26, 0.08]))
    loose = rng.beta(1.4, 2.0)
    look = Look(
        ease=0.8 + 4.2 * loose,
        waist_ease=1.0 + 6.0 * loose * rng.uniform(0.4, 1.0),
        hem_y=rng.normal(58, 4.5),
        flare=rng.uniform(-0.5, 2.0) + 2.5 * loose,
        hem_curve=rng.uniform(0.2, 2.5),
        neck_width=rng.uniform(6.6, 9.6),
        neck_depth=rng.uniform(4.5, 9.0) if neck_shape == "round" else rng.uniform(7, 16),
        neck_shape=neck_shape,
        collar=str(rng.choice(["none", "band", "shirt"], p=[0.4, 0.45, 0.15])),
        sleeve=rng.uniform(17, 26),
        cuff_width=rng.uniform(6.0, 9.5),
        cuff=str(rng.choice(["plain", "band", "rolled"], p=[0.45, 0.35, 0.2])),
        shoulder_drop=max(0.0, rng.normal(0.6, 1.6)),
        opening=float(rng.beta(1.6, 1.8)),
        rise=rng.uniform(38, 47),
        leg_length=0.0,
        leg_width=0.0,
        asymmetry=rng.normal(0, 0.7),
        strap=rng.uniform(0.35, 1.1),
        placket=bool(rng.random() < 0.2),
        pleats=bool(rng.random() < 0.3),
        waist_seam=bool(rng.random() < 0.7),
        print_size=float(rng.choice([0.0, rng.uniform(5, 10)], p=[0.6, 0.4])),
    )
    _adapt(look, category_id, rng)
    return look


def _adapt(look: Look, category_id: int, rng: Rng) -> None:
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
    if category_id in DRESSES:
        look.hem_y = float(np.clip(rng.normal(97, 13), 74, 140))
        look.flare = rng.uniform(1, 7) if rng.random() < 0.5 else rng.uniform(7, 20)
        look.waist_ease = 1.0 + 5.0 * rng.beta(1.1, 2.0)
        look.print_size *= rng.random() < 0.3
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
