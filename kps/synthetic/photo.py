"""From a plan to a photo: painting, then what cameras and shops do to pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from kps.synthetic.annotate import annotate
from kps.synthetic.background import random_background
from kps.synthetic.canvas import Canvas
from kps.synthetic.plan import SPLIT_CODES, PhotoPlan
from kps.synthetic.scene import compose
from kps.synthetic.shapes import Image, Rng

_ATTEMPTS = 4  # at a picture that shows all garments of the plan


def render_photo(seed: int, split: str, index: int, plan: PhotoPlan) -> tuple[Image, dict[str, Any]]:
    """Draw photo `index` (from 0) of a split: image (H, W, 3) uint8 RGB and its raw annotation.

    The result depends on the arguments alone; coordinates are 0-indexed pixels.
    """
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([seed, SPLIT_CODES[split], index, attempt])
        image, annotation = _draw(plan, rng)
        if sum(key.startswith("item") for key in annotation) == len(plan.items):
            break
    return degrade(image, rng), annotation


def _draw(plan: PhotoPlan, rng: Rng) -> tuple[Image, dict[str, Any]]:
    scene = compose(plan, rng)
    plain = (plan.source == "shop" and rng.random() < 0.5) or (scene.view == "flat" and rng.random() < 0.6)
    background = random_background(scene.camera.width, scene.camera.height, rng, plain)
    angle = rng.uniform(0, 2 * np.pi)
    strength = rng.uniform(0.6, 1.1)
    canvas = Canvas(background, scene.camera, (strength * np.cos(angle), strength * np.sin(angle)))
    for layer in scene.layers:
        canvas.paint(layer)
    if rng.random() < 0.1:
        sides = rng.integers(0, 60, 4) if rng.random() < 0.5 else np.repeat(rng.integers(4, 26), 4)
        canvas.add_border(*sides.tolist(), shade=int(rng.choice([255, 250, 10], p=[0.7, 0.2, 0.1])))
    return canvas.image, annotate(scene, canvas, plan, rng)


def jpeg_quality(seed: int, split: str, index: int) -> int:
    """The JPEG quality of a photo."""
    rng = np.random.default_rng([seed, SPLIT_CODES[split], index, 7])
    return int(rng.integers(55, 96))


def degrade(image: Image, rng: Rng) -> Image:
    """Blur, colour cast, exposure, noise, a watermark: geometry is left as it is."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3))
    gamma, gain, lift = rng.uniform(0.75, 1.3), rng.uniform(0.88, 1.12), rng.uniform(-8, 18)
    cast = 1 + rng.normal(0, 0.045, 3)
    levels = (np.arange(256)[:, None] / 255) ** gamma * gain * cast
    image = cv2.LUT(image, np.clip(levels * 255 + lift, 0, 255).astype(np.uint8)[None])
    level = rng.gamma(1.5, 2.0)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    noise = np.empty((height, width, 1), np.int16)
    cv2.randn(noise, 0, level * 8)
    noise = cv2.merge([noise[..., 0] // 8] * 3)
    image = cv2.add(image, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.12:
        _watermark(image, rng)
    return image


def _watermark(image: Image, rng: Rng) -> None:
    text = "".join(rng.choice(list("abcdefghiklmnoprstuvw .-"), int(rng.integers(6, 18))))
    place = int(rng.uniform(0, 0.6) * image.shape[1]), int(rng.uniform(0.05, 0.98) * image.shape[0])
    shade = int(rng.choice([235, 250, 60]))
    cv2.putText(image, text, place, int(rng.integers(0, 5)), rng.uniform(0.4, 0.9), (shade,) * 3, 1, cv2.LINE_AA)
