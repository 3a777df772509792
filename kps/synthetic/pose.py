"""Random bodies and poses, and the flat or hanging arrangement of a garment that nobody wears."""

from __future__ import annotations

import numpy as np

from kps.synthetic.body import Figure, Pose
from kps.synthetic.shapes import Rng


def sample_figure(rng: Rng, view: str) -> Figure:
    """A person seen from `view`: front, side or back."""
    man = rng.random() < 0.25
    yaw = {"front": rng.normal(0, 0.2), "side": rng.choice([-1, 1]) * rng.uniform(0.6, 1.2),
           "back": rng.normal(0, 0.2)}[view]  # fmt: skip
    arms = [_arm(rng) for _ in range(2)]
    legs, knees = _legs(rng)
    upper_arms, elbows = zip(*arms, strict=True)
    pose = Pose(
        upper_arm=upper_arms,
        elbow=elbows,
        leg=legs,
        knee=knees,
        yaw=float(np.clip(yaw, -1.2, 1.2) if view == "side" else np.clip(yaw, -0.5, 0.5)),
        back=view == "back",
        sway=float(rng.normal(0, 2.2)),
        tilt=float(rng.normal(0, 0.06)),
    )
    return Figure(
        pose,
        shoulders=float(rng.normal(1.1 if man else 0.98, 0.04)),
        hips=float(rng.normal(0.93 if man else 1.0, 0.04)),
        girth=float(np.clip(rng.normal(1.05 if man else 0.97, 0.09), 0.82, 1.3)),
        legs=float(rng.normal(1.03, 0.05)),
    )


def _arm(rng: Rng) -> tuple[float, float]:
    """Angle of the upper arm and bend of the elbow: hanging, away, on the hip, across the body, raised."""
    kind = rng.choice(["hang", "away", "hip", "across", "raised", "face"], p=[0.48, 0.14, 0.13, 0.11, 0.05, 0.09])
    angle, bend = {
        "hang": (rng.uniform(0.1, 0.32), rng.normal(0.08, 0.12)),
        "away": (rng.uniform(0.3, 0.8), rng.normal(0.1, 0.25)),
        "hip": (rng.uniform(0.5, 0.85), rng.uniform(1.0, 1.45)),
        "across": (rng.uniform(0.12, 0.4), rng.uniform(1.0, 1.9)),
        "raised": (rng.uniform(1.2, 2.5), rng.uniform(-1.4, 0.4)),
        "face": (rng.uniform(0.3, 0.7), rng.uniform(2.2, 2.7)),
    }[str(kind)]
    return float(angle), float(bend)


def _legs(rng: Rng) -> tuple[tuple[float, float], tuple[float, float]]:
    stance = rng.uniform(-0.03, 0.15)
    legs = stance + rng.normal(0, 0.02), stance + rng.normal(0, 0.02)
    knees = [0.0, 0.0]
    if rng.random() < 0.25:  # one knee turned in or one leg crossing
        knees[int(rng.integers(2))] = rng.uniform(-0.15, 0.3)
    return legs, tuple(knees)


def flat_figure(rng: Rng) -> Figure:
    """The arrangement of a garment laid flat or hung up: symmetric, its sleeves and legs spread a little."""
    arm = rng.uniform(0.12, 0.9)
    leg = rng.uniform(0.0, 0.12)
    arms = arm + rng.normal(0, 0.06, 2)
    pose = Pose(
        upper_arm=(float(arms[0]), float(arms[1])),
        elbow=(float(rng.normal(0.05, 0.1)), float(rng.normal(0.05, 0.1))),
        leg=(float(leg), float(leg)),
        tilt=float(rng.normal(0, 0.02)),
    )
    return Figure(pose, girth=float(rng.normal(1.05, 0.05)), worn=False)
