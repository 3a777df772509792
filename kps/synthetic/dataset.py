"""Writing the generated photos as a data set in the raw DeepFashion2 layout."""

from functools import partial
from pathlib import Path
from typing import Any

import cv2

from kps.data.coco import coco_annotation, visible_only_annotation
from kps.files import InputError, atomic_folder, ordered_map, progress, write_json
from kps.schema import CATEGORIES
from kps.synthetic.photo import jpeg_quality, render_photo
from kps.synthetic.plan import PhotoPlan, plan_split
from kps.workspace import SPLITS

_CHUNK = 8  # photos handed to a worker at a time


def write_dataset(
    out: Path, *, train: int, validation: int, test: int, seed: int = 0, workers: int | None = None
) -> None:
    """Write a procedural data set in the raw DeepFashion2 layout; it depends on sizes and seed alone.

    InputError: a negative size, or `out` exists and is not an empty folder.
    """
    sizes = dict(zip(SPLITS, (train, validation, test), strict=True))
    for split, size in sizes.items():
        if size < 0:
            raise InputError(f"{split}: expected a number of photos of at least 0, but got {size}")
    if seed < 0:
        raise InputError(f"seed: expected at least 0, but got {seed}")
    with atomic_folder(Path(out)) as folder:
        jobs = []
        for split, size in sizes.items():
            (folder / split / "image").mkdir(parents=True)
            if split != "test":
                (folder / split / "annos").mkdir()
            jobs += [(split, index, plan) for index, plan in enumerate(plan_split(seed, split, size))]
        rows: dict[str, list[tuple[int, int, dict]]] = {split: [] for split in SPLITS}
        results = ordered_map(partial(_write_photo, folder, seed), jobs, workers=workers, chunk=_CHUNK)
        for (split, _, _), row in zip(jobs, progress(results, desc="photos", total=len(jobs)), strict=True):
            rows[split].append(row)
        _write_evaluation_files(folder, rows)


def _write_photo(folder: Path, seed: int, job: tuple[str, int, PhotoPlan]) -> tuple[int, int, dict]:
    """Draw and write one photo; returns its width, height and annotation."""
    split, index, plan = job
    cv2.setNumThreads(1)  # the processes share the cores
    image, annotation = render_photo(seed, split, index, plan)
    name = f"{index + 1:06d}"
    quality = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality(seed, split, index)]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    (folder / split / "image" / f"{name}.jpg").write_bytes(encoded.tobytes())
    if split != "test":
        write_json(folder / split / "annos" / f"{name}.json", annotation)
    return image.shape[1], image.shape[0], annotation


def _write_evaluation_files(folder: Path, rows: dict[str, list[tuple[int, int, dict]]]) -> None:
    for split in ("validation", "test"):
        images = [_image_row(index, *size) for index, (*size, _) in enumerate(rows[split], start=1)]
        kinds = [{"id": row.id, "name": row.coco_name, "supercategory": "clothes"} for row in CATEGORIES]
        info = {"info": {}, "licenses": [], "images": images, "categories": kinds}
        place = folder / f"json_for_{split}"
        write_json(place / f"keypoints_{'val' if split == 'validation' else 'test'}_information.json", info)
        if split == "test":
            continue
        items = (
            (index, item)
            for index, (_, _, annotation) in enumerate(rows[split], start=1)
            for key, item in annotation.items() if key.startswith("item")
        )  # fmt: skip
        annotations = [
            coco_annotation(item, annotation_id=number, image_id=index, where=f"validation photo {index}")
            for number, (index, item) in enumerate(items, start=1)
        ]
        write_json(place / "keypoints_val_vis_and_occ.json", info | {"annotations": annotations})
        visible = [visible_only_annotation(row) for row in annotations]
        write_json(place / "keypoints_val_vis.json", info | {"annotations": visible})


def _image_row(image_id: int, width: int, height: int) -> dict[str, Any]:
    empty = {"coco_url": "", "date_captured": "", "flickr_url": "", "license": 0}
    return {"id": image_id, "file_name": f"{image_id:06d}.jpg", "width": width, "height": height} | empty
