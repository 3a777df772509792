"""What the detector reads: photos, and their garments' boxes and polygons from a COCO-294 file."""

import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS, TRANSFORMS

from kps.data.coco import Coco, load_coco
from kps.data.photos import read_photo
from kps.files import InputError
from kps.models.held_out import learnt_part
from kps.schema import CATEGORIES

MAX_ASPECT = 20  # of what the detector sees: a narrower strip would be scaled to a side of no pixel


@DATASETS.register_module()
class GarmentBoxes(BaseDetDataset):
    """Photos with their garments; label = category id - 1, whatever the file calls the categories.

    mmdet's own COCO data set finds categories by name, and names differ between copies of DeepFashion2.
    """

    METAINFO = {"classes": tuple(category.name for category in CATEGORIES)}  # noqa: RUF012

    def __init__(self, held_out: float = 0.0, **kwargs: Any) -> None:
        self.held_out = held_out
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """Return a row per photo, in training only of those that hold a garment.

        InputError: the file is malformed or holds no garment.
        """
        coco = learnt_part(load_coco(Path(self.ann_file)), self.held_out)
        rows = photo_rows(coco, Path(self.data_prefix["img"]))
        _add_garments(rows, coco)
        if not any(row["instances"] for row in rows):
            raise InputError(f"{self.ann_file}: expected garments to train on, but it holds none")
        return rows if self.test_mode else [row for row in rows if row["instances"]]


def photo_rows(coco: Coco, image_dir: Path) -> list[dict]:
    """Return a row per photo in mmdet's notation, without garments."""
    return [
        {
            "img_id": image.id,
            "img_path": str(image_dir / image.file_name),
            "height": image.height,
            "width": image.width,
            "upright": image.upright,
            "instances": [],
        }
        for image in coco.images
    ]


def _add_garments(rows: list[dict], coco: Coco) -> None:
    """Add boxes (x1, y1, x2, y2 px, clipped to the photo) and polygons (the box's where there is none)."""
    by_id = {row["img_id"]: row for row in rows}
    garments = coco.instances
    for i in range(len(garments)):
        row = by_id[int(garments.image_id[i])]
        x, y, w, h = garments.bbox_xywh[i]
        x1, x2 = np.clip([x, x + w], 0, row["width"])
        y1, y2 = np.clip([y, y + h], 0, row["height"])
        if x2 - x1 < 1 or y2 - y1 < 1:
            continue
        polygons = [polygon for polygon in garments.segmentation[i] if len(polygon) >= 6 and len(polygon) % 2 == 0]
        row["instances"].append(
            {
                "bbox": [float(x1), float(y1), float(x2), float(y2)],
                "bbox_label": int(garments.category_id[i]) - 1,
                "mask": polygons or [[x1, y1, x2, y1, x2, y2, x1, y2]],
                "ignore_flag": int(garments.iscrowd[i]),
            }
        )


@TRANSFORMS.register_module()
class LoadPhoto(BaseTransform):
    """Decode a photo to (H, W, 3) BGR; black is put below or beside narrow strips."""

    def transform(self, results: dict) -> dict:
        """Add the pixels; InputError: see `kps.data.photos.read_photo`."""
        size_wh, path = (results["width"], results["height"]), Path(results["img_path"])
        image = read_photo(path, upright=results["upright"], size_wh=size_wh)
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        least = -(-max(image.shape) // MAX_ASPECT)
        below, beside = (max(least - side, 0) for side in image.shape[:2])
        if below or beside:
            image = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results


@TRANSFORMS.register_module()
class Remembered(BaseTransform):
    """Run transforms that draw nothing by lot once a photo, and keep their results in memory from then on.

    For small inputs: decoding and scaling would take longer than training on them.
    """

    def __init__(self, transforms: list[dict]) -> None:
        self.transforms = Compose(transforms)
        self.results: dict[int, dict] = {}

    def transform(self, results: dict) -> dict:
        """Return the transformed photo; the caller may change it in place."""
        key = results["img_id"]
        if key not in self.results:
            done = self.transforms(results)
            done.pop("instances", None)
            self.results[key] = done
        return copy.deepcopy(self.results[key])
