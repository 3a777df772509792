"""What is behind the person: walls, rooms, streets, plain studio grounds and clutter."""

from __future__ import annotations

import cv2
import numpy as np

from kps.synthetic.shapes import Image, Rng
from kps.synthetic.texture import Colour, random_colour, to_rgb

_COARSE = 2  # painted on a grid this many times coarser: backgrounds are out of focus anyway


def random_background(width: int, height: int, rng: Rng, plain: bool) -> Image:
    """A background (height, width, 3) uint8 RGB; `plain` for studio grounds and tables."""
    size = -(-width // _COARSE), -(-height // _COARSE)
    image = _gradient(size, _wall_colour(rng), rng)
    if not plain:
        kinds = (_room, _street, _wall, _clutter)
        kinds[int(rng.choice(4, p=[0.32, 0.24, 0.24, 0.2]))](image, rng)
    elif rng.random() < 0.4:
        _wall(image, rng)
    blur = rng.uniform(0.0, 2.5) if not plain else 0.0
    if blur > 0.4:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def _wall_colour(rng: Rng) -> Colour:
    if rng.random() < 0.7:
        return to_rgb(rng.uniform(0.02, 0.65), rng.uniform(0, 0.14), rng.uniform(0.45, 0.99))
    hue = rng.uniform(0.02, 0.14) if rng.random() < 0.5 else rng.random()
    return to_rgb(hue, rng.uniform(0.05, 0.45), rng.uniform(0.12, 0.85))


def _gradient(size: tuple[int, int], first: Colour, rng: Rng) -> Image:
    second = tuple(int(np.clip(c * rng.uniform(0.7, 1.05), 0, 255)) for c in first)
    corners = np.array([[first, first], [second, second]], np.float32)
    if rng.random() < 0.5:
        corners = corners.transpose(1, 0, 2)
    corners = corners + rng.normal(0, 5, (2, 2, 1)).astype(np.float32)
    return np.clip(cv2.resize(corners, size, interpolation=cv2.INTER_LINEAR), 0, 255).astype(np.uint8)


def _shade(colour: Colour, factor: float) -> Colour:
    return tuple(int(np.clip(c * factor, 0, 255)) for c in colour)


def _at(image: Image, x: float, y: float) -> Colour:
    height, width = image.shape[:2]
    return tuple(int(v) for v in image[int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))])


def _box(image: Image, x1: float, y1: float, x2: float, y2: float, colour: Colour, thick: int = -1) -> None:
    cv2.rectangle(image, (int(x1), int(y1)), (int(x2), int(y2)), colour, thick)


def _wall(image: Image, rng: Rng) -> None:
    """Tiles, panels, bricks or stains."""
    height, width = image.shape[:2]
    line = _shade(_at(image, width / 2, height / 2), rng.choice([0.75, 0.85, 1.12]))
    step_x, step_y = rng.uniform(14, 110), rng.uniform(12, 110)
    if rng.random() < 0.75:
        brick = rng.random() < 0.35
        thick = int(rng.integers(1, 3))
        for row, y in enumerate(np.arange(rng.uniform(0, step_y), height, step_y)):
            cv2.line(image, (0, int(y)), (width, int(y + rng.normal(0, 1))), line, thick)
            shift = step_x / 2 if brick and row % 2 else 0.0
            for x in np.arange(shift, width, step_x):
                cv2.line(image, (int(x), int(y)), (int(x), int(y + step_y)), line, thick)
    else:
        for x in np.arange(rng.uniform(0, step_x), width, step_x):
            cv2.line(image, (int(x), 0), (int(x + rng.normal(0, 1)), height), line, int(rng.integers(1, 5)))
    stains = rng.normal(0, 9, (9, 7)).astype(np.float32)
    stains = cv2.resize(stains, (width, height), interpolation=cv2.INTER_CUBIC)
    image[:] = np.clip(image + stains[..., None], 0, 255).astype(np.uint8)


def _room(image: Image, rng: Rng) -> None:
    """A wall, a floor in perspective, a door or a window and some furniture."""
    height, width = image.shape[:2]
    horizon = int(height * rng.uniform(0.55, 0.9))
    floor = _wall_colour(rng)
    for y in range(horizon, height):
        image[y] = _shade(floor, 0.8 + 0.25 * (y - horizon) / max(height - horizon, 1))
    vanish = width * rng.uniform(0.2, 0.8), horizon - height * rng.uniform(0.1, 0.5)
    if rng.random() < 0.7:
        for x in np.linspace(-width, 2 * width, int(rng.integers(8, 26))):
            start = x + (vanish[0] - x) * (height - horizon) / max(height - vanish[1], 1)
            cv2.line(image, (int(start), horizon), (int(x), height), _shade(floor, 0.72), 1, cv2.LINE_AA)
    cv2.line(image, (0, horizon), (width, horizon), _shade(floor, 0.55), int(rng.integers(1, 6)))
    for _ in range(int(rng.integers(1, 4))):
        x, w = rng.uniform(-0.2, 1) * width, rng.uniform(0.15, 0.5) * width
        top = rng.uniform(-0.2, 0.5) * horizon
        corner, end = (int(x), int(top)), (int(x + w), int(horizon + rng.uniform(-0.1, 0.05) * height))
        colour = _wall_colour(rng)
        _box(image, *corner, *end, colour)
        _box(image, *corner, *end, _shade(colour, 0.6), int(rng.integers(1, 4)))
        across, down = w * 0.12, (end[1] - top) * 0.08
        inner, thick = _shade(colour, rng.uniform(0.7, 1.25)), int(rng.choice([-1, 1, 2]))
        _box(image, x + across, top + down, end[0] - across, end[1] - down, inner, thick)
    if rng.random() < 0.5:
        _objects(image, rng, 4, low=0.5)


def _street(image: Image, rng: Rng) -> None:
    """Sky, foliage, houses and a ground."""
    height, width = image.shape[:2]
    horizon = int(height * rng.uniform(0.35, 0.75))
    image[:horizon] = to_rgb(rng.uniform(0.53, 0.62), rng.uniform(0.02, 0.35), rng.uniform(0.75, 0.99))
    image[horizon:] = to_rgb(rng.uniform(0.05, 0.3), rng.uniform(0.03, 0.3), rng.uniform(0.35, 0.8))
    for _ in range(int(rng.integers(2, 6))):
        x, w = rng.uniform(-0.2, 1) * width, rng.uniform(0.1, 0.5) * width
        top = horizon * rng.uniform(-0.1, 0.8)
        colour = _wall_colour(rng)
        _box(image, x, top, x + w, horizon + 4, colour)
        for row in np.arange(top + 8, horizon - 6, rng.uniform(12, 24)):
            for column in np.arange(x + 6, x + w - 8, rng.uniform(12, 24)):
                _box(image, column, row, column + 6, row + 8, _shade(colour, 0.5))
    for _ in range(int(rng.integers(15, 70)) if rng.random() < 0.7 else 0):
        centre = int(rng.uniform(0, width)), int(horizon + rng.normal(-0.12, 0.1) * height)
        colour = to_rgb(rng.uniform(0.2, 0.36), rng.uniform(0.25, 0.7), rng.uniform(0.15, 0.6))
        cv2.circle(image, centre, int(rng.uniform(4, 20)), colour, -1)


def _objects(image: Image, rng: Rng, count: int, low: float = 0.0) -> None:
    height, width = image.shape[:2]
    for _ in range(count):
        centre = int(rng.uniform(0, width)), int(rng.uniform(low, 1) * height)
        size = int(rng.uniform(8, 0.25 * width)), int(rng.uniform(8, 0.2 * height))
        colour = random_colour(rng)
        kind = rng.integers(4)
        if kind == 0:
            cv2.ellipse(image, centre, size, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
        elif kind == 1:
            end = centre[0] + size[0] * 3, centre[1] + size[1]
            cv2.line(image, centre, end, colour, int(rng.integers(2, 9)))
        else:
            angle = float(rng.normal(0, 12) if kind == 2 else rng.uniform(0, 90))
            corners = [cv2.boxPoints((centre, size, angle)).astype(np.int32)]
            cv2.fillPoly(image, corners, colour, cv2.LINE_AA)
            cv2.polylines(image, corners, True, _shade(colour, 0.6), 1, cv2.LINE_AA)


def _clutter(image: Image, rng: Rng) -> None:
    """Shelves with things, or a heap of shapes."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        step = rng.uniform(0.12, 0.3) * height
        for y in np.arange(step, height + step, step):
            x = 0.0
            while x < width:
                w, h = rng.uniform(4, 26), step * rng.uniform(0.3, 0.9)
                _box(image, x, y - h, x + w, y, random_colour(rng))
                x += w + rng.uniform(0, 12)
            _box(image, 0, y, width, y + 4, _shade(_at(image, 2, y + 6), 0.6))
    else:
        _objects(image, rng, int(rng.integers(8, 26)))
