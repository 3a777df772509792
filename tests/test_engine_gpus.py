"""GPUs: a step holds one for each of its processes, two steps never the same one, none waits for ever."""

import re
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import yaml
from small_notebooks import use_small_notebooks

from kps.__main__ import main
from kps.files import InputError, read_json
from kps.flow import locks
from kps.flow.locks import free_gpus, visible_gpus
from kps.flow.steps import ON_GPU
from kps.workspace import REPOSITORY

STEP = "04_train_detector_htc"


@pytest.fixture(scope="module", autouse=True)
def notebooks(tmp_path_factory):
    yield from use_small_notebooks(tmp_path_factory.mktemp("notebooks"))


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A temporary folder of its own, for the locks, and a way to pretend that nvidia-smi lists some lines."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    def lists(*lines: str) -> None:
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")

    return lists


def kps_run(folder: Path, *options: str) -> int:
    (folder / "small.yaml").write_text("{steps: [01_prepare_data, 04_train_detector]}")
    where = ["--workspace", str(folder / "work"), "--cores", "2"]
    return main(["run", "--profile", str(folder / "small.yaml"), *where, *options])


def test_a_step_holds_a_gpu_for_each_of_its_processes(tmp_path, machine):
    machine(*(f"{number}, GPU-{number}" for number in range(8)))
    assert kps_run(tmp_path, "-p", "04.processes=8") == 0
    records = {path.stem: read_json(path) for path in (tmp_path / "work" / "records").iterdir()}
    assert records[STEP]["gpus"] == "0,1,2,3,4,5,6,7" and records["01_prepare_data"]["gpus"] is None
    steps = read_json(tmp_path / "work" / "plan.json")["steps"]
    assert {name: step["gpus"] for name, step in steps.items()} == {"01_prepare_data": 0, STEP: 8}


@pytest.mark.parametrize(
    ("given", "message"),
    [(3, "expected processes to be at most 2, one for each GPU here (0, 1), but got 3")]
    + [(0, "expected processes to be at least 1, but got 0")],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "plan"])
def test_a_wrong_number_of_processes_is_one_line(tmp_path, machine, capsys, given, message, dry):
    machine("0, GPU-a", "1, GPU-b")
    assert kps_run(tmp_path, "-p", f"04.processes={given}", *dry) == 1
    assert capsys.readouterr().err == f"kps: {STEP}: {message}\n"
    assert not (tmp_path / "work" / "records").exists(), "said before anything has run"


def test_a_cluster_has_gpus_of_its_own(tmp_path, machine):
    machine("0, GPU-a")
    assert kps_run(tmp_path, "-p", "04.processes=4", "--executor", "slurm", "--dry-run") == 0
    assert read_json(tmp_path / "work" / "plan.json")["steps"][STEP]["gpus"] == 4


def test_steps_hold_different_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    assert visible_gpus() == ["3", "5", "7"]
    with free_gpus("a", 2) as first:
        with free_gpus("b", 1) as second:
            assert sorted(first + second) == ["3", "5", "7"]
        with free_gpus("c", 1) as third:
            assert third == second
    with pytest.raises(InputError, match=r"^d: expected processes to be at most 3"), free_gpus("d", 4):
        pass
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with free_gpus("e", 8) as none:
        assert none == [], "processes on a machine without GPUs"


def test_steps_that_want_several_never_wait_for_each_other(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setattr(locks, "POLL_SECONDS", 0.001)
    busy, found = set(), []

    def hold(count: int) -> None:
        for _ in range(5):
            with free_gpus("a", count) as gpus:
                found.append(len(gpus) == count and busy.isdisjoint(gpus))
                busy.update(gpus)
                threading.Event().wait(0.002)
                busy.difference_update(gpus)

    steps = [threading.Thread(target=hold, args=[1 + number % 4], daemon=True) for number in range(8)]
    for step in steps:
        step.start()
    for step in steps:
        step.join(timeout=60)
    assert len(found) == 40 and all(found)


@pytest.mark.parametrize(
    ("first", "second", "listed", "same"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "0"}, ["0, GPU-a"], True),
        ({"CUDA_VISIBLE_DEVICES": "1"}, {"CUDA_VISIBLE_DEVICES": "GPU-b"}, ["0, GPU-a", "1, GPU-bc"], True),
        ({}, {"CUDA_VISIBLE_DEVICES": "0"}, ["0, GPU-a"], True),
        ({"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "0"}, ["0, $ANOTHER"], False),
        ({"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "7"}, {"SLURM_JOB_ID": "8"}, [], False),
        ({"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "7"}, {"SLURM_JOB_ID": "8"}, ["0, GPU-a"], False),
        ({"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "7"}, {}, ["0, GPU-a"], True),
    ],
    ids=["index", "index and UUID", "all and index", "0 of each", "jobs", "jobs on one GPU", "one job"],
)
def test_a_lock_belongs_to_a_physical_gpu(monkeypatch, machine, first, second, listed, same):
    def hold_one(environment: dict[str, str], uuid: str) -> AbstractContextManager[list[str]]:
        machine(*(line.replace("$ANOTHER", uuid) for line in listed))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return free_gpus("step", 1)

    monkeypatch.setattr(locks.time, "sleep", None)  # to wait is an error
    waits = pytest.raises(TypeError) if same else nullcontext()
    with hold_one(first, "GPU-x"), waits, hold_one(second, "GPU-y"):
        pass


def test_the_page_on_clusters_names_the_rules_that_want_a_gpu():
    """SLURM's own number of GPUs comes from the resource `gpu`; its plugin refuses one in `slurm_extra`."""
    page = (REPOSITORY / "docs" / "paper_size.md").read_text()
    profile = yaml.safe_load(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    assert set(profile["set-resources"]) == {notebook[3:] for notebook in ON_GPU}
    assert profile["default-resources"]["nodes"] == 1, "a step's processes are on one machine"
    assert "slurm_extra" not in str(profile)
