#!/usr/bin/env python3
"""Time and memory of the data paths at the released size, beside the plain ways to do the same.

    python scripts/bench.py --out docs/benchmarks.md

Makes the raw validation and test splits in a temporary folder (some minutes, 2 GB), measures each thing in a
process of its own, and prints a page. The plain ways are what one writes first: the standard library's json,
PIL, zipfile and pycocotools, in one process, with everything in memory at once.
"""

import argparse
import contextlib
import json
import math
import os
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import psutil
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kps.data.coco import Instances, coco_head, load_coco
from kps.data.convert import convert_split
from kps.data.raw import read_annotation
from kps.evaluation.scores import evaluate_landmarks
from kps.files import InputError, atomic_path
from kps.results.predictions import Predictions, iter_results, load_results, top_rows
from kps.results.submission import NAME_IN_ZIP, validate_submission, write_submission
from kps.schema import CATEGORIES, NUM_CATEGORIES, NUM_LANDMARKS, SIGMAS, package_data
from kps.synthetic import write_dataset
from kps.workspace import hardware, versions

VALIDATION_PHOTOS, TEST_PHOTOS = 32_153, 62_629
TRAIN_ITEMS, VALIDATION_ITEMS, RESULTS = 312_186, 52_490, 500_000
POOL_PHOTOS, MIN_POOL_PHOTOS = 300, 24  # drawn and then repeated; so few still show every category
# All below the temporary folder, in which the measures run; OUT is for what they write.
TREE, COCO_FILE, RUN = Path("tree"), Path("validation.json"), Path("predictions.npz")
ALL, TENTH, SUBMISSION, OUT = Path("all.json"), Path("tenth.json"), Path("submission.zip"), Path("out")

Facts = dict[str, Any]  # what a measure found


def convert() -> Facts:
    """Convert with a process for each core."""
    counts = convert_split(TREE, "validation", OUT)
    return {"photos": counts.num_images, "items": counts.num_items}


def convert_plainly() -> Facts:
    """Convert one photo after the other into one object, dumped at once."""
    images, annotations = [], []
    for path in sorted((TREE / "validation" / "annos").iterdir()):
        photo = TREE / "validation" / "image" / f"{path.stem}.jpg"
        value = json.loads(path.read_text())
        with Image.open(photo) as image:
            width, height = image.size
        images.append({"id": int(path.stem), "file_name": photo.name, "width": width, "height": height})
        for item in (value[key] for key in value if key.startswith("item")):
            keypoints = [0] * (3 * NUM_LANDMARKS)
            start = 3 * CATEGORIES[item["category_id"] - 1].first_index
            keypoints[start : start + len(item["landmarks"])] = item["landmarks"]
            x1, y1, x2, y2 = item["bounding_box"]
            annotations.append({
                "id": len(annotations) + 1, "image_id": int(path.stem), "category_id": item["category_id"],
                "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0,
                "num_keypoints": sum(v > 0 for v in item["landmarks"][2::3]), "keypoints": keypoints,
                "segmentation": item["segmentation"],
            })  # fmt: skip
    with open(OUT, "w") as file:
        json.dump(coco_head("drawn by lot") | {"images": images, "annotations": annotations}, file)
    return {"photos": len(images), "items": len(annotations)}


def evaluate(results: Path) -> Facts:
    """Read both files and score."""
    scores = evaluate_landmarks(load_coco(COCO_FILE), load_results(results))
    return {"results": scores.num_results, "AP": f"{scores.AP:.6f}"}


def evaluate_plainly(results: Path) -> Facts:
    """Read both files and score with pycocotools and the official sigmas."""
    truth = COCO(str(COCO_FILE))
    found = truth.loadRes(str(results))
    evaluation = COCOeval(truth, found, "keypoints")
    evaluation.params.kpt_oks_sigmas = np.array(SIGMAS)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {"results": len(found.anns), "AP": f"{evaluation.stats[0]:.6f}"}


def write_plainly(predictions: Predictions) -> Facts:
    """Write all rows with their 882 numbers as one text into one zip."""
    text = json.dumps(list(iter_results(predictions)))
    with zipfile.ZipFile(OUT, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME_IN_ZIP, text)
    return {"rows": len(predictions)}


def validate_plainly() -> Facts:
    """Load the whole list; nothing is checked but that each row has 882 numbers."""
    with zipfile.ZipFile(SUBMISSION) as archive, archive.open(NAME_IN_ZIP) as file:
        return {"rows": sum(len(row["keypoints"]) == 3 * NUM_LANDMARKS for row in json.load(file))}


def examine() -> Facts:
    """Look at every annotation and every photo's header."""
    from kps.data.doctor import diagnose  # here, since the workers of every measure import this script

    splits = diagnose(TREE).splits.values()
    return {"photos": sum(s.num_images for s in splits), "items": sum(s.num_items for s in splits)}


def compare(near: tuple[Instances, np.ndarray]) -> Facts:
    """Measure position, sigma and contour of the landmarks, and fuse them."""
    from kps.likeness import measure

    return {"annotations": len(near[0]), "landmarks": len(measure(near[0]).fused)}


def scattered(per_item: float) -> tuple[Instances, np.ndarray]:
    """Repeat the split's items, landmarks moved at random; also by how much (N,), in sides of the box."""
    rng = np.random.default_rng(0)
    items = load_coco(COCO_FILE).instances
    items = items.take(rng.permutation(np.arange(round(per_item * len(items))) % len(items)))
    distance = rng.gamma(2.0, 0.02, len(items))
    keypoints = items.keypoints.copy()
    spread = (distance * items.bbox_xywh[:, 2:].max(axis=1))[:, None, None]
    keypoints[:, :, :2] += rng.standard_normal((*keypoints.shape[:2], 2)) * spread
    return replace(items, keypoints=keypoints * (keypoints[:, :, 2:] > 0)), distance


class Measure(NamedTuple):
    """A row of the table; rows of the same `what` must find the same. `run` gets what `load` returns."""

    name: str
    what: str
    how: str
    run: Callable[..., Facts]  # this alone is measured
    load: Callable[[], Any] | None = None
    seconds: float = math.inf  # targets
    gb: float = math.inf


_load_run = partial(Predictions.load, RUN)
MEASURES = [
    Measure("convert", "conversion, validation", "kps convert", convert, seconds=60),
    Measure("convert", "conversion, validation", "json, PIL, one process", convert_plainly),
    Measure("read", "reading the COCO file, validation", "load_coco",
            lambda: {"annotations": len(load_coco(COCO_FILE).instances)}),
    Measure("read", "reading the COCO file, validation", "json.loads",
            lambda: {"annotations": len(json.loads(COCO_FILE.read_text())["annotations"])}),
    Measure("evaluate", "evaluation, all results", "kps evaluate", evaluate, lambda: ALL, 300, 12),
    Measure("evaluate", "evaluation, a tenth of the results", "kps evaluate", evaluate, lambda: TENTH),
    Measure("evaluate", "evaluation, a tenth of the results", "pycocotools", evaluate_plainly, lambda: TENTH),
    Measure("write", "writing the submission", "kps submit",
            lambda predictions: {"rows": write_submission(predictions, OUT)}, _load_run, seconds=60, gb=1),
    Measure("write", "writing the submission", "json.dumps, zipfile", write_plainly, _load_run),
    Measure("validate", "validating the submission", "kps validate",
            lambda: {"rows": validate_submission(SUBMISSION).num_rows}),
    Measure("validate", "validating the submission", "json.load", validate_plainly),
    Measure("doctor", "looking at every file", "kps doctor", examine),
    Measure("homogeneity", "landmark homogeneity, train", "position, sigma, contour, fused", compare,
            partial(scattered, TRAIN_ITEMS / VALIDATION_ITEMS)),
]  # fmt: skip


def prepare(scale: float) -> None:
    """Make everything that the measures read, or a share of it, in the working folder."""
    make_tree(scale)
    convert_split(TREE, "validation", COCO_FILE)
    near, distance = scattered(1.1 * RESULTS / VALIDATION_ITEMS)
    rows = np.arange(1, len(near) + 1)
    score = np.clip(np.exp(-10 * distance) + np.random.default_rng(1).normal(0, 0.1, len(near)), 0.001, 1)
    results = Predictions(rows, near.image_id, near.category_id, near.bbox_xywh, score, score, near.keypoints)
    results = results.take(top_rows(results)[: max(10, round(scale * RESULTS))])
    results.save(RUN)
    for path, step in ((TENTH, 10), (ALL, 1)):  # the whole list remains as the submission
        write_submission(results.take(np.arange(0, len(results), step)), SUBMISSION)
        with zipfile.ZipFile(SUBMISSION) as archive:
            Path(archive.extract(NAME_IN_ZIP)).rename(path)


def make_tree(scale: float) -> None:
    """Deal items of the built-in set, as many of each category as in Table 3, to hard-linked photos of it."""
    rng = np.random.default_rng(0)
    pool_photos = max(MIN_POOL_PHOTOS, round(scale * POOL_PHOTOS))
    write_dataset(Path("pool"), train=pool_photos, validation=0, test=0, seed=0)
    pool = defaultdict(list)
    for path in sorted(Path("pool/train/annos").iterdir()):
        for _, item in read_annotation(path).items:
            pool[item["category_id"]].append((f"pool/train/image/{path.stem}.jpg", item))
    for folder in ("validation/annos", "validation/image", "test/image"):
        (TREE / folder).mkdir(parents=True)
    table = orjson.loads(package_data("report/paper_tables.json"))["table3"]
    counts = [max(1, round(scale * count)) for count in table["num_val"]]
    photos = [[] for _ in range(max(1, round(scale * VALIDATION_PHOTOS)))]
    for number, kind in enumerate(rng.permutation(np.repeat(np.arange(1, NUM_CATEGORIES + 1), counts))):
        place = number if number < len(photos) else rng.integers(len(photos))  # at least one on each
        photos[place].append(pool[kind][rng.integers(len(pool[kind]))])
    for number, dealt in enumerate(photos, start=1):
        os.link(dealt[0][0], TREE / f"validation/image/{number:06d}.jpg")
        items = {f"item{place}": item for place, (_, item) in enumerate(dealt, start=1)}
        text = orjson.dumps({"source": "user", "pair_id": number, **items})
        (TREE / f"validation/annos/{number:06d}.json").write_bytes(text)
    for number in range(1, max(1, round(scale * TEST_PHOTOS)) + 1):
        os.link(f"pool/train/image/{1 + number % pool_photos:06d}.jpg", TREE / f"test/image/{number:06d}.jpg")


_ready: list[Callable[[], Facts]] = []  # in the measured process


def _load(number: int) -> int:
    sys.stdout = sys.stderr  # pycocotools prints
    row = MEASURES[number]
    _ready.append(partial(row.run, row.load()) if row.load else row.run)
    return os.getpid()


def _run() -> tuple[float, Facts]:
    started = time.perf_counter()
    facts = _ready[0]()
    return time.perf_counter() - started, facts


def measure_row(row: Measure) -> list[str]:
    """Measure in a process of its own and return the cells of the table's row."""
    print(f"measuring {row.what}: {row.how}", file=sys.stderr, flush=True)
    limits = {"s": row.seconds, "GB": row.gb}
    target = ", ".join(f"at most {limit:g} {unit}" for unit, limit in limits.items() if limit < math.inf)
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            process = psutil.Process(pool.submit(_load, MEASURES.index(row)).result())
            start = peak = _resident(process)
            future = pool.submit(_run)
            while not wait([future], 0.02).done:
                peak = max(peak, _resident(process))
            seconds, facts = future.result()
    except Exception as error:  # too little memory, mostly; the other rows are still worth having
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return [row.what, row.how, "not run", "", reason, target, ""]
    gb = (peak - start) / 1e9
    result = ", ".join(f"{n:,} {key}" if isinstance(n, int) else f"{key} {n}" for key, n in facts.items())
    met = target and ("yes" if seconds <= row.seconds and gb <= row.gb else "no")
    return [row.what, row.how, f"{seconds:.1f}", f"{gb:.2f}", result, target, met]


def _resident(process: psutil.Process) -> int:
    """Resident bytes of a process and its workers; 0 where one of them ends just now."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return sum(member.memory_info().rss for member in (process, *process.children(recursive=True)))
    return 0


def make_page(rows: list[list[str]], scale: float) -> str:
    """Return the page in Markdown."""
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "orjson", "pillow", "pycocotools"))
    return f"""# Data benchmarks

Time and memory of the data paths at the size of the released data set, beside the plain way to do the same.
Photos and annotations are those of the built-in set, repeated; counts are the data set's, items of each
category those of Table 3 of the paper. Written by

```
python scripts/bench.py --scale {scale:g} --out docs/benchmarks.md
```

| what | how | seconds | memory, GB | result | target | met |
| --- | --- | ---: | ---: | --- | --- | --- |
{table}

Memory is the peak above the start of what is timed, as resident memory of the process and its workers; pages
that they share count in each. The plain ways keep everything in memory, in one process, and check next to
nothing. Ours and the plain way must give the same result, or the script fails.

Machine: {hardware()}; Python {versions()["python"]}, {libraries}.

Training and prediction on a GPU were not measured, since none was at hand: `scripts/bench_gpu.py` does it in
one call.
"""


def main(argv: list[str] | None = None) -> int:
    """Prepare, measure, print; 1 where a measure failed or ours and the plain way disagree."""
    names = list(dict.fromkeys(row.name for row in MEASURES))
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {names}")
    parser.add_argument("--scale", type=float, default=1.0, help="of every count, for a quick look (1)")
    parser.add_argument("--out", type=Path, help="write the page there too")
    arguments = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            prepare(arguments.scale)
            rows = [measure_row(row) for row in MEASURES if row.name in arguments.only]
        print(page := make_page(rows, arguments.scale))
        if arguments.out:
            with atomic_path(arguments.out) as temporary:
                temporary.write_text(page, encoding="utf-8")
    except InputError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    found = {row[0]: row[4] for row in reversed(rows) if row[2] != "not run"}
    wrong = [row for row in rows if row[4] != found.get(row[0])]
    for what, how, _, _, got, *_ in wrong:
        print(f"bench: {what}, {how}: expected {found.get(what, 'a result')}, but got {got}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
