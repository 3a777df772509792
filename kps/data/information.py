"""The official information files of json_for_validation and json_for_test, and what ours have of them.

They follow the COCO schema; beside `images`, their `annotations` and `categories` are taken as optional.
Attributes that the official converter drops (scale, occlusion, zoom_in, viewpoint, source) are not compared.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from kps.data.coco import Coco, load_coco
from kps.data.rows import read_json_lists
from kps.files import InputError, open_file
from kps.schema import category

TOLERANCE_PX = 0.01  # coordinates are rounded to 0.001 px in our files
MAX_EXAMPLES = 5


class InformationImage(NamedTuple):
    """An image row without the folders in its file name; its size is None where it is not stated."""

    id: int
    name: str
    size_wh: tuple[int, int] | None


@dataclass
class Information:
    """An information file's image rows, and what its annotations (None: it has none) say of themselves."""

    images: list[InformationImage] = field(default_factory=list)
    num_keypoints: list[int | None] | None = None  # as stated, an annotation each


def read_information(path: Path) -> Information:
    """Read an information file row by row; image ids may repeat, and annotations are not checked.

    InputError: the file is unreadable, or holds no list of images with integer ids and file names.
    """
    information, num_keypoints = Information(), []

    def take_image(number: int, row: dict[str, Any]) -> None:
        information.images.append(_image_row(path, number, row))

    def take_annotation(_: int, row: dict[str, Any]) -> None:
        num_keypoints.append(row.get("num_keypoints"))

    takers = {"images": take_image, "annotations": take_annotation}
    with open_file(path) as file:
        found = read_json_lists(file.read, str(path), takers)
    if not information.images:
        raise InputError(f"{path}: expected an object with a list of images")
    if "annotations" in found:
        information.num_keypoints = num_keypoints
    return information


def _image_row(path: Path, number: int, row: dict[str, Any]) -> InformationImage:
    image_id, name = row.get("id"), row.get("file_name")
    if type(image_id) is not int or not isinstance(name, str):
        raise InputError(f"{path}: image {number}: expected an integer id and a file_name")
    size = row.get("width"), row.get("height")
    stated = all(type(value) is int for value in size)
    return InformationImage(image_id, Path(name).name, size if stated else None)


def read_images(path: Path) -> list[InformationImage]:
    """Return the image rows of an information file, each id once.

    InputError: as `read_information`, or an image id repeats.
    """
    rows = read_information(path).images
    if len({row.id for row in rows}) != len(rows):
        raise InputError(f"{path}: expected each image id once, but some repeat")
    return rows


@dataclass
class Comparison:
    """Our COCO file against an official one; the counts are of images, annotations and px."""

    num_images_in_both: int = 0
    num_images_only_ours: int = 0
    num_images_only_theirs: int = 0
    num_image_sizes_differing: int = 0
    has_annotations: bool = True
    num_annotations_matched: int = 0
    num_annotations_only_ours: int = 0
    num_annotations_only_theirs: int = 0
    num_boxes_differing: int = 0
    num_areas_differing: int = 0
    num_landmarks_differing: int = 0  # annotations with a landmark elsewhere, or labelled otherwise
    max_landmark_difference_px: float = 0.0
    num_keypoints_differing: int = 0  # annotations whose stated number of keypoints differs
    examples: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether nothing differs (of images alone where the official file has no annotations)."""
        return not any(self._differences().values())

    def _differences(self) -> dict[str, int]:
        return {
            "images only in ours": self.num_images_only_ours,
            "images only in theirs": self.num_images_only_theirs,
            "image sizes differ": self.num_image_sizes_differing,
            "annotations only in ours": self.num_annotations_only_ours,
            "annotations only in theirs": self.num_annotations_only_theirs,
            "boxes differ": self.num_boxes_differing,
            "areas differ": self.num_areas_differing,
            "annotations with landmarks that differ": self.num_landmarks_differing,
            "num_keypoints differ": self.num_keypoints_differing,
        }

    def lines(self) -> list[str]:
        """The comparison for people: what is alike, what differs, and examples."""
        lines = [f"{self.num_images_in_both:,} images in both"]
        if self.has_annotations:
            lines.append(f"{self.num_annotations_matched:,} annotations matched")
        else:
            lines.append("the official file has no annotations: only images were compared")
        lines += [f"{count:,} {what}" for what, count in self._differences().items() if count]
        if self.num_landmarks_differing:
            lines.append(f"landmarks lie up to {self.max_landmark_difference_px:.2f} px apart")
        return lines + self.examples + ["they agree" if self.agrees else "they differ"]

    def note(self, name: str, example: str) -> None:
        """Add one to a count; the first notes are kept as examples."""
        setattr(self, name, getattr(self, name) + 1)
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(f"for example, {example}")


def compare_with_information(ours: Path, theirs: Path) -> Comparison:
    """Compare a COCO-294 file of ours with an official information or ground-truth file.

    Annotations are matched within an image and category by the nearest boxes, since ids may differ. InputError: one of
    the files is malformed.
    """
    mine, official = load_coco(ours), load_coco(theirs)
    stated = read_information(theirs).num_keypoints
    comparison = Comparison(has_annotations=stated is not None)
    _compare_images(mine, official, comparison)
    if stated is None:
        return comparison
    groups, their_groups = _groups(mine), _groups(official)
    for key in sorted(groups.keys() | their_groups.keys()):
        rows, their_rows = groups.get(key, []), their_groups.get(key, [])
        matches = list(_nearest_boxes(mine, rows, official, their_rows))
        comparison.num_annotations_matched += len(matches)
        where = f"image {key[0]}, {category(key[1]).name}"
        for _ in range(len(rows) - len(matches)):
            comparison.note("num_annotations_only_ours", f"{where}: an item that is only in ours")
        for _ in range(len(their_rows) - len(matches)):
            comparison.note("num_annotations_only_theirs", f"{where}: an item that is only in theirs")
        for row, their_row in matches:
            _compare_items(mine, row, official, their_row, stated[their_row], where, comparison)
    return comparison


def _compare_images(mine: Coco, official: Coco, comparison: Comparison) -> None:
    sizes = {row.id: (row.width, row.height) for row in mine.images}
    their_sizes = {row.id: (row.width, row.height) for row in official.images}
    both = sorted(sizes.keys() & their_sizes.keys())
    comparison.num_images_in_both = len(both)
    for image_id in sorted(sizes.keys() - their_sizes.keys()):
        comparison.note("num_images_only_ours", f"image {image_id} is only in ours")
    for image_id in sorted(their_sizes.keys() - sizes.keys()):
        comparison.note("num_images_only_theirs", f"image {image_id} is only in theirs")
    for image_id in both:
        if sizes[image_id] != their_sizes[image_id]:
            text = f"image {image_id} is {sizes[image_id]} in ours and {their_sizes[image_id]} in theirs"
            comparison.note("num_image_sizes_differing", text)


def _groups(coco: Coco) -> dict[tuple[int, int], list[int]]:
    """Rows of each (image_id, category_id)."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    items = coco.instances
    for row, key in enumerate(zip(items.image_id.tolist(), items.category_id.tolist(), strict=True)):
        groups[key].append(row)
    return groups


def _nearest_boxes(mine: Coco, rows: list[int], official: Coco, their_rows: list[int]) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows, as many as the smaller side has, with the least sum of box differences."""
    if not rows or not their_rows:
        return
    boxes, their_boxes = mine.instances.bbox_xywh[rows], official.instances.bbox_xywh[their_rows]
    cost = np.abs(boxes[:, None] - their_boxes[None]).sum(axis=2)
    for place, their_place in zip(*linear_sum_assignment(cost), strict=True):
        yield rows[place], their_rows[their_place]


def _compare_items(
    mine: Coco, row: int, official: Coco, their_row: int, stated: Any, where: str, comparison: Comparison
) -> None:
    ours, theirs = mine.instances, official.instances
    box, their_box = ours.bbox_xywh[row], theirs.bbox_xywh[their_row]
    if np.abs(box - their_box).max() > TOLERANCE_PX:
        text = f"{where}: box {box.tolist()} in ours, {their_box.tolist()} in theirs"
        comparison.note("num_boxes_differing", text)
    elif abs(ours.area[row] - theirs.area[their_row]) > 1:
        text = f"{where}: area {ours.area[row]:.0f} in ours, {theirs.area[their_row]:.0f} in theirs"
        comparison.note("num_areas_differing", text)
    points, their_points = ours.keypoints[row], theirs.keypoints[their_row]
    labelled = (points[:, 2] > 0) & (their_points[:, 2] > 0)
    distance = np.hypot(*(points - their_points)[:, :2].T) * labelled
    comparison.max_landmark_difference_px = max(comparison.max_landmark_difference_px, distance.max())
    wrong = (distance > TOLERANCE_PX) | (points[:, 2] != their_points[:, 2])
    if wrong.any():
        number = int(np.argmax(wrong))
        text = f"{points[number].tolist()} in ours, {their_points[number].tolist()} in theirs"
        comparison.note("num_landmarks_differing", f"{where}: landmark {number + 1} is {text}")
    if stated is not None and stated != ours.num_keypoints[row]:
        text = f"{where}: num_keypoints {ours.num_keypoints[row]} in ours, {stated} in theirs"
        comparison.note("num_keypoints_differing", text)
