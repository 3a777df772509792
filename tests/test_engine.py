"""The engine on small notebooks: parameters, one step, locks, profiles, a plan through Snakemake."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from builders import wait_until
from filelock import FileLock
from small_notebooks import HEAD, use_small_notebooks, write_notebook, write_notebooks

from kps.files import InputError, read_json
from kps.flow import notebook as engine
from kps.flow import steps
from kps.flow.notebook import PrefixedOutput, run_notebook, step_file, step_state
from kps.flow.run import load_profile, make_plan, parse_overrides, run_plan, steps_to_run
from kps.flow.steps import check_parameters, convert, find_notebook, read_parameters
from kps.workspace import REPOSITORY, Workspace, load_record

PROFILE = """
parameters: {01_prepare_data: {train_photos: 7}}
steps: [01_prepare_data, 02_landmark_homogeneity, 04_train_detector]
"""
FINETUNINGS = """
steps: [01_prepare_data, 02_landmark_homogeneity, 03_aggregation_mapping, 05_train_landmarks,
        06_finetune_category: {learning_rate: 0.1}, 06_finetune_category: {learning_rate: 0.1, category_id: 2}]
"""


@pytest.fixture(scope="module", autouse=True)
def notebooks(tmp_path_factory):
    yield from use_small_notebooks(tmp_path_factory.mktemp("notebooks"))


def planned(folder: Path, *overrides: str, profile: str = PROFILE) -> list:
    """The plan of a profile that is written into the folder."""
    (folder / "small.yaml").write_text(profile)
    return make_plan(load_profile(str(folder / "small.yaml")), parse_overrides(overrides))


# Parameters


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [("3", "int", 3), (3, "float", 3.0), ("1e-4", "float", 1e-4), ("false", "bool", False), (Path("a/b"), "str", "a/b")]
    + [("none", "Optional[int]", None), ("4", "Optional[int]", 4), (None, "Optional[str]", None)]
    + [("plain, flip", "list", ["plain", "flip"]), ('["a", "b"]', "list", ["a", "b"])]
    + [(("a",), "list[str]", ["a"]), ("[1, 2]", "list[int]", [1, 2])],
)
def test_convert(value, annotation, expected):
    got = convert(value, annotation)
    assert got == expected and type(got) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [("x", "int"), (1.5, "int"), (True, "int"), (True, "float"), ("yes", "bool"), (1, "bool"), (3, "str")]
    + [(None, "int"), ("none", "int"), (3, "list"), (["x"], "list[int]"), ("[a", "list"), (1, "dict")],
)
def test_convert_refuses(value, annotation):
    with pytest.raises((ValueError, yaml.YAMLError)):
        convert(value, annotation)


def test_parameters_are_read_and_an_unknown_or_mistyped_one_is_named():
    found = read_parameters(find_notebook("06_finetune_category"))
    assert found["category_id"] == ("int", 1)
    assert found["config"].default == "demo", "a comment may hold an equals sign"
    notebook = find_notebook("05_train_landmarks")
    with pytest.raises(InputError, match=r"05_train_landmarks has no parameter 'epoch'; .*epochs: Optional\[int\]"):
        check_parameters(notebook, {"epoch": 3})
    with pytest.raises(InputError, match=r"expected epochs: Optional\[int\], but got 'many'"):
        check_parameters(notebook, {"epochs": "many"})


@pytest.mark.parametrize("cell", ["size = 'demo'", "size: str = 'a' + name()", "print(1)"])
def test_parameters_cell_holds_literals_only(tmp_path, cell):
    with pytest.raises((InputError, ValueError)):
        read_parameters(write_notebook(tmp_path / "n.ipynb", cell))


# One step


def test_step_runs_with_this_python_in_the_repository(tmp_path, capfd):
    executed = run_notebook("01_prepare_data", {"train_photos": "9"}, workspace=tmp_path, threads=3)
    record = read_json(Workspace(tmp_path).record("01_prepare_data"))
    assert record["python"] == sys.executable and record["threads"] == "3"
    assert record["folder"] == str(REPOSITORY)
    assert "train_photos = 9" in executed.read_text()
    marker = step_file(Workspace(tmp_path), "01_prepare_data", ".json")
    assert read_json(marker)["parameters"]["train_photos"] == 9
    assert "[01_prepare_data] done in" in capfd.readouterr().out


def test_step_runs_again_only_if_something_changed(tmp_path):
    def process(**parameters) -> int:
        run_notebook("01_prepare_data", parameters, workspace=tmp_path)
        return read_json(Workspace(tmp_path).record("01_prepare_data"))["process"]

    first = process(train_photos=5)
    assert process(train_photos=5) == process() == first, "5 is the default"
    other = process(train_photos=6)
    assert other != first
    Workspace(tmp_path).record("01_prepare_data").unlink()
    assert process(train_photos=6) != other, "the record is gone"


def raw_annotation(folder: Path) -> Path:
    """An annotation in a raw folder of one's own."""
    path = folder / "raw" / "train" / "annos" / "000001.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"item1": 1}')
    return path


def relabel(path: Path) -> None:
    """Edit a file in place: neither its size nor its time tells."""
    status = path.stat()
    path.write_text(path.read_text().replace("1}", "2}"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


READS_BOXES = """
from kps.flow.steps import begin, record
from kps.workspace import Workspace
started = begin()
boxes = Workspace(workspace).detections("mine", "validation")
record("09_submission", globals(), inputs={"boxes": boxes}, outputs={}, metrics={})
"""


def test_step_runs_again_after_an_edit_of_what_its_record_names(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("KPS_NOTEBOOKS", str(tmp_path))
    write_notebook(tmp_path / "09_submission.ipynb", HEAD, READS_BOXES)
    boxes = Workspace(tmp_path).detections("mine", "validation")
    boxes.parent.mkdir(parents=True)
    boxes.write_text('[{"image_id": 1}]')
    for happens in (bool, bool, lambda: relabel(boxes)):
        happens()
        run_notebook("09_submission", {}, workspace=tmp_path)
    shown = capfd.readouterr().out
    assert shown.count("] started") == 2 and shown.count("done before") == 1
    assert f"[09_submission] started: changed: {boxes}" in shown


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("input", ": photos/7.json: expected 8 landmarks, but got 7"),
        ("defect", " failed with ZeroDivisionError: one by none; open .*_detector_htc.ipynb"),
        ("death", ": its process died .*; open .*_detector_htc.ipynb"),
    ],
)
def test_failing_step_says_so_in_one_line(tmp_path, kind, message):
    work, step = Workspace(tmp_path), "04_train_detector_htc"
    with pytest.raises(InputError, match=f"^{step}{message}$"):
        run_notebook("04_train_detector", {"fail": kind}, workspace=tmp_path)
    assert work.executed(step).exists()
    assert not step_file(work, step, ".json").exists() and not work.record(step).exists()


def test_step_without_record_is_not_done(tmp_path, monkeypatch):
    monkeypatch.setenv("KPS_NOTEBOOKS", str(write_notebooks(tmp_path / "notebooks", record="no")))
    with pytest.raises(InputError, match="ended without its record"):
        run_notebook("10_report", {}, workspace=tmp_path / "work")


def test_step_that_runs_elsewhere_and_a_folder_without_notebooks_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "LOCK_SECONDS", 0.0)
    elsewhere = pytest.raises(InputError, match="10_report is being run by another process")
    with FileLock(step_file(Workspace(tmp_path), "10_report", ".lock")), elsewhere:
        run_notebook("10_report", {}, workspace=tmp_path)
    run_notebook("10_report", {}, workspace=tmp_path)
    monkeypatch.setenv("KPS_NOTEBOOKS", str(tmp_path))
    with pytest.raises(InputError, match="no notebooks there"):
        run_notebook("10_report", {}, workspace=tmp_path)


def test_prefixed_output_keeps_lines_whole(capsys):
    output = PrefixedOutput("07", sys.stdout)
    for text in ("epoch", " 1\n\n  10%\r 20%\r", "100%\r\n", "no end"):
        output.write(text)
    assert capsys.readouterr().out == "[07] epoch 1\n[07] 100%\n"


# Profiles


def test_a_profile_may_name_steps_and_their_parameters(tmp_path):
    *_, first, second = planned(tmp_path, "06.seed=3", "06.learning_rate=0.2", profile=FINETUNINGS)
    assert (first.name[-2:], second.name[-2:]) == ("01", "02")
    assert second.parameters == {"learning_rate": 0.2, "category_id": 2, "seed": 3}, "what is given goes before"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [01_prepare_data", "expected YAML"),
        ("data: own", "with experiments or steps"),
        ("[01_prepare_data]", "with experiments or steps"),
        ("{steps: []}", "with experiments or steps"),
        ("{experiments: [all, best]}", "no experiment 'best'; there are cascade_identity, "),
        ("{steps: [01_prepare_data], cores: 3}", "cores: Extra inputs are not permitted"),
        ("{experiments: all}", "experiments: Input should be a valid list, but got 'all'"),
        ("{steps: [11_more]}", "steps.0.11_more.*: Input should be '01_prepare_data'.*but got '11_more'"),
        ("{steps: [01_prepare_data], parameters: {11: {}}}", "parameters.11.*: Input should be '01_prepare_data'"),
        ("{steps: [{10_report: 2}]}", "steps.0.10_report: Input should be a valid dictionary"),
        ("{steps: [01_prepare_data, 01_prepare_data]}", "two steps are called 01_prepare_data"),
        ("{steps: [10_report], parameters: {10_report: {photos: 1}}}", "no parameter 'photos'"),
        ("{steps: [01_prepare_data], data: own}", "needs --data-root"),
        ("{steps: [01_prepare_data], data: mine}", "data: Input should be 'built-in' or 'own', but got 'mine'"),
        ("{steps: [02_landmark_homogeneity]}", "the plan lacks 01_prepare_data, from which 02_landmark_hom"),
        ("{steps: [01_prepare_data, 05_train_landmarks]}", "the plan lacks 03_aggregation_mapping_hand81, from which"),
    ],
)
def test_broken_profile_is_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        planned(tmp_path, profile=text)


@pytest.mark.parametrize("text", ["epochs=3", "04.epochs", "0.epochs=3", "12.epochs=3", ".epochs=3", "04.=3", "10.a=3"])
def test_broken_override_is_one_line(tmp_path, text):
    with pytest.raises(InputError, match="has no step 10_report" if text.startswith("10") else "expected"):
        planned(tmp_path, text)


# A whole plan


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder in whose `work` the small plan has run."""
    folder = tmp_path_factory.mktemp("finished") / "it's a {small} run"
    folder.mkdir()
    assert run_plan(planned(folder), workspace=folder / "work", cores=2)
    return folder


def todo(folder: Path, *overrides: str) -> list[str]:
    return [name for name, _ in steps_to_run(planned(folder, *overrides), workspace=folder / "work", cores=2)]


def test_plan_runs_in_order_and_only_what_changed(finished):
    times = {path.stem: read_json(path)["time"] for path in (finished / "work" / "records").glob("*.json")}
    assert sorted(times) == ["01_prepare_data", "02_landmark_homogeneity", "04_train_detector_htc"]
    assert min(times, key=lambda name: times[name]) == "01_prepare_data"
    assert todo(finished) == []
    assert todo(finished, "04.seed=3") == ["04_train_detector_htc"]
    assert len(todo(finished, "01.train_photos=8")) == 3


def test_edit_of_data_and_of_code_reaches_what_depends_on_it(tmp_path, monkeypatch):
    label = raw_annotation(tmp_path)
    profile = "{steps: [01_prepare_data, 02_landmark_homogeneity]}"
    plan = planned(tmp_path, f"01.data_root={tmp_path / 'raw'}", profile=profile)
    options = {"workspace": tmp_path / "work", "cores": 2}
    assert run_plan(plan, **options)
    os.utime(label)
    assert steps_to_run(plan, **options) == []
    relabel(label)
    first, second = steps_to_run(plan, **options)
    assert first == ("01_prepare_data", f"changed: {tmp_path / 'raw'}") and second[0] == plan[1].name
    assert run_plan(plan, **options)
    shutil.rmtree(tmp_path / "raw")
    assert steps_to_run(plan, **options) == [], "data that were put away have not changed"
    monkeypatch.setattr(engine, "code_sha256", lambda *names, **options: {"kps.data.coco": "edited"})
    assert steps_to_run(plan, **options) == [(step.name, "changed: kps.data.coco") for step in plan]


def test_second_run_in_a_folder_is_refused(finished):
    at_work = pytest.raises(InputError, match="another run is at work")
    with FileLock(finished / "work" / ".run.lock"), at_work:
        todo(finished)


def start(*words: object, **environment: str) -> subprocess.Popen[str]:
    """A command of kps in a process of its own."""
    command, pipe = [sys.executable, "-m", "kps", *map(str, words)], subprocess.PIPE
    given = {"cwd": REPOSITORY, "env": os.environ | environment, "text": True}
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, **given)


def start_run(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    (folder / "small.yaml").write_text(PROFILE)
    words = ["--cores", 2, "--workspace", folder / "work", *(word for text in overrides for word in ("-p", text))]
    return start("run", "--profile", folder / "small.yaml", *words, TMPDIR=str(folder.parent))


def processes_of(folder: Path) -> list[list[str]]:
    """Command lines of the processes, other than this, that have to do with a folder."""
    others = (one.info for one in psutil.process_iter(["pid", "cmdline"]) if one.pid != os.getpid())
    return [one["cmdline"] for one in others if str(folder) in " ".join(one["cmdline"] or ())]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_stopped_run_leaves_no_process_and_goes_on(finished):
    prepared = read_json(finished / "work" / "records" / "01_prepare_data.json")
    for sent, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        runner = start_run(finished, "04.pause=3600")
        assert any(line.rstrip().endswith("second 1") for line in runner.stdout)
        assert processes_of(finished)
        runner.send_signal(sent)
        assert runner.wait(timeout=600) == code
        assert "Traceback" not in runner.stderr.read()
        wait_until(lambda: not processes_of(finished))
    again = start_run(finished)
    assert again.communicate(timeout=600) and again.returncode == 0
    assert read_json(finished / "work" / "records" / "01_prepare_data.json") == prepared, "done stays done"
    assert todo(finished) == []


SLOW_END = """
import time
from pathlib import Path
try:
    print("at work", flush=True)
    time.sleep(3600)
except KeyboardInterrupt:
    time.sleep(6)  # a step of training, longer than Jupyter's 5 s
    (Path(workspace) / "state").touch()
    raise
"""


def test_ctrl_c_lets_a_training_end_its_step(tmp_path):
    write_notebook(tmp_path / "10_report.ipynb", HEAD, SLOW_END)
    runner = start("notebook", "10_report", "--workspace", tmp_path / "work", KPS_NOTEBOOKS=str(tmp_path))
    assert any(line.rstrip().endswith("at work") for line in runner.stdout)
    runner.send_signal(signal.SIGINT)
    runner.communicate()
    assert runner.returncode == 130 and (tmp_path / "work" / "state").exists()


def test_failing_step_ends_the_run_with_its_line(tmp_path):
    runner = start_run(tmp_path, "04.fail=input")
    out, err = runner.communicate(timeout=600)
    assert runner.returncode == 1
    assert err == "kps: 04_train_detector_htc: photos/7.json: expected 8 landmarks, but got 7\n"
    assert "the same command goes on from there" in out


# The project's own notebooks


@pytest.mark.parametrize(
    ("name", "parameter"),
    [(steps.PREPARE, "coco_file"), (steps.PREPARE, "image_dir"), (steps.LANDMARKS, "config")]
    + [(steps.LANDMARKS, "aggregation"), (steps.DETECTOR, "pretrained")],
)
def test_every_path_from_outside_counts_by_content(tmp_path, monkeypatch, name, parameter):
    monkeypatch.delenv("KPS_NOTEBOOKS")
    label, work = raw_annotation(tmp_path), Workspace(tmp_path / "work")
    given = {parameter: str(label.parent if parameter == "image_dir" else label)}
    states = [happens(label) or step_state(name, given, work) for happens in (Path.touch, os.utime, relabel)]
    assert states[0] == states[1] != states[2]


def test_a_shipped_configuration_counts_with_its_bases(monkeypatch):
    monkeypatch.delenv("KPS_NOTEBOOKS")

    def named(config: str) -> set[str]:
        code = step_state(steps.LANDMARKS, {"config": config}, Workspace(Path("none")))["code_sha256"]
        return {Path(name).stem for name in code if name.endswith(".py")}

    assert named("lite") == {"lite", "_lite", "hrnet_demo", "hrnet_w48"}
    assert named("rtmpose_m") == {"rtmpose_m"} and named("elsewhere/mine.py") == set()


@pytest.mark.parametrize("weights", [None, "https://zoo/w.pth", "w.pth"])
def test_weights_to_start_from_are_an_input(tmp_path, monkeypatch, weights):
    monkeypatch.delenv("KPS_NOTEBOOKS")
    monkeypatch.chdir(tmp_path)
    Path("w.pth").write_bytes(b"weights")
    names = {name: item.default for name, item in read_parameters(find_notebook(steps.LANDMARKS)).items()}
    names |= {"workspace": str(tmp_path), "started": 0.0}
    steps.record(steps.LANDMARKS, names, inputs={"weights": weights}, outputs={}, metrics={})
    inputs = load_record(Workspace(tmp_path).record("05_train_landmarks_hand81")).inputs
    assert inputs.keys() == ({"weights"} if weights == "w.pth" else set())
