"""Broken COCO files, result lists and box files, read by `kps evaluate` and `kps submit`."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from broken_inputs import HUGE, Command, Row, broken_texts, broken_value, compact, update
from builders import iter_results, make_coco, make_predictions

from kps.files import write_json

BOX = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5, "id": 1}


def evaluate(folder: Path, results: str = "results.json") -> Command:
    """Score three sound results, or others in the folder."""
    results_text(folder, bytes)
    return ["evaluate", folder / "coco.json", folder / results, "--json", folder / "out"]


def coco_text(folder: Path, function: Callable[[bytes], bytes]) -> Command:
    path = make_coco(folder).path
    path.write_bytes(function(compact(json.loads(path.read_bytes()))))
    return evaluate(folder)


def results_text(folder: Path, function: Callable[[bytes], bytes]) -> Command:
    (folder / "results.json").write_bytes(function(compact(list(iter_results(make_predictions(3))))))
    return ["submit", folder / "results.json", "--out", folder / "out"]


def boxes_text(folder: Path, function: Callable[[bytes], bytes]) -> Command:
    make_coco(folder)
    (folder / "boxes.json").write_bytes(function(compact([BOX, {**BOX, "id": 2, "image_id": 3}])))
    return ["evaluate", folder / "coco.json", folder / "boxes.json", "--boxes", "--json", folder / "out"]


coco, results, boxes = (partial(broken_value, write) for write in (coco_text, results_text, boxes_text))


def in_its_place(function: Callable[[Path], None]) -> Callable[[Path], Command]:
    """Put something else in place of the COCO file."""
    return lambda folder: (function(folder / "coco.json"), evaluate(folder))[1]


def image(**changes: Any) -> Callable[[Path], Command]:
    """Change the fifth image row; None removes a field."""
    return coco(lambda value: update(value["images"][4], **changes))


def annotation(**changes: Any) -> Callable[[Path], Command]:
    """Change the fifth annotation; None removes a field."""
    return coco(lambda value: update(value["annotations"][4], **changes))


def result(**changes: Any) -> Callable[[Path], Command]:
    """Change the second of three result rows; None removes a field."""
    return results(lambda rows: update(rows[1], **changes))


def box(**changes: Any) -> Callable[[Path], Command]:
    """Change the second of two boxes; None removes a field."""
    return boxes(lambda rows: update(rows[1], **changes))


def coco_files() -> list[Row]:
    whole = [
        ("a list", coco(lambda value: []), "coco.json", "expected a JSON object"),
        ("no images", coco(lambda value: {"annotations": []}), "coco.json", "list of images"),
        ("images that are an object", coco(lambda value: {"images": {}}), "coco.json: images", "a list"),
        ("an image id twice", image(id=1), "image 4", "repeats"),
        ("an annotation id twice", annotation(id=1), "id 1 repeats"),
        ("named ids from 0", coco(lambda value: shift(value, "id")), "category 0", "expected id 1", "got 0"),
        ("ids from 0", coco(lambda value: shift(value, "category_id")), "annotation 0", "got 0"),
        ("names exchanged", coco(exchange_names), "expected id 2 for 'Long-Sleeved Shirt', but got 1"),
        ("no landmark at all", coco(without_landmarks), "coco.json", "landmarks to score, but no item counts"),
        ("all boxes as corners", coco(as_corners), "coco.json", "x, y, width, height"),
        ("absent", evaluate, "coco.json", "no such file"),
        ("a folder in its place", in_its_place(Path.mkdir), "coco.json", "directory"),
        ("a link in a loop", in_its_place(lambda path: path.symlink_to(path)), "coco.json", "cannot be read"),
    ]
    images = [
        ("a name that climbs out", image(file_name="../../x.jpg"), "inside the image folder", "../../x.jpg"),
        ("an absolute name", image(file_name="/etc/passwd"), "inside the image folder", "/etc/passwd"),
        ("a name with a null", image(file_name="a\0b.jpg"), "inside the image folder"),
        ("a name that is a number", image(file_name=5), "as text", "5"),
        ("no name", image(file_name=None), "'file_name'"),
        ("an id beyond 64 bits", image(id=HUGE), "whole number as id"),
        ("an id below 0", image(id=-5), "an id of at least 0", "-5"),
        ("no width", image(width=0), "positive size", "0 x 624"),
        ("a height as text", image(height="624"), "whole number as height", "'624'"),
    ]
    annotations = [
        ("881 numbers", annotation(keypoints=[0] * 881), "keypoints of 882 numbers", "881"),
        ("keypoints as text", annotation(keypoints=["1"] * 882), "keypoints as numbers", "'1'"),
        ("keypoints of 1e300 px", annotation(keypoints=[1e300] * 882), "within 1e+09 px"),
        ("a visibility of 3", annotation(keypoints=[3] * 882), "visibility of 0, 1 or 2"),
        ("no keypoints", annotation(keypoints=None), "keypoints"),
        ("an unknown category", annotation(category_id=99), "category id from 1 to 13", "99"),
        ("an unknown image", annotation(image_id=99), "image id that is in the file"),
        ("an image id beyond 64 bits", annotation(image_id=HUGE), "whole number as image_id"),
        ("a box of two numbers", annotation(bbox=[1, 2]), "bbox of 4 numbers", "2"),
        ("an area as text", annotation(area="5"), "number as area", "'5'"),
        ("a box too small for a box file", annotation(bbox=[1, 2, 0.004, 3], area=None), "at least 0.01 px"),
        ("an area of a pixel", annotation(area=1), "fits the box"),
        ("an area beyond the box", annotation(area=80_000), "fits the box"),
        ("num_keypoints as text", annotation(num_keypoints="9"), "num_keypoints", "'9'"),
        ("landmarks in other slots", annotation(category_id=9), "slots of other categories", "got 15"),
        ("iscrowd as text", annotation(iscrowd="no"), "iscrowd", "'no'"),
    ]
    return [
        *broken_texts(coco_text, "coco.json", b'"area":60000'),
        *whole,
        *[(name, make, "coco.json: image 4", *says) for name, make, *says in images],
        *[(name, make, "coco.json: annotation 4", *says) for name, make, *says in annotations],
    ]


def shift(value: Any, name: str) -> None:
    """Count ids from 0: of the rows of `categories` (id) or of the annotations (category_id)."""
    for row in value["categories" if name == "id" else "annotations"]:
        row[name] -= 1


def exchange_names(value: Any) -> None:
    value["categories"][0]["name"], value["categories"][1]["name"] = "Long-Sleeved Shirt", "short sleeve top"


def without_landmarks(value: Any) -> None:
    for row in value["annotations"]:
        row |= {"keypoints": [0] * 882, "num_keypoints": 0}


def as_corners(value: Any) -> None:
    for row in value["annotations"]:
        row |= {"bbox": [100, 50, 300, 350], "area": None}


def submit_with_images(folder: Path) -> Command:
    write_json(folder / "information.json", {"images": [{"id": 1}, {"id": 2}]})
    return [*results_text(folder, bytes), "--images", folder / "information.json"]


def submit_as_name_with_folder(folder: Path) -> Command:
    return [*results_text(folder, bytes), "--name", "a/b.json"]


def result_files() -> list[Row]:
    whole = [
        ("an object", results(lambda rows: {"results": rows}), "results.json", "expected a JSON list"),
        ("an empty list", results(lambda rows: []), "results.json", "at least one result", "empty"),
        ("a row that is a list", results(lambda rows: [*rows, []]), "results.json: row 3", "an object"),
        ("neither landmarks nor boxes", neither_kind, "results.json: row 0", "keypoints or bbox"),
        ("a photo without truth", photo_without_truth, "results.json: ", "coco.json", "row 2", "image id 3"),
        ("a photo that is not submitted", submit_with_images, "row 2", "image id 3", "information.json"),
        ("absent", lambda folder: evaluate(folder, "absent.json"), "absent.json", "no such file"),
        ("a name with a folder", submit_as_name_with_folder, "without folders", "a/b.json"),
    ]
    rows = [
        ("881 numbers", result(keypoints=[0] * 881), "keypoints of 882 numbers", "881"),
        ("keypoints as booleans", result(keypoints=[True] * 882), "keypoints as numbers", "True"),
        ("keypoints of 1e300 px", result(keypoints=[1e300] * 882), "within 1e+09 px"),
        ("no keypoints", result(keypoints=None), "keypoints"),
        ("keypoints as an object", result(keypoints={"x": 1}), "keypoints of 882 numbers", "dict"),
        ("no score", result(score=None), "score"),
        ("a score as a boolean", result(score=True), "number as score", "True"),
        ("a score as text", result(score="0.5"), "number as score", "'0.5'"),
        ("a score of -1e300", result(score=-1e300), "a score within 1e+09", "-1e+300"),
        ("an image id as text", result(image_id="1"), "whole number as image_id", "'1'"),
        ("an image id below 0", result(image_id=-1), "image_id of at least 0", "-1"),
        ("an image id of 1.5", result(image_id=1.5), "whole number as image_id", "1.5"),
        ("an image id beyond 64 bits", result(image_id=2**63), "whole number as image_id"),
        ("an unknown category", result(category_id=77), "category id from 1 to 13", "77"),
        ("places in other slots", result(category_id=3), "slots of a short sleeve outwear", "others"),
    ]
    return [
        *broken_texts(results_text, "results.json", b'"image_id":2'),
        *whole,
        *[(name, make, "results.json: row 1", *says) for name, make, *says in rows],
    ]


def neither_kind(folder: Path) -> Command:
    command = coco_text(folder, bytes)
    write_json(folder / "results.json", [{"image_id": 1}])
    return command


def photo_without_truth(folder: Path) -> Command:
    make_coco(folder, (1, 2))
    return evaluate(folder)


def only_box(bbox: list[float]) -> Callable[[Path], Command]:
    """A file of one box."""
    return boxes(lambda rows: [{**BOX, "bbox": bbox}])


def box_files() -> list[Row]:
    rows = [
        ("no bbox", box(bbox=None), "row 1", "bbox"),
        ("no score", box(score=None), "row 1", "score"),
        ("a bbox of three numbers", box(bbox=[1, 2, 3]), "row 1", "bbox of 4 numbers", "3"),
        ("an id of 1.5", box(id=1.5), "row 1", "whole number as id", "1.5"),
        ("an object", boxes(lambda rows: {}), "boxes.json", "expected a JSON list"),
        ("a bbox as text", box(bbox=["1"] * 4), "row 1", "bbox as numbers", "'1'"),
        ("a bbox of no width", box(bbox=[1, 2, 0, 4]), "row 1", "positive width"),
        ("a bbox of 1e300 px", box(bbox=[1e300] * 4), "row 1", "within 1e+09"),
        ("a score as text", box(score="0.5"), "row 1", "number as score", "'0.5'"),
        ("an image id as text", box(image_id="3"), "row 1", "whole number as image_id", "'3'"),
        ("an id beyond 64 bits", box(id=HUGE), "row 1", "whole number as id"),
        ("an id twice", box(id=1), "id 1 repeats"),
        ("an unknown category", box(category_id=0), "row 1", "category id from 1 to 13"),
    ]
    return [
        *broken_texts(boxes_text, "boxes.json", b'"image_id":3'),
        *[(name, make, "boxes.json", *says) for name, make, *says in rows],
        ("a photo without truth", box(image_id=99), "boxes.json: ", "coco.json", "row 1", "image id 99"),
        ("corners", only_box([100, 50, 300, 350]), "boxes.json", "x, y, width, height"),
        ("shares", only_box([0.2, 0.1, 0.4, 0.5]), "boxes.json", "not shares", "row 0"),
        ("a box of another photo size", only_box([300, 100, 400, 600]), "boxes.json", "beyond the photo"),
        ("visible landmarks of boxes", lambda folder: [*boxes_text(folder, bytes), "--visible-only"], "boxes"),
    ]
