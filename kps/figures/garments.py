"""Garments drawn: on photos, as mean shapes, around a landmark, and as a model is trained on them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Polygon, Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image, ImageOps

from kps.data.coco import Coco
from kps.data.photos import photo_of
from kps.figures.style import CATEGORY_COLOURS, INK, OURS, STYLE, blank, draw_mean_shape, draw_outline, new_figure
from kps.results.detections import Detections
from kps.results.predictions import Predictions
from kps.schema import CATEGORIES, LANDMARK_CATEGORY, Category, category

if TYPE_CHECKING:
    from kps.likeness import Shapes


@mpl.rc_context(STYLE)
def mean_shapes(shapes: "Shapes") -> Figure:
    """Mean shape of each category; an ellipse holds where a landmark lies in about two cases out of three."""
    figure, panels = new_figure(2, 7, (15, 6.2))
    blank(panels.flat[-1])
    for axes, item in zip(panels.flat, CATEGORIES, strict=False):
        mean = shapes.mean[item.id - 1, : item.num_landmarks]
        draw_mean_shape(axes, item, mean, margin=0.45, colors="#5b636b", linewidths=1.2)
        for centre, spread in zip(mean, shapes.covariance[item.id - 1], strict=False):
            if np.isfinite(centre).all():
                values, vectors = np.linalg.eigh(spread)
                width, height = 2 * 1.5 * np.sqrt(values)
                angle = np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0]))
                look = {"color": CATEGORY_COLOURS[item.id], "alpha": 0.22, "linewidth": 0}
                axes.add_patch(Ellipse(centre, width, height, angle=angle, **look))
        axes.plot(*mean.T, "o", ms=3, color=INK)
        axes.set_title(f"{item.name}  (n = {shapes.count[item.id - 1].max()})", fontsize=8.5)
    return figure


OUTLINED = (withStroke(linewidth=1.8, foreground="#14171a"),)
MAX_SHOWN = 4000  # px of a photo's longer side in a figure
LEAST_PICTURE, MAX_PICTURE = 640, 8192  # px of a picture's longer side: letters need some, memory ends
PICTURE_INCHES = 6.5  # its longer side: widths and letters have their points of these, whatever the resolution
DOUBTFUL = 0.2  # confidence of a landmark; of those below it a third are within 0.05 of the box (drawn photos)
MAX_DRAWN, MIN_SCORE = 5, 0.3  # garments a photo, the best scored
COLUMNS = 4  # photos side by side


@mpl.rc_context(STYLE | {"figure.constrained_layout.use": False})
def draw_instances(
    image: np.ndarray, keypoints: np.ndarray, category_id: np.ndarray, *, score: np.ndarray | None = None
) -> np.ndarray:
    """The photo (H, W, 3), of its own resolution, with its garments over it; hollow landmarks are doubtful.

    Keypoints (N, 39, 3) are x, y px and confidence; category_id (N,), score (N,). Small photos are shown larger.
    """
    longer = max(image.shape[:2])
    zoom = np.clip(longer, LEAST_PICTURE, MAX_PICTURE) / longer
    if zoom != 1:
        size = [max(round(zoom * side), 1) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    (height, width), dpi = image.shape[:2], max(image.shape[:2]) / PICTURE_INCHES
    figure = Figure(figsize=((width + 0.1) / dpi, (height + 0.1) / dpi), dpi=dpi, facecolor="none")
    axes = figure.add_axes((0, 0, 1, 1), facecolor="none")
    blank(axes)
    axes.set(xlim=(-0.5, width / zoom - 0.5), ylim=(height / zoom - 0.5, -0.5))
    _draw_garments(axes, keypoints, category_id, score, keypoints[..., 2] < DOUBTFUL)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    layer = np.asarray(canvas.buffer_rgba())
    weight = layer[..., 3].astype(np.float32) / 255
    return cv2.blendLinear(np.ascontiguousarray(layer[..., :3]), np.ascontiguousarray(image), weight, 1 - weight)


def contact_sheet(pictures: Iterable[np.ndarray], *, side: int = 360) -> np.ndarray:
    """Pictures (H, W, 3), each in a square of `side` px, in rows of as many as there are rows."""
    framed = (ImageOps.pad(Image.fromarray(picture), (side, side), color="white") for picture in pictures)
    tiles = [np.asarray(ImageOps.expand(tile, 4, "white")) for tile in framed]
    columns = int(np.ceil(np.sqrt(len(tiles))))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)])


def _draw_garments(
    axes: Axes, keypoints: np.ndarray, category_id: np.ndarray, score: np.ndarray | None, hollow: np.ndarray
) -> None:
    """Draw outlines, landmarks and names: keypoints (N, 39, 3), the third number 0 where there is none.

    Landmarks that are occluded or doubtful are drawn hollow (N, 39).
    """
    for row, (points, kind) in enumerate(zip(keypoints, category_id.tolist(), strict=True)):
        item, colour = category(kind), CATEGORY_COLOURS[kind]
        known = points[: item.num_landmarks, 2] > 0
        empty = known & hollow[row, : item.num_landmarks]
        places = np.where(known[:, None], points[: item.num_landmarks, :2], np.nan)
        for ring in _silhouettes(item, places):
            axes.add_patch(Polygon(ring, facecolor=colour, edgecolor="none", alpha=0.16))
        draw_outline(axes, item, places, colors=colour, linewidths=1.2, path_effects=OUTLINED)
        axes.plot(*places[known & ~empty].T, "o", ms=3.4, mfc=colour, mec="#14171a", mew=0.5)
        axes.plot(*places[empty].T, "o", ms=3.4, mfc="white", mec=colour, mew=1.1)
        if known.any():  # texts lie above all else
            text = item.name + ("" if score is None else f" {score[row]:.2f}")
            _label(axes, places[known].mean(0), text, colour)


def _silhouettes(item: Category, places: np.ndarray) -> list[np.ndarray]:
    """Rings (n, 2) around what the outline encloses, as far as its landmarks (n_c, 2) are known."""
    links = places[np.array(item.outline_links) - 1]
    links = links[np.isfinite(links).all((1, 2))]
    if not len(links):
        return []
    low = links.min((0, 1))
    scale = 250 / max(np.ptp(links, (0, 1)).max(), 1e-6)
    mask = np.zeros((256, 256), np.uint8)
    cv2.polylines(mask, list(((links - low) * scale + 2).astype(np.int32)), False, 1)
    rings, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [(ring[:, 0] - 2) / scale + low for ring in rings]


def _label(axes: Axes, place: Iterable[float], text: str, colour: str) -> None:
    box = {"boxstyle": "round,pad=0.2", "facecolor": colour, "edgecolor": "#14171a", "linewidth": 0.4, "alpha": 0.92}
    axes.text(*place, text, fontsize=6.5, color="#14171a", ha="center", va="center", bbox=box, clip_on=True)


def showcase(coco: Coco, count: int) -> list[int]:
    """Ids of `count` photos that together show as many categories as can be, then as many garments."""
    instances = coco.instances
    shown: set[int] = set()
    chosen: list[int] = []
    kinds = {row.id: instances.category_id[instances.image_id == row.id].tolist() for row in coco.images}
    for _ in range(min(count, len(kinds))):
        rest = [image_id for image_id in kinds if image_id not in chosen]
        best = max(rest, key=lambda i: (len(set(kinds[i]) - shown), len(kinds[i]), -i))
        chosen.append(best)
        shown |= set(kinds[best])
    return chosen


def _grid(coco: Coco, image_dir: Path, image_ids: Sequence[int]) -> tuple[Figure, list[tuple[Axes, int]]]:
    """A figure with a panel for each photo, and the panels that show one, each with its image id.

    Pixel centres have whole coordinates, as in COCO files.
    """
    rows = max(-(-len(image_ids) // COLUMNS), 1)
    figure, axes = new_figure(rows, COLUMNS, (2.5 * COLUMNS, 3.1 * rows))
    photos = {row.id: row for row in coco.images}
    for panel in axes.flat:
        blank(panel)
    panels = list(zip(axes.flat, image_ids, strict=False))
    for panel, image_id in panels:
        photo = photo_of(photos[image_id], image_dir)
        height, width = photo.shape[:2]
        shrink = min(1.0, MAX_SHOWN / max(height, width))
        if shrink < 1:  # matplotlib would hold the whole of it in numbers of 4 bytes
            size = max(round(shrink * width), 1), max(round(shrink * height), 1)
            photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        panel.imshow(photo, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        panel.set_title(f"image {image_id}", fontsize=7.5, fontweight="normal")
    return figure, panels


@mpl.rc_context(STYLE)
def truth_grid(coco: Coco, image_dir: Path, image_ids: Sequence[int]) -> Figure:
    """Photos with their annotations: outline in the category's colour, occluded landmarks hollow."""
    figure, panels = _grid(coco, image_dir, image_ids)
    for axes, image_id in panels:
        items = coco.instances.take(coco.instances.image_id == image_id)
        _draw_garments(axes, items.keypoints, items.category_id, None, items.keypoints[..., 2] == 1)
    return figure


def _pictured(score: np.ndarray) -> np.ndarray:
    """Rows worth drawing, the best last: those from MIN_SCORE up, from 1 (if there is one) to MAX_DRAWN."""
    order = np.argsort(-score)[:MAX_DRAWN]
    return order[: max((score[order] >= MIN_SCORE).sum(), 1)][::-1]


@mpl.rc_context(STYLE)
def detection_grid(coco: Coco, image_dir: Path, detections: Detections, image_ids: Sequence[int]) -> Figure:
    """Photos with detected boxes in their category's colour over the dashed white ground truth."""
    figure, panels = _grid(coco, image_dir, image_ids)
    look = {"fill": False, "path_effects": OUTLINED}
    for axes, image_id in panels:
        for box in coco.instances.bbox_xywh[coco.instances.image_id == image_id]:
            axes.add_patch(Rectangle(box[:2], *box[2:], edgecolor="white", linestyle="--", linewidth=1.0, **look))
        found = detections.take(detections.image_id == image_id)
        for row in _pictured(found.score):
            box, item = found.bbox_xywh[row], category(int(found.category_id[row]))
            colour, place = CATEGORY_COLOURS[item.id], (box[0] + box[2] / 2, box[1])
            axes.add_patch(Rectangle(box[:2], *box[2:], edgecolor=colour, linewidth=1.5, **look))
            _label(axes, place, f"{item.name} {found.score[row]:.2f}", colour)
    return figure


@mpl.rc_context(STYLE)
def prediction_grid(coco: Coco, image_dir: Path, predictions: Predictions, image_ids: Sequence[int]) -> Figure:
    """Photos with predicted garments; on ground-truth boxes, a white line joins each landmark to the truth.

    A prediction is on a ground-truth box where its detection id is an annotation's and the boxes agree.
    """
    figure, panels = _grid(coco, image_dir, image_ids)
    for axes, image_id in panels:
        found = predictions.take(predictions.image_id == image_id)
        found = found.take(_pictured(found.bbox_score))
        own = found.keypoints.copy()
        own[..., 2] = 1
        doubtful = found.keypoints[..., 2] < DOUBTFUL
        _draw_errors(axes, coco, found)
        _draw_garments(axes, own, found.category_id, found.score, doubtful)
    return figure


def _draw_errors(axes: Axes, coco: Coco, found: Predictions) -> None:
    items = coco.instances
    for row, detection_id in enumerate(found.detection_id):
        same = (items.annotation_id == detection_id) & (items.image_id == found.image_id[row])
        same &= np.isclose(items.bbox_xywh, found.bbox_xywh[row], atol=0.02).all(axis=1)
        for truth in items.keypoints[same]:
            known = truth[:, 2] > 0
            lines = np.stack([truth[known, :2], found.keypoints[row, known, :2]], axis=1)
            axes.add_collection(LineCollection(lines, colors="white", linewidths=1.2, path_effects=OUTLINED))
            axes.plot(*truth[known, :2].T, "o", ms=2.2, mfc="white", mec="#14171a", mew=0.4)


SIDE_OF_GARMENT = 0.4  # a cut-out's side in parts of the square root of the box's area
PIXELS = 120  # side of the picture


def landmark_crops(coco: Coco, image_dir: Path, landmarks: Iterable[int]) -> dict[int, np.ndarray]:
    """Return a picture (120, 120, 3) around each landmark (0-based, of 294), with the landmark in its centre.

    From a random garment on which the landmark is visible; landmarks that no photo shows are left out.
    """
    rng, items = np.random.default_rng(0), coco.instances
    images, crops = {row.id: row for row in coco.images}, {}
    for landmark in dict.fromkeys(landmarks):
        item = category(int(LANDMARK_CATEGORY[landmark]))
        own = landmark - item.first_index
        shown = np.flatnonzero((items.category_id == item.id) & (items.keypoints[:, own, 2] == 2))
        if not len(shown):
            continue
        row = int(rng.choice(shown))
        scale = PIXELS / max(SIDE_OF_GARMENT * np.sqrt(items.area[row]), 8.0)
        x, y = items.keypoints[row, own, :2]
        affine = np.array([[scale, 0, PIXELS / 2 - scale * x], [0, scale, PIXELS / 2 - scale * y]])
        photo = photo_of(images[int(items.image_id[row])], image_dir)
        crops[landmark] = cv2.warpAffine(photo, affine, (PIXELS, PIXELS), borderValue=(230, 230, 230))
    return crops


def training_samples(samples: Sequence[tuple[np.ndarray, np.ndarray]], *, maps: np.ndarray | None = None) -> Figure:
    """Draw what a model is trained on: augmented pictures with their labels, and a target heatmap beside.

    `samples` holds pictures (H, W, 3) RGB with points (K, 2) px, or with boxes (K, 4) x1 y1 x2 y2 px; `maps` the
    heatmaps (K, h, w) of the first one, whose highest values are laid over it.
    """
    count = len(samples) + (maps is not None)
    height, width = samples[0][0].shape[:2]
    figure, axes = new_figure(1, count, (1.4 * count, 1.4 * height / width + 0.2))
    for axis, (picture, labels) in zip(axes[0], samples, strict=False):
        axis.imshow(picture)
        if labels.shape[1] == 2:
            axis.scatter(*labels.T, s=5, c=OURS, edgecolors="white", linewidths=0.4)
        for x1, y1, x2, y2 in labels if labels.shape[1] == 4 else ():
            axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=OURS))
        axis.set(xlim=(-0.5, picture.shape[1] - 0.5), ylim=(picture.shape[0] - 0.5, -0.5))
    if maps is not None:
        axes[0, -1].imshow(samples[0][0], alpha=0.35)
        axes[0, -1].imshow(maps.max(0), cmap="magma", alpha=0.75, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        axes[0, -1].set_title("target", fontsize=8)
    for axis in axes[0]:
        blank(axis)
    return figure
