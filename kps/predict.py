"""Garments and landmarks on photos of one's own: detector, landmark model, then a picture and a JSON."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageOps

from kps.coco import Coco, ImageRow, Instances
from kps.detections import Detections
from kps.errors import InputError
from kps.files import atomic_path, write_json
from kps.plots.photos import draw_instances
from kps.predictions import Predictions
from kps.schema import CATEGORIES, MAX_LANDMARKS, category
from kps.workspace import Workspace

FINAL = "final.pth"  # the name that training gives its last checkpoint
PREFERRED_DETECTOR, PREFERRED_AGGREGATION = "htc", "hand81"
PREFERRED_VARIANTS = ("plain", "flip")
MAX_OVERLAP = 0.7  # two boxes that overlap more are one garment, whatever their categories


@dataclass(frozen=True)
class Models:
    """The checkpoints that a photo goes through; `landmarks` is one file, or one for each category id."""

    detector: Path
    landmarks: Path | dict[int, Path]
    name: str


def find_models(root: Path) -> Models:
    """Choose among the trained models of a workspace: the finetuned landmark models where all 13 are there.

    Raises:
        InputError: no detector or no landmark model has been trained to the end there.
    """
    workspace = Workspace(root)
    detector = _trained(root, "detectors/*/" + FINAL, workspace.detector_dir(PREFERRED_DETECTOR) / FINAL)
    preferred = workspace.universal_dir(PREFERRED_AGGREGATION) / FINAL
    universal = _trained(root, "landmarks/*/universal/" + FINAL, preferred)
    aggregation = universal.parents[1].name
    for variant in PREFERRED_VARIANTS:
        tuned = {c.id: workspace.finetune_dir(aggregation, variant, c.id) / FINAL for c in CATEGORIES}
        if all(path.is_file() for path in tuned.values()):
            return Models(detector, tuned, f"{detector.parent.name}, {aggregation} finetune_{variant}")
    return Models(detector, universal, f"{detector.parent.name}, {aggregation} universal")


def _trained(root: Path, pattern: str, preferred: Path) -> Path:
    found = sorted(Path(root).glob(pattern))
    if not found:
        raise InputError(f"{root}: expected a workspace with trained models, but there is no {pattern}")
    return preferred if preferred in found else found[0]


def predict_photos(
    images: Sequence[Path], models: Path, out: Path, *, score_threshold: float = 0.3, flip_test: bool = True
) -> list[Path]:
    """Find garments and their landmarks on photos; write NAME.jpg (drawn) and NAME.json into `out`.

    Photos are turned upright as their EXIF tag says; coordinates are 0-indexed pixels of the upright photo.

    Args:
        images: photos of any format that Pillow reads.
        models: a workspace's folder, with trained models in it.
        out: folder to write to.
        score_threshold: garments whose box scores less are left out.
        flip_test: average with the mirrored crop.

    Returns:
        The JSON files, one a photo.

    Raises:
        InputError: a photo is absent or cannot be decoded (it is named), would be overwritten, or models are
            missing. Nothing is written then.
    """
    chosen = find_models(Path(models))
    names = _names(images, Path(out))
    from kps.models.detector import detect
    from kps.models.landmarks import predict_landmarks

    with tempfile.TemporaryDirectory(prefix="kps-") as folder:
        coco = _upright(images, Path(folder))
        found = detect(chosen.detector, coco, Path(folder), score_threshold=score_threshold)
        found = found.take(one_box_a_garment(found))
        predictions = predict_landmarks(chosen.landmarks, found, coco, Path(folder), flip_test=flip_test)
        for image, name, row in zip(images, names, coco.images, strict=True):
            garments = predictions.take(np.flatnonzero(predictions.image_id == row.id))
            _draw(Path(folder) / row.file_name, garments, Path(out) / f"{name}.jpg")
            value = {"image": str(image), "width": row.width, "height": row.height, "models": chosen.name}
            write_json(Path(out) / f"{name}.json", {**value, "garments": _garments(garments)}, indent=True)
    return [Path(out) / f"{name}.json" for name in names]


def _names(images: Sequence[Path], out: Path) -> list[str]:
    """Name the outputs after the photos; a name that repeats gets a number."""
    if not images:
        raise InputError("expected at least one photo, but got none")
    names: list[str] = []
    for image in images:
        stem, number = Path(image).stem, 1
        while (name := stem if number == 1 else f"{stem}_{number}") in names:
            number += 1
        names.append(name)
        if (out / f"{name}.jpg").resolve() == Path(image).resolve():
            raise InputError(f"{image}: would be overwritten; choose another output folder")
    return names


def _upright(images: Sequence[Path], folder: Path) -> Coco:
    """Write every photo as it is to be looked at; return them as a COCO file without instances."""
    rows = []
    for number, path in enumerate(images, start=1):
        try:
            with Image.open(path) as image:
                photo = ImageOps.exif_transpose(image).convert("RGB")
        except FileNotFoundError:
            raise InputError(f"{path}: no such image") from None
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(f"{path}: expected an image, but it cannot be decoded ({error})") from None
        photo.save(folder / f"{number}.png", compress_level=1)
        rows.append(ImageRow(number, f"{number}.png", photo.width, photo.height))
    none = np.zeros(0, np.int64)
    empty = Instances(none, none, none, np.zeros((0, 4)), np.zeros(0), np.zeros((0, MAX_LANDMARKS, 3)), none,
                      none.astype(bool), {}, ())  # fmt: skip
    return Coco(folder, tuple(rows), empty)


def one_box_a_garment(detections: Detections) -> np.ndarray:
    """Return the rows to keep, best first, so that no two of a photo overlap by more than MAX_OVERLAP."""
    kept: list[int] = []
    for row in np.argsort(-detections.score, kind="stable"):
        others = [k for k in kept if detections.image_id[k] == detections.image_id[row]]
        if all(_overlap(detections.bbox_xywh[row], detections.bbox_xywh[k]) <= MAX_OVERLAP for k in others):
            kept.append(int(row))
    return np.array(kept, dtype=np.int64)


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boxes (4,) x y w h."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[:2] + first[2:], second[:2] + second[2:])
    common = np.prod(np.clip(high - low, 0, None))
    return float(common / (np.prod(first[2:]) + np.prod(second[2:]) - common))


def _draw(photo: Path, garments: Predictions, out: Path) -> None:
    with Image.open(photo) as image:
        pixels = np.asarray(image)
    figure = draw_instances(pixels, garments.keypoints, garments.category_id, score=garments.score)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=200)
    plt.close(figure)


def _garments(garments: Predictions) -> list[dict]:
    rows = []
    for row in range(len(garments)):
        kind = category(int(garments.category_id[row]))
        points = garments.keypoints[row, : kind.num_landmarks].tolist()
        named = zip(range(kind.slice.start, kind.slice.stop), kind.landmark_names, points, strict=True)
        landmarks = [
            {"index": index, "name": name, "x": round(x, 2), "y": round(y, 2), "score": round(confidence, 4)}
            for index, name, (x, y, confidence) in named
        ]
        rows.append(
            {
                "category_id": kind.id,
                "category": kind.name,
                "score": round(float(garments.score[row]), 4),
                "bbox_xywh": [round(float(v), 2) for v in garments.bbox_xywh[row]],
                "landmarks": landmarks,
            }
        )
    return rows
