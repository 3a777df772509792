"""The data of a run: COCO files of the three splits, ground-truth boxes, and where the photos lie."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kps.data.coco import Coco, category_counts, load_coco, save_selection
from kps.data.convert import check_limit, convert_split
from kps.data.photos import stored_path
from kps.data.raw import find_raw
from kps.evaluation.labels import check_labels
from kps.files import InputError, progress, read_json, write_json
from kps.results.detections import ground_truth_detections, save_detections
from kps.synthetic import write_dataset
from kps.workspace import BUILT_IN, GROUND_TRUTH, HANDLING, REPOSITORY, SPLITS, Workspace, code_sha256

LINES_SHOWN = 5  # of what a conversion skipped
NOTHING_LABELLED = "{}: expected a labelled landmark in the {} split, but none of its {} garments has one"


def prepare_built_in(
    work: Workspace, *, photos: dict[str, int], seed: int, limit: int | None = None
) -> dict[str, Coco]:
    """Make the procedural set in the workspace, unless this very one is there, and convert it.

    `photos` says how many of each split. InputError: the folder holds something that was not made here.
    """
    check_limit(limit)
    note = work.built_in_data / "built_in.json"
    code = code_sha256(["kps.synthetic"], without=HANDLING)  # an edited generator draws others
    wanted = {**photos, "seed": seed, "code_sha256": code}
    if note.exists() and read_json(note) != wanted:
        shutil.rmtree(work.built_in_data)
    if not note.exists():
        write_dataset(work.built_in_data, **photos, seed=seed)
        write_json(note, wanted)
    return prepare_raw(work, work.built_in_data, source=BUILT_IN, limit=limit)


def prepare_raw(work: Workspace, data_root: Path, *, source: str, limit: int | None = None) -> dict[str, Coco]:
    """Convert a raw DeepFashion2 folder into the workspace; return the splits.

    Files and items that cannot be converted are skipped; how many, and the first of them, is printed. The test split
    may be absent; `limit` takes only the first so many photos of each. InputError: a part of the folder is absent, or
    holds nothing that can be converted or learnt from.
    """
    folders = {}
    for split in SPLITS if has_test({"data_root": Path(data_root).resolve()}) else SPLITS[:2]:
        visible_only = None if split == "test" else work.coco_visible_only(split)
        counts = convert_split(data_root, split, work.coco(split), visible_only_out=visible_only, limit=limit)
        if counts.num_skipped:
            print(f"{split}: skipped {counts.num_skipped} files or items that cannot be converted")
            print("\n".join(f"  {line}" for line in counts.skipped[:LINES_SHOWN]), flush=True)
        if split != "test" and counts.num_items == counts.num_items_without_landmarks:
            raise InputError(NOTHING_LABELLED.format(data_root, split, counts.num_items))
        folders[split] = find_raw(data_root).split(split).image_dir.resolve()
    return _finish(work, folders, source)


def prepare_coco(
    work: Workspace, files: Mapping[str, Path], folders: Mapping[str, Path], *, limit: int | None = None
) -> dict[str, Coco]:
    """Use ready COCO-294 files and folders of photos, by split; return the splits.

    The test split may be absent, or without annotations. One file for all is for a look at the flow: scores on what was
    trained on mean little. Photos that train has in common with another split are named in a warning. InputError: a
    file is malformed or contradicts itself or its photos, or has no landmark; a photo is absent, or a file would be
    written to.
    """
    check_limit(limit)
    folders = {split: Path(folders[split]).resolve() for split in files}
    read = {path: load_coco(path) for path in files.values()}
    ids, photos, doubts = {}, {}, {}
    for split, path in files.items():
        rows = read[path].images[:limit]
        ids[split] = {row.id for row in rows}
        photos[split] = {str(folders[split] / row.file_name) for row in rows}
        coco = read[path].subset(image_ids=ids[split])
        labelled = coco.instances.counted
        if split != "test" and not labelled.any():
            raise InputError(NOTHING_LABELLED.format(path, split, len(labelled)))
        if missing := [photo for photo in photos[split] if not stored_path(Path(photo)).exists()]:
            raise InputError(f"{path}: expected its photos, but {min(missing)} is not there")
        if Path(path).resolve().parent == work.coco(split).parent.resolve():
            raise InputError(f"{path}: expected a file outside the folder that is written to")
        doubts |= dict.fromkeys(check_labels(coco, folders[split]))
    for line in doubts:
        print(f"warning: {line}", flush=True)
    for split in files:
        if split != "train" and (common := photos["train"] & photos[split]):
            print(f"warning: train and {split} have {len(common)} photos in common, such as {min(common)}")
        save_selection(files[split], work.coco(split), ids[split])
        save_selection(files[split], work.coco_visible_only(split), ids[split], visible_only=True)
    return _finish(work, folders, str(files["train"]))


def _finish(work: Workspace, folders: Mapping[str, Path], source: str) -> dict[str, Coco]:
    """Note the image folders, read the COCO files back, write the truth's boxes in the detectors' format."""
    work.write_data(dict(folders), source=source)
    if "test" not in folders:
        print("no test split: nothing will be predicted on it, and there is nothing to submit")
    splits = {split: load_coco(work.coco(split)) for split in progress(folders, desc="reading back", unit="split")}
    for split, coco in splits.items():
        if len(coco.instances):
            save_detections(work.detections(GROUND_TRUTH, split), ground_truth_detections(coco))
    return splits


def coco_sources(given: Mapping[str, Any]) -> tuple[dict[str, Path], dict[str, Path]]:
    """The COCO file and the image folder of each split, from the parameters of 01_prepare_data.

    `coco_file` serves as all three splits; `train_file`, `validation_file` and perhaps `test_file` are one each.
    `image_dir` is the folder of each split without a `train_images` (or so) of its own. InputError: files without
    photos or photos without a file, a split that is absent or has two files, or a raw folder beside them.
    """
    files = {split: given.get(f"{split}_file") for split in SPLITS}
    whole, shared = given.get("coco_file"), given.get("image_dir")
    if given.get("data_root") and (whole or any(files.values())):
        raise InputError("--data-root and --coco-file exclude each other: give one")
    if whole and any(files.values()):
        raise InputError(f"expected a --coco-file of all or of each of {', '.join(SPLITS)}, but got both")
    files = dict.fromkeys(SPLITS, whole) if whole else files
    folders = {split: given.get(f"{split}_images") or (file and shared) for split, file in files.items()}
    used = any(files.values()) or shared
    for split, file in files.items():
        if bool(file) != bool(folders[split]) or (used and not file and split != "test"):
            raise InputError(
                f"--coco-file and --image-dir belong together: the {split} split needs a file and its photos"
            )
    return tuple({split: Path(value) for split, value in of.items() if value} for of in (files, folders))


def has_test(given: Mapping[str, Any]) -> bool:
    """Whether there is a test split, from the parameters of 01_prepare_data; an empty raw folder is none."""
    if files := coco_sources(given)[0]:
        return "test" in files
    if not (root := given.get("data_root")):
        return bool(given.get("test_photos", True))
    with suppress(InputError):  # 01_prepare_data says what is wrong with the folder
        raw = find_raw(REPOSITORY / root)
        test = raw.splits.get("test")
        return "test" in raw.copies or (test is not None and bool(os.listdir(test.image_dir)))
    return True


def item_counts(splits: dict[str, Coco]) -> dict[str, dict[str, int]]:
    """Garments of each category by split, as the records hold them: {"train": {"1": 12, ...}, ...}."""
    counts = {split: category_counts(coco.instances.category_id) for split, coco in splits.items()}
    return {split: {str(i + 1): int(n) for i, n in enumerate(values)} for split, values in counts.items()}


def contents(coco: Coco) -> dict[str, int]:
    """What a split holds, in words and numbers."""
    visibility = coco.instances.keypoints[:, :, 2]
    return {
        "photos": len(coco.images),
        "garments": len(coco.instances),
        "garments without landmarks": int((coco.instances.num_keypoints == 0).sum()),
        "landmarks visible": int((visibility == 2).sum()),
        "landmarks occluded": int((visibility == 1).sum()),
    }
