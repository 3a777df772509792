"""What is true of a painted photo, in the raw DeepFashion2 form: visibility, boxes, polygons, attributes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kps.schema import category
from kps.synthetic.canvas import Canvas
from kps.synthetic.layers import Garment
from kps.synthetic.parts import PARTS
from kps.synthetic.plan import PhotoPlan
from kps.synthetic.scene import VIEWPOINTS, Scene
from kps.synthetic.shapes import Image, Rng

_SEEN_WITHIN = 1.3  # cm: a landmark on an edge counts as seen if its panel shows this near
_LEAST_PIXELS = 200  # of a garment in the photo; below it nobody would annotate it
_LOOSE_BOX = 0.03  # people draw boxes a little too large: at most this share of the size on each side
_LEAST_INSIDE = 0.2  # of its landmarks in the photo


def annotate(scene: Scene, canvas: Canvas, plan: PhotoPlan, rng: Rng) -> dict[str, Any]:
    """The raw annotation of a photo: items, source and pair_id."""
    annotation: dict[str, Any] = {"source": plan.source, "pair_id": plan.pair_id}
    number = 0
    for index, garment in enumerate(scene.garments):
        item = _item(index, garment, scene, canvas, rng)
        if item is not None:
            number += 1
            item["style"] = plan.items[index].style
            annotation[f"item{number}"] = item
    return annotation


def _item(index: int, garment: Garment, scene: Scene, canvas: Canvas, rng: Rng) -> dict[str, Any] | None:
    of_garment = np.array([False, *(layer.garment == index for layer in canvas.layers)])
    visible = of_garment[canvas.owner].astype(np.uint8)
    area = int(visible.sum())
    landmarks = landmark_rows(index, garment, canvas)
    if area < _LEAST_PIXELS or (landmarks[:, 2] > 0).mean() < _LEAST_INSIDE:
        return None
    polygons = _polygons(visible)
    if not polygons:
        return None
    x, y, width, height = cv2.boundingRect(visible)
    known = landmarks[landmarks[:, 2] > 0, :2]
    low, high = np.minimum([x, y], known.min(axis=0)), np.maximum([x + width, y + height], known.max(axis=0))
    loose = rng.uniform(0, _LOOSE_BOX, 4) * np.tile(high - low, 2)
    low, high = np.maximum(low - loose[:2], 0), np.minimum(high + loose[2:], visible.shape[::-1])
    inside = landmarks[:, 2] > 0
    return {
        "segmentation": polygons,
        "scale": 1 + int(np.digitize(area / visible.size, [0.1, 0.4])),
        "viewpoint": VIEWPOINTS[scene.view],
        "zoom_in": 1 if inside.all() else 2 if inside.mean() >= 0.5 else 3,
        "landmarks": landmarks.ravel().tolist(),
        "bounding_box": np.round([*low, *high]).astype(int).tolist(),
        "category_id": garment.category_id,
        "occlusion": 1 + int(np.digitize((landmarks[inside, 2] == 1).mean(), [0.2, 0.5])),
        "category_name": category(garment.category_id).name,
    }


def landmark_rows(index: int, garment: Garment, canvas: Canvas) -> NDArray[np.int64]:
    """Rows x px, y px, v in landmark order: v 2 seen, 1 covered, 0 (with x = y = 0) outside the photo."""
    x1, y1, x2, y2 = canvas.frame
    rows = np.zeros((len(PARTS[garment.category_id]), 3), int)
    for row, part in enumerate(PARTS[garment.category_id]):
        point, panels = garment.landmarks[part]
        pixel = np.round(canvas.camera.project(point[None])[0]).astype(int)
        if not (x1 <= pixel[0] < x2 and y1 <= pixel[1] < y2):
            continue
        rows[row] = *pixel, 2 if _seen(index, point, pixel, panels, canvas) else 1
    return rows


def _seen(
    index: int, point: NDArray[np.float64], pixel: NDArray[np.int64], panels: tuple[str, ...], canvas: Canvas
) -> bool:
    radius = max(2, round(_SEEN_WITHIN * canvas.camera.scale(point)))
    x, y = pixel
    owners = np.unique(canvas.owner[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1])
    near = (canvas.layers[owner - 1] for owner in owners if owner)
    return any(layer.garment == index and layer.panel in panels for layer in near)


def _polygons(visible: Image) -> list[list[int]]:
    contours, _ = cv2.findContours(visible, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = []
    for contour in sorted(contours, key=cv2.contourArea, reverse=True):
        line = cv2.approxPolyDP(contour, 0.8, True)
        if len(line) >= 3 and cv2.contourArea(line) >= 12:
            polygons.append(line.reshape(-1).tolist())
    return polygons
