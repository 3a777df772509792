"""What is compared: the items and results of each category, as the rows that pycocotools matches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from kps.data.coco import Coco
from kps.evaluation.average_precision import Row
from kps.files import InputError
from kps.results.detections import Detections
from kps.results.predictions import Predictions


@dataclass(frozen=True)
class Comparison:
    """Ground truth beside results; `kind` is "keypoints" or "bbox"."""

    kind: str
    image_ids: np.ndarray  # (I,) of all images, also those that hold nothing
    item_category: np.ndarray  # (G,)
    result_category: np.ndarray  # (D,)
    targets: list[Row]  # of items
    rows: list[Row]  # of results

    def of_category(self, category_id: int) -> tuple[str, int, list[Row], list[Row]]:
        """Return the arguments of `precision_and_recall` and `match` for one category."""
        return (
            self.kind,
            category_id,
            [self.targets[i] for i in np.flatnonzero(self.item_category == category_id)],
            [self.rows[i] for i in np.flatnonzero(self.result_category == category_id)],
        )

    @property
    def num_items(self) -> int:
        """Number of items that count: no crowds, and for landmarks at least one labelled."""
        return sum(not target["ignore"] for target in self.targets)


def compare(
    ground_truth: Coco,
    results: Predictions | Detections,
    *,
    visible_only: bool = False,
    counted: np.ndarray | None = None,
) -> Comparison:
    """Put results beside the ground truth.

    Args:
        ground_truth: all images and items.
        results: Predictions are compared by landmarks (OKS), Detections by boxes (IoU).
        visible_only: occluded landmarks are treated as unlabelled; has no meaning for boxes.
        counted: (G,) items outside this mask are ignored, as crowds are.

    Raises:
        InputError: a result lies on an image that the ground truth does not have.
    """
    check_images(ground_truth, results.image_id)
    if visible_only:
        ground_truth = ground_truth.visible_only()
    items = ground_truth.instances
    landmarks = isinstance(results, Predictions)
    ignored = items.iscrowd | (landmarks & (items.num_keypoints == 0))
    if counted is not None:
        ignored = ignored | ~counted
    return Comparison(
        kind="keypoints" if landmarks else "bbox",
        image_ids=ground_truth.image_ids,
        item_category=items.category_id,
        result_category=results.category_id,
        targets=_rows(
            image_id=items.image_id,
            area=items.area,
            bbox=items.bbox_xywh,
            iscrowd=items.iscrowd.astype(int),
            ignore=ignored.astype(int),
            keypoints=items.keypoints,
        ),
        rows=_rows(
            image_id=results.image_id,
            score=results.score,
            **(
                {"area": _submitted_area(results), "keypoints": results.keypoints}
                if landmarks
                else {"area": results.bbox_xywh[:, 2:].prod(axis=1), "bbox": results.bbox_xywh}
            ),
        ),
    )


def _rows(**columns: np.ndarray) -> list[Row]:
    """One row for each index, numbered from 1: pycocotools reads an id of 0 as "not matched"."""
    # Keypoints stay arrays; everything else becomes what a JSON file would hold.
    values = [list(value) if name == "keypoints" else value.tolist() for name, value in columns.items()]
    names = ("id", *columns)
    return [dict(zip(names, row, strict=True)) for row in zip(count(1), *values, strict=False)]


def check_images(ground_truth: Coco, image_id: np.ndarray, where: Path | None = None) -> None:
    """Raise InputError where a result (of the file `where`) lies on an image that the truth does not have."""
    unknown = ~np.isin(image_id, ground_truth.image_ids)
    if unknown.any():
        raise InputError(
            f"{where or 'results'}: {int(unknown.sum())} lie on images that {ground_truth.path} does not "
            f"have, first row {int(np.argmax(unknown))} with image id {image_id[np.argmax(unknown)]}"
        )


def _submitted_area(results: Predictions) -> np.ndarray:
    """(N,) px^2, as pycocotools derives it from 882 numbers: the tight box of the landmarks and of (0, 0)."""
    low = np.minimum(results.keypoints[:, :, :2].min(axis=1, initial=0), 0)
    high = np.maximum(results.keypoints[:, :, :2].max(axis=1, initial=0), 0)
    return (high - low).prod(axis=1)
