"""A part of a COCO file: the same rows, whole or not at all."""

import pytest
from builders import make_coco

from kps.data.coco import load_coco, save_selection
from kps.files import InputError, read_json


@pytest.mark.parametrize("visible_only", [False, True])
def test_the_selection_is_the_subset(tmp_path, visible_only):
    coco = make_coco(tmp_path, (1, 8, 13, 1))
    save_selection(coco.path, tmp_path / "part.json", [2, 4], visible_only=visible_only)
    part = load_coco(tmp_path / "part.json")
    expected = coco.subset(image_ids=[2, 4])
    expected = expected.visible_only() if visible_only else expected
    assert part.images == expected.images
    for name in ("annotation_id", "image_id", "category_id", "bbox_xywh", "keypoints", "num_keypoints"):
        assert (getattr(part.instances, name) == getattr(expected.instances, name)).all()
    if not visible_only:
        rows = {row["id"]: row for row in read_json(coco.path)["annotations"]}
        assert all(rows[row["id"]] == row for row in read_json(tmp_path / "part.json")["annotations"])


def test_nothing_selected_is_a_file_without_rows(tmp_path):
    coco = make_coco(tmp_path, (1,))
    save_selection(coco.path, tmp_path / "none.json", [])
    part = load_coco(tmp_path / "none.json")
    assert part.images == () and len(part.instances) == 0


def test_a_broken_file_leaves_what_was_there(tmp_path):
    (tmp_path / "broken.json").write_text('{"images": [')
    (tmp_path / "out.json").write_text("before")
    with pytest.raises(InputError, match=r"broken\.json"):
        save_selection(tmp_path / "broken.json", tmp_path / "out.json", [1])
    assert (tmp_path / "out.json").read_text() == "before"
