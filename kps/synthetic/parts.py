"""The generator's own table of garment parts: which part each of the 294 landmarks lies on.

The names are what the generator builds garments from, so they are a ground truth of their own for which
landmarks of different categories are the same part. They are written from the figure of the landmark
numbering alone.
"""

_NECK = ("neck_back", "neck_left", "neckline_left", "neck_front", "neckline_right", "neck_right")
_NECK_OPEN = (*_NECK[:3], "front_top_left", *_NECK[4:])
_SLING_NECK = ("bodice_back", "strap_base_left", *_NECK[2:5], "strap_base_right")
_WAIST = ("waist_left", "waist_centre", "waist_right")
_SHORT = ("shoulder", "upper_arm_outer", "cuff_outer", "cuff_inner", "upper_arm_inner", "armpit")
_LONG = (
    "shoulder", "upper_arm_outer", "elbow_outer", "forearm_outer", "cuff_outer",
    "cuff_inner", "forearm_inner", "elbow_inner", "upper_arm_inner", "armpit",
)  # fmt: skip
_TOP_SIDE = ("side_chest", "side_waist", "hem_corner")
_DRESS_SIDE = ("side_chest", "side_ribs", "side_waist", "side_thigh", "skirt_hem_corner")
_BARE_DRESS_SIDE = _DRESS_SIDE[1:]


def _around(top: tuple[str, ...], side: tuple[str, ...], bottom: str) -> tuple[str, ...]:
    left = tuple(f"{part}_left" for part in side)
    right = tuple(f"{part}_right" for part in reversed(side))
    return (*top, *left, bottom, *right)


def _outwear(sleeve: tuple[str, ...]) -> tuple[str, ...]:
    """Neck, left side down, right side up, right front edge down, the rest of the left front edge."""
    edge = ("front_top_right", "front_upper_right", "front_lower_right", "front_hem_right")
    around = _around(_NECK_OPEN, (*sleeve, *_TOP_SIDE), "front_hem_left")
    return (*around, *edge, "front_upper_left", "front_lower_left")


PARTS: dict[int, tuple[str, ...]] = {
    1: _around(_NECK, (*_SHORT, *_TOP_SIDE), "hem_centre"),
    2: _around(_NECK, (*_LONG, *_TOP_SIDE), "hem_centre"),
    3: _outwear(_SHORT),
    4: _outwear(_LONG),
    5: _around(_NECK, ("shoulder", "armpit", "side_waist", "hem_corner"), "hem_centre"),
    6: _around(_SLING_NECK, ("strap_top", "armpit", "side_waist", "hem_corner"), "hem_centre"),
    7: _around(_WAIST, ("thigh_outer", "leg_hem_outer", "leg_hem_inner"), "crotch"),
    8: _around(_WAIST, ("thigh_outer", "knee_outer", "ankle_outer", "ankle_inner", "knee_inner"), "crotch"),
    9: _around(_WAIST, ("side_thigh", "skirt_hem_corner"), "skirt_hem_centre"),
    10: _around(_NECK, (*_SHORT, *_DRESS_SIDE), "skirt_hem_centre"),
    11: _around(_NECK, (*_LONG, *_DRESS_SIDE), "skirt_hem_centre"),
    12: _around(_NECK, ("shoulder", "armpit", *_BARE_DRESS_SIDE), "skirt_hem_centre"),
    13: _around(_SLING_NECK, ("strap_top", "armpit", *_BARE_DRESS_SIDE), "skirt_hem_centre"),
}


def part_names() -> tuple[str, ...]:
    """The part of each of the 294 landmarks, in landmark order; names are unique within a category."""
    return tuple(name for category_id in sorted(PARTS) for name in PARTS[category_id])
