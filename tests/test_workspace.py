"""Every artifact has one path, and no two share one."""

from pathlib import Path

import pytest

from kps.errors import InputError
from kps.workspace import SPLITS, Workspace, submission_zip

WORKSPACE = Workspace(Path("runs/test"))


def test_paths_are_distinct_and_inside_the_workspace() -> None:
    paths = [WORKSPACE.built_in_data, WORKSPACE.data, WORKSPACE.homogeneity, WORKSPACE.report]
    paths += [path(split) for split in SPLITS for path in (WORKSPACE.coco, WORKSPACE.coco_visible_only)]
    paths += [WORKSPACE.detections("htc", split) for split in SPLITS]
    paths += [WORKSPACE.predictions(run, split) for run in ("a", "b") for split in SPLITS]
    paths += [
        WORKSPACE.finetune_dir("hand81", variant, c) for variant in ("plain", "lr_1e-3") for c in range(1, 14)
    ]
    paths += [
        WORKSPACE.universal_dir("hand81"),
        WORKSPACE.universal_dir("identity"),
        WORKSPACE.detector_dir("htc"),
    ]
    paths += [WORKSPACE.record("01"), WORKSPACE.executed("01"), WORKSPACE.aggregation("hand81")]
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to(WORKSPACE.root) for path in paths)
    assert submission_zip("demo") == Path("submissions/demo/submission.zip")


def test_unknown_splits_and_variants_are_refused() -> None:
    with pytest.raises(InputError, match="train, validation, test"):
        WORKSPACE.coco("val")
    with pytest.raises(InputError, match="a variant's name"):
        WORKSPACE.finetune_dir("hand81", "../flip", 1)


def test_image_folders_are_remembered(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write_data({"train": tmp_path / "image"}, source="built-in")
    assert workspace.image_dir("train") == tmp_path / "image"
    assert workspace.data_source() == "built-in"
    with pytest.raises(InputError, match="no images of the test split"):
        workspace.image_dir("test")
