"""Fabrics: a tile of colour that repeats, and the colours of seams and trims that go with it."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np

from kps.synthetic.shapes import Image, Rng

TILE = 192  # pixels; a multiple of every pattern's period
TILE_CM = 48.0  # width of a tile on the garment
Colour = tuple[int, int, int]  # RGB
_PERIODS = (8, 12, 16, 24, 32, 48)
_PATTERNS = ("plain", "stripes", "checks", "dots", "print", "denim", "knit", "blocks")
_CHANCES = (0.47, 0.12, 0.09, 0.06, 0.1, 0.07, 0.06, 0.03)


@dataclass
class Fabric:
    """A repeating tile (TILE, TILE, 3) uint8 RGB and the colours that go with it."""

    tile: Image
    seam: Colour
    trim: Colour
    accent: Colour
    light: Colour
    is_plain: bool = False  # the tile is one colour

    def colour(self, role: str) -> Colour:
        """Colour of a role named in a layer's bands and strokes."""
        return getattr(self, role)


def random_colour(rng: Rng) -> Colour:
    """A colour of clothes: often black, white, grey, navy or beige, else any hue."""
    kind = rng.random()
    if kind < 0.2:
        hue, saturation, value = rng.random(), rng.uniform(0, 0.15), rng.uniform(0.06, 0.22)
    elif kind < 0.42:
        hue, saturation, value = rng.random(), rng.uniform(0, 0.08), rng.uniform(0.82, 0.99)
    elif kind < 0.52:
        hue, saturation, value = rng.random(), rng.uniform(0, 0.12), rng.uniform(0.3, 0.75)
    elif kind < 0.65:
        hue, saturation, value = rng.uniform(0.58, 0.66), rng.uniform(0.35, 0.75), rng.uniform(0.2, 0.55)
    elif kind < 0.75:
        hue, saturation, value = rng.uniform(0.05, 0.13), rng.uniform(0.15, 0.45), rng.uniform(0.55, 0.92)
    else:
        hue, saturation, value = rng.random(), rng.uniform(0.3, 0.85), rng.uniform(0.35, 0.95)
    return to_rgb(hue, saturation, value)


def to_rgb(hue: float, saturation: float, value: float) -> Colour:
    """HSV in 0..1 to RGB in 0..255."""
    return tuple(round(255 * channel) for channel in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def scaled(colour: Colour, factor: float) -> Colour:
    """The colour made darker or lighter."""
    return tuple(int(np.clip(channel * factor + (12 if factor > 1 else 0), 0, 255)) for channel in colour)


def plain_fabric(colour: Colour) -> Fabric:
    """A fabric of one colour, for linings, skin, hair and objects."""
    roles = (scaled(colour, factor) for factor in (0.6, 0.8, 1.3, 1.15))
    return Fabric(np.full((TILE, TILE, 3), colour, np.uint8), *roles, is_plain=True)


def random_fabric(rng: Rng, patterns: tuple[str, ...] = _PATTERNS) -> Fabric:
    """A fabric with a random pattern out of `patterns` in colours that go together."""
    chances = np.array([_CHANCES[_PATTERNS.index(name)] for name in patterns])
    pattern = str(rng.choice(patterns, p=chances / chances.sum()))
    base = random_colour(rng)
    if pattern == "denim":
        base = to_rgb(rng.uniform(0.57, 0.63), rng.uniform(0.25, 0.7), rng.uniform(0.22, 0.8))
    accent = random_colour(rng)
    if np.abs(np.subtract(base, accent)).sum() < 120:
        accent = scaled(base, 0.45) if sum(base) > 330 else (236, 234, 228)
    tile = np.full((TILE, TILE, 3), base, np.uint8)
    if pattern != "plain":
        _DRAW[pattern](tile, rng, accent)
    strength = rng.uniform(1.5, 5)
    grain = rng.standard_normal((TILE, TILE, 1)).astype(np.float32) * strength
    tile = np.clip(tile + grain, 0, 255).astype(np.uint8)
    seam = scaled(base, 0.55) if sum(base) > 200 else scaled(base, 1.9)
    trim = accent if rng.random() < 0.3 else scaled(base, 0.82 if sum(base) > 200 else 1.5)
    return Fabric(tile, seam, trim, accent, scaled(base, 1.25))


def _stripes(tile: Image, rng: Rng, accent: Colour) -> None:
    period = int(rng.choice(_PERIODS))
    width = max(2, int(period * rng.uniform(0.2, 0.6)))
    lines = (np.arange(TILE) % period) < width
    if rng.random() < 0.7:
        tile[lines] = accent
    else:
        tile[:, lines] = accent


def _checks(tile: Image, rng: Rng, accent: Colour) -> None:
    period = int(rng.choice(_PERIODS[1:5]))
    lines = ((np.arange(TILE) % period) < period * rng.uniform(0.3, 0.55)).astype(np.float32)
    weight = ((lines[:, None] + lines[None]) / 2)[..., None]
    tile[:] = (tile * (1 - weight) + np.array(accent) * weight).astype(np.uint8)


def _dots(tile: Image, rng: Rng, accent: Colour) -> None:
    period = int(rng.choice(_PERIODS[1:5]))
    radius = max(1, int(period * rng.uniform(0.15, 0.35)))
    for row, column in np.ndindex(TILE // period, TILE // period):
        centre = (column * period + row % 2 * (period // 2), row * period + period // 2)
        cv2.circle(tile, centre, radius, accent, -1, cv2.LINE_AA)


def _print(tile: Image, rng: Rng, accent: Colour) -> None:
    colours = [accent, random_colour(rng), random_colour(rng)]
    size = rng.uniform(4, 16)
    for _ in range(int(rng.integers(25, 70))):
        centre = rng.integers(0, TILE, 2).tolist()
        axes = [max(1, int(size * rng.uniform(0.3, 1))), max(1, int(size * rng.uniform(0.2, 0.8)))]
        angle = float(rng.uniform(0, 180))
        cv2.ellipse(tile, centre, axes, angle, 0, 360, colours[int(rng.integers(3))], -1, cv2.LINE_AA)


def _denim(tile: Image, rng: Rng, accent: Colour) -> None:
    half = TILE // 2
    noise = rng.standard_normal((half, half)).astype(np.float32)
    streaks = cv2.blur(noise, (1, 15)) * 26
    clouds = cv2.resize(rng.standard_normal((4, 4)).astype(np.float32), (half, half), interpolation=cv2.INTER_CUBIC)
    quarter = streaks + clouds * 7
    whole = np.vstack([quarter, quarter[::-1]])  # mirrored, so that the tile repeats without an edge
    whole = np.hstack([whole, whole[:, ::-1]])
    tile[:] = np.clip(tile + whole[..., None], 0, 255).astype(np.uint8)


def _knit(tile: Image, rng: Rng, accent: Colour) -> None:
    period = int(rng.choice((4, 6, 8, 12)))
    wave = 0.5 + 0.5 * np.sin(np.arange(TILE) * 2 * np.pi / period)
    shade = 1 - 0.25 * wave[None, :, None]
    tile[:] = (tile * shade).astype(np.uint8)


def _blocks(tile: Image, rng: Rng, accent: Colour) -> None:
    edge = int(rng.uniform(0.3, 0.7) * TILE)
    tile[edge:] = accent


_DRAW = {
    "stripes": _stripes, "checks": _checks, "dots": _dots, "print": _print,
    "denim": _denim, "knit": _knit, "blocks": _blocks,
}  # fmt: skip
