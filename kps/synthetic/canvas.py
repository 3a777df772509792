"""From the figure's centimetres to the photo: the camera, and layers laid on each other with their landmarks."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from kps.synthetic.drawing import TILE, TILE_CM, Image, Layer, Points, Rng, clouds, xy


@dataclass
class Camera:
    """`matrix` (3, 3) maps homogeneous cm to px; width and height of the photo in px."""

    matrix: NDArray[np.float64]
    width: int
    height: int

    def project(self, points: Points) -> Points:
        """Pixels (N, 2) of points (N, 2) in cm."""
        mapped = np.asarray(points, dtype=float) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return mapped[:, :2] / np.maximum(mapped[:, 2:], 1e-3)

    def local(self, point: Points) -> NDArray[np.float64]:
        """The affine map (2, 3) that agrees with the projection at a point (2,) in cm."""
        point = np.asarray(point, dtype=float)
        base, right, down = self.project(np.array([point, point + xy(1, 0), point + xy(0, 1)]))
        linear = np.stack([right - base, down - base], axis=1)
        return np.hstack([linear, (base - linear @ point)[:, None]])

    def scale(self, point: Points) -> float:
        """Pixels per cm at a point (2,)."""
        return float(np.sqrt(abs(np.linalg.det(self.local(point)[:, :2]))))


def framed(
    box: tuple[float, float, float, float],
    width: int,
    height: int,
    margin: float,
    rng: Rng,
    *,
    wild: float = 1.0,
    anchor: int = 0,
) -> Camera:
    """A camera that shows the box (x1, y1, x2, y2 in cm), with random roll, place and perspective.

    `margin` is the share of the frame left around the box; `wild` scales the roll and the perspective;
    `anchor` -1 puts the box at the top of the frame, 1 at its bottom.
    """
    x1, y1, x2, y2 = box
    scale = min(width / (x2 - x1), height / (y2 - y1)) * (1 - margin)
    wild = 0.5 * wild if anchor else wild
    roll = np.clip(rng.normal(0, 0.08) + (rng.random() < 0.15) * rng.normal(0, 0.3), -0.7, 0.7) * wild
    cos, sin = scale * np.cos(roll), scale * np.sin(roll)
    free = np.array([width - scale * (x2 - x1), height - scale * (y2 - y1)])
    aside = np.clip(rng.normal(0, 0.2, 2), -0.5, 0.5)
    centre = np.array([width, height]) / 2 + aside * np.maximum(free, 0.02 * width)
    if anchor:
        centre[1] = height / 2 + anchor * max(free[1], 0) / 2
    tilt = rng.normal(0, 0.0005, 2) * wild * np.array([0.6, 1.6])
    place = np.array([[1, 0, -(x1 + x2) / 2], [0, 1, -(y1 + y2) / 2], [0, 0, 1.0]])
    view = np.array([[1, 0, 0], [0, 1, 0], [tilt[0], tilt[1], 1.0]])
    turn = np.array([[cos, -sin, centre[0]], [sin, cos, centre[1]], [0, 0, 1.0]])
    return Camera(turn @ view @ place, width, height)


_SUBPIXEL = 4  # bits
_COARSE = 4  # shading is computed on a grid this many times coarser


class Canvas:
    """A photo being painted: `image` (H, W, 3) uint8 RGB and `owner` (H, W) uint8, index of the layer + 1."""

    def __init__(self, image: Image, camera: Camera, light: tuple[float, float], rng: Rng) -> None:
        self.image = image
        self.camera = camera
        self.light = light
        self.owner = np.zeros(image.shape[:2], np.uint8)
        self.layers: list[Layer] = []
        size = -(-image.shape[1] // _COARSE) + 1, -(-image.shape[0] // _COARSE) + 1
        wave = rng.uniform(6, 22) * camera.scale(xy(0, 30)) / _COARSE  # cm, in px
        ridges = np.abs(clouds(rng, size, max(wave, 3.0), 3, rng.choice([0.4, 1.0, 2.5])))
        self._creases = 0.22 * ridges  # height of a crumpled cloth
        self.frame = (0, 0, image.shape[1], image.shape[0])  # x1, y1, x2, y2 of the photo without a border

    def add_border(self, left: int, top: int, right: int, bottom: int, shade: int) -> None:
        """Surround the photo by a border of one shade of grey, in px."""
        sides = top, bottom, left, right
        self.image = cv2.copyMakeBorder(self.image, *sides, cv2.BORDER_CONSTANT, value=(shade,) * 3)
        self.owner = cv2.copyMakeBorder(self.owner, *sides, cv2.BORDER_CONSTANT, value=0)
        move = np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
        height, width = self.owner.shape
        self.frame = (left, top, width - right, height - bottom)
        self.camera = Camera(move @ self.camera.matrix, width, height)

    def paint(self, layer: Layer) -> None:
        """Paint a layer over what is there."""
        self.layers.append(layer)
        outlines = [self.camera.project(points) for points in (layer.outline, *layer.pieces)]
        box = self._box(np.vstack(outlines))
        if box is None:
            return
        x1, y1, x2, y2 = box
        offset = np.array([x1, y1])
        mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
        for outline in outlines:  # one by one: together, overlaps would be holes
            cv2.fillPoly(mask, [_fixed(outline - offset)], 255, cv2.LINE_AA, _SUBPIXEL)
        centre = layer.outline.mean(axis=0)
        scale = self.camera.scale(centre)
        colour = self._cloth(layer, centre, box)
        self._details(colour, layer, offset, scale)
        shade = self._shade(mask, layer, offset, scale)
        cv2.multiply(colour, cv2.merge([shade, shade, shade]), dst=colour, scale=1 / 128)
        if layer.shadow:
            self._cast_shadow(mask, box, layer.shadow, scale)
        target = self.image[y1:y2, x1:x2]
        weight = mask.astype(np.float32) * ((1 - layer.sheer) / 255)
        target[:] = cv2.blendLinear(colour, np.ascontiguousarray(target), weight, 1 - weight)
        self.owner[y1:y2, x1:x2][mask > 127] = len(self.layers)

    def _box(self, outline: Points) -> tuple[int, int, int, int] | None:
        height, width = self.owner.shape
        low, high = np.floor(outline.min(axis=0)) - 2, np.ceil(outline.max(axis=0)) + 3
        x1, y1 = max(int(low[0]), 0), max(int(low[1]), 0)
        x2, y2 = min(int(high[0]), width), min(int(high[1]), height)
        return (x1, y1, x2, y2) if x2 - x1 > 1 and y2 - y1 > 1 else None

    def _cloth(self, layer: Layer, centre: Points, box: tuple[int, int, int, int]) -> Image:
        """The fabric's tile laid into the box, its grain turned with the layer."""
        x1, y1, x2, y2 = box
        density, tile = TILE / TILE_CM, layer.fabric.tile
        if layer.fabric.is_plain:
            return np.full((y2 - y1, x2 - x1, 3), tile[0, 0], np.uint8)
        to_pixels = np.vstack([self.camera.local(centre), [0, 0, 1]])
        to_cm = np.linalg.inv(to_pixels) @ np.array([[1, 0, x1], [0, 1, y1], [0, 0, 1.0]])
        cos, sin = np.cos(layer.angle), np.sin(layer.angle)
        grain = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
        grain[:2, 2] = -grain[:2, :2] @ np.asarray(layer.origin) + TILE_CM / 2
        stride = density * np.sqrt(abs(np.linalg.det(to_cm[:2, :2])))
        if stride > 1.4:
            size = max(8, round(TILE / stride))
            tile, density = cv2.resize(tile, (size, size), interpolation=cv2.INTER_AREA), size / TILE_CM
        matrix = (np.diag([density, density, 1.0]) @ grain @ to_cm)[:2]
        flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_WRAP
        return cv2.warpAffine(tile, matrix, (x2 - x1, y2 - y1), flags=flags, borderMode=border)

    def _details(self, colour: Image, layer: Layer, offset: Points, scale: float) -> None:
        for polygon, role in layer.bands:
            points = _fixed(self.camera.project(polygon) - offset)
            cv2.fillPoly(colour, [points], getattr(layer.fabric, role), cv2.LINE_AA, _SUBPIXEL)
        for line, width, role in layer.strokes:
            points = _fixed(self.camera.project(line) - offset)
            thickness = max(1, round(width * scale))
            cv2.polylines(colour, [points], False, getattr(layer.fabric, role), thickness, cv2.LINE_AA, _SUBPIXEL)

    def _shade(self, mask: Image, layer: Layer, offset: Points, scale: float) -> Image:
        """Brightness (h, w) uint8, 128 = unchanged: the light on the mask's inflated, folded surface."""
        height, width = mask.shape
        size = max(2, width // _COARSE), max(2, height // _COARSE)
        surface = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        surface *= layer.relief / 255
        ratio = np.array([size[0] / width, size[1] / height])
        reach = float(np.clip(0.5 * np.sqrt(mask.size) / _COARSE * 0.25, 1.0, 10.0))
        surface = cv2.GaussianBlur(surface, (0, 0), reach) * reach * 0.55
        rows, columns = (np.arange(count) + len(self.layers) * 31 for count in size[::-1])
        creases = self._creases.take(rows, axis=0, mode="wrap").take(columns, axis=1, mode="wrap")
        surface += layer.crumple * creases
        if layer.folds:
            surface += self._fold_relief(size, ratio, layer, offset, scale)
        slope_x, slope_y = cv2.Sobel(surface, -1, 1, 0, ksize=3), cv2.Sobel(surface, -1, 0, 1, ksize=3)
        light = 124 - (slope_x * self.light[0] + slope_y * self.light[1]) * 22
        shade = np.clip(light, 62, 172).astype(np.uint8)
        return cv2.resize(shade, (width, height), interpolation=cv2.INTER_LINEAR)

    def _fold_relief(
        self, size: tuple[int, int], ratio: Points, layer: Layer, offset: Points, scale: float
    ) -> NDArray[np.float32]:
        """Height (h, w) of the folds on the coarse grid."""
        relief = np.full(size[::-1], 128, np.uint8)
        for line, fold_width, strength in layer.folds:
            points = _fixed((self.camera.project(line) - offset) * ratio)
            thickness = max(1, round(fold_width * scale / _COARSE))
            cv2.polylines(relief, [points], False, 128 + 120 * float(strength), thickness, cv2.LINE_AA, _SUBPIXEL)
        blur = max(0.8, 0.7 * scale / _COARSE)
        return (cv2.GaussianBlur(relief, (0, 0), blur).astype(np.float32) - 128) * (0.9 / 120)

    def _cast_shadow(self, mask: Image, box: tuple[int, int, int, int], strength: float, scale: float) -> None:
        x1, y1, x2, y2 = box
        reach = int(max(3, 2.2 * scale))
        left, top = max(x1 - reach, 0), max(y1 - reach, 0)
        right, bottom = min(x2 + reach, self.owner.shape[1]), min(y2 + reach, self.owner.shape[0])
        size = max(2, (right - left) // _COARSE), max(2, (bottom - top) // _COARSE)
        around = cv2.copyMakeBorder(mask, y1 - top, bottom - y2, x1 - left, right - x2, cv2.BORDER_CONSTANT)
        soft = cv2.resize(around, size, interpolation=cv2.INTER_AREA)
        soft = cv2.GaussianBlur(soft, (0, 0), max(0.8, 0.9 * scale / _COARSE))
        soft = cv2.resize(soft, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        shade = cv2.convertScaleAbs(soft, alpha=-strength * 0.5, beta=128)
        shade = np.where(self.owner[top:bottom, left:right] > 0, shade, np.uint8(128))
        region = self.image[top:bottom, left:right]
        cv2.multiply(region, cv2.merge([shade, shade, shade]), dst=region, scale=1 / 128)


def _fixed(points: Points) -> NDArray[np.int32]:
    """Points (N, 2) in OpenCV's fixed-point form."""
    return np.round(np.clip(points, -4000, 8000) * (1 << _SUBPIXEL)).astype(np.int32)
