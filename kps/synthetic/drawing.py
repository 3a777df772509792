"""What everything is drawn with: plane geometry, textures of cloth, and layers of pixels with depth.

Lengths are centimetres, x to the picture's right and y downwards, with the origin at the base of the neck.
"""

import colorsys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (N, 2)
Parts = dict[str, Points]  # points (2,) by the name of the garment's part
Move = Callable[[Points], Points]  # a displacement field
Image = NDArray[np.uint8]  # (H, W, 3) RGB, or a mask (H, W)
Rng = np.random.Generator


def xy(x: float, y: float) -> Points:
    """A point or a displacement (2,)."""
    return np.array([x, y], dtype=float)


def curve(points: Points | Sequence[Points], samples: int = 6) -> Points:
    """Catmull-Rom curve through `points` (N, 2), `samples` new points per span, ends included."""
    points = np.asarray(points, dtype=float)
    if len(points) < 3:
        return points
    padded = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    before, start, end, after = padded[:-3, None], padded[1:-2, None], padded[2:-1, None], padded[3:, None]
    t = np.linspace(0, 1, samples, endpoint=False)[None, :, None]
    spans = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return np.vstack([spans.reshape(-1, 2), points[-1]])


def join(*pieces: Points) -> Points:
    """One outline (N, 2) from curves that follow one another."""
    return np.vstack(pieces)


def along(path: Points, distance: float | NDArray[np.float64]) -> Points:
    """Points (M, 2) at the given distances from the start of a polyline, extrapolated past its end."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    position = np.concatenate([[0.0], np.cumsum(steps)])
    distance = np.atleast_1d(np.asarray(distance, dtype=float))
    inside = np.stack([np.interp(distance, position, path[:, axis]) for axis in (0, 1)], axis=1)
    beyond = np.maximum(distance - position[-1], 0)[:, None]
    return inside + beyond * (path[-1] - path[-2]) / max(steps[-1], 1e-6)


def rounded_limb(joints: Points) -> Points:
    """Centre line of a limb from its joints (3, 2), with the middle joint slightly rounded."""
    first, middle, last = joints
    before, after = middle + 0.22 * (first - middle), middle + 0.22 * (last - middle)
    t = np.linspace(0, 1, 5)[:, None]
    bend = (1 - t) ** 2 * before + 2 * t * (1 - t) * middle + t**2 * after
    return np.vstack([first, bend, last])


def offsets(
    path: Points, distance: float | NDArray[np.float64], half_width: NDArray[np.float64] | float, side: int
) -> Points:
    """Points (M, 2) beside a limb: `half_width` away from its centre line at `distance` along it.

    `side` -1 is the picture's left when the limb hangs down, +1 its right.
    """
    centre, reach, distance = along(path, distance), 1.5, np.atleast_1d(distance)
    tangent = along(path, distance + reach) - along(path, np.maximum(distance - reach, 0))
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-6)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1) * side
    return centre + normal * np.broadcast_to(np.atleast_1d(half_width), (len(centre),))[:, None]


def strip(path: Points, distances: NDArray[np.float64], half_widths: NDArray[np.float64]) -> Points:
    """Closed outline (2M, 2) of a limb with the given half widths at the given distances."""
    left, right = offsets(path, distances, half_widths, -1), offsets(path, distances, half_widths, 1)
    return np.vstack([curve(left, 4), curve(right[::-1], 4)])


def ellipse(centre: Points, half_axes: tuple[float, float], angle: float = 0.0, samples: int = 28) -> Points:
    """Outline (samples, 2) of an ellipse turned by `angle` radians."""
    t = np.linspace(0, 2 * np.pi, samples, endpoint=False)
    x, y = half_axes[0] * np.cos(t), half_axes[1] * np.sin(t)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=1) + np.asarray(centre)


def wobble(rng: Rng, amplitude: float, wavelength: float) -> Move:
    """A random smooth displacement field: a function of points (N, 2) that returns moved points (N, 2)."""
    wave = rng.normal(0, 2 * np.pi / wavelength, (3, 2))
    phase = rng.uniform(0, 2 * np.pi, (3, 2))
    size = rng.normal(0, amplitude / np.sqrt(3), (3, 2))

    def move(points: Points) -> Points:
        argument = points @ wave.T  # (N, 3)
        return points + (np.sin(argument[:, :, None] + phase) * size).sum(axis=1)

    return move


def clouds(rng: Rng, size: tuple[int, int], wave: float, octaves: int, stretch: float = 1.0) -> NDArray[np.float32]:
    """Smooth noise (height, width), mean 0, deviation about 1: `wave` px across, and half as much in each octave.

    `size` is width and height; the waves are `stretch` times as long across as down.
    """
    total = np.zeros(size[::-1], np.float32)
    for octave in range(octaves):
        length = np.maximum(wave / 2**octave * np.array([stretch**0.5, stretch**-0.5]), 1.0)
        across, down = np.maximum(np.ceil(np.array(size) / length).astype(int), 2)
        noise = rng.standard_normal((down, across), np.float32) / 2**octave
        total += cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    return total


TILE = 192  # pixels; a multiple of every pattern's period
TILE_CM = 48.0  # width of a tile on the garment
Colour = tuple[int, int, int]  # RGB
_PERIODS = (8, 12, 16, 24, 32, 48)
_COLOURS = (  # of clothes: drawn below this, from and to of hue, saturation and value
    (0.20, (0, 1), (0, 0.15), (0.06, 0.22)),  # black
    (0.42, (0, 1), (0, 0.08), (0.82, 0.99)),  # white
    (0.52, (0, 1), (0, 0.12), (0.3, 0.75)),  # grey
    (0.65, (0.58, 0.66), (0.35, 0.75), (0.2, 0.55)),  # navy
    (0.75, (0.05, 0.13), (0.15, 0.45), (0.55, 0.92)),  # beige
    (1.00, (0, 1), (0.3, 0.85), (0.35, 0.95)),  # any
)


@dataclass
class Fabric:
    """A repeating tile (TILE, TILE, 3) uint8 RGB and the colours that go with it."""

    tile: Image
    seam: Colour
    trim: Colour
    accent: Colour
    light: Colour
    is_plain: bool = False  # the tile is one colour


def random_colour(rng: Rng) -> Colour:
    """A colour of clothes: often black, white, grey, navy or beige, else any hue."""
    kind = rng.random()
    ranges = next(ranges for below, *ranges in _COLOURS if kind < below)
    return to_rgb(*(rng.uniform(*one) for one in ranges))


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


def streaked(colour: Colour, rng: Rng) -> Fabric:
    """A fabric with streaks along its grain, for hair."""
    fabric = plain_fabric(colour)
    _denim(fabric.tile, rng, colour)
    return replace(fabric, is_plain=False)


def random_fabric(rng: Rng, patterns: tuple[str, ...] = ()) -> Fabric:
    """A fabric with a random pattern out of `patterns`, or of all, in colours that go together."""
    patterns = patterns or tuple(_PATTERNS)
    chances = np.array([_PATTERNS[name][0] for name in patterns])
    pattern = str(rng.choice(patterns, p=chances / chances.sum()))
    base = random_colour(rng)
    if pattern == "denim":
        base = to_rgb(rng.uniform(0.57, 0.63), rng.uniform(0.25, 0.7), rng.uniform(0.22, 0.8))
    accent = random_colour(rng)
    if np.abs(np.subtract(base, accent)).sum() < 120:
        accent = scaled(base, 0.45) if sum(base) > 330 else (236, 234, 228)
    tile = np.full((TILE, TILE, 3), base, np.uint8)
    if pattern != "plain":
        _PATTERNS[pattern][1](tile, rng, accent)
    strength = rng.uniform(1.5, 5)
    grain = rng.standard_normal((TILE, TILE, 1)).astype(np.float32) * strength
    tile = np.clip(tile + grain, 0, 255).astype(np.uint8)
    bright = sum(base) > 200
    seam = scaled(base, rng.uniform(0.5, 1.0) if bright else rng.uniform(1.0, 1.9))  # many a seam is not to be seen
    trim = accent if rng.random() < 0.25 else scaled(base, rng.uniform(0.8, 1.05) if bright else rng.uniform(1.0, 1.5))
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
    for _ in range(int(rng.integers(25, 160))):
        centre = rng.integers(0, TILE, 2).tolist()
        axes = [max(1, int(size * rng.uniform(0.3, 1))), max(1, int(size * rng.uniform(0.2, 0.8)))]
        angle = float(rng.uniform(0, 180))
        cv2.ellipse(tile, centre, axes, angle, 0, 360, colours[int(rng.integers(3))], -1, cv2.LINE_AA)


def _denim(tile: Image, rng: Rng, accent: Colour) -> None:
    tile[:] = np.clip(tile + _mirrored(11 * clouds(rng, (TILE // 2,) * 2, 4, 1, 0.1) + 6 * _blotches(rng)), 0, 255)


def _dyed(tile: Image, rng: Rng, accent: Colour) -> None:
    """Washed, tie-dyed or printed with a picture: from one colour to another and a third."""
    share = _mirrored(np.clip(0.5 + rng.uniform(0.2, 1.5) * _blotches(rng, 4), 0, 1))
    tile[:] = tile * (1 - share) + np.array(accent) * share


def _blotches(rng: Rng, octaves: int = 1) -> NDArray[np.float32]:
    return clouds(rng, (TILE // 2,) * 2, rng.uniform(16, 60), octaves)


def _mirrored(quarter: NDArray[np.float32]) -> NDArray[np.float32]:
    """A field for a whole tile (TILE, TILE, 1): mirrored, so that the tile repeats without an edge."""
    return cv2.copyMakeBorder(quarter, 0, TILE // 2, 0, TILE // 2, cv2.BORDER_REFLECT)[..., None]


def _knit(tile: Image, rng: Rng, accent: Colour) -> None:
    period = int(rng.choice((4, 6, 8, 12)))
    wave = 0.5 + 0.5 * np.sin(np.arange(TILE) * 2 * np.pi / period)
    shade = 1 - 0.25 * wave[None, :, None]
    tile[:] = (tile * shade).astype(np.uint8)


def _blocks(tile: Image, rng: Rng, accent: Colour) -> None:
    edge = int(rng.uniform(0.3, 0.7) * TILE)
    tile[edge:] = accent


_PATTERNS = {  # chance, and what draws it on a tile of the first colour
    "plain": (0.4, None), "stripes": (0.12, _stripes), "checks": (0.09, _checks), "dots": (0.05, _dots),
    "print": (0.12, _print), "denim": (0.07, _denim), "knit": (0.06, _knit), "blocks": (0.03, _blocks),
    "dyed": (0.06, _dyed),
}  # fmt: skip


# Depth of the layers: larger is nearer to the camera.
Z_HAIR_BACK, Z_LINING, Z_NECK_BACK, Z_FAR_ARM = 0.0, 0.5, 1.0, 2.0
Z_LEG, Z_SHOE, Z_TORSO, Z_HEAD = 4.0, 4.2, 5.0, 5.6
Z_UNDER, Z_BOTTOM, Z_TOP, Z_DRESS, Z_OUTWEAR = 6.0, 6.5, 7.0, 7.2, 8.0
Z_ARM, Z_SLEEVE, Z_OUTER_SLEEVE, Z_HAND = 10.0, 11.0, 12.0, 12.5
Z_HAIR_FRONT, Z_OBJECT = 14.0, 16.0


@dataclass
class Layer:
    """A painted outline (N, 2) in cm. `bands`, `strokes` and `folds` are clipped by it.

    bands: (polygon, fabric role); strokes: (polyline, width cm, fabric role); folds: (polyline, width cm,
    strength -1..1).
    Fabric roles are "trim", "seam", "accent" and "light".
    """

    outline: Points
    fabric: Fabric
    panel: str
    z: float
    garment: int = -1  # index of the garment in the photo, -1 for the body and for objects
    origin: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0  # of the fabric's grain
    relief: float = 1.0  # strength of the rounded shading
    shadow: float = 0.3  # cast on what lies below
    crumple: float = 0.25  # strength of small folds everywhere
    sheer: float = 0.0  # share of what lies behind that shows through
    bands: list[tuple[Points, str]] = field(default_factory=list)
    strokes: list[tuple[Points, float, str]] = field(default_factory=list)
    folds: list[tuple[Points, float, float]] = field(default_factory=list)
    pieces: list[Points] = field(default_factory=list)  # what the outline leaves out where it crosses itself

    def moved(self, move: Move) -> None:
        """Apply a displacement of points (N, 2) to everything."""
        self.outline = move(self.outline)
        self.pieces = [move(points) for points in self.pieces]
        self.bands = [(move(points), role) for points, role in self.bands]
        self.strokes = [(move(points), width, role) for points, width, role in self.strokes]
        self.folds = [(move(points), width, strength) for points, width, strength in self.folds]


@dataclass
class Garment:
    """A garment's layers and landmarks: part name -> (point (2,) cm, panels on which it can be seen)."""

    category_id: int
    layers: list[Layer]
    landmarks: dict[str, tuple[Points, tuple[str, ...]]]

    def moved(self, move: Move) -> None:
        """Apply a displacement of points (N, 2) to everything."""
        for layer in self.layers:
            layer.moved(move)
        self.landmarks = {
            part: (move(np.asarray(point, dtype=float)[None])[0], panels)
            for part, (point, panels) in self.landmarks.items()
        }
