"""The data of a run: COCO files of the three splits, ground-truth boxes, and where the photos lie."""

from __future__ import annotations

import shutil
from pathlib import Path

import kps
from kps.coco import Coco, category_counts, load_coco
from kps.coco_selection import save_selection
from kps.convert import check_limit, convert_split
from kps.detections import ground_truth_detections, save_detections
from kps.errors import InputError
from kps.files import progress, read_json, write_json
from kps.photos import stored_path
from kps.raw import find_raw
from kps.synthetic import write_dataset
from kps.workspace import GROUND_TRUTH, SPLITS, Workspace

BUILT_IN = "built-in"  # the source of the procedural data, as the records have it
LINES_SHOWN = 5  # of what a conversion skipped


def prepare_built_in(
    work: Workspace, *, photos: dict[str, int], seed: int, limit: int | None = None
) -> dict[str, Coco]:
    """Make the procedural set in the workspace, unless this very one is there, and convert it.

    Args:
        photos: how many of "train", "validation" and "test".
        seed: of the photos.

    Raises:
        InputError: the folder holds something that was not made here.
    """
    check_limit(limit)
    note, wanted = work.built_in_data / "built_in.json", {**photos, "seed": seed, "version": kps.__version__}
    if note.exists() and read_json(note) != wanted:
        shutil.rmtree(work.built_in_data)
    if not note.exists():
        write_dataset(work.built_in_data, **photos, seed=seed)
        write_json(note, wanted)
    return prepare_raw(work, work.built_in_data, source=BUILT_IN, limit=limit)


def prepare_raw(
    work: Workspace, data_root: Path, *, source: str, limit: int | None = None
) -> dict[str, Coco]:
    """Convert a raw DeepFashion2 folder into the workspace; return the splits.

    Files and items that cannot be converted are skipped; how many, and the first of them, is printed.

    Args:
        work: gets COCO files (also visible-only ones), ground-truth boxes and its note of the image folders.
        data_root: the raw folder; it is only read.
        source: the data in words, for the records.
        limit: only the first so many photos of each split.

    Raises:
        InputError: a part of the folder is absent, or holds nothing that can be converted.
    """
    for split in SPLITS:
        visible_only = None if split == "test" else work.coco_visible_only(split)
        counts = convert_split(data_root, split, work.coco(split), visible_only_out=visible_only, limit=limit)
        if counts.num_skipped:
            print(f"{split}: skipped {counts.num_skipped} files or items that cannot be converted")
            print("\n".join(f"  {line}" for line in counts.skipped[:LINES_SHOWN]), flush=True)
    folders = {split: find_raw(data_root).split(split).image_dir.resolve() for split in SPLITS}
    work.write_data(folders, source=source)
    return _finish(work)


def prepare_coco(
    work: Workspace, coco_file: Path, image_dir: Path, *, limit: int | None = None
) -> dict[str, Coco]:
    """Use a ready COCO-294 file as train, validation and test alike; return the splits.

    For small sets whose purpose is to see the flow on real photos: scores on what was trained on mean little.

    Raises:
        InputError: the file is malformed, or the first photo without a file is named.
    """
    check_limit(limit)
    coco = load_coco(coco_file)
    kept = coco.images[:limit]
    missing = [row.file_name for row in kept if not stored_path(Path(image_dir) / row.file_name).exists()]
    if missing:
        raise InputError(f"{image_dir}: expected the photos of {coco_file}, but {missing[0]} is not there")
    ids = {row.id for row in kept}
    for split in SPLITS:
        save_selection(coco_file, work.coco(split), ids)
        save_selection(coco_file, work.coco_visible_only(split), ids, visible_only=True)
    folder = Path(image_dir).resolve()
    work.write_data(dict.fromkeys(SPLITS, folder), source=str(coco_file))
    return _finish(work)


def _finish(work: Workspace) -> dict[str, Coco]:
    """Read the COCO files back and write the ground truth's boxes in the detectors' format."""
    splits = {
        split: load_coco(work.coco(split)) for split in progress(SPLITS, desc="reading back", unit="split")
    }
    for split, coco in splits.items():
        if len(coco.instances):
            save_detections(work.detections(GROUND_TRUTH, split), ground_truth_detections(coco))
    return splits


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
