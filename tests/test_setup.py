"""The pins, the environment that they make, and the set-up script: its refusals and its repairs."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ["awk", "bash", "cat", "cp", "cut", "df", "dirname", "flock", "grep", "mkdir", "rm", "sha256sum", "tail", "tee"]
PYTHON = """#!/bin/bash
# Stands for a Python: answers the set-up's probe, makes a venv of itself, has a pip that does as told.
case "$*" in
    *sys.version_info*) kind={kind}; if [[ $0 == *.venv/bin/* ]]; then kind=env; fi
        echo {version} $kind $(cd "${{0%/*}}" && pwd)/${{0##*/}} ;;
    *"-m venv"*) {venv}rm -rf .venv; mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *sys.prefix*) echo ${{0%/bin/*}} ;;
    *"-m pip"*) echo pip "$*" >>{calls}; {pip} ;;
    -) cat >/dev/null ;;
esac
"""


LINES = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
PINS = [Requirement(line) for line in LINES if "==" in line]


def test_every_line_is_an_exact_pin_or_a_folder_of_this_checkout() -> None:
    for line in LINES:
        folder = line.removeprefix("-e ")
        is_folder = folder.startswith(".") and (ROOT / folder / "pyproject.toml").is_file()
        assert is_folder or re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[0-9][0-9a-z.]*( ; [^#@]+)?", line), line


@pytest.mark.parametrize("python", ["3.11.7", "3.12.1", "3.13.0"])
def test_a_package_has_one_version_per_python(python: str) -> None:
    values = default_environment() | {"python_full_version": python, "sys_platform": "linux"}
    names = [pin.name for pin in PINS if pin.marker is None or pin.marker.evaluate(dict(values))]
    assert len(names) == len(set(names))
    assert {"torch", "onedl-mmcv", "mmpose", "pycocotools", "numpy", "snakemake"} <= set(names)


def test_the_environment_is_what_the_pins_say_and_its_wishes_are_met() -> None:
    applying = [pin for pin in PINS if pin.marker is None or pin.marker.evaluate()]
    installed = {pin.name: metadata.version(pin.name) for pin in applying}
    assert not [pin for pin in applying if not pin.specifier.contains(installed[pin.name], prereleases=True)]
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert conda["dependencies"][-1] == {"pip": ["-r requirements.txt"]}


def test_mmposes_evaluation_takes_the_sigmas() -> None:
    from xtcocotools.cocoeval import COCOeval

    assert COCOeval(iouType="keypoints", sigmas=[0.1] * 294).params.kpt_oks_sigmas.shape == (294,)
    with pytest.raises(ValueError, match="use_area"):
        COCOeval(iouType="keypoints", use_area=False)


# --- the script


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout with the scripts alone, and beside it `bin`, the only folder on the PATH."""
    shutil.copytree(ROOT / "scripts", tmp_path / "clone" / "scripts")
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / "clone")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool} here"))
    return tmp_path / "clone"


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def stand_in(path: Path, *, version: str = "3.12", kind: str = "base", pip: str = ":", venv: str = "") -> None:
    """A program that answers as a Python of that version; `pip` and `venv` are what it does when asked to."""
    calls = path.parents[1] / "calls"
    program(path, PYTHON.format(version=version, kind=kind, pip=pip, venv=venv, calls=calls))


def set_up(clone: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Call the clone's set-up in a bare environment."""
    values = {"PATH": str(clone.parent / "bin"), "HOME": str(clone.parent), "KPS_NEED_GB": "0"} | variables
    command = ["bash", clone / "scripts" / "setup.sh", *arguments]
    return subprocess.run(command, env=values, cwd="/", capture_output=True, text=True)


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of a refusal."""
    assert result.returncode == 1, result
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("setup.sh: "), result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("place", "python", "variables", "words"),
    [
        ("elsewhere", {}, {}, "found none"),
        ("bin/python3", {"version": "3.9"}, {}, r"Python 3.11 to 3.13 is needed, found 3\.9 \("),
        ("bin/python3", {"version": "3.14"}, {}, r"Python 3.11 to 3.13 is needed, found 3\.14 \("),
        ("clone/.venv/bin/python", {"version": "3.9"}, {}, "has Python 3.9"),
        ("bin/python3", {"venv": "exit 1; "}, {}, "apt install python3-venv"),
        ("bin/python3", {"pip": "echo No space left on device; exit 1"}, {}, "disk of .* is full"),
        ("bin/python3", {"pip": "echo NewConnectionError; echo ERROR: no absl-py; exit 1"}, {}, "no network"),
        ("bin/python3", {"pip": "echo ERROR: odd; exit 1"}, {}, "pip failed: ERROR: odd; its output is in"),
        ("bin/python3", {}, {"KPS_NEED_GB": "9999999"}, "9999999 GB of free disk space are needed"),
        ("bin/python3", {}, {"KPS_PYTHON": "/nowhere/python"}, "KPS_PYTHON=/nowhere/python"),
    ],
)
def test_what_stops_it_is_one_line(clone: Path, place: str, python: dict, variables: dict, words: str) -> None:
    stand_in(clone.parent / place, **python)
    assert re.search(words, refusal(set_up(clone, **variables)))
    assert not list(clone.glob(".venv/*.stamp"))


@pytest.mark.parametrize("short", [False, True])
def test_downloads_are_kept_only_where_the_disk_has_room(clone: Path, short: bool) -> None:
    stand_in(clone.parent / "bin" / "python3")
    needed = shutil.disk_usage(clone).free // 2**30 - 1 if short else 0
    assert set_up(clone, KPS_NEED_GB=str(needed)).returncode == 0
    assert (" --no-cache-dir install " in (clone.parent / "calls").read_text()) == short


def test_a_shim_that_fails_is_passed_over(clone: Path) -> None:
    program(clone.parent / "bin" / "python3.12", "#!/bin/sh\necho no such version >&2\nexit 127\n")
    stand_in(clone.parent / "bin" / "python3", version="3.13")
    assert f"making .venv with {clone.parent}/bin/python3\n" in set_up(clone).stdout


def test_a_broken_venv_is_made_anew_and_a_whole_one_left_alone(clone: Path) -> None:
    stand_in(clone.parent / "bin" / "python3")
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
    assert "not set up yet" in refusal(set_up(clone, "--python"))
    first, second = set_up(clone), set_up(clone)
    assert first.returncode == 0 and "making .venv" in first.stdout, first
    assert second.stdout.count("\n") == 1 and second.stdout.endswith(f"] ready: {clone}/.venv/bin/python\n")
    calls = (clone.parent / "calls").read_text().splitlines()
    assert ["--no-deps" in call for call in calls] == [True, True, False]  # the largest first, then all
    (clone / "requirements.txt").write_text("# other pins\n")
    assert "installing requirements.txt" in set_up(clone).stdout


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_the_active_environment_is_used(clone: Path, variable: str) -> None:
    active = clone.parent / "active"
    stand_in(active / "bin" / "python", kind="env")
    assert set_up(clone, "--python", **{variable: str(active)}).stdout == f"{active}/bin/python\n"
    stand_in(active / "bin" / "python", kind="base")  # conda's base: not to be filled
    assert "not set up yet" in refusal(set_up(clone, "--python", **{variable: str(active)}))


def test_help_and_wrong_usage(clone: Path) -> None:
    assert "KPS_PYTHON" in set_up(clone, "--help").stdout
    wrong = set_up(clone, "--everything")
    assert wrong.returncode == 2 and "usage:" in wrong.stderr


def test_a_package_cut_off_is_forgotten_so_that_pip_mends_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    site = next(tmp_path.glob("lib/python3*/site-packages"))
    check = re.search(r"<<'END'\n(.*?)\nEND\n", (ROOT / "scripts" / "setup.sh").read_text(), re.DOTALL)[1]

    def mended() -> list[str]:
        done = subprocess.run([tmp_path / "bin" / "python", "-c", check], capture_output=True, text=True)
        assert done.stderr == "" and done.returncode == bool(done.stdout), done
        return [line.split()[-1] for line in done.stdout.splitlines()]

    for name, size, installer in (("whole", 6, "pip"), ("short", 7, "pip"), ("others", 9, "conda")):
        (site / f"{name}.py").write_text("x = 1\n")
        information = site / f"{name}-1.0.dist-info"
        information.mkdir()
        (information / "INSTALLER").write_text(installer)
        (information / "RECORD").write_text(f"{name}.py,,{size}\n__pycache__/{name}.pyc,,\n")
    (site / "~alf-1.0.dist-info").mkdir()
    (site / "started-1.0.dist-info").mkdir()
    assert sorted(mended()) == ["short-1.0.dist-info", "started-1.0.dist-info", "~alf-1.0.dist-info"]
    assert mended() == [] and {path.name[:3] for path in site.glob("*-1.0.dist-info")} == {"who", "oth"}
    (site / "whole.py").unlink()
    assert mended() == ["whole-1.0.dist-info"]


@pytest.mark.parametrize("script", ["scripts/setup.sh", "scripts/demo.sh", "scripts/test.sh", ".ci/run"])
def test_scripts_are_programs(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK) and path.read_text().startswith("#!/usr/bin/env bash\n")
    assert subprocess.run(["bash", "-n", path]).returncode == 0
