"""Sleeves: a strip of cloth along an arm, with its landmarks."""

from __future__ import annotations

import numpy as np

from kps.synthetic import layers
from kps.synthetic.body import UPPER_ARM, Figure
from kps.synthetic.folds import limb_folds
from kps.synthetic.layers import Layer
from kps.synthetic.look import LONG_SLEEVED, OUTWEAR, Look
from kps.synthetic.shapes import Parts, Points, Rng, curve, join, offsets, rounded_limb, xy
from kps.synthetic.texture import Fabric

NAMES = {-1: "left", 1: "right"}


def sleeve_points(category_id: int, look: Look, figure: Figure, side: int) -> Parts:
    """Points (2,) of a sleeve by part name without the side: shoulder, outside, cuff, inside."""
    path = rounded_limb(figure.arm(side))
    girth = figure.girth**0.7
    at_top = (5.4 + 0.55 * look.ease) * girth
    at_cuff = max(look.cuff_width, 3.2) * girth

    def half_width(distance: float) -> float:
        share = np.clip(distance / look.sleeve, 0, 1)
        return at_top + (at_cuff - at_top) * share

    def beside(distance: float, outer: bool) -> Points:
        return offsets(path, distance, half_width(distance), side if outer else -side)[0]

    points = {
        "shoulder": shoulder_point(look, figure, side),
        "armpit": armpit_point(look, figure, side, beside(13.0, False)),
        "cuff_outer": beside(look.sleeve, True),
        "cuff_inner": beside(look.sleeve, False),
    }
    if category_id not in LONG_SLEEVED:
        points["upper_arm_outer"] = beside(0.52 * look.sleeve, True)
        points["upper_arm_inner"] = (points["armpit"] + points["cuff_inner"]) / 2
        return points
    below = UPPER_ARM + (look.sleeve - UPPER_ARM) * 0.5
    points |= {"upper_arm_outer": beside(14, True), "elbow_outer": beside(UPPER_ARM, True)}
    points |= {"forearm_outer": beside(below, True), "forearm_inner": beside(below, False)}
    points |= {"elbow_inner": beside(UPPER_ARM, False), "upper_arm_inner": beside(20, False)}
    return points


def shoulder_point(look: Look, figure: Figure, side: int) -> Points:
    """Where the shoulder seam ends (2,): on the shoulder, down the arm if dropped, inwards if negative."""
    tip = figure.shoulder(side)
    if look.shoulder_drop >= 0:
        path = rounded_limb(figure.arm(side))
        half_width = 4.6 + 0.35 * look.ease
        dropped = offsets(path, 2.0 + look.shoulder_drop, half_width, side)[0]
        return tip * 0.35 + dropped * 0.65 + np.array([0, -0.3 * look.ease])
    x = tip[0] + side * max(look.shoulder_drop, -0.5 * abs(tip[0])) * np.cos(figure.pose.yaw)
    return np.array([x, figure.shoulder_y(x)])


def armpit_point(look: Look, figure: Figure, side: int, sleeve_inside: Points) -> Points:
    """The armpit of the garment (2,), between body and sleeve when the arm hangs."""
    body = figure.armpit(side) + np.array([side * 0.5 * look.ease, 0.7 * look.ease])
    hanging = np.clip(1 - figure.pose.upper_arm[(side + 1) // 2] / 0.7, 0, 1) * 0.55
    return body * (1 - hanging) + sleeve_inside * hanging


def sleeve_layer(
    category_id: int, look: Look, figure: Figure, side: int, fabric: Fabric, rng: Rng
) -> tuple[Layer, Parts]:
    """The painted sleeve of one side and its points by part name without the side."""
    points = sleeve_points(category_id, look, figure, side)
    long = category_id in LONG_SLEEVED
    outer = ["upper_arm_outer", *(["elbow_outer", "forearm_outer"] if long else []), "cuff_outer"]
    inner = ["cuff_inner", *(["forearm_inner", "elbow_inner"] if long else []), "upper_arm_inner", "armpit"]
    outside = curve([points["shoulder"], *(points[name] for name in outer)])
    inside = curve([points[name] for name in inner])
    inward = xy(-side * 1.2 * np.cos(figure.pose.yaw), 0.3)  # the sleeve is sewn over the torso's edge
    outline = join(outside, inside, points["armpit"] + inward, points["shoulder"] + inward)
    path = rounded_limb(figure.arm(side))
    angle = float(np.arctan2(*(path[-1] - path[0])))
    depth = layers.Z_OUTER_SLEEVE if category_id in OUTWEAR else layers.Z_SLEEVE
    if figure.far_arm(side):
        depth = layers.Z_FAR_ARM + depth / 100
    layer = Layer(outline, fabric, f"sleeve_{NAMES[side]}", depth, origin=tuple(path[0]), angle=angle, shadow=0.35)
    if long:
        upper = ("shoulder", "upper_arm_outer", "elbow_outer", "elbow_inner", "upper_arm_inner", "armpit")
        lower = ("elbow_outer", "forearm_outer", "cuff_outer", "cuff_inner", "forearm_inner", "elbow_inner")
        layer.pieces = [np.array([points[name] for name in names]) for names in (upper, lower)]
    _finish_cuff(layer, look, path, points, side)
    if look.shoulder_drop >= 0:
        layer.strokes.append((np.array([points["shoulder"], points["armpit"]]), 0.35, "seam"))
    half_width = (points["cuff_outer"] - points["cuff_inner"]) / 2
    layer.folds = limb_folds(rng, path, 8.0, look.sleeve, float(np.linalg.norm(half_width)) + 1, UPPER_ARM)
    return layer, points


def _finish_cuff(layer: Layer, look: Look, path: Points, points: Parts, side: int) -> None:
    height = {"plain": 1.6, "band": 3.0, "rolled": 3.4, "elastic": 4.0}[look.cuff]
    width = max(look.cuff_width, 3.2) + 1.5
    upper = [offsets(path, look.sleeve - height, width, way)[0] for way in (side, -side)]
    end = points["cuff_outer"], points["cuff_inner"]
    past = path[-1] - path[-2]
    past = past / max(np.linalg.norm(past), 1e-6)
    if look.cuff != "plain":
        layer.bands.append((np.array([upper[0], upper[1], end[1] + past, end[0] + past]), "trim"))
    layer.strokes += [(np.array(upper), 0.3, "seam"), (np.array(end), 0.35, "seam")]
