"""A body in a pose that people take, the person it is, and what it holds or wears besides.

Origin at the base of the neck, centimetres, y downwards. `yaw` turns the body: the silhouette of an
elliptical torso shrinks and points on its front move sideways. Side -1 is the picture's left, +1 its right.
"""

from dataclasses import dataclass

import numpy as np

from kps.synthetic import drawing
from kps.synthetic.drawing import Fabric, Layer, Points, Rng, curve, ellipse, join, offsets, plain_fabric, strip, xy
from kps.synthetic.plan import BOTTOMS

_HEIGHTS = np.array([0.0, 4.0, 10.0, 17.0, 28.0, 39.0, 48.0, 57.0, 66.0, 76.0])
_HALF_WIDTHS = np.array([7.0, 15.5, 15.2, 14.6, 13.4, 12.0, 14.2, 16.6, 16.6, 16.0])
_DEPTH = 0.66  # depth of the torso over its width
CROTCH, KNEE, ANKLE = 67.0, 104.0, 144.0
UPPER_ARM, FOREARM = 27.0, 24.0
ARM_HALF_WIDTHS = (np.array([0.0, 12.0, 27.0, 38.0, 50.0]), np.array([5.0, 4.5, 3.8, 3.5, 2.6]))
LEG_HALF_WIDTHS = (np.array([0.0, 10.0, 25.0, 42.0, 55.0, 80.0]), np.array([8.3, 8.4, 7.2, 5.4, 5.6, 3.8]))


@dataclass
class Figure:
    """A body in a pose; angles in radians, index 0 of a pair is the left side."""

    upper_arm: tuple[float, float]  # 0 hangs, more is away from the torso
    elbow: tuple[float, float]  # bend of the forearm, positive towards the torso
    thigh: tuple[float, float]
    knee: tuple[float, float] = (0.0, 0.0)
    yaw: float = 0.0
    back: bool = False
    sway: float = 0.0  # sideways shift of the hips, cm
    tilt: float = 0.0  # slope of the shoulders
    shoulders: float = 1.0  # factors on the average body
    hips: float = 1.0
    girth: float = 1.0
    legs: float = 1.0
    worn: bool = True  # False: a garment laid flat or on a hanger

    @property
    def facing(self) -> float:
        """Sine of the yaw: how far the front points to the picture's right."""
        return float(np.sin(self.yaw))

    def half_width(self, y: float | np.ndarray) -> np.ndarray:
        """Half width of the torso's silhouette at height y, cm."""
        y = np.asarray(y, dtype=float)
        width = np.interp(y, _HEIGHTS, _HALF_WIDTHS) * self.girth
        return self.turned(width * np.where(y < 30, self.shoulders, 1.0) * np.where(y > 50, self.hips, 1.0))

    def turned(self, half_width: np.ndarray | float) -> np.ndarray:
        """Half width of the silhouette of an elliptical cylinder after the yaw."""
        return np.hypot(half_width * np.cos(self.yaw), half_width * np.sin(self.yaw) * _DEPTH)

    def front(self, across: np.ndarray | float, silhouette: np.ndarray | float) -> np.ndarray:
        """x of a point on the front, `across` in -1..1 of the way round, for a silhouette's half width."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        angle = across * np.pi / 2
        unturned = silhouette / np.hypot(cos, sin * _DEPTH)
        return np.clip(unturned * (np.sin(angle) * cos + _DEPTH * np.cos(angle) * sin), -silhouette, silhouette)

    def far_arm(self, side: int) -> bool:
        """Whether the arm is behind the torso, seen from the camera."""
        behind = self.back and self.elbow[(side + 1) // 2] > 0.6
        return self.worn and (side * self.facing > 0.42 or behind)

    def shoulder(self, side: int) -> Points:
        """The shoulder's outer end (2,)."""
        raised = max(0.0, self.upper_arm[(side + 1) // 2] - 1.0)
        return xy(side * (18.2 * self.shoulders * np.cos(self.yaw)) * (1 - 0.12 * raised), 3.8 - 2.2 * raised)

    def shoulder_y(self, x: float) -> float:
        """Height of the shoulder line at a distance |x| from the middle."""
        tip = self.shoulder(1)
        return float(-1.5 + (tip[1] + 1.5) * min(abs(x) / max(abs(tip[0]), 6.0), 1.0) ** 1.3)

    def arm(self, side: int) -> Points:
        """Shoulder joint, elbow and wrist (3, 2)."""
        index = (side + 1) // 2
        start = self.shoulder(side) + xy(-side * 2.4 * np.cos(self.yaw), 4.2)
        upper, fore = self.upper_arm[index], self.upper_arm[index] - self.elbow[index]
        elbow = start + UPPER_ARM * np.array([side * np.sin(upper), np.cos(upper)])
        return np.array([start, elbow, elbow + FOREARM * np.array([side * np.sin(fore), np.cos(fore)])])

    def leg(self, side: int) -> Points:
        """Hip, knee and ankle (3, 2)."""
        index = (side + 1) // 2
        thigh_half_width = LEG_HALF_WIDTHS[1][1] * (0.5 + 0.5 * self.girth)
        apart = max(16.6 * self.girth * self.hips - thigh_half_width, 5.5)  # thighs are as wide as the hips
        hip = np.array([side * apart * max(np.cos(self.yaw), 0.45), 58.0])
        first, second = self.thigh[index], self.thigh[index] - self.knee[index]
        thigh, shank = (KNEE - 58.0) * self.legs, (ANKLE - KNEE) * self.legs
        knee = hip + thigh * np.array([side * np.sin(first), np.cos(first)])
        return np.array([hip, knee, knee + shank * np.array([side * np.sin(second), np.cos(second)])])

    def arm_outline(self, side: int, above: bool) -> Points:
        """Outline of the bare arm without the hand: its upper end, or the part that hangs free."""
        path = drawing.rounded_limb(self.arm(side))
        distances = np.linspace(0, 16, 4) if above else np.linspace(11, UPPER_ARM + FOREARM, 9)
        half_widths = np.interp(distances, *ARM_HALF_WIDTHS) * self.girth**0.7
        outer, inner = (offsets(path, distances, half_widths, way) for way in (side, -side))
        if above:
            top = self.shoulder(side) + xy(-side * 2.0, 0.6)
            return np.vstack([curve(np.vstack([top, outer[1:]]), 4), inner[::-1]])
        along = path[-3] - path[0]
        inner[:2] = self.armpit(side) + 3.0 * along / max(np.linalg.norm(along), 1e-6)
        return np.vstack([curve(outer, 4), curve(inner[:0:-1], 4)])

    def arm_pieces(self, side: int) -> list[Points]:
        """The free part of the arm in simple polygons: to the elbow, from it, and the elbow."""
        path, girth = drawing.rounded_limb(self.arm(side)), self.girth**0.7
        pieces = [ellipse(self.arm(side)[1], (3.7 * girth, 3.7 * girth), samples=14)]
        for distances in (np.linspace(13, UPPER_ARM - 2, 3), np.linspace(UPPER_ARM + 2, UPPER_ARM + FOREARM, 4)):
            pieces.append(strip(path, distances, np.interp(distances, *ARM_HALF_WIDTHS) * girth))
        return pieces

    def leg_outline(self, side: int) -> Points:
        """Outline of the bare leg down to the ankle."""
        distances = np.linspace(0, 86, 10)
        half_widths = np.interp(distances, *LEG_HALF_WIDTHS) * (0.5 + 0.5 * self.girth)
        return strip(drawing.rounded_limb(self.leg(side)), distances * self.legs, half_widths)

    def armpit(self, side: int) -> Points:
        """The armpit (2,): it rises with the arm."""
        raised = max(0.0, self.upper_arm[(side + 1) // 2] - 0.5)
        return np.array([side * float(self.half_width(17.0)), 17.0 - 3.5 * raised])

    def warp(self, points: Points) -> Points:
        """Whole-body sway and shoulder tilt applied to points (N, 2)."""
        x, y = points.T
        bend = self.sway * np.clip(y / 55.0, -0.4, 1.0)
        bend *= np.where(y > 55, np.clip(1.9 - y / 62.0, 0, 1), 1.0)
        slope = self.tilt * x * np.clip(1 - y / 60.0, 0, 1)
        return np.stack([x + bend, y + slope], axis=1)


def sample_figure(rng: Rng, view: str) -> Figure:
    """A person seen from `view`: front, side or back."""
    man = rng.random() < 0.25
    front, aside, behind = rng.normal(0, 0.2), rng.choice([-1, 1]) * rng.uniform(0.6, 1.2), rng.normal(0, 0.2)
    upper_arm, elbow = zip(*(_sample_arm(rng) for _ in range(2)), strict=True)
    stance = rng.uniform(-0.03, 0.15)
    leg, knee = [stance + rng.normal(0, 0.02), stance + rng.normal(0, 0.02)], [0.0, 0.0]
    if rng.random() < 0.45:  # one knee turned in, one leg crossing or lifted
        bent, lifted = int(rng.integers(2)), rng.uniform(0, 0.3)
        leg[bent], knee[bent] = leg[bent] + lifted, 1.5 * lifted + rng.uniform(-0.2, 0.4)
    return Figure(
        upper_arm,
        elbow,
        tuple(leg),
        tuple(knee),
        yaw=float(aside if view == "side" else np.clip(behind if view == "back" else front, -0.5, 0.5)),
        back=view == "back",
        sway=rng.normal(0, 3.2),
        tilt=rng.normal(0, 0.09),
        shoulders=rng.normal(1.1 if man else 0.98, 0.04),
        hips=rng.normal(0.93 if man else 1.0, 0.04),
        girth=float(np.clip(rng.normal(1.05 if man else 0.97, 0.09), 0.82, 1.3)),
        legs=rng.normal(1.03, 0.05),
    )


def _sample_arm(rng: Rng) -> tuple[float, float]:
    """Angle of the upper arm and bend of the elbow: hanging, away, on the hip, across the body, raised."""
    kind = rng.choice(6, p=[0.32, 0.13, 0.15, 0.21, 0.06, 0.13])
    return (
        (rng.uniform(0.1, 0.32), rng.normal(0.08, 0.12)),
        (rng.uniform(0.3, 0.8), rng.normal(0.1, 0.25)),
        (rng.uniform(0.5, 0.85), rng.uniform(1.0, 1.45)),
        (rng.uniform(0.12, 0.4), rng.uniform(1.0, 1.9)),
        (rng.uniform(1.2, 2.5), rng.uniform(-1.4, 0.4)),
        (rng.uniform(0.3, 0.7), rng.uniform(2.2, 2.7)),  # at the face
    )[kind]


def flat_figure(rng: Rng) -> Figure:
    """The arrangement of a garment laid flat or hung up: symmetric, its sleeves and legs spread a little."""
    arm, leg = rng.uniform(0.12, 0.9), rng.uniform(0.0, 0.12)
    upper_arm = tuple(arm + rng.normal(0, 0.06, 2))
    elbow = rng.normal(0.05, 0.1), rng.normal(0.05, 0.1)
    tilt = rng.normal(0, 0.02)
    return Figure(upper_arm, elbow, (leg, leg), tilt=tilt, girth=rng.normal(1.05, 0.05), worn=False)


def person_layers(figure: Figure, rng: Rng) -> list[Layer]:
    """Body, head, hair and shoes of the figure in its pose."""
    lightness = rng.beta(3.2, 1.4)
    skin = plain_fabric(drawing.to_rgb(rng.uniform(0.04, 0.075), 0.62 - 0.42 * lightness, 0.34 + 0.62 * lightness))
    painted = [_torso(figure, skin), *_legs(figure, skin, rng)]
    for side in (-1, 1):
        painted += _arm(figure, side, skin)
    return painted + _head(figure, skin, rng)


def _torso(figure: Figure, skin: Fabric) -> Layer:
    heights = np.array([7.0, 17, 28, 39, 48, 57, 66])
    half = figure.half_width(heights)
    right = np.stack([half, heights], axis=1)
    left = right * [-1, 1]
    slope = {}
    for side in (-1, 1):
        tip = figure.shoulder(side) + xy(-side * 2.0, 1.0)
        neck = np.array([[side * 5.0, -9.0], [side * 5.2, -3.5], [side * 7.6, 0.4], [side * 11.5, 2.2]])
        slope[side] = curve(np.vstack([neck * [np.cos(figure.yaw) ** 0.5, 1], tip]), 4)
    outline = join(slope[-1], left, [0, CROTCH + 2], right[::-1], slope[1][::-1])
    neck_line = np.array([[-3.5, 2.5], [0, 4.0], [3.5, 2.5]])
    torso = Layer(outline, skin, "skin", drawing.Z_TORSO, shadow=0.0, relief=0.8)
    if not figure.back:
        torso.strokes.append((curve(neck_line), 0.3, "trim"))
    return torso


def _legs(figure: Figure, skin: Fabric, rng: Rng) -> list[Layer]:
    painted = []
    shoe = plain_fabric(drawing.random_colour(rng))
    leggings = skin if rng.random() > 0.07 else plain_fabric(drawing.scaled((45, 40, 45), 1.0))
    heel = rng.uniform(0, 5)
    for side in (-1, 1):
        painted.append(Layer(figure.leg_outline(side), leggings, "skin", drawing.Z_LEG, shadow=0.2))
        ankle = figure.leg(side)[2]
        out = side * rng.uniform(1.0, 3.0) + 4 * figure.facing
        toe = ankle + np.array([out, 7.5 + heel])
        instep = np.array([[-4.4, -1.0], [-4.7, 4.0]])
        front = toe + np.array([[-3.6, 0.5], [0, 2], [3.6, 0.5]])
        sole = join(ankle + instep, front, ankle + instep[::-1] * xy(-1, 1))
        painted.append(Layer(curve(sole), shoe, "shoe", drawing.Z_SHOE, shadow=0.2))
    return painted


def _arm(figure: Figure, side: int, skin: Fabric) -> list[Layer]:
    far = figure.far_arm(side)
    depth = drawing.Z_FAR_ARM if far else drawing.Z_ARM
    joints = figure.arm(side)
    direction = joints[2] - joints[1]
    direction = direction / max(np.linalg.norm(direction), 1e-6)
    angle = float(np.arctan2(direction[1], direction[0]))
    palm = ellipse(joints[2] + direction * 6.5, (7.5, 3.6), angle)
    hand = Layer(palm, skin, "hand", drawing.Z_FAR_ARM + 0.3 if far else drawing.Z_HAND, shadow=0.25)
    across = np.array([-direction[1], direction[0]])
    tip = joints[2] + direction * 13.5
    for finger in (-1.2, 0.0, 1.2):
        start = joints[2] + direction * 8.5 + across * finger
        hand.strokes.append((np.array([start, tip + across * finger]), 0.25, "trim"))
    upper = Layer(figure.arm_outline(side, above=True), skin, "skin", min(depth, drawing.Z_TORSO + 0.1), shadow=0.0)
    lower = Layer(figure.arm_outline(side, above=False), skin, "skin", depth, pieces=figure.arm_pieces(side))
    return [upper, lower, hand]


def _head(figure: Figure, skin: Fabric, rng: Rng) -> list[Layer]:
    lean, turn, back = rng.normal(0, 0.1), figure.facing + rng.normal(0, 0.15), figure.back
    centre = np.array([2.0 * figure.facing + 10 * lean, -16.0])
    head = Layer(ellipse(centre, (7.6, 10.6), lean), skin, "skin", drawing.Z_HEAD, shadow=0.35)
    colour = drawing.to_rgb(rng.uniform(0.03, 0.1), rng.uniform(0.2, 0.65), rng.uniform(0.06, 0.42))
    hair = drawing.streaked(colour, rng)
    if not back:
        _face(head, centre, turn)
    hat = _hat(centre, lean, rng) if rng.random() < 0.22 else []
    return [head, *_hair(centre, turn, hair, back, rng), *hat]


def _hat(centre: Points, lean: float, rng: Rng) -> list[Layer]:
    cloth = plain_fabric(drawing.random_colour(rng))
    brim, height = rng.uniform(9.5, 17), rng.uniform(7, 10)
    crown = curve(
        centre + np.array([[-8.8, -5], [-8.2, -9], [-4, -6 - height], [4, -6 - height], [8.2, -9], [8.8, -5]])
    )
    depth = drawing.Z_HEAD + 0.2
    brim_outline = ellipse(centre + xy(0, -5.0), (brim, 2.0 + 0.1 * brim), lean)
    return [Layer(brim_outline, cloth, "hat", depth, shadow=0.4), Layer(crown, cloth, "hat", depth + 0.05)]


def _face(head: Layer, centre: Points, turn: float) -> None:
    shift = 5.0 * np.clip(turn, -0.9, 0.9)
    for side in (-1, 1):
        eye = centre + xy(side * 2.9 + shift, 0.3)
        head.bands.append((ellipse(eye, (1.25, 0.65), samples=10), "seam"))
        head.strokes.append((np.array([eye + xy(-1.6, -2.1), eye + xy(1.6, -2.2)]), 0.45, "seam"))
    head.strokes.append((np.array([centre + xy(shift, 1.5), centre + xy(shift * 1.2 + 0.4, 3.8)]), 0.35, "trim"))
    head.bands.append((ellipse(centre + xy(shift * 0.95, 6.2), (2.1, 0.75), samples=10), "seam"))


def _hair(centre: Points, turn: float, hair: Fabric, back: bool, rng: Rng) -> list[Layer]:
    length = float(rng.choice([rng.uniform(-4, 2), rng.uniform(8, 34)], p=[0.36, 0.64]))
    bottom = centre[1] + 14 + length
    volume = rng.uniform(9.0, 11.5)
    shape = np.array([[-1, -1], [-0.75, -9], [0, -12.4], [0.75, -9], [1, -1]]) * xy(volume, 1)
    ends = np.array([[volume * 1.05, 0], [0, 2], [-volume * 1.05, 0]]) + xy(centre[0], bottom)
    mass = join(centre + shape, ends)
    strands = [(np.array([centre + xy(x, -9), [centre[0] + 1.4 * x, bottom]]), 0.3, "trim") for x in (-6, -2, 3, 7)]
    whole = curve(np.vstack([mass, mass[:1]]))
    if back:
        return [Layer(whole, hair, "hair", drawing.Z_HAIR_FRONT, strokes=strands)]
    painted = [Layer(whole, hair, "hair", drawing.Z_HAIR_BACK, strokes=strands, shadow=0.0)]
    part = centre + xy(rng.normal(0, 2) + 2 * turn, -8.6)
    around = np.array([[-6.0, -4.5], [-8.3, 1], [-7.4, -7.5], [0, -12], [7.4, -7.5], [8.3, 1], [6.0, -4.5]])
    fringe = join(centre + around, part)
    painted.append(Layer(curve(np.vstack([fringe, fringe[:1]]), 4), hair, "hair", drawing.Z_HEAD + 0.1, shadow=0.2))
    if length > 8 and rng.random() < 0.7:
        for side in (-1, 1):
            if rng.random() < 0.75:
                painted.append(_lock(centre, side, bottom, hair, rng))
    return painted


def _lock(centre: Points, side: int, bottom: float, hair: Fabric, rng: Rng) -> Layer:
    """A lock of hair that falls over the shoulder."""
    x, width = side * rng.uniform(7.5, 9.5) + centre[0], rng.uniform(1.5, 5.0)
    y = np.array([centre[1] - 4, centre[1] + 8, (centre[1] + 8 + bottom) / 2, bottom])
    middle = x + side * np.array([-0.6, 0.3, 1.2, 0.4]) + rng.normal(0, 0.6, 4)
    half = width * np.array([0.5, 0.9, 1.0, 0.35])
    left, right = np.stack([middle - half, y], axis=1), np.stack([middle + half, y], axis=1)
    strokes = [(curve(np.stack([middle, y], axis=1)), 0.3, "trim")]
    return Layer(join(curve(left), curve(right[::-1])), hair, "hair", drawing.Z_HAIR_FRONT, strokes=strokes)


def random_objects(figure: Figure, box: np.ndarray, rng: Rng) -> list[Layer]:
    """Objects that may cover parts of the garments, whose extent is `box` (x1, y1, x2, y2)."""
    painted: list[Layer] = []
    if figure.worn and rng.random() < 0.3:
        painted += _bag(figure, rng)
    if figure.worn and rng.random() < 0.15:  # a phone, a cup
        hand = figure.arm(int(rng.choice([-1, 1])))[2]
        corners = np.array([[-3.6, -7.5], [3.6, -7.5], [3.6, 7.5], [-3.6, 7.5]]) + hand + rng.normal(0, 2, 2)
        painted.append(Layer(corners, plain_fabric(drawing.random_colour(rng)), "object", drawing.Z_OBJECT))
    if rng.random() < 0.15:  # balloons, leaves, what stands before the camera
        size = rng.uniform(3, 12)
        for _ in range(int(rng.integers(1, 5))):
            centre = rng.uniform(box[:2] - 6, box[2:] + 6)
            axes = size * rng.uniform(0.5, 1.2, 2)
            outline = ellipse(centre, tuple(axes), rng.uniform(0, np.pi), int(rng.choice([4, 6, 28])))
            painted.append(Layer(outline, drawing.random_fabric(rng), "object", drawing.Z_OBJECT))
    return painted


def _bag(figure: Figure, rng: Rng) -> list[Layer]:
    side = int(rng.choice([-1, 1]))
    fabric = drawing.random_fabric(rng)
    wrist, shoulder = figure.arm(side)[2], figure.shoulder(-side)
    centre = wrist + xy(0, 16) if rng.random() < 0.45 else np.array([side * 17.0, rng.uniform(44, 62)])
    half = rng.uniform(7, 14), rng.uniform(6, 13)
    corners = np.array([[-0.85, -1], [0.85, -1], [1, 1], [-1, 1]]) * half + centre
    body = Layer(corners, fabric, "object", drawing.Z_OBJECT, strokes=[(corners[[3, 0, 1, 2]] * 1.0, 0.5, "seam")])
    top = corners[:2].mean(axis=0)
    start = wrist if np.allclose(centre, wrist + xy(0, 16)) else shoulder * [0.6, 1] + xy(0, -1)
    path = np.array([start, (start + top) / 2 + xy(0, 0.5), top])
    strap = strip(path, np.linspace(0, float(np.linalg.norm(top - start)), 4), np.full(4, rng.uniform(0.5, 1.2)))
    return [Layer(strap, fabric, "object", drawing.Z_OBJECT - 0.1, relief=0.4), body]


def hanger(category_id: int, rng: Rng) -> list[Layer]:
    """A hanger behind an upper garment, sometimes; nothing for one that is laid down."""
    if category_id in BOTTOMS or rng.random() < 0.5:
        return []
    wood = plain_fabric(drawing.random_colour(rng))
    bar = curve([[-16.0, 4.5], [-6, -1], [0, -3], [6, -1], [16, 4.5]])
    outline = np.vstack([bar, bar[::-1] + xy(0, 1.6)])
    hook = curve([[0.0, -2], [0, -7], [2.4, -9.5], [0, -12], [-2, -10.5]])
    hook_outline = np.vstack([hook - xy(0.35, 0), hook[::-1] + xy(0.35, 0.2)])
    return [Layer(outline, wood, "object", drawing.Z_NECK_BACK + 0.2), Layer(hook_outline, wood, "object", 0.2)]
