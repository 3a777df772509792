"""One static page to look at results: photos with truth and predictions, the worst first, two runs side by side."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson

from kps.data.coco import Coco, load_coco
from kps.evaluation.causes import MISSED_BOX
from kps.evaluation.matching import BACKGROUND, DUPLICATE, OWN, WRONG_CATEGORY, associate, check_images
from kps.evaluation.scores import ITEM_SUBSETS
from kps.figures.garments import DOUBTFUL
from kps.figures.style import CATEGORY_COLOURS
from kps.files import InputError, atomic_path, sha256
from kps.results.predictions import Predictions, top_rows
from kps.schema import CATEGORIES, category
from kps.workspace import Workspace

PAGE = Path(__file__).with_suffix(".html")
CAUSES = (OWN, DUPLICATE, WRONG_CATEGORY, BACKGROUND, MISSED_BOX)  # what a result is, or an item
LEAST_SCORE = 0.02  # what is below is not put into the page
PREFERRED = ("ensemble", "finetune_flip", "finetune_plain", "universal")  # of a run's predictions


def view(runs: list[Path], out: Path, *, split: str = "validation", name: str | None = None) -> Path:
    """Write the page of one or two work folders of the same photos; return its path.

    InputError: no predictions there, runs of other photos, or `out` is a file of another kind.

    Args:
        runs: work folders, whose photos and truth are the first one's.
        out: the page.
        split: of which the predictions are.
        name: of the predictions; by default the first of PREFERRED that is there.
    """
    first, predictions = Workspace(runs[0]), {}
    for run in runs:
        work = Workspace(run)
        names = [one for one in ([name] if name else PREFERRED) if work.predictions(one, split).exists()]
        if not names:
            expected = name or " or ".join(PREFERRED)
            raise InputError(f"{run}: expected predictions of {split}, {expected}, but found none")
        if sha256(work.coco(split)) != sha256(first.coco(split)):
            raise InputError(f"{work.coco(split)}: expected the photos of {first.coco(split)}, but it is another file")
        label = names[0] if len(runs) == 1 else f"{run} {names[0]}"
        predictions[label] = Predictions.load(work.predictions(names[0], split))
    write_view(out, load_coco(first.coco(split)), first.image_dir(split), predictions)
    return out


def write_view(out: Path, truth: Coco, image_dir: Path, runs: Mapping[str, Predictions]) -> None:
    """Write the page; photos are linked from where they lie. InputError: see `view`."""
    page = PAGE.read_text(encoding="utf-8")
    if out.exists() and not out.read_bytes().startswith(page[:30].encode()):
        raise InputError(f"{out}: would be overwritten, and is no page of `kps view`")
    folder = os.path.relpath(Path(image_dir).resolve(), out.resolve().parent)
    photos: dict[int, dict[str, Any]] = {
        row.id: {"n": row.id, "f": quote(f"{folder}/{row.file_name}"), "w": row.width, "h": row.height}
        | {"t": [], "r": [[] for _ in runs], "o": []}
        for row in truth.images
    }
    results, items = [], truth.instances
    causes, oks = np.zeros((2, len(items), len(runs)))
    for number, (name, found) in enumerate(runs.items()):
        check_images(truth, found.image_id, Path(name))
        found = found.take(np.intersect1d(top_rows(found), np.flatnonzero(found.score >= LEAST_SCORE)))
        joined = associate(items, items.counted, found)
        own = np.flatnonzero(joined.kind == OWN)
        oks[joined.item[own], number] = joined.oks[own]
        causes[:, number] = np.where(joined.result < 0, CAUSES.index(MISSED_BOX), CAUSES.index(WRONG_CATEGORY))
        causes[joined.item[own], number] = CAUSES.index(OWN)
        results.append((found, joined.kind, joined.oks))
    for i in np.flatnonzero(items.counted):
        kind = category(int(items.category_id[i]))
        points = np.round(items.keypoints[i, : kind.num_landmarks]).astype(int).ravel().tolist()
        attributes = [int(items.attributes[name][i]) for name in ITEM_SUBSETS]
        row = [kind.id - 1, 0, points, attributes, causes[i].astype(int).tolist()]
        photos[int(items.image_id[i])]["t"].append([*row, np.round(oks[i], 3).tolist()])
    for number, (found, kinds, fit) in enumerate(results):
        for i in np.argsort(-found.score, kind="stable"):
            own = category(int(found.category_id[i]))
            points = found.keypoints[i, : own.num_landmarks] * [1, 1, 100]
            row = [own.id - 1, round(float(found.score[i]), 3), round(float(fit[i]), 3), CAUSES.index(kinds[i])]
            photos[int(found.image_id[i])]["r"][number].append([*row, np.round(points).astype(int).ravel().tolist()])
    for photo in photos.values():  # of the garments on it
        photo["o"] = [round(float(np.mean([one[5][r] for one in photo["t"]] or [1.0])), 3) for r in range(len(runs))]
    kinds = [
        {"name": one.name, "colour": CATEGORY_COLOURS[one.id], "links": [[a - 1, b - 1] for a, b in one.outline_links]}
        for one in CATEGORIES
    ]
    value = {"kinds": kinds, "attributes": ITEM_SUBSETS, "causes": CAUSES, "doubtful": 100 * DOUBTFUL}
    value |= {"runs": list(runs), "photos": list(photos.values())}
    with atomic_path(out) as temporary:
        text = orjson.dumps(value).decode().replace("</", "<\\/")
        temporary.write_text(page.replace("DATA", text, 1), encoding="utf-8")
