"""From boxes on photos to landmarks, with whatever runs the models: torch, or onnxruntime (`kps.exported`)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kps.data.coco import Coco, ImageRow
from kps.data.photos import photo_of
from kps.files import InputError, progress
from kps.results.detections import Detections
from kps.results.predictions import Predictions, instance_score
from kps.schema import CATEGORIES, MAX_LANDMARKS, category, own_landmark_mask
from kps.workspace import FINAL, Workspace, load_record


class Locator(Protocol):
    """A landmark model at work."""

    meta: dict[str, Any]  # what its crops carry besides

    def crop(self, item: dict) -> Any:
        """Return the model's input from img (H, W, 3) BGR, bbox (1, 4) x1, y1, x2, y2 px and category_id."""

    def locate(self, crops: list, *, flip_test: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return own landmarks (N, 39, 3), x, y in photo px and confidence 0..1, zeros on padding; and how likely (N,)
        the crops are to show their category, 1 where the model does not tell.
        """


def per_category(models: Any, detections: Detections, load: Callable[[Path], Locator]) -> dict[int, Locator]:
    """Return the model of each category that occurs, of one or of those by category id; each file is loaded once.

    InputError: one is missing.
    """
    present = [int(value) for value in np.unique(detections.category_id)]
    models = models if isinstance(models, dict) else dict.fromkeys(present, models)
    missing = [value for value in present if value not in models]
    if missing:
        raise InputError(f"expected a model for category {missing[0]} ({category(missing[0]).name}), but got none")
    wanted = dict.fromkeys(models[value] for value in present)
    loaded = {one: load(one) if isinstance(one, Path) else one for one in wanted}
    return {value: loaded[models[value]] for value in present}


def locate_all(
    models: Mapping[int, Locator],
    detections: Detections,
    coco: Coco,
    image_dir: Path,
    *,
    flip_test: bool,
    crop_scales: Sequence[float] = (1.0,),
    batch_size: int = 32,
    part: slice = slice(None),
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `Locator.locate` does, for every detection; zeros on photos that are not in `part`.

    Of several `crop_scales`, by which boxes grow, results are averaged. Every photo is decoded once; its crops wait
    until a batch of their model is full. InputError: a photo that is absent or no image, an image id that is not in
    `coco`, or no scale above 0.
    """
    if not crop_scales or min(crop_scales) <= 0:
        raise InputError(f"expected crop_scales above 0, but got {list(crop_scales)}")
    keypoints, likely = np.zeros((len(detections), MAX_LANDMARKS, 3)), np.zeros(len(detections))
    waiting: dict[int, list[tuple[int, Any]]] = {id(model): [] for model in models.values()}

    def run(model: Locator, least: int) -> None:
        batch = waiting[id(model)]
        if len(batch) >= least:
            rows, crops = zip(*batch, strict=True)
            for total, found in zip((keypoints, likely), model.locate(list(crops), flip_test=flip_test), strict=True):
                np.add.at(total, list(rows), found / len(crop_scales))
            batch.clear()

    for image, rows in progress(list(_rows_by_photo(detections, coco))[part], desc="locating landmarks", unit="photo"):
        photo = photo_of(image, image_dir, bgr=True)
        for row, scale in product(rows, crop_scales):
            model = models[int(detections.category_id[row])]
            corner, size = detections.bbox_xywh[row].reshape(2, 2)
            corner, size = corner + (size - scale * size) / 2, scale * size
            item = {"img": photo, "bbox": np.array([[*corner, *(corner + size)]]), "bbox_score": np.ones(1)}
            item |= {"category_id": int(detections.category_id[row]), **model.meta}
            waiting[id(model)].append((row, model.crop(item)))
            run(model, batch_size)
    for model in {id(model): model for model in models.values()}.values():
        run(model, 1)
    return keypoints, likely


def scored(detections: Detections, keypoints: np.ndarray, likely: np.ndarray) -> Predictions:
    """Return landmarks (N, 39, 3) on their boxes with `instance_score`, zeros on padding."""
    keypoints = keypoints * own_landmark_mask()[detections.category_id - 1][..., None]
    score = instance_score(detections.score, keypoints[..., 2], detections.category_id, likely)
    return Predictions.on(detections, keypoints, score)


def _rows_by_photo(detections: Detections, coco: Coco) -> Iterator[tuple[ImageRow, np.ndarray]]:
    """Yield each photo with its detections' rows, photos in the order of the COCO file."""
    unknown = ~np.isin(detections.image_id, coco.image_ids)
    if unknown.any():
        image_id = detections.image_id[np.argmax(unknown)]
        raise InputError(f"{coco.path}: expected image {image_id} of a detection, but it is not in the file")
    order = np.argsort(detections.image_id, kind="stable")
    for image in coco.images:
        bounds = np.searchsorted(detections.image_id, [image.id, image.id + 1], sorter=order)
        if bounds[0] < bounds[1]:
            yield image, order[bounds[0] : bounds[1]]


UNIVERSAL, FINETUNED = "universal", "finetune_"  # names of models; the second is followed by a variant


def landmark_checkpoints(work: Workspace, model: str, aggregation: str) -> dict[int, Path]:
    """The checkpoint of each category id: of "universal", or of "finetune_" and a variant ("finetune_plain").

    A category of which the training split has no landmarks could not be finetuned, as its record says: there the
    universal model serves. InputError: an unknown model, or one that was not trained.
    """
    if model != UNIVERSAL and not model.startswith(FINETUNED):
        raise InputError(f"model: expected {UNIVERSAL} or {FINETUNED}VARIANT, but got {model!r}")
    universal = work.universal_dir(aggregation) / FINAL
    if not universal.exists():
        raise InputError(f"{universal}: no such checkpoint; train the universal landmark model first")
    found, variant = {item.id: universal for item in CATEGORIES}, model.removeprefix(FINETUNED)
    for category_id in found if model != UNIVERSAL else ():
        record = work.record(f"06_finetune_category_{aggregation}_{variant}_{category_id:02d}")
        if record.exists() and not load_record(record).metrics["train_items"]:
            continue  # also where a checkpoint of other data lies there
        found[category_id] = path = work.finetune_dir(aggregation, variant, category_id) / FINAL
        if not path.exists():
            raise InputError(f"{path}: no such checkpoint; finetune category {category_id} ({variant}) first")
    return found
