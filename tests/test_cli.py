"""The command line: exit codes, one line for bad input, what each command writes and says."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import iter_results, make_coco, make_item, make_raw_folder
from small_notebooks import write_notebooks

from kps.__main__ import main
from kps.files import read_json, write_json
from kps.results.detections import ground_truth_detections, save_detections
from kps.results.predictions import Predictions
from kps.workspace import REPOSITORY, SPLITS

COMMANDS = ["synth", "doctor", "convert", "evaluate", "submit", "validate", "predict", "export", "view"]
COMMANDS += ["run", "notebook"]


def kps(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Call the command line as a user does."""
    command = [sys.executable, "-m", "kps", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)


@pytest.fixture
def call(capsys):
    """A call of a command in this process: exit code, standard output, standard error."""
    return lambda *words: (main([str(word) for word in words]), *capsys.readouterr())


@pytest.fixture
def scored(tmp_path) -> tuple[Path, Path]:
    """A COCO file and a result list that repeats its landmarks."""
    coco = make_coco(tmp_path, (1, 8, 13))
    found = ground_truth_detections(coco)
    results = Predictions.on(found, coco.instances.keypoints.astype(float), np.array([0.9, 0.8, 0.7]))
    write_json(tmp_path / "results.json", list(iter_results(results)))
    return coco.path, tmp_path / "results.json"


def test_help_is_quick():
    """It imports nothing but Python's own: 0.1 s on an idle machine."""
    shown = kps("--help")
    assert shown.returncode == 0 and all(command in shown.stdout for command in COMMANDS)
    program = "import atexit, sys; atexit.register(lambda: print(*sys.modules)); from kps.__main__ import main; "
    command = [sys.executable, "-S", "-c", program + "main(['--help'])"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    imported = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert imported - sys.stdlib_module_names - {"__mp_main__"} == {"__main__", "kps"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(f"{command} --help", 0) for command in COMMANDS]
    + [(words, 2) for words in ("", "guess", "synth", "synth out --train -1", "run --cores 0")]
    + [(f"convert root --{words} --out x.json", 2) for words in ("split both", "split train --limit 0")]
    + [("evaluate a.json b.json --boxes --landmarks", 2), ("notebook 01_prepare_data -p seed", 2)],
)
def test_help_is_0_and_wrong_usage_is_2(arguments, code, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == code and "usage: kps" in capsys.readouterr()[code > 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "{}/none", "--split", "train", "--out", "{}/x.json"], "none"),
        (["evaluate", "{}/gt.json", "{}/none.json"], "none.json: no such file"),
        (["evaluate", "{}/gt.json", "{}/empty.json"], "empty.json: expected at least one result"),
        (["evaluate", "{}/gt.json", "{}/odd.json"], "odd.json: row 0: expected keypoints or bbox, but got"),
        (["evaluate", "{}/none.json", "{}/empty.json", "--boxes"], "none.json: no such file"),
        (["submit", "{}/empty.json", "--out", "{}/x.zip"], "empty.json: expected at least one result"),
        (["validate", "{}/empty.json"], "empty.json: expected a zip"),
        (["synth", "{}/gt.json/x", "--train", "0", "--validation", "0", "--test", "0"], "gt.json: File exists"),
        (["predict", "{}/gt.json", "--models", "{}", "--out", "{}/out"], "workspace with trained models"),
        (["run", "--profile", "huge"], "no profile 'huge'; there are demo, hrnet, tiny, ready, paper"),
        (["run", "--profile", "paper"], "profile paper needs --data-root"),
        (["run", "--profile", "tiny", "--coco-file", "x.json"], "--coco-file and --image-dir"),
        (["run", "--coco-file", "train=x", "--image-dir", "x"], "the validation split needs a file"),
        (["run", "--coco-file", "train=x", "--coco-file", "val=x"], "of each of train, validation, test"),
        (["run", "--image-dir", "x", "--image-dir", "y"], "expected one image_dir, but got /"),
        (["run", "--image-dir", "test=x", "--image-dir", "test=x"], "expected one test_images, but got /"),
        (["run", "--profile", "tiny", "-p", "05.epoch=1"], "05_train_landmarks has no parameter 'epoch'"),
        (["notebook", "11_more", "--workspace", "{}"], "no notebook '11_more'; there are 01_prepare_data"),
        (["notebook", "10_report", "--workspace", "{}", "-p", "sise", "x"], "has no parameter 'sise'"),
    ],
)
def test_bad_input_is_one_line_and_1(tmp_path, call, arguments, message):
    write_json(tmp_path / "empty.json", [])
    write_json(tmp_path / "odd.json", [{"mask": 1}])
    make_coco(tmp_path, (1,)).path.rename(tmp_path / "gt.json")
    before = sorted(tmp_path.iterdir())
    code, _, err = call(*(text.format(tmp_path) for text in arguments))
    assert code == 1 and err.startswith("kps: ") and message in err and err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before, "nothing half-written"


def test_no_command_writes_over_its_input(tmp_path, call, scored):
    truth, results = scored
    make_raw_folder(tmp_path / "raw")
    raw, profile = tmp_path / "raw", tmp_path / "tiny.yaml"
    profile.write_text("steps: [01_prepare_data]\n")
    (tmp_path / "runs" / "coco").mkdir(parents=True)
    copy = (tmp_path / "runs" / "coco" / "train.json").resolve()
    copy.write_bytes(truth.read_bytes())
    own = ["--coco-file", copy, "--image-dir", tmp_path]
    convert = ["convert", raw, "--split", "train", "--out"]
    commands = [
        ["submit", results, "--out", results],
        ["evaluate", truth, results, "--json", truth],
        ["evaluate", truth, truth, "--against", results, "--json", results],
        ["doctor", raw, "--json", raw / "train" / "annos" / "000001.json"],
        [*convert, raw / "train" / "annos" / "000001.json"],
        [*convert, tmp_path / "new.json", "--visible-only-out", tmp_path / "new.json"],
        [*convert, tmp_path / "new.json", "--visible-only-out", raw / "new.json"],
        ["synth", raw / "train" / "new", "--train", "1"],
        ["predict", raw / "train" / "image" / "000001.jpg", "--models", tmp_path, "--out", tmp_path],
        ["run", "--profile", profile, "--data-root", raw, "--workspace", raw / "work"],
        ["run", "--profile", profile, "-p", f"01.data_root={raw}", "--workspace", raw / "work" / "er"],
        ["run", "--profile", profile, *own, "--workspace", tmp_path / "runs"],
        ["notebook", "01_prepare_data", "-p", "data_root", raw, "--workspace", raw / "work" / "er"],
    ]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for command in commands:
        code, _, err = call(*command)
        assert code == 1 and ("expected a place of its own" in err or "outside of raw data" in err), (command, err)
        left = {path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"}
        assert left == set(before) and all(path.read_bytes() == before[path] for path in left), command


def test_data_that_are_absent_or_named_twice_are_refused_before_a_plan_is_shown(tmp_path, call):
    here, bytes_only = tmp_path / "here", tmp_path / os.fsdecode(b"caf\xe9")
    here.mkdir()
    bytes_only.mkdir()
    coco = make_coco(here, (1,)).path
    for options, says in (
        ([tmp_path / "w", "--data-root", tmp_path / "absent"], "absent: no such file or folder"),
        ([tmp_path / "w", "-p", f"01.data_root={tmp_path / 'absent'}"], "absent: no such file or folder"),
        ([tmp_path / "w", "--coco-file", here / "no.json", "--image-dir", here], "no.json: no such file"),
        ([tmp_path / "w", "--coco-file", coco, "--image-dir", here / "no"], "no: no such file"),
        ([tmp_path / "w", "--data-root", here, "--coco-file", coco, "--image-dir", here], "exclude each"),
        ([bytes_only], "expected a path in UTF-8"),
    ):
        code, out, err = call("run", "--profile", "tiny", "--dry-run", "--workspace", *options)
        assert code == 1 and says in err and err.count("\n") == 1 and out == ""
        assert not (tmp_path / "w").exists()


def test_names_that_are_not_utf_8_are_printed_and_written(tmp_path):
    root = tmp_path / os.fsdecode(b"caf\xe9")
    for number, split in enumerate(SPLITS, start=1):
        make_raw_folder(tmp_path / "plain", split=split, image_id=number)
    (tmp_path / "plain").rename(root)
    done = kps("doctor", root, "--json", tmp_path / "doctor.json")
    assert done.returncode == 1 and "caf\\udce9" in done.stdout and "Traceback" not in done.stderr
    assert read_json(tmp_path / "doctor.json")["root"].endswith("caf\\xe9")


def test_evaluate_landmarks(tmp_path, call, scored):
    out = tmp_path / "scores.json"
    code, shown, _ = call("evaluate", *scored, "--json", out)
    assert code == 0 and "AP 1.000" in shown and "trousers" in shown and f"wrote {out}" in shown
    scores, counts = read_json(out), {"num_images", "num_items", "num_results"}
    assert set(scores) == {"AP", "AP50", "AP75", "AR", "per_category"} | counts
    assert scores["AP"] == pytest.approx(1) and {scores[name] for name in counts} == {3}
    assert scores["per_category"]["8"] == pytest.approx(1) and scores["per_category"]["2"] is None


def test_evaluate_counts_visible_landmarks_only_if_asked_and_never_foreign_slots(tmp_path, call, scored):
    truth, results = scored
    rows = read_json(results)
    for row, annotation in zip(rows, read_json(truth)["annotations"], strict=True):
        places, flags = (np.array(one["keypoints"], dtype=float).reshape(-1, 3) for one in (row, annotation))
        places[flags[:, 2] == 0] = 7
        places[flags[:, 2] == 1, :2] += 1000
        row["keypoints"] = places.ravel().tolist()
    write_json(results, rows)
    assert call("evaluate", *scored, "--json", tmp_path / "s.json")[0] == 0
    assert read_json(tmp_path / "s.json")["AP"] < 0.5
    code, shown, _ = call("evaluate", *scored, "--visible-only", "--json", tmp_path / "s.json")
    assert code == 0 and "visible landmarks" in shown
    assert read_json(tmp_path / "s.json")["AP"] == pytest.approx(1)
    assert call("submit", results, "--out", tmp_path / "s.zip")[0] == 0


def test_evaluate_says_what_is_doubtful_and_refuses_what_cannot_be_scored(call, scored):
    truth = scored[0]
    value = read_json(truth)
    value["annotations"][1]["area"] /= 2
    for row in value["annotations"]:
        row["keypoints"] = [min(n, 1) if i % 3 == 2 else n for i, n in enumerate(row["keypoints"])]
    write_json(truth, value)
    code, _, err = call("evaluate", *scored)
    assert code == 0 and err.startswith(f"warning: {truth}: 1 of 3 have an area") and err.endswith("annotation id 2\n")
    code, out, err = call("evaluate", *scored, "--visible-only")
    assert code == 1 and out == "" and f"kps: {truth}: expected visible landmarks to score" in err


def test_evaluate_knows_boxes(tmp_path, call):
    coco, boxes = make_coco(tmp_path, (1, 8)), tmp_path / "boxes.json"
    save_detections(boxes, ground_truth_detections(coco))
    code, out, _ = call("evaluate", coco.path, boxes)
    assert code == 0 and out.startswith("boxes: 2 results")
    for option, says in (("--visible-only", "is about"), ("--causes", "is about"), ("--landmarks", "row 0")):
        code, _, err = call("evaluate", coco.path, boxes, option)
        assert code == 1 and says in err


def test_evaluate_with_all_that_can_be_asked_for(tmp_path, call, scored):
    asked = ["--by", "scale", "--by", "category", "--intervals", "--samples", "20", "--causes", "--against", scored[1]]
    code, shown, _ = call("evaluate", *scored, *asked, "--json", tmp_path / "all.json")
    value = read_json(tmp_path / "all.json")
    assert code == 0 and value["interval"] == pytest.approx([1.0, 1.0]) and value["difference"]["AP"]["estimate"] == 0
    assert value["subsets"]["scale"]["2"]["AP"] == pytest.approx(1.0)
    assert "too few photos" in shown and "nan" not in shown
    assert value["causes"] and "by scale" in shown and "wrong category" in shown


def test_submit_and_validate(tmp_path, call, scored):
    truth, results = scored
    out = tmp_path / "new" / "submission.zip"
    code, shown, _ = call("submit", results, "--out", out, "--images", truth, "--name", "mine.json")
    assert code == 0 and f"wrote {out}: 3 rows in mine.json" in shown
    code, shown, _ = call("validate", out, "--images", truth)
    assert code == 0 and "is valid: 3 rows on 3 images, scores 0.700 to 0.900" in shown


def test_synth_and_convert(tmp_path, call):
    root, out, visible = tmp_path / "raw", tmp_path / "train.json", tmp_path / "visible.json"
    counts = ["--train", "3", "--validation", "2", "--test", "1", "--workers", "1", "--seed", "4"]
    code, shown, _ = call("synth", root, *counts)
    assert code == 0 and f"wrote {root}" in shown
    options = ["--split", "train", "--out", out, "--visible-only-out", visible, "--limit", "2"]
    code, shown, _ = call("convert", root, *options)
    assert code == 0 and "2 photos" in shown and len(read_json(out)["images"]) == 2 and visible.exists()


def test_convert_skips_bad_items_or_refuses_them(tmp_path, call):
    items = {"item1": make_item(1), "item2": make_item(8, landmarks=[1, 2, 2] * 25)}
    make_raw_folder(tmp_path / "raw", items, image_id=3)
    command = ["convert", tmp_path / "raw", "--split", "train", "--out", tmp_path / "coco.json"]
    assert call(*command, "--strict")[0] == 1 and not (tmp_path / "coco.json").exists()
    code, out, err = call(*command)
    assert code == 0 and "1 items, 0 without landmarks, 1 skipped" in out
    assert err.splitlines()[-1].startswith("skipped: ") and "000003.json, item2" in err


def test_convert_compares_with_the_official_file(tmp_path, call):
    make_raw_folder(tmp_path / "raw", split="validation", image_id=7)
    command = ["convert", tmp_path / "raw", "--split", "validation", "--out", tmp_path / "ours.json"]
    assert "keypoints_val" not in call(*command)[1]
    official = tmp_path / "raw" / "json_for_validation" / "keypoints_val_vis_and_occ.json"
    official.parent.mkdir()
    official.write_bytes((tmp_path / "ours.json").read_bytes())
    assert "keypoints_val_vis_and_occ.json" in call(*command)[1]


def test_doctor_tells_fit_from_unfit_by_its_exit_code(tmp_path, call):
    for number, split in enumerate(SPLITS, start=1):
        path = make_raw_folder(tmp_path / "raw", split=split, image_id=number)
    path.unlink()
    code, out, _ = call("doctor", tmp_path / "raw", "--json", tmp_path / "doctor.json")
    assert code == 1 and "Verdict: fit with warnings" in out
    value = read_json(tmp_path / "doctor.json")
    assert value["verdict"] == "warnings" and {"kind", "count", "examples"} <= set(value["findings"][0])
    (tmp_path / "raw" / "train" / "annos" / "000001.json").write_text("{")
    code, out, _ = call("doctor", tmp_path / "raw")
    assert code == 2 and "Verdict: unfit" in out


def test_notebook_runs_one_step(tmp_path, call, monkeypatch):
    monkeypatch.setenv("KPS_NOTEBOOKS", str(write_notebooks(tmp_path / "notebooks")))
    options = ["--workspace", tmp_path / "work", "--threads", "1"]
    code, out, _ = call("notebook", "06_finetune_category", *options, "-p", "category_id", "7")
    assert code == 0 and "06_finetune_category_hand81_plain_07.ipynb" in out.splitlines()[-1]
    assert (tmp_path / "work" / "records" / "06_finetune_category_hand81_plain_07.json").exists()


def test_dry_run_lists_the_steps_makes_none_and_keeps_the_plan(tmp_path):
    shown = kps("run", "--profile", "tiny", "--workspace", tmp_path, "--dry-run", "-p", "07.splits=validation")
    assert shown.returncode == 0 and shown.stderr == ""
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("01_prepare_data") and lines[-1].startswith("41 of 41 steps would run in")
    assert not (tmp_path / "records").exists()
    plan = read_json(tmp_path / "plan.json")["steps"]
    finetune = plan["06_finetune_category_hand81_flip_03"]
    assert finetune["parameters"]["aggregation"] == "hand81" and "-p hflip_train true" in finetune["words"]
    assert "-p splits '[\"validation\"]'" in plan["07_predict_landmarks_universal"]["words"]


def test_ctrl_c_is_130_without_traceback(monkeypatch, call):
    monkeypatch.setattr("kps.__main__.validate", lambda arguments: os.kill(os.getpid(), signal.SIGINT))
    assert call("validate", "x.zip") == (130, "", "")


def test_a_closed_pipe_is_no_traceback(scored):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-u", "-m", "kps", "evaluate", *map(str, scored)]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    os.close(writer)
    assert "Traceback" not in ended.stderr and "Exception" not in ended.stderr
