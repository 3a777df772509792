"""Garments and landmarks on photos of one's own: detector, landmark model, then a picture and a JSON."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kps.data.coco import Coco, ImageRow, Instances
from kps.data.photos import photo_of, read_photo
from kps.evaluation.matching import iou
from kps.figures.garments import draw_instances
from kps.files import InputError, atomic_path, identity, read_json, readable, write_json
from kps.results.detections import Detections
from kps.results.predictions import Predictions
from kps.schema import CATEGORIES, MAX_LANDMARKS, category
from kps.workspace import Workspace

FINAL = "final.pth"  # the name that training gives its last checkpoint
COORDINATES = "pixels of the photo turned upright by its EXIF tag, as viewers show it"
READY = Path(__file__).parent / "weights"
LEAST_BOX_SCORE = 0.05  # of a hypothesis, box and category, that the landmark model is asked about
LEAST_SCORE = 0.1  # of a garment that is shown
MAX_OVERLAP = 0.7  # two boxes that overlap more are one garment, whatever their categories


class Models(NamedTuple):
    """The checkpoints that a photo goes through; `landmarks` is one file, or one for each category id."""

    detector: Path
    landmarks: Path | dict[int, Path]
    name: str


def find_models(root: Path | None) -> Models:
    """Choose among the trained models of a workspace: the finetuned landmark models where all 13 are there.

    None: the models that come with this package. InputError: no detector or no landmark model has been trained to the
    end there.
    """
    if root is None:
        return Models(READY / "detector.pth", READY / "landmarks.pth", "ready weights, see kps/weights/README.md")
    workspace = Workspace(root)
    detector = _trained(root, "detectors/*/" + FINAL, workspace.detector_dir("htc") / FINAL)
    universal = _trained(root, "landmarks/*/universal/" + FINAL, workspace.universal_dir("hand81") / FINAL)
    aggregation = universal.parents[1].name
    for variant in ("plain", "flip"):
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
    images: Sequence[Path],
    models: Path | None,
    out: Path,
    *,
    score_threshold: float = LEAST_SCORE,
    flip_test: bool = True,
    tell: Callable[[InputError], None] | None = None,
) -> list[Path]:
    """Find garments and their landmarks on photos; write NAME.json and NAME.jpg (drawn) into `out`.

    Photos are turned upright as their EXIF tag says; coordinates are 0-indexed pixels of the upright photo. `models` is
    a workspace's folder, or None for the models that come with this package. Of several hypotheses on a garment, box
    and category, the best scored stays; below the threshold it is left out. Of what is in `out`, only earlier results
    of the same photos are replaced. `tell` gets the error of each photo that cannot be read or written, and the others
    are done; without it the first one is raised. Returns the JSON files, one a photo.

    InputError: something else would be overwritten, or models are missing: nothing is written then.
    """
    chosen = find_models(models)
    names = _names(images, Path(out))
    rows = []
    for number, path in enumerate(images, start=1):
        with _telling(tell):
            height, width = read_photo(path, upright=True).shape[:2]
            rows.append(ImageRow(number, os.path.abspath(path), width, height, upright=True))
    if not rows:
        return []
    none = np.zeros(0, np.int64)
    empty = Instances(none, none, none, np.zeros((0, 4)), np.zeros(0), np.zeros((0, MAX_LANDMARKS, 3)), none,
                      none.astype(bool), {}, none)  # fmt: skip
    coco = Coco(Path(out), tuple(rows), empty)
    predictions = find_garments(chosen, coco, Path(out), score_threshold=score_threshold, flip_test=flip_test)
    written = []
    for row in rows:
        garments = predictions.take(np.flatnonzero(predictions.image_id == row.id))
        name = names[row.id - 1]
        path = Path(out) / f"{name}.json"
        value = {"image": _absolute(images[row.id - 1]), "width": row.width, "height": row.height}
        value |= {"coordinates": COORDINATES, "models": chosen.name, "garments": _garments(garments)}
        with _telling(tell):
            write_json(path, value, indent=True)  # first: it tells that the picture is ours
            photo = photo_of(row, Path(out))
            figure = draw_instances(photo, garments.keypoints, garments.category_id, score=garments.score)
            with atomic_path(path.with_name(f"{name}.jpg")) as temporary:
                figure.savefig(temporary, dpi=200)
            written.append(path)
    return written


def find_garments(
    models: Models, coco: Coco, image_dir: Path, *, score_threshold: float = LEAST_SCORE, flip_test: bool = True
) -> Predictions:
    """Return the garments on the photos of `coco`, each once, best first; of several hypotheses the best scored."""
    from kps.models.detector import detect
    from kps.models.landmarks import predict_landmarks

    boxes = detect(models.detector, coco, image_dir, score_threshold=LEAST_BOX_SCORE)
    found = predict_landmarks(models.landmarks, boxes, coco, image_dir, flip_test=flip_test)
    found = found.take(found.score >= score_threshold)
    return found.take(one_box_a_garment(found))


@contextmanager
def _telling(tell: Callable[[InputError], None] | None) -> Iterator[None]:
    """Hand what is wrong with one photo to `tell` and go on after the block, or raise it."""
    try:
        yield
    except (InputError, OSError) as error:
        named = error if isinstance(error, InputError) else InputError(f"{error.filename}: {error.strerror}")
        if tell is None:
            raise named from None
        tell(named)


def _names(images: Sequence[Path], out: Path) -> list[str]:
    """Name the outputs after the photos; a name that another photo's result has gets a number.

    InputError: no photo, or a file that is in the way is no result of an earlier call.
    """
    if not images:
        raise InputError("expected at least one photo, but got none")
    names: list[str] = []
    taken: set[str] = set()  # in small letters: not every disk tells X from x
    inputs = {identity(image) for image in images}
    for image in images:
        stem = Path(image).stem
        for name in chain([stem], (f"{stem}_{number}" for number in count(2))):
            if name.lower() not in taken and not _is_of_another(image, out / name, inputs):
                break
        names.append(name)
        taken.add(name.lower())
    return names


def _is_of_another(image: Path, name: Path, inputs: set[object]) -> bool:
    """Whether NAME.json and NAME.jpg are the result of another photo; other files in the way are refused."""
    there = [path for end in (".json", ".jpg") if os.path.lexists(path := name.with_name(name.name + end))]
    value = None
    with suppress(InputError):
        value = read_json(there[0]) if there else None
    ours = isinstance(value, dict) and {"image", "garments", "models"} <= set(value)
    if there and (not ours or not inputs.isdisjoint(map(identity, there))):
        raise InputError(f"{there[0]}: would be overwritten; choose another output folder")
    return ours and value["image"] != _absolute(image)


def _absolute(path: Path) -> str:
    return readable(os.path.abspath(path))


def one_box_a_garment(found: Detections | Predictions) -> np.ndarray:
    """Return the rows to keep, best first, so that no two of a photo overlap by more than MAX_OVERLAP."""
    kept: list[int] = []
    for row in np.argsort(-found.score, kind="stable"):
        others = [k for k in kept if found.image_id[k] == found.image_id[row]]
        if (iou(found.bbox_xywh[[row] * len(others)], found.bbox_xywh[others]) <= MAX_OVERLAP).all():
            kept.append(int(row))
    return np.array(kept, dtype=np.int64)


def _garments(garments: Predictions) -> list[dict]:
    rows = []
    columns = (garments.category_id.tolist(), garments.score.tolist(), garments.bbox_xywh, garments.keypoints)
    for category_id, score, box, keypoints in zip(*columns, strict=True):
        kind = category(category_id)
        landmarks = [
            {"index": index, "name": name, "x": round(x, 2), "y": round(y, 2), "score": round(confidence, 4)}
            for index, name, (x, y, confidence) in zip(
                range(kind.slice.start, kind.slice.stop), kind.landmark_names, keypoints.tolist(), strict=False
            )
        ]
        row = {"category_id": kind.id, "category": kind.name, "score": round(score, 4)}
        rows.append(row | {"bbox_xywh": [round(side, 2) for side in box.tolist()], "landmarks": landmarks})
    return rows
