"""kps.models.landmarks: every category gets its checkpoint, and a missing one is named."""

import pytest

from kps.files import InputError
from kps.results.locating import landmark_checkpoints
from kps.schema import CATEGORIES
from kps.workspace import FINAL, Workspace, write_record


@pytest.fixture
def work(tmp_path) -> Workspace:
    """A workspace with a universal checkpoint and plain finetuned ones for all categories but the third."""
    work = Workspace(tmp_path)
    folders = [work.universal_dir("hand81")]
    folders += [work.finetune_dir("hand81", "plain", item.id) for item in CATEGORIES if item.id != 3]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / FINAL).touch()
    return work


def write_finetune_record(work: Workspace, *, train_items: int) -> None:
    step = "06_finetune_category_hand81_plain_03"
    nothing = {"parameters": {}, "inputs": {}, "outputs": {}, "seconds": 0}
    write_record(work.record(step), step=step, metrics={"train_items": train_items}, **nothing)


def test_the_universal_model_serves_all(work):
    universal = work.universal_dir("hand81") / FINAL
    assert landmark_checkpoints(work, "universal", "hand81") == {item.id: universal for item in CATEGORIES}


@pytest.mark.parametrize("other_data", [False, True])
def test_a_category_without_garments_keeps_the_universal_model(work, other_data):
    if other_data:  # of which a checkpoint was left
        left = work.finetune_dir("hand81", "plain", 3) / FINAL
        left.parent.mkdir()
        left.touch()
        assert landmark_checkpoints(work, "finetune_plain", "hand81")[3] == left
    write_finetune_record(work, train_items=0)
    checkpoints = landmark_checkpoints(work, "finetune_plain", "hand81")
    assert checkpoints[3] == work.universal_dir("hand81") / FINAL
    assert checkpoints[4] == work.finetune_dir("hand81", "plain", 4) / FINAL


@pytest.mark.parametrize("train_items", [None, 5])
def test_a_forgotten_category_is_named(work, train_items):
    if train_items is not None:
        write_finetune_record(work, train_items=train_items)
    with pytest.raises(InputError, match=r"finetune category 3 \(plain\) first"):
        landmark_checkpoints(work, "finetune_plain", "hand81")


def test_wrong_names_and_missing_models_are_refused(work):
    with pytest.raises(InputError, match="model: expected universal or finetune_VARIANT"):
        landmark_checkpoints(work, "best", "hand81")
    with pytest.raises(InputError, match="train the universal landmark model first"):
        landmark_checkpoints(work, "universal", "identity")
