"""A raw DeepFashion2 tree of the released size, made in a minute for `benchmark_data.py`.

The photos are a few hundred of the built-in set, hard-linked; the annotations are theirs, moved by some
pixels. Counts: 191,961 / 32,153 / 62,629 photos (the data set as released), items of each category as in
Table 3 of the paper.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from kps.coco import Instances
from kps.files import progress, read_json, write_json
from kps.predictions import Predictions
from kps.raw import image_size
from kps.schema import NUM_CATEGORIES, package_data
from kps.synthetic import write_dataset

PHOTOS = {"train": 191_961, "validation": 32_153, "test": 62_629}
POOL_PHOTOS = 300
MOST_SHIFT, JITTER = 20, 3  # px that a whole item, and each of its landmarks, is moved at most
_TABLE_COLUMN = {"train": "num_train", "validation": "num_val"}


@dataclass(frozen=True)
class PoolItem:
    """An item of the built-in set and the photo that it lies on."""

    photo: Path
    source: str
    size_wh: np.ndarray  # (2,) px
    item: dict[str, Any]
    landmarks: np.ndarray  # (n_c, 3)
    box_xyxy: np.ndarray  # (4,) px
    polygons: tuple[np.ndarray, ...]  # (P, 2) px each

    def moved(self, rng: np.random.Generator, size_wh: np.ndarray) -> dict[str, Any]:
        """Return the item elsewhere in a photo of the given size."""
        shift = rng.integers(-MOST_SHIFT, MOST_SHIFT + 1, 2)
        most = size_wh - 1
        places = self.landmarks[:, :2] + shift + rng.integers(-JITTER, JITTER + 1, (len(self.landmarks), 2))
        places = np.clip(places, 0, most) * (self.landmarks[:, 2:] > 0)
        low, high = np.clip(self.box_xyxy.reshape(2, 2) + shift, 0, size_wh)
        return self.item | {
            "landmarks": np.column_stack([places, self.landmarks[:, 2]]).ravel().tolist(),
            "bounding_box": [*low.tolist(), *np.maximum(high, low + 1).tolist()],
            "segmentation": [np.clip(polygon + shift, 0, most).ravel().tolist() for polygon in self.polygons],
        }


def write_tree(root: Path, splits: tuple[str, ...], *, share: float = 1.0, seed: int = 0) -> None:
    """Write the given splits below `root`, or only a share of them."""
    rng = np.random.default_rng(seed)
    pool = _pool(root / "pool", seed)
    for split in splits:
        photos = max(1, round(share * PHOTOS[split]))
        folder = root / "tree" / split
        (folder / "image").mkdir(parents=True)
        if split == "test":
            _write_test(folder, photos, pool, rng)
        else:
            _write_annotated(folder, photos, _items_of(split, photos, share, rng), pool, rng)


def _pool(folder: Path, seed: int) -> list[list[PoolItem]]:
    """Make photos with the built-in generator; return their items by category, 1..13."""
    write_dataset(folder, train=POOL_PHOTOS, validation=0, test=0, seed=seed)
    pool: list[list[PoolItem]] = [[] for _ in range(NUM_CATEGORIES + 1)]
    for path in sorted((folder / "train" / "annos").iterdir()):
        photo = folder / "train" / "image" / f"{path.stem}.jpg"
        value, size_wh = read_json(path), np.array(image_size(photo))
        for item in (value[key] for key in value if key.startswith("item")):
            landmarks, box = np.array(item["landmarks"]).reshape(-1, 3), np.array(item["bounding_box"])
            polygons = tuple(np.array(polygon).reshape(-1, 2) for polygon in item["segmentation"])
            pool[item["category_id"]].append(
                PoolItem(photo, value["source"], size_wh, item, landmarks, box, polygons)
            )
    return pool


def _items_of(split: str, photos: int, share: float, rng: np.random.Generator) -> list[list[int]]:
    """Deal the categories of Table 3 to the photos: each gets at least one item."""
    counts = orjson.loads(package_data("paper_tables.json"))["table3"][_TABLE_COLUMN[split]]
    counts = np.maximum(1, np.round(share * np.array(counts)).astype(int))
    kinds = rng.permutation(np.repeat(np.arange(1, NUM_CATEGORIES + 1), counts)).tolist()
    items: list[list[int]] = [[] for _ in range(photos)]
    for number, kind in enumerate(kinds):
        items[number if number < photos else rng.integers(photos)].append(kind)
    return items


def _write_annotated(
    folder: Path, photos: int, kinds: list[list[int]], pool: list[list[PoolItem]], rng: np.random.Generator
) -> None:
    (folder / "annos").mkdir()
    for number in progress(range(1, photos + 1), desc=folder.name, unit="photo"):
        chosen = [pool[kind][rng.integers(len(pool[kind]))] for kind in kinds[number - 1]]
        first = chosen[0]
        os.link(first.photo, folder / "image" / f"{number:06d}.jpg")
        annotation = {"source": first.source, "pair_id": number}
        for place, item in enumerate(chosen, start=1):
            annotation[f"item{place}"] = item.moved(rng, first.size_wh)
        (folder / "annos" / f"{number:06d}.json").write_bytes(orjson.dumps(annotation))


def _write_test(folder: Path, photos: int, pool: list[list[PoolItem]], rng: np.random.Generator) -> None:
    every = [item for items in pool for item in items]
    rows = []
    for number in progress(range(1, photos + 1), desc=folder.name, unit="photo"):
        chosen = every[rng.integers(len(every))]
        name = f"{number:06d}.jpg"
        os.link(chosen.photo, folder / "image" / name)
        width, height = chosen.size_wh.tolist()
        rows.append({"id": number, "file_name": name, "width": width, "height": height})
    write_json(folder.parent / "json_for_test" / "keypoints_test_information.json", {"images": rows})


def make_results(items: Instances, count: int, *, images: int | None = None, seed: int = 0) -> Predictions:
    """Return results that lie near the given items, some nearer than others; the nearer, the better scored.

    Args:
        items: what the results resemble, each about equally often.
        count: number of results.
        images: deal them to images 1..images; None leaves each on its item's image.
    """
    rng = np.random.default_rng(seed)
    source = items.take(rng.permutation(np.arange(count) % len(items)))
    doubt = rng.gamma(2.0, 0.02, count)  # of the box's longer side
    side = source.bbox_xywh[:, 2:].max(axis=1)
    keypoints = source.keypoints.copy()
    keypoints[:, :, :2] += rng.standard_normal((*keypoints.shape[:2], 2)) * (doubt * side)[:, None, None]
    keypoints *= source.keypoints[:, :, 2:] > 0
    score = np.clip(np.exp(-10 * doubt) + rng.normal(0, 0.1, count), 0.001, 1)
    image_id = source.image_id if images is None else np.arange(count) % images + 1
    return Predictions(
        np.arange(1, count + 1), image_id, source.category_id, source.bbox_xywh, score, score, keypoints
    )
