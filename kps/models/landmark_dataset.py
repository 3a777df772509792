"""Garment crops with their landmarks for training, and the order in which they are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmpose.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, Sampler

from kps import schema
from kps.data.coco import load_coco
from kps.data.photos import photo_of
from kps.files import InputError
from kps.models.crops import Patch, apply_affine, crop_affine, cut_patch
from kps.models.held_out import learnt_part


@DATASETS.register_module()
class LandmarkDataset(Dataset):
    """Instances of a COCO-294 file as augmented crops.

    An item is {"inputs": (H, W, 3) uint8 RGB, "data_samples": {"category_id": int, "landmarks": (39, 3)}};
    landmarks are in parts of the input's width and height (0..1 from edge to edge) with visibility.

    Args:
        coco_file: COCO-294 annotations.
        image_dir: the folder of its photos.
        size_wh: the input's width and height, px.
        padding: growth of the box (paper: 1.25).
        category_id: keep one category only.
        scale: the cropped area changes by a factor in 1 - scale .. 1 + scale.
        rotation: degrees, drawn from -rotation .. rotation.
        shift: the crop's centre moves by up to this part of the box.
        hflip: mirror half of the crops.
        cache: keep each garment's patch in memory, so that every photo is decoded once.
        held_out: share of the photos that is left out, see `kps.models.held_out`.
    """

    def __init__(
        self,
        coco_file: str,
        image_dir: str,
        size_wh: tuple[int, int],
        padding: float = 1.25,
        category_id: int | None = None,
        scale: float = 0.0,
        rotation: float = 0.0,
        shift: float = 0.0,
        hflip: bool = False,
        cache: bool = False,
        held_out: float = 0.0,
    ) -> None:
        coco = learnt_part(load_coco(Path(coco_file)), held_out).subset(category_id=category_id)
        instances = coco.instances.take(coco.instances.counted)
        if not len(instances):
            which = "" if category_id is None else f" of category {category_id}"
            raise InputError(f"{coco_file}: expected instances with landmarks{which}, but found none")
        self.images, self.image_dir = {image.id: image for image in coco.images}, Path(image_dir)
        self.image_id, self.category_id = instances.image_id, instances.category_id
        self.bbox_xywh, self.keypoints = instances.bbox_xywh, instances.keypoints
        self.size_wh, self.padding = tuple(size_wh), padding
        self.scale, self.rotation, self.shift, self.hflip = scale, rotation, shift, hflip
        self._patches: dict[int, Patch] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.image_id)

    def __getitem__(self, index: int) -> dict:
        rng = np.random.default_rng(int(torch.randint(2**62, ())))  # torch's seed differs between workers
        mirror = self.hflip and rng.random() < 0.5
        affine = crop_affine(
            self.bbox_xywh[index],
            self.size_wh,
            padding=self.padding,
            scale=1 + self.scale * rng.uniform(-1, 1),
            rotation=self.rotation * rng.uniform(-1, 1),
            shift_xy=tuple(self.shift * rng.uniform(-1, 1, 2)),
            mirror=mirror,
        )
        landmarks = self.keypoints[index].astype(np.float32)
        landmarks[:, :2] = (apply_affine(affine, self.keypoints[index, :, :2]) + 0.5) / self.size_wh
        if mirror:
            landmarks = landmarks[schema.own_flip_indices()[self.category_id[index] - 1]]
        return {
            "inputs": torch.from_numpy(self._patch(index).crop(affine, self.size_wh)),
            "data_samples": {
                "category_id": int(self.category_id[index]),
                "landmarks": torch.from_numpy(landmarks),
            },
        }

    def _patch(self, index: int) -> Patch:
        if self._patches is not None and index in self._patches:
            return self._patches[index]
        photo = photo_of(self.images[int(self.image_id[index])], self.image_dir)
        if self._patches is None:
            return cut_patch(photo, self.bbox_xywh[index], self.size_wh, self.padding)
        for other in np.flatnonzero(self.image_id == self.image_id[index]):
            self._patches[int(other)] = cut_patch(photo, self.bbox_xywh[other], self.size_wh, self.padding)
        return self._patches[index]


@DATA_SAMPLERS.register_module()
class CategoryBalancedSampler(Sampler):
    """Draw instances so that rare categories are seen more often; every instance of a category equally often.

    Args:
        dataset: has `category_id` (N,).
        balance: categories are drawn in proportion to occurrences ** (1 - balance): 0 as often as they
            occur, 1 equally often.
        samples_per_epoch: draws an epoch; the number of instances if not given.
        seed: the order's seed.
    """

    def __init__(
        self,
        dataset: Dataset,
        balance: float = 0.0,
        samples_per_epoch: int | None = None,
        seed: int | None = 0,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.seed, self.epoch = seed or 0, 0
        self.members = [np.flatnonzero(dataset.category_id == c) for c in np.unique(dataset.category_id)]
        shares = np.array([len(rows) for rows in self.members]) ** (1.0 - balance)
        self.total = samples_per_epoch or len(dataset.category_id)
        self.shares = shares / shares.sum() * self.total
        self.num_samples = math.ceil(self.total / self.world_size)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is drawn next."""
        self.epoch = epoch

    def order(self) -> np.ndarray:
        """Return the epoch's instances (total,), the same in every process."""
        rng = np.random.default_rng([self.seed, self.epoch])
        drawn = []
        for position, (rows, share) in enumerate(zip(self.members, self.shares, strict=True)):
            # Each category deals its instances as from a shuffled pack that lasts over epochs.
            start, stop = round(share * self.epoch), round(share * (self.epoch + 1))
            for deal in range(start // len(rows), -(-stop // len(rows))):
                pack = np.random.default_rng([self.seed, position, deal]).permutation(rows)
                drawn.append(pack[max(start - deal * len(rows), 0) : max(stop - deal * len(rows), 0)])
        order = rng.permutation(np.concatenate(drawn))
        return np.resize(order, self.num_samples * self.world_size)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order()[self.rank :: self.world_size].tolist())
