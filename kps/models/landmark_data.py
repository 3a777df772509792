"""Garments with their landmarks as mmpose's data set, augmented crops of them, and the order of drawing.

All coordinates are 0-indexed pixel centres (x, y); a box covers the area between its edges, so the centre of
[x, y, w, h] lies at x + w / 2 - 0.5. An affine is a (2, 3) float64 matrix that maps column vectors (x, y, 1).
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dist import get_dist_info
from mmengine.registry import FUNCTIONS
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATA_SAMPLERS, DATASETS, TRANSFORMS
from mmpose.structures import PoseDataSample
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from kps.aggregation import Aggregation, members
from kps.data.coco import learnt_part, load_coco
from kps.data.crops import PADDING, Patch, apply_affine, crop_affine, cut_patch
from kps.data.photos import REDUCED, read_photo
from kps.files import InputError
from kps.schema import SIGMAS, category

LEAST_OVERSAMPLING = 1.25  # of a photo that is decoded at a lower resolution


def aggregation_of(value: str | Sequence[int]) -> Aggregation:
    """Return a map from what a configuration holds: "hand81", "identity", or the groups (294,) from 1."""
    return Aggregation.named(value) if isinstance(value, str) else Aggregation(np.array(value) - 1)


def landmark_metainfo(aggregation: Aggregation) -> dict:
    """Return mmpose's description of a data set whose keypoints are the groups of a map."""
    names = [f"{number + 1}: {name}" for number, name in enumerate(aggregation.names)]
    flip, count = aggregation.flip_indices, aggregation.num_groups
    info = {
        number: {"id": number, "name": name, "color": [255, 128, 0], "swap": names[flip[number]], "type": ""}
        for number, name in enumerate(names)
    }
    for number in np.flatnonzero(flip == np.arange(count)):
        info[int(number)]["swap"] = ""
    meta = {"dataset_name": f"garments_{count}", "keypoint_info": info, "skeleton_info": {}}
    return {**meta, "joint_weights": [1.0] * count, "sigmas": mean_sigmas(aggregation).tolist()}


def mean_sigmas(aggregation: Aggregation) -> np.ndarray:
    """Return the mean sigma (G,) of each group's landmarks."""
    return np.array([SIGMAS[landmarks].mean() for landmarks in members(aggregation)])


@DATASETS.register_module()
class GarmentLandmarks(BaseCocoStyleDataset):
    """The garments with landmarks of a COCO-294 file, each an item.

    Photos lie in `data_prefix["img"]`; a share of them may be left out (`held_out`), or all categories but one
    (`category_id`). `aggregation` as for `aggregation_of`.
    """

    def __init__(
        self,
        ann_file: str,
        aggregation: str | Sequence[int] = "hand81",
        category_id: int | None = None,
        held_out: float = 0.0,
        **kwargs: object,
    ) -> None:
        self.aggregation = aggregation_of(aggregation)
        self.only, self.held_out = category_id, held_out
        super().__init__(ann_file, metainfo=landmark_metainfo(self.aggregation), serialize_data=False, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return a row per garment, with its own landmarks (39, 3) until it is drawn.

        InputError: the file is malformed or holds no such garment.
        """
        coco = learnt_part(load_coco(Path(self.ann_file)), self.held_out).subset(category_id=self.only)
        garments = coco.instances.take(coco.instances.counted)
        if not len(garments):
            which = "" if self.only is None else f" of category {category(self.only).id}"
            raise InputError(f"{self.ann_file}: expected instances with landmarks{which}, but found none")
        self.category_id = garments.category_id
        images = {image.id: image for image in coco.images}
        boxes_on: dict[int, dict[int, np.ndarray]] = {image_id: {} for image_id in images}
        data = []
        for row, image_id in enumerate(garments.image_id.tolist()):
            image, (x, y, w, h) = images[image_id], garments.bbox_xywh[row]
            boxes_on[image_id][row] = garments.bbox_xywh[row]
            data.append(
                {
                    "id": row,
                    "img_id": image_id,
                    "img_path": str(Path(self.data_prefix["img"]) / image.file_name),
                    "size_wh": (image.width, image.height),
                    "upright": image.upright,
                    "category_id": int(garments.category_id[row]),
                    "bbox": np.array([[x, y, x + w, y + h]], np.float32),
                    "bbox_score": np.ones(1, np.float32),
                    "own_landmarks": garments.keypoints[row].astype(np.float32),
                    "same_photo": boxes_on[image_id],
                }
            )
        return data

    def get_data_info(self, idx: int) -> dict:
        """Return a row with its landmarks laid on the groups: keypoints (1, G, 2) px, keypoints_visible (1, G)."""
        row = dict(self.data_list[idx])
        own, channels = row.pop("own_landmarks"), self.aggregation.channels(row["category_id"])
        keypoints = np.zeros((1, self.aggregation.num_groups, 3), np.float32)
        keypoints[0, channels] = own[: len(channels)]
        visible = np.minimum(keypoints[..., 2], 1)
        meta = ("flip_indices", "flip_pairs", "upper_body_ids", "lower_body_ids", "dataset_keypoint_weights")
        row.update({name: self._metainfo[name] for name in (*meta, "dataset_name", "skeleton_links")})
        return {**row, "keypoints": keypoints[..., :2].copy(), "keypoints_visible": visible}


@TRANSFORMS.register_module()
class GarmentCrop(BaseTransform):
    """Read a photo and crop a garment to the network's input, with augmentation, in one interpolation.

    It stands for LoadImage, GetBBoxCenterScale, RandomFlip, RandomBBoxTransform and TopdownAffine: many times as fast,
    and garments that are shrunk do not alias.

    Args:
        input_size: width and height of the input, px.
        padding: growth of the box (paper: 1.25).
        scale: the cropped area changes by a factor in 1 - scale .. 1 + scale.
        rotation: degrees, drawn from -rotation .. rotation.
        shift: the crop's centre moves by up to this part of the box.
        flip: share of the crops that are mirrored.
        cache: keep each garment's patch in memory, so that every photo is decoded once.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        padding: float = PADDING,
        scale: float = 0.0,
        rotation: float = 0.0,
        shift: float = 0.0,
        flip: float = 0.0,
        cache: bool = False,
    ) -> None:
        self.size_wh, self.padding = tuple(input_size), padding
        self.scale, self.rotation, self.shift, self.flip = scale, rotation, shift, flip
        self._patches: dict[int, Patch] | None = {} if cache else None

    def transform(self, results: dict) -> dict:
        """Add img (H, W, 3) uint8 BGR and where it lies; move keypoints to input px."""
        x1, y1, x2, y2 = results["bbox"][0].tolist()
        box = np.array([x1, y1, x2 - x1, y2 - y1])
        augmentation, mirror = {}, False
        if self.scale or self.rotation or self.shift or self.flip:
            rng = np.random.default_rng(int(torch.randint(2**62, ())))  # torch's seed differs between workers
            mirror = bool(self.flip) and rng.random() < self.flip
            augmentation = {
                "scale": 1 + self.scale * rng.uniform(-1, 1),
                "rotation": self.rotation * rng.uniform(-1, 1),
                "shift_xy": tuple(self.shift * rng.uniform(-1, 1, 2)),
                "mirror": mirror,
            }
        affine = crop_affine(box, self.size_wh, padding=self.padding, **augmentation)
        results["img"] = self._patch(results, box).crop(affine, self.size_wh)
        if "keypoints" in results:
            results["keypoints"] = apply_affine(affine, results["keypoints"]).astype(np.float32)
            if mirror:
                flip = results["flip_indices"]
                results["keypoints"] = results["keypoints"][:, flip]
                results["keypoints_visible"] = results["keypoints_visible"][:, flip]
        results["input_size"] = self.size_wh
        if not augmentation:  # mmpose takes input px u back to photo px by u / size * scale + centre - scale / 2
            zoom, size = affine[0, 0], np.array(self.size_wh)
            results["input_scale"] = size / zoom
            results["input_center"] = (size / 2 - affine[:, 2]) / zoom
        results["img_shape"] = self.size_wh[::-1]
        results["transformed_keypoints"] = results.get("keypoints")
        return results

    def _patch(self, results: dict, box: np.ndarray) -> Patch:
        number = results.get("id")
        if self._patches is not None and number in self._patches:
            return self._patches[number]
        boxes = {number: box} if self._patches is None else results["same_photo"]
        photo, shrink = results.get("img"), 1
        if photo is None:
            zoom = max(crop_affine(of_it, self.size_wh, padding=self.padding)[0, 0] for of_it in boxes.values())
            shrink = max(step for step in REDUCED if step * LEAST_OVERSAMPLING * zoom <= 1 or step == 1)
            given = {"upright": results.get("upright", False), "size_wh": results.get("size_wh"), "bgr": True}
            photo = read_photo(Path(results["img_path"]), shrink=shrink, **given)  # mmpose's models are fed BGR
            shrink = shrink if given["size_wh"] not in (None, photo.shape[1::-1]) else 1  # some cannot be shrunk
        patches = {other: cut_patch(photo, of_it, self.size_wh, self.padding, shrink) for other, of_it in boxes.items()}
        if self._patches is not None:
            self._patches.update(patches)
        return patches[number]


@TRANSFORMS.register_module()
class PackGarment(BaseTransform):
    """Pack what `OwnLandmarkHead` learns from, without dense targets: mmpose's PackPoseInputs, but lighter."""

    def transform(self, results: dict) -> dict:
        """Return {"inputs": (3, H, W) uint8, "data_samples": keypoints in input px, visibility, category}."""
        sample, garment = PoseDataSample(), InstanceData()
        for name in ("keypoints", "keypoints_visible"):
            garment.set_field(results[name], name)
        sample.set_field(garment, "gt_instances")
        for name in ("category_id", "input_size"):
            sample.set_field(results[name], name, field_type="metainfo")
        return {"inputs": torch.from_numpy(results["img"]).permute(2, 0, 1), "data_samples": sample}


@FUNCTIONS.register_module()
def stack_crops(items: list[dict]) -> dict:
    """Collate crops to one tensor (N, 3, H, W), which travels from a loader's process in one piece."""
    crops: Tensor = torch.stack([item["inputs"].permute(1, 2, 0) for item in items]).permute(0, 3, 1, 2)
    return {"inputs": crops, "data_samples": [item["data_samples"] for item in items]}


@DATA_SAMPLERS.register_module()
class CategoryBalancedSampler(Sampler):
    """Draw instances so that rare categories are seen more often; every instance of a category equally often.

    Args:
        dataset: has `category_id` (N,).
        balance: categories are drawn in proportion to occurrences ** (1 - balance): 1 makes them equal.
        samples_per_epoch: draws an epoch; the number of instances if not given.
        seed: of the order.
    """

    def __init__(
        self, dataset: Dataset, balance: float = 0.0, samples_per_epoch: int | None = None, seed: int | None = 0
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
