"""All ten notebooks on data of one category and few photos, without a test split."""

import pytest
from builders import make_item, make_raw_folder

from kps.__main__ import main
from kps.files import InputError, read_json
from kps.flow.notebook import run_notebook
from kps.workspace import Workspace

# The second finetuning and a garment of validation are of categories that train does not have.
PROFILE = """
configs: {htc: htc_tiny, cascade: cascade_tiny, landmarks: hrnet_tiny}
steps:
  - 01_prepare_data
  - 02_landmark_homogeneity
  - 03_aggregation_mapping
  - 04_train_detector: {epochs: 1}
  - 05_train_landmarks: {epochs: 1, held_out: 0.3}
  - 06_finetune_category: {category_id: 8, epochs: 1, held_out: 0.3}
  - 06_finetune_category: {category_id: 2, epochs: 1, held_out: 0.3}
  - 07_predict_landmarks: {run: flipped, model: universal}
  - 07_predict_landmarks: {run: plain, model: universal, flip_test: false}
  - 08_ensemble: {runs: [flipped, plain]}
  - 09_submission
  - 10_report
"""
STEPS = 11

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Workspace:
    folder = tmp_path_factory.mktemp("narrow")
    for split, kinds in {"train": (8, 8, 8, 8), "validation": (8, 1)}.items():
        for number, kind in enumerate(kinds, start=1):
            item = make_item(kind, seed=number)
            make_raw_folder(folder / "raw", {"item1": item}, split=split, image_id=number)
    (folder / "narrow.yaml").write_text(PROFILE)
    command = ["run", "--profile", str(folder / "narrow.yaml"), "--workspace", str(folder / "work")]
    assert main([*command, "--data-root", str(folder / "raw")]) == 0
    return Workspace(folder / "work")


def test_every_step_but_the_submission_is_done(work):
    records = {path.stem: read_json(path) for path in work.record("any").parent.iterdir()}
    assert len(records) == STEPS and "09_submission" not in records
    assert records["03_aggregation_mapping_hand81"]["metrics"]["derived_groups"] == 294
    finetuned = [bool(records[f"06_finetune_category_hand81_plain_{i:02d}"]["outputs"]) for i in (8, 2)]
    assert finetuned == [True, False]
    assert records["08_ensemble_ensemble"]["parameters"]["splits"] == ["validation"]
    assert '<td class="missing">not run</td>' in work.report.read_text()


def test_a_submission_without_a_test_split_is_one_line(work):
    with pytest.raises(InputError, match="no images of the test split, only of train, validation"):
        run_notebook("09_submission", {"run": "plain"}, workspace=work.root)


def test_a_map_that_cannot_be_derived_is_not_handed_to_the_models(work):
    with pytest.raises(InputError, match="expected thresholds that merge something"):
        run_notebook("03_aggregation_mapping", {"aggregation": "derived"}, workspace=work.root)
