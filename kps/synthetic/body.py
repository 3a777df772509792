"""A body in a pose: joints, half widths, the depth of a turned torso, and the poses that people take.

Origin at the base of the neck, centimetres, y downwards. `yaw` turns the body: the silhouette of an
elliptical torso shrinks and points on its front move sideways. Side -1 is the picture's left, +1 its right.
"""

from dataclasses import dataclass

import numpy as np

from kps.synthetic.drawing import Points, Rng, curve, ellipse, offsets, rounded_limb, strip, xy

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
        path = rounded_limb(self.arm(side))
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
        path, girth = rounded_limb(self.arm(side)), self.girth**0.7
        pieces = [ellipse(self.arm(side)[1], (3.7 * girth, 3.7 * girth), samples=14)]
        for distances in (np.linspace(13, UPPER_ARM - 2, 3), np.linspace(UPPER_ARM + 2, UPPER_ARM + FOREARM, 4)):
            pieces.append(strip(path, distances, np.interp(distances, *ARM_HALF_WIDTHS) * girth))
        return pieces

    def leg_outline(self, side: int) -> Points:
        """Outline of the bare leg down to the ankle."""
        distances = np.linspace(0, 86, 10)
        half_widths = np.interp(distances, *LEG_HALF_WIDTHS) * (0.5 + 0.5 * self.girth)
        return strip(rounded_limb(self.leg(side)), distances * self.legs, half_widths)

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
    upper_arm, elbow = zip(*(_arm(rng) for _ in range(2)), strict=True)
    stance = rng.uniform(-0.03, 0.15)
    leg, knee = (stance + rng.normal(0, 0.02), stance + rng.normal(0, 0.02)), [0.0, 0.0]
    if rng.random() < 0.25:  # one knee turned in or one leg crossing
        knee[int(rng.integers(2))] = rng.uniform(-0.15, 0.3)
    return Figure(
        upper_arm,
        elbow,
        leg,
        tuple(knee),
        yaw=float(aside if view == "side" else np.clip(behind if view == "back" else front, -0.5, 0.5)),
        back=view == "back",
        sway=rng.normal(0, 2.2),
        tilt=rng.normal(0, 0.06),
        shoulders=rng.normal(1.1 if man else 0.98, 0.04),
        hips=rng.normal(0.93 if man else 1.0, 0.04),
        girth=float(np.clip(rng.normal(1.05 if man else 0.97, 0.09), 0.82, 1.3)),
        legs=rng.normal(1.03, 0.05),
    )


def _arm(rng: Rng) -> tuple[float, float]:
    """Angle of the upper arm and bend of the elbow: hanging, away, on the hip, across the body, raised."""
    kind = rng.choice(6, p=[0.48, 0.14, 0.13, 0.11, 0.05, 0.09])
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
