"""Edited code and edited inputs are seen, and only by what runs or reads them."""

import os
import shutil
from pathlib import Path

import pytest
from garment_photos import write_photos
from small_models import detector_config, landmark_config

from kps import workspace as identity
from kps.aggregation import Aggregation
from kps.flow.notebook import step_state
from kps.flow.steps import NOTEBOOKS
from kps.models.run_identity import with_identity
from kps.workspace import REPOSITORY, Workspace, code_sha256, content_sha256

EDIT = "\nEDITED = True\n"


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A copy of the package that may be edited; it is read, not run."""
    copy = shutil.copytree(REPOSITORY / "kps", tmp_path / "kps", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(identity, "PACKAGE", copy)
    identity._file.cache_clear()
    yield copy
    identity._file.cache_clear()


def edit(path: Path, text: str = EDIT) -> None:
    path.write_text(path.read_text() + text)


def codes(folder: Path) -> dict[str, dict]:
    """The code of each step by the first two digits of its name, and of both models' trainings."""
    found = {name[:2]: step_state(name, {}, Workspace(folder)) for name in NOTEBOOKS}
    files = {"coco_file": folder / "none.json", "image_dir": folder, "work_dir": folder, "size": "tiny"}
    hand = Aggregation.named("hand81")
    found["detector"] = with_identity(detector_config(**files))
    found["landmarks"] = with_identity(landmark_config(**files, aggregation=hand))
    found["chosen"] = with_identity(landmark_config(**files, aggregation=hand, held_out=0.2))
    return {name: state["code_sha256"] for name, state in found.items()}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("figures/charts.py", "10 11"),
        ("report/page.py", "10 11"),
        ("models/landmark_head.py", "05 06 07 11 landmarks chosen"),
        ("models/detector.py", "04 detector"),
        ("models/hooks.py", "04 05 06 07 detector landmarks chosen"),  # of the training loop
        ("evaluation/matching.py", "01 03 04 05 06 07 08 10 11 chosen"),
        ("data/aggregation_81.json", "02 03 05 06 07 10 11 landmarks chosen"),
        ("flow/run.py", ""),
    ],
)
def test_an_edit_reaches_what_runs_it(package, tmp_path, module, expected):
    before = codes(tmp_path)
    edit(package / module, EDIT if module.endswith(".py") else " ")
    after = codes(tmp_path)
    assert {name for name in after if after[name] != before[name]} == set(expected.split())


def test_only_what_python_runs_counts(package):
    module = package / "models" / "landmark_head.py"
    before = code_sha256(["kps.models.landmark_head"])
    text = module.read_text().replace('"""Change contrast', '"""Alter contrast', 1)
    module.write_text(text.replace("(inputs, self.fold)", "(\n    inputs,  # batch\n    self.fold)") + "# end\n")
    assert code_sha256(["kps.models.landmark_head"]) == before
    module.write_text(text.replace("MIN_SCALE = 0.7", "MIN_SCALE = 0.8"))
    assert identity.changed_names(before, code_sha256(before)) == "kps.models.landmark_head"


def test_a_folder_counts_by_content_of_annotations_and_state_of_photos(tmp_path):
    root, label, photo = tmp_path / "raw", tmp_path / "raw/annos/1.json", tmp_path / "raw/image/1.jpg"
    for path in (label, photo, root / "run" / "out.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[1, 2]")
    seen = [content_sha256(root, root / "run")]
    times = os.stat(label)
    os.utime(label)
    (root / "run" / "out.json").write_text("written by the step itself")
    assert content_sha256(root, root / "run") == seen[0]
    label.write_text("[1, 3]")
    os.utime(label, ns=(times.st_atime_ns, times.st_mtime_ns))
    seen.append(content_sha256(root, root / "run"))
    os.utime(photo, ns=(0, 0))
    seen.append(content_sha256(root, root / "run"))
    label.rename(label.with_name("2.json"))
    assert len({*seen, content_sha256(root, root / "run")}) == 4


def test_photos_belong_to_a_training_by_content(tmp_path):
    file = write_photos(tmp_path, count=2)
    config = detector_config(coco_file=file, image_dir=file.parent / "image", work_dir=tmp_path, size="tiny")
    before = with_identity(config)["input_sha256"]
    photo = next((file.parent / "image").iterdir())
    os.utime(photo, ns=(0, 0))
    assert with_identity(config)["input_sha256"] == before and set(before) == {"ann_file", "photos"}
    content = bytearray(photo.read_bytes())
    content[-1] ^= 1
    photo.write_bytes(content)
    assert with_identity(config)["input_sha256"]["photos"] != before["photos"]


def test_weights_to_start_from_belong_to_a_training_by_content(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"1")
    files = {"coco_file": tmp_path / "none.json", "image_dir": tmp_path, "work_dir": tmp_path}
    config = detector_config(**files, size="tiny", pretrained=str(tmp_path / "weights.pth"))
    before = with_identity(config)["input_sha256"]
    (tmp_path / "weights.pth").write_bytes(b"2")
    assert before.keys() == {"pretrained"} and with_identity(config)["input_sha256"] != before
