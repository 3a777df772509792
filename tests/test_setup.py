"""The pins, the environment they made, and the set-up script's one-line refusals."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ["3.11.7", "3.12.1", "3.13.0"]
NOT_FOLLOWED = {"chumpy", "opencv-python"}  # the head of requirements.txt says why
TOOLS = ["bash", "dirname", "df", "awk", "uname", "cat"]  # what --check calls
GOOD_PYTHON = (
    "#!/bin/sh\necho 3.11 base 1 $0\n"  # as the script's probe prints: version, no environment, venv works
)


@pytest.fixture(scope="module")
def environment() -> ModuleType:
    """`scripts/environment.py` as a module."""
    spec = importlib.util.spec_from_file_location("setup_environment", ROOT / "scripts" / "environment.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pin_lines() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


# --- the list of pins


def test_every_line_is_an_exact_pin_and_nothing_else() -> None:
    for line in pin_lines():
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.]*( ; [^#@]+)?", line), line
        assert canonicalize_name(Requirement(line).name) == Requirement(line).name
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|--(hash|index|extra|find)|@", text)


@pytest.mark.parametrize("python", PYTHONS)
def test_a_package_has_one_version_per_python(python: str) -> None:
    values = default_environment() | {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
    }
    applying = [Requirement(line) for line in pin_lines()]
    names = [pin.name for pin in applying if pin.marker is None or pin.marker.evaluate(dict(values))]
    assert len(names) == len(set(names))
    assert {"torch", "onedl-mmcv", "mmpose", "xtcocotools", "numpy", "snakemake", "ninja"} <= set(names)


def test_the_environment_is_what_the_pins_say(environment: ModuleType) -> None:
    wrong = {}
    for name, version in environment.read_pins().items():
        try:
            installed = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            installed = "absent"
        if installed != version:
            wrong[name] = f"{installed}, pinned {version}"
    assert not wrong


def test_the_pins_fulfil_each_other(environment: ModuleType) -> None:
    unmet = set()
    for name in environment.read_pins():
        try:
            wishes = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # the test above names it
        for line in wishes:
            wish = Requirement(line)
            applies = wish.marker is None or wish.marker.evaluate({"extra": ""})
            if not applies or canonicalize_name(wish.name) in NOT_FOLLOWED:
                continue
            try:
                version = metadata.version(wish.name)
            except metadata.PackageNotFoundError:
                version = ""
            if not version or not wish.specifier.contains(version, prereleases=True):
                unmet.add(f"{name} asks for {wish}, installed: {version or 'nothing'}")
    assert not unmet


# --- the script's refusals


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout with the scripts alone, and beside it `bin`, the only folder on the PATH."""
    shutil.copytree(ROOT / "scripts", tmp_path / "clone" / "scripts")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool} here"))
    return tmp_path / "clone"


def program(path: Path, text: str = "#!/bin/sh\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def check(clone: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Call the clone's set-up, with --check unless told otherwise, in a bare environment."""
    home = clone.parent
    values = {"PATH": str(home / "bin"), "HOME": str(home), "KPS_NEED_GB": "0"} | variables
    command = ["bash", str(clone / "scripts" / "setup.sh"), *(arguments or ["--check"])]
    return subprocess.run(
        command, env=values, cwd="/", capture_output=True, text=True, check=False, timeout=600
    )


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of a refusal."""
    assert result.returncode == 1, result
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("setup.sh: "), result.stderr
    return result.stderr


def test_an_old_python_is_named(clone: Path) -> None:
    program(clone.parent / "bin" / "python3", "#!/bin/sh\necho 3.9 base 1 $0\n")
    line = refusal(check(clone))
    assert "3.11, 3.12 or 3.13 is needed" in line and "3.9 (" in line


def test_no_python_at_all(clone: Path) -> None:
    assert "found none" in refusal(check(clone))


def test_a_python_too_new_is_named(clone: Path) -> None:
    program(clone.parent / "bin" / "python3", "#!/bin/sh\necho 3.15 base 1 $0\n")
    assert "3.15 (" in refusal(check(clone))


def test_a_python_without_venv(clone: Path) -> None:
    program(clone.parent / "bin" / "python3", "#!/bin/sh\necho 3.11 base 0 $0\n")
    assert "apt install python3-venv" in refusal(check(clone))


def test_a_shim_that_fails_is_passed_over(clone: Path, tmp_path: Path) -> None:
    include = tmp_path / "include"
    program(include / "Python.h", "")
    program(tmp_path / "bin" / "c++")
    program(tmp_path / "bin" / "python3.12", "#!/bin/sh\necho no such version >&2\nexit 127\n")
    answer = f'case "$2" in *include*) echo {include} ;; *) echo 3.11 base 1 $0 ;; esac'
    program(tmp_path / "bin" / "python3", f"#!/bin/sh\n{answer}\n")
    result = check(clone)
    assert result.returncode == 0, result
    assert f"a .venv made with {tmp_path}/bin/python3\n" in result.stdout


def test_no_compiler(clone: Path) -> None:
    program(clone.parent / "bin" / "python3", GOOD_PYTHON)
    assert "no C++ compiler (c++)" in refusal(check(clone))
    assert "no C++ compiler (g++-99)" in refusal(check(clone, CXX="g++-99 -m64"))


def test_a_kept_wheel_needs_no_compiler(clone: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3", GOOD_PYTHON)
    program(tmp_path / ".cache" / "kps" / "wheels" / "key" / "onedl_mmcv-2.3.6-any.whl")
    assert check(clone).returncode == 0


def test_no_headers(clone: Path) -> None:
    program(clone.parent / "bin" / "c++")
    program(clone.parent / "bin" / "python3", GOOD_PYTHON)
    assert "apt install python3-dev" in refusal(check(clone))


def test_no_disk_space(clone: Path) -> None:
    program(clone.parent / "bin" / "python3", GOOD_PYTHON)
    assert "9999999 GB of free disk space are needed" in refusal(check(clone, KPS_NEED_GB="9999999"))


def test_an_old_venv_in_the_checkout(clone: Path) -> None:
    program(clone.parent / "bin" / "python3", GOOD_PYTHON)
    program(clone / ".venv" / "bin" / "python", "#!/bin/sh\necho 3.9 env 1 $0\n")
    assert "has Python 3.9" in refusal(check(clone))


def test_a_broken_venv_is_made_anew(clone: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3", GOOD_PYTHON)
    program(tmp_path / ".cache" / "kps" / "wheels" / "key" / "onedl_mmcv-2.3.6-any.whl")
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
    assert "a .venv made with" in check(clone).stdout
    assert "not set up yet" in refusal(check(clone, "--python"))


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_the_active_environment_is_used(clone: Path, tmp_path: Path, variable: str) -> None:
    active = tmp_path / "active"
    program(active / "bin" / "python", "#!/bin/sh\necho 3.12 env 1 $0\n")
    assert check(clone, "--python", **{variable: str(active)}).stdout == f"{active}/bin/python\n"
    program(active / "bin" / "python", "#!/bin/sh\necho 3.12 base 1 $0\n")  # conda's base: not to be filled
    assert "not set up yet" in refusal(check(clone, "--python", **{variable: str(active)}))


def test_kps_python_must_run(clone: Path) -> None:
    assert "KPS_PYTHON=/nowhere/python" in refusal(check(clone, KPS_PYTHON="/nowhere/python"))


def test_another_system_is_named(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "uname").unlink()
    program(tmp_path / "bin" / "uname", "#!/bin/sh\necho Darwin\n")
    assert "this is Darwin" in refusal(check(clone))


def test_help_and_wrong_usage(clone: Path) -> None:
    shown = check(clone, "--help")
    assert shown.returncode == 0 and "FORCE_CUDA=1" in shown.stdout and "15 minutes" in shown.stdout
    wrong = check(clone, "--everything")
    assert wrong.returncode == 2 and "usage:" in wrong.stderr


@pytest.mark.parametrize("script", ["scripts/setup.sh", "scripts/demo.sh", "scripts/test.sh", ".ci/run"])
def test_scripts_are_programs(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK) and path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


# --- what to build


def fake_torch(cuda: str | None, *gpus: tuple[int, int]) -> SimpleNamespace:
    return SimpleNamespace(
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(
            is_available=lambda: bool(gpus),
            device_count=lambda: len(gpus),
            get_device_capability=lambda i: gpus[i],
        ),
    )


@pytest.fixture
def nvcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CUDA 13 compiler, called through a wrapper elsewhere; no other is found."""
    home = tmp_path / "cuda-13.0"
    plan = f'echo "#$ TOP={home}/bin/.." >&2'
    answer = f'case "$1" in --version) echo "release 13.0, V13.0.88" ;; *) {plan} ;; esac'
    program(tmp_path / "path" / "nvcc", f"#!/bin/sh\n{answer}\n")
    (home / "bin").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    for variable in ("CUDA_HOME", "FORCE_CUDA", "TORCH_CUDA_ARCH_LIST"):
        monkeypatch.delenv(variable, raising=False)
    return home


@pytest.mark.parametrize(
    ("gpus", "forced", "architectures", "installed", "flavour"),
    [
        ([], "0", "", "", "cpu"),
        ([], "1", "", "", "cuda-8.0;8.6;9.0+PTX"),
        ([], "1", "9.0", "", "cuda-9.0"),
        ([(9, 0), (8, 0), (9, 0)], "0", "", "", "cuda-8.0;9.0"),
        ([(9, 0)], "0", "", "cpu", "cuda-9.0"),
        ([], "0", "", "cuda-9.0", "cuda-9.0"),  # a login node keeps what a GPU node built
        ([(9, 0)], "0", "", "cuda-8.0;9.0", "cuda-8.0;9.0"),
        ([(12, 0)], "0", "", "cuda-8.0;9.0+PTX", "cuda-8.0;9.0+PTX"),
        ([(12, 0)], "0", "", "cuda-8.0;9.0", "cuda-12.0"),
        ([(8, 9)], "0", "", "cuda-8.6", "cuda-8.6"),  # a later minor version of the same major one
        ([(8, 0)], "0", "", "cuda-8.6", "cuda-8.0"),
    ],
)
def test_which_ops(
    environment: ModuleType,
    nvcc: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: list[tuple[int, int]],
    forced: str,
    architectures: str,
    installed: str,
    flavour: str,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch("13.0", *gpus))
    monkeypatch.setenv("FORCE_CUDA", forced)
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", architectures)
    monkeypatch.setattr(environment, "installed_flavour", lambda: installed)
    ops = environment.choose_ops()
    assert ops.flavour == flavour
    assert ops.cuda_home == ("" if flavour == "cpu" else str(nvcc))
    assert ("FORCE_CUDA=1" in ops.note) == (flavour == "cpu")


@pytest.mark.parametrize(
    ("cuda", "with_nvcc", "words"),
    [(None, True, "torch has no CUDA"), ("12.8", True, "nvcc is of CUDA 13"), ("13.0", False, "no nvcc")],
)
def test_why_no_cuda_ops(
    environment: ModuleType,
    nvcc: Path,
    monkeypatch: pytest.MonkeyPatch,
    cuda: str | None,
    with_nvcc: bool,
    words: str,
) -> None:
    monkeypatch.setattr(environment, "installed_flavour", lambda: "")
    if not with_nvcc:
        monkeypatch.setenv("PATH", str(nvcc))
    monkeypatch.setitem(sys.modules, "torch", fake_torch(cuda, (9, 0)))
    ops = environment.choose_ops()
    assert ops.flavour == "cpu" and words in ops.note
    monkeypatch.setenv("FORCE_CUDA", "1")
    with pytest.raises(environment.SetupError, match=words):
        environment.choose_ops()


def make_distribution(site: Path) -> metadata.Distribution:
    information = site / "thing-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "thing.py").write_text("x = 1\n", encoding="utf-8")
    (information / "METADATA").write_text("Name: thing\nVersion: 1.0\n", encoding="utf-8")
    (information / "INSTALLER").write_text("pip\n", encoding="utf-8")
    (information / "RECORD").write_text("thing.py,sha256=abc,6\n__pycache__/thing.pyc,,\n", encoding="utf-8")
    return metadata.PathDistribution(information)


def test_an_installation_cut_off_is_seen(environment: ModuleType, tmp_path: Path) -> None:
    distribution = make_distribution(tmp_path / "whole")
    assert not environment.damaged(distribution)
    (tmp_path / "whole" / "thing.py").write_text("x", encoding="utf-8")
    assert environment.damaged(distribution)
    (tmp_path / "whole" / "thing.py").unlink()
    assert environment.damaged(distribution)
    unfinished = make_distribution(tmp_path / "unfinished")
    (tmp_path / "unfinished" / "thing-1.0.dist-info" / "INSTALLER").unlink()
    assert environment.damaged(unfinished)


def test_missing_names_what_to_install(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_distribution(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert environment.missing({"thing": "1.0", "absent-thing": "2"}) == ["absent-thing==2"]
    assert environment.missing({"thing": "1.1"}) == ["thing==1.1"]
    (tmp_path / "thing.py").unlink()
    assert environment.missing({"thing": "1.0"}) == ["thing==1.0"]
    assert not (tmp_path / "thing-1.0.dist-info").exists()
