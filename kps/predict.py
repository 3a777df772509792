"""Garments and landmarks on photos of one's own: detector, landmark model, then a picture and a JSON."""

import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from glob import glob
from itertools import chain, count, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from kps.data.coco import Coco, ImageRow, Instances
from kps.data.photos import read_photo
from kps.evaluation.matching import iou
from kps.exported import DETECTOR, exported_landmarks
from kps.figures.garments import contact_sheet, draw_instances
from kps.files import InputError, atomic_path, identity, progress, read_json, readable, write_json
from kps.results.locating import landmark_checkpoints
from kps.results.predictions import Predictions
from kps.schema import MAX_LANDMARKS, Category, category
from kps.workspace import FINAL, Workspace

if TYPE_CHECKING:
    from kps.models.detector import Ready
    from kps.models.landmarks import LandmarkModel

COORDINATES = "pixels of the photo turned upright by its EXIF tag, as viewers show it"
PHOTOS = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".jp2", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
PHOTOS |= {".heic", ".heif"}  # also taken of a folder, to be named: they cannot be read
VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".3gp", ".mpg", ".mpeg", ".mts", ".wmv"}
MAX_RATE = 600  # frames a second that MPEG-4 can tell apart with two decimals
SHEET, OURS = "contact_sheet.jpg", b"drawn by kps predict"  # the comment of the pictures
TILE, MAX_SHEET = 360, 8000  # px: sides of a picture in the sheet, and of the sheet
READY = Path(__file__).parent / "weights"
LEAST_BOX_SCORE = 0.03  # of a hypothesis, box and category, that the landmark model is asked about
LEAST_SCORE = 0.2  # of a garment that is shown: here F1 is best on drawn validation photos
MAX_OVERLAP = 0.7  # two boxes that overlap more are one garment, whatever their categories


class Models(NamedTuple):
    """The models that a photo goes through, as files or in memory; `landmarks` one, or one for each category id."""

    detector: "Path | Ready"
    landmarks: "Path | LandmarkModel | dict[int, Path | LandmarkModel]"
    name: str
    exported: bool = False  # as ONNX files


class Garment(NamedTuple):
    """A garment on a photo; `category.landmark_names` are the names of its n landmarks."""

    category: Category
    score: float  # 0 to 1
    bbox_xywh: np.ndarray  # (4,) px
    keypoints: np.ndarray  # (n, 3) x px, y px, confidence 0 to 1


class Garments:
    """Finds garments and their landmarks; the models stay in memory.

        from kps import Garments

        (garments,) = Garments()(["photo.jpg"])
        for garment in garments:
            print(garment.category.name, dict(zip(garment.category.landmark_names, garment.keypoints)))

    Args:
        models: folder of a run with trained models; None takes those that come with this package.
    """

    def __init__(self, models: Path | str | None = None) -> None:
        self._models = load_models(find_models(models and Path(models)))

    def __call__(
        self, photos: Sequence[np.ndarray | Path | str], *, score_threshold: float = LEAST_SCORE, flip_test: bool = True
    ) -> list[list[Garment]]:
        """Return the garments on each photo, best first.

        Photos are files, turned upright by their EXIF tag, or RGB pixels (H, W, 3) uint8. InputError: a file that is no
        photo, or an array of another kind.
        """
        found = []
        with TemporaryDirectory() as folder:
            for number, photo in enumerate(progress(photos, desc="finding garments", unit="photo")):
                path = Path(folder) / "photo.bmp"
                if not isinstance(photo, np.ndarray):
                    path = Path(photo)
                    photo = read_photo(path, upright=True)
                elif photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3 and photo.size:
                    Image.fromarray(photo).save(path)
                else:
                    raise InputError(f"photo {number}: expected (H, W, 3) uint8, but got {photo.shape} {photo.dtype}")
                of_it = _find(self._models, path, photo, score_threshold=score_threshold, flip_test=flip_test)
                found.append(_garments(of_it))
        return found


def find_models(root: Path | None) -> Models:
    """Choose among the trained models of a workspace: the finetuned landmark models where all 13 are there.

    A folder that `kps export` wrote holds its models only. None: the models that come with this package. InputError: no
    detector or no landmark model has been trained to the end there.
    """
    if root is None:
        return Models(READY / "detector.pth", READY / "landmarks.pth", "ready weights, see kps/weights/README.md")
    if (root / DETECTOR).is_file():
        return Models(root / DETECTOR, exported_landmarks(root), f"exported, {root.name}", exported=True)
    workspace = Workspace(root)
    detector = _trained(root, "detectors/*/" + FINAL, workspace.detector_dir("htc") / FINAL)
    universal = _trained(root, "landmarks/*/universal/" + FINAL, workspace.universal_dir("hand81") / FINAL)
    aggregation = universal.parents[1].name
    for model in ("finetune_plain", "finetune_flip"):
        with suppress(InputError):
            tuned = landmark_checkpoints(workspace, model, aggregation)
            return Models(detector, tuned, f"{detector.parent.name}, {aggregation} {model}")
    return Models(detector, universal, f"{detector.parent.name}, {aggregation} universal")


def load_models(chosen: Models) -> Models:
    """Return the models in memory, each file read once; InputError: one that is absent or no such model."""
    if chosen.exported:
        from kps.exported import OnnxLandmarks, open_detector

        build, load = open_detector, OnnxLandmarks
    else:
        from kps.models.detector import build_detector
        from kps.models.landmarks import LandmarkModel

        build, load = build_detector, LandmarkModel.load
    files = chosen.landmarks
    if isinstance(files, dict):
        loaded = {file: load(file) for file in dict.fromkeys(files.values())}
        landmarks = {kind: loaded[file] for kind, file in files.items()}
    else:
        landmarks = load(files)
    return chosen._replace(detector=build(chosen.detector), landmarks=landmarks)


def _trained(root: Path, pattern: str, preferred: Path) -> Path:
    found = sorted(Path(root).glob(pattern))
    if not found:
        raise InputError(f"{root}: expected a workspace with trained models, but there is no {pattern}")
    return preferred if preferred in found else found[0]


def photos_and_videos(given: Iterable[Path | str]) -> list[Path]:
    """Return the files named: of a folder the photos and videos in it, of a pattern such as "a/*.jpg" what matches.

    InputError: a folder without any.
    """
    found: list[Path] = []
    for one in map(Path, given):
        if one.is_dir():
            inside = sorted(path for path in one.iterdir() if path.suffix.lower() in PHOTOS | VIDEOS)
            if not inside:
                raise InputError(f"{one}: expected a folder with photos, but there are none in it")
            found += inside
        else:
            matching = [] if os.path.lexists(one) else sorted(glob(str(one), recursive=True))
            found += photos_and_videos(matching) if matching else [one]
    return found


def predict_photos(
    images: Sequence[Path], models: Path | None, out: Path, *, tell: Callable[[InputError], None] | None = None
) -> list[Path]:
    """Find garments and their landmarks; write NAME.json, and NAME.jpg or .mp4 with them drawn, into `out`.

    Coordinates are 0-indexed pixels of the photo turned upright by its EXIF tag. `models` as for `find_models`. Several
    photos get a contact sheet. Of what is in `out`, only earlier results of the same photos are replaced. `tell` gets
    the error of each photo that cannot be read or written, and the others are done; without it the first one is raised.
    Returns the JSON files, one a photo or video; of a video, `garments` holds a list for each frame.

    InputError: something else would be overwritten, or models are missing: nothing is written then.
    """
    chosen, out = find_models(models), Path(out)
    names, ready, written = _names(images, out), load_models(chosen), []
    for name, path in zip(names, progress(images, desc="finding garments", unit="file"), strict=True):
        with _telling(tell, path):
            predict = _predict_video if Path(path).suffix.lower() in VIDEOS else _predict_photo
            predict(Path(path), ready, out / f"{name}.json")
            written.append(out / f"{name}.json")
    pictures = [picture for path in written if (picture := path.with_suffix(".jpg")).exists()]
    if len(pictures) > 1:
        with _telling(tell, out / SHEET), atomic_path(out / SHEET) as temporary:
            side = min(TILE, MAX_SHEET // math.isqrt(len(pictures)))
            _save(temporary, contact_sheet((read_photo(picture) for picture in pictures), side=side))
    return written


def _find(models: Models, path: Path, photo: np.ndarray, **how: Any) -> Predictions:
    """Return the garments on a photo (H, W, 3) that lies in a file; `how` as for `find_garments`."""
    none = np.zeros(0, np.int64)
    nothing = Instances(none, none, none, np.zeros((0, 4)), np.zeros(0), np.zeros((0, MAX_LANDMARKS, 3)), none,
                        none.astype(bool), {}, none)  # fmt: skip
    row = ImageRow(0, os.path.abspath(path), photo.shape[1], photo.shape[0], upright=True)
    return find_garments(models, Coco(path, (row,), nothing), path.parent, **how)


def _write(result: Path, image: Path, photo: np.ndarray, models: Models, garments: list, **of_video: float) -> None:
    value = {"image": _absolute(image), "width": photo.shape[1], "height": photo.shape[0], **of_video}
    write_json(result, value | {"coordinates": COORDINATES, "models": models.name, "garments": garments}, indent=True)


def _drawn(photo: np.ndarray, garments: Predictions) -> np.ndarray:
    return draw_instances(photo, garments.keypoints, garments.category_id, score=garments.score)


def _save(path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(path, quality=92, comment=OURS)


def _predict_photo(path: Path, models: Models, result: Path) -> None:
    """Write NAME.json and NAME.jpg of a photo."""
    photo = read_photo(path, upright=True)
    garments = _find(models, path, photo)
    with atomic_path(result.with_suffix(".jpg")) as temporary:
        _save(temporary, _drawn(photo, garments))
        _write(result, path, photo, models, _json(garments))  # first: it tells that the picture is ours


def _predict_video(video: Path, models: Models, result: Path) -> None:
    """Write NAME.json and NAME.mp4 of a video, frame by frame."""
    with TemporaryDirectory() as folder, atomic_path(result.with_suffix(".mp4")) as temporary:
        link, still, drawn = (Path(folder) / name for name in (f"video{video.suffix}", "frame.bmp", "drawn.mp4"))
        link.symlink_to(video.absolute())  # OpenCV takes no name that is not UTF-8
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what is wrong is told by us
        capture, writer, found = cv2.VideoCapture(str(link)), None, []
        rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
        frames = takewhile(lambda read: read[0], (capture.read() for _ in count()))
        for _, frame in progress(frames, desc=f"finding garments in {video.name}", unit="frame"):
            if not cv2.imwrite(str(still), frame):
                raise InputError(f"{video}: expected room for a frame in {folder}, but it cannot be written")
            garments = _find(models, still, frame)
            found.append(_json(garments))
            picture = _drawn(np.ascontiguousarray(frame[:, :, ::-1]), garments)
            codec, size = cv2.VideoWriter.fourcc(*"mp4v"), picture.shape[1::-1]
            writer = writer or cv2.VideoWriter(str(drawn), codec, min(round(rate, 2), MAX_RATE), size)
            if not writer.isOpened():
                raise InputError(f"{result.with_suffix('.mp4')}: this build of OpenCV writes no mp4")
            writer.write(picture[:, :, ::-1])
        if writer is None:
            raise InputError(f"{video}: expected a video, but it cannot be decoded")
        writer.release()
        shutil.copyfile(drawn, temporary)
        _write(result, video, frame, models, found, frames_per_second=rate)


def find_garments(
    models: Models, coco: Coco, image_dir: Path, *, score_threshold: float = LEAST_SCORE, flip_test: bool = True
) -> Predictions:
    """Return the garments on the photos of `coco`, each once, under the name of its best hypothesis, best first."""
    if models.exported:
        from kps.exported import detect, predict_landmarks
    else:
        from kps.models.detector import detect
        from kps.models.landmarks import predict_landmarks

        detect = partial(detect, batch_size=1)  # in a batch, padding to the largest photo moves boxes
    boxes = detect(models.detector, coco, image_dir, score_threshold=LEAST_BOX_SCORE)
    found = predict_landmarks(models.landmarks, boxes, coco, image_dir, flip_test=flip_test)
    # Whether something is there the box says best, what it is the crop: best on drawn validation photos.
    found = replace(found, score=np.sqrt(found.bbox_score * found.score))
    kept, score = one_box_a_garment(found)
    found = replace(found.take(kept), score=score)
    return found.take(np.argsort(-score, kind="stable")[: (score >= score_threshold).sum()])


@contextmanager
def _telling(tell: Callable[[InputError], None] | None, path: Path | str) -> Iterator[None]:
    """Hand what is wrong with one photo to `tell` and go on after the block, or raise it."""
    try:
        yield
    except (InputError, OSError) as error:
        named = error if isinstance(error, InputError) else InputError(f"{path}: {error.strerror or error}")
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
    taken = {Path(SHEET).stem}  # in small letters: not every disk tells X from x
    inputs = {identity(image) for image in images}
    for image in images:
        stem = Path(image).stem
        for name in chain([stem], (f"{stem}_{number}" for number in count(2))):
            if name.lower() not in taken and not _is_of_another(image, out / name, inputs):
                break
        names.append(name)
        taken.add(name.lower())
    if len(images) > 1 and os.path.lexists(sheet := out / SHEET):
        with suppress(Exception), Image.open(sheet) as picture:  # it may be anything
            if picture.info.get("comment") == OURS and identity(sheet) not in inputs:
                return names
        raise InputError(f"{sheet}: would be overwritten; choose another output folder")
    return names


def _is_of_another(image: Path, name: Path, inputs: set[object]) -> bool:
    """Whether NAME.json and NAME.jpg are the result of another photo; other files in the way are refused."""
    there = [path for end in (".json", ".jpg", ".mp4") if os.path.lexists(path := name.with_name(name.name + end))]
    value = None
    with suppress(InputError):
        value = read_json(there[0]) if there else None
    ours = isinstance(value, dict) and {"image", "garments", "models"} <= set(value)
    if there and (not ours or not inputs.isdisjoint(map(identity, there))):
        raise InputError(f"{there[0]}: would be overwritten; choose another output folder")
    return ours and value["image"] != _absolute(image)


def _absolute(path: Path) -> str:
    return readable(os.path.abspath(path))


def one_box_a_garment(found: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to keep, so that no two of a photo overlap by more than MAX_OVERLAP, and their scores, in (0, 1].

    What is left out is the same garment under another name, as a rule, so that its score is added: a garment that may
    be a top or a dress is no less there.
    """
    score: dict[int, float] = {}  # of each row that is kept
    for row in np.argsort(-found.score, kind="stable").tolist():
        others = [kept for kept in score if found.image_id[kept] == found.image_id[row]]
        overlap = iou(found.bbox_xywh[[row] * len(others)], found.bbox_xywh[others])
        same = row if (overlap <= MAX_OVERLAP).all() else others[int(overlap.argmax())]
        score[same] = score.get(same, 0.0) + float(found.score[row])
    return np.array(list(score), dtype=np.int64), np.minimum(list(score.values()), 1.0)


def _garments(found: Predictions) -> list[Garment]:
    columns = (found.category_id.tolist(), found.score.tolist(), found.bbox_xywh, found.keypoints)
    kinds = zip(*columns, strict=True)
    return [Garment(category(kind), score, box, own[: category(kind).num_landmarks]) for kind, score, box, own in kinds]


def _json(found: Predictions) -> list[dict]:
    rows = []
    for kind, score, box, keypoints in _garments(found):
        landmarks = []
        places = zip(kind.landmark_names, keypoints.tolist(), strict=True)
        for index, (name, (x, y, confidence)) in enumerate(places, start=kind.slice.start):
            place = {"index": index, "name": name, "x": round(x, 2), "y": round(y, 2)}
            landmarks.append({**place, "score": round(confidence, 4)})
        row = {"category_id": kind.id, "category": kind.name, "score": round(score, 4)}
        rows.append(row | {"bbox_xywh": [round(side, 2) for side in box.tolist()], "landmarks": landmarks})
    return rows
