"""What a trained model says on likeness: its features at landmarks, and its channels on other garments.

Both cues should come from a model with 294 channels: one that was trained on a map has learned that map.
Letters: N instances, M places, L = 39 own landmarks, C feature channels, [W, H] the input's size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kps import schema
from kps.data.coco import Coco
from kps.data.photos import photo_of
from kps.files import InputError, progress
from kps.likeness import Cue, appearance_cue, cue
from kps.likeness.descriptors import PER_LANDMARK, Descriptors, sample_places
from kps.models.crops import apply_affine, crop_affine, cut_patch
from kps.models.landmarks import LandmarkModel

PER_CATEGORY = 100  # garments that other categories' channels are read on
MIN_READ = 5  # garments on which a landmark must be labelled


@dataclass(frozen=True)
class _Crops:
    """N garments as the model sees them."""

    rows: np.ndarray  # (N,) of the instances
    pixels: np.ndarray  # (N, H, W, 3) uint8
    affine: np.ndarray  # (N, 2, 3) image -> input


def _crops(
    model: LandmarkModel, coco: Coco, image_dir: Path, rows: np.ndarray, batch_size: int, desc: str
) -> Iterator[_Crops]:
    """Yield the crops of the given instances in batches; a photo is read once, a batch is held at a time."""
    image_id, boxes = coco.instances.image_id, coco.instances.bbox_xywh
    images = {image.id: image for image in coco.images}
    rows = rows[np.argsort(image_id[rows], kind="stable")]
    photos = [(images[i], list(of_photo)) for i, of_photo in groupby(rows.tolist(), key=image_id.__getitem__)]
    taken: list[int] = []
    pixels: list[np.ndarray] = []
    affines: list[np.ndarray] = []
    for image, of_photo in progress(photos, desc=desc, unit="photo"):
        photo = photo_of(image, image_dir)
        for row in of_photo:
            affine = crop_affine(boxes[row], model.size_wh, padding=model.padding)
            patch = cut_patch(photo, boxes[row], model.size_wh, model.padding)
            taken.append(row)
            affines.append(affine)
            pixels.append(patch.crop(affine, model.size_wh))
            if len(taken) == batch_size:
                yield _Crops(np.array(taken), np.stack(pixels), np.stack(affines))
                taken, pixels, affines = [], [], []
    if taken:
        yield _Crops(np.array(taken), np.stack(pixels), np.stack(affines))


def trained_cues(checkpoint: Path, coco: Coco, image_dir: Path, *, seed: int = 0) -> list[Cue]:
    """Both cues of a trained model of 294 channels: "backbone" and "cross_prediction".

    Raises:
        InputError: no such checkpoint, one of a model with fewer channels, or a photo that cannot be read.
    """
    model = LandmarkModel.load(checkpoint)
    crossed = cross_prediction_cue(model, coco, image_dir, seed=seed)
    features = backbone_descriptors(model, coco, image_dir, seed=seed)
    return [appearance_cue(features, name="backbone", of="a trained backbone's features"), crossed]


def backbone_descriptors(
    model: LandmarkModel,
    coco: Coco,
    image_dir: Path,
    *,
    layer: str = "stage3",
    per_landmark: int = PER_LANDMARK,
    seed: int = 0,
    batch_size: int = 32,
) -> Descriptors:
    """Features (M, 2, C) of a layer of the backbone at a sample of visible landmarks, and of mirrored crops.

    `kps.likeness.appearance_cue(descriptors, name="backbone", of="a trained backbone's features")` makes a
    cue of them.

    Args:
        layer: a module of the backbone; of several resolutions the highest is read. The last stage has been
            told which landmarks are the same channel, earlier ones less so.

    Raises:
        InputError: no such layer, no visible landmark, or a photo that is absent or no image.
    """
    modules = dict(model.model.backbone.named_children())
    if layer not in modules:
        raise InputError(f"expected a layer of the backbone ({', '.join(modules)}), but got {layer!r}")
    places = sample_places(coco.instances, per_landmark=per_landmark, seed=seed)
    if not len(places.row):
        raise InputError(f"{coco.path}: expected visible landmarks, but found none")
    values: list[np.ndarray | None] = [None] * len(places.row)
    by_row = np.argsort(places.row, kind="stable")
    sampled = np.unique(places.row)
    for crops in _crops(model, coco, image_dir, sampled, batch_size, "features at landmarks"):
        plain = _features(model, layer, crops.pixels)
        mirrored = _features(model, layer, np.ascontiguousarray(crops.pixels[:, :, ::-1])).flip(-1)
        for number, row in enumerate(crops.rows):
            of_row = by_row[slice(*np.searchsorted(places.row, (row, row + 1), sorter=by_row))]
            points = apply_affine(crops.affine[number], places.xy[of_row])
            both = torch.stack([plain[number], mirrored[number]])
            for place, value in zip(of_row, _sampled(both, points, model.size_wh), strict=True):
                values[place] = value
    return Descriptors(np.stack(values), places.landmark, coco.instances.image_id[places.row])


@torch.inference_mode()
def _features(model: LandmarkModel, layer: str, pixels: np.ndarray) -> Tensor:
    """The layer's output (N, C, h, w) on crops."""
    found: list[Tensor] = []

    def keep(_module: object, _inputs: object, output: Tensor | list[Tensor]) -> None:
        found.append(output if isinstance(output, Tensor) else output[0])

    hook = getattr(model.model.backbone, layer).register_forward_hook(keep)
    try:
        data = model.model.data_preprocessor({"inputs": torch.from_numpy(pixels)}, training=False)
        model.model.extract_feat(data["inputs"])
    finally:
        hook.remove()
    return found[0].float()


def _sampled(maps: Tensor, points_xy: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """(2, C, h, w) read bilinearly at points (m, 2) in input px -> (m, 2, C) float32."""
    grid = (torch.as_tensor(points_xy) + 0.5) * 2 / torch.tensor(size_wh) - 1  # edges of the input at +-1
    grid = grid.to(maps)[None, None].expand(len(maps), -1, -1, -1)
    read = F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return read[:, :, 0].permute(2, 0, 1).cpu().numpy()


def cross_prediction_cue(
    model: LandmarkModel,
    coco: Coco,
    image_dir: Path,
    *,
    per_category: int = PER_CATEGORY,
    seed: int = 0,
    batch_size: int = 32,
) -> Cue:
    """Distance of landmarks by how well the channel of one finds the other: what merging channels exploits.

    Every category's channels are read on every other's crops; the places of their peaks are scored by OKS
    against the garment's own labels, with the mean of both sigmas.

    Args:
        model: of 294 channels, trained on the identity map.
        per_category: garments sampled of each category.

    Raises:
        InputError: the model has fewer channels, or a photo is absent or no image.
    """
    channels = model.model.head.final_layer.out_channels
    if channels != schema.NUM_LANDMARKS:
        raise InputError(
            f"expected a model of {schema.NUM_LANDMARKS} channels (aggregation identity), "
            f"but got {channels}: merged landmarks cannot be told apart"
        )
    instances = coco.instances
    total, count = np.zeros((schema.NUM_LANDMARKS, schema.NUM_LANDMARKS)), np.zeros(schema.NUM_LANDMARKS)
    rows = _rows_by_category(instances.category_id, instances.num_keypoints > 0, per_category, seed)
    for crops in _crops(model, coco, image_dir, rows, batch_size, "reading all channels"):
        zoom = crops.affine[:, 0, 0]
        size = np.sqrt(instances.area[crops.rows]) * zoom
        labels = instances.keypoints[crops.rows].copy()
        for own, affine in zip(labels, crops.affine, strict=True):
            own[:, :2] = apply_affine(affine, own[:, :2])
        peaks = read_all_channels(model, crops.pixels, size)
        add_similarity(total, count, peaks, labels, instances.category_id[crops.rows], size)
    with np.errstate(invalid="ignore", divide="ignore"):
        similarity = total / count[:, None]
    rare = count < MIN_READ
    similarity[rare] = similarity[:, rare] = np.nan  # of what has no labels the channel says nothing either
    return cue(
        "cross_prediction",
        1 - similarity,
        "1 - the mean object keypoint similarity between the landmark's label and the peak of the other "
        "landmark's channel on the same crop, both ways averaged (no unit).",
    )


def _rows_by_category(category_id: np.ndarray, usable: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Up to `number` usable rows of each category at random."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(usable))
    return np.concatenate([order[category_id[order] == item.id][:number] for item in schema.CATEGORIES])


@torch.inference_mode()
def read_all_channels(model: LandmarkModel, pixels: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the peak (N, 294, 2) of every category's every channel on each crop, input px.

    Args:
        pixels: (N, H, W, 3) uint8.
        size: (N,) square root of each garment's area, input px.
    """
    head = model.model.head
    data = model.model.data_preprocessor({"inputs": torch.from_numpy(pixels)}, training=False)
    features = model.model.extract_feat(data["inputs"])
    peaks = np.zeros((len(pixels), schema.NUM_LANDMARKS, 2))
    for item in schema.CATEGORIES:
        kind = torch.full((len(pixels),), item.id, device=features[-1].device)
        maps = head.loss_module.activate(head.own_heatmaps(features, kind))
        stride = torch.tensor(model.size_wh).to(maps) / torch.tensor(maps.shape[:1:-1]).to(maps)
        scale = 2 * schema.own_sigmas()[item.id - 1] * size[:, None]
        points_xy, _ = head.loss_module.decode(maps, torch.as_tensor(scale).to(maps) / stride.mean())
        points_xy = (points_xy + 0.5) * stride - 0.5
        peaks[:, item.slice] = points_xy[:, : item.num_landmarks].double().cpu().numpy()
    return peaks


def add_similarity(
    total: np.ndarray,
    count: np.ndarray,
    peaks: np.ndarray,
    labels: np.ndarray,
    category_id: np.ndarray,
    size: np.ndarray,
) -> None:
    """Add the OKS of all channels' peaks (N, 294, 2) against own labels (N, L, 3) where there are any.

    Args:
        total: (294, 294) sums so far: rows are the labelled landmarks, columns the channels.
        count: (294,) times each landmark was labelled so far.
        peaks, labels: in the same px.
        category_id: (N,) of the labels.
        size: (N,) square root of each garment's area in these px.
    """
    for item in schema.CATEGORIES:
        rows = np.flatnonzero(category_id == item.id)
        own = labels[rows, : item.num_landmarks]
        labelled = own[..., 2] > 0
        square = ((own[:, :, None, :2] - peaks[rows, None]) ** 2).sum(-1)  # (n, own, 294)
        two_sigma = schema.SIGMAS[item.slice, None] + schema.SIGMAS  # twice the mean sigma
        similarity = np.exp(-square / (2 * (two_sigma * size[rows, None, None]) ** 2))
        total[item.slice] += np.where(labelled[..., None], similarity, 0).sum(0)
        count[item.slice] += labelled.sum(0)
