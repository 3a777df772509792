"""What `scripts/setup.sh` asks the environment's own Python: what is missing, what to build, does it work.

Runs before anything is installed, so it imports only the standard library and what pip carries along.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
STAMP = Path(sys.prefix) / "kps-setup.json"  # written last: this environment is complete
DEFAULT_ARCHITECTURES = "8.0;8.6;9.0+PTX"  # A100; A10, A40, RTX 30 and 40; H100 and later


class SetupError(Exception):
    """One line that names what is missing."""


class Ops(NamedTuple):
    """Which of mmcv's ops to compile: `flavour` is "cpu" or "cuda-<architectures>", `note` a remark."""

    flavour: str
    cuda_home: str = ""
    note: str = ""


def read_pins(path: Path = ROOT / "requirements.txt") -> dict[str, str]:
    """Return {name: version} of the lines of `path` that apply to this Python and platform."""
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.utils import canonicalize_name

    pins = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate():
                pins[str(canonicalize_name(requirement.name))] = str(requirement.specifier).removeprefix("==")
    return pins


def damaged(distribution: metadata.Distribution) -> bool:
    """Whether an installation was cut off: files of its list that are absent or have another size."""
    files = distribution.files
    if not files or distribution.read_text("INSTALLER") is None:
        return True
    for file in files:
        try:
            size = os.stat(distribution.locate_file(file)).st_size
        except OSError:
            if file.suffix != ".pyc":
                return True
        else:
            if file.size is not None and file.size != size:
                return True
    return False


def missing(pins: dict[str, str]) -> list[str]:
    """Return "name==version" of each pin that is not installed; what is damaged no longer counts as such."""
    lines = []
    for name, version in pins.items():
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            lines.append(f"{name}=={version}")
            continue
        if damaged(distribution):
            shutil.rmtree(distribution._path)  # type: ignore[attr-defined]  # pip would trust or refuse it
            lines.append(f"{name}=={version}")
        elif distribution.version.split("+")[0] != version:
            lines.append(f"{name}=={version}")
    return lines


def find_nvcc() -> tuple[str, int] | None:
    """Return the folder and the major version of the CUDA toolkit, from CUDA_HOME or the PATH, if any."""
    home, path = os.environ.get("CUDA_HOME"), os.environ.get("PATH", "")
    nvcc = shutil.which("nvcc", path=f"{home}/bin:{path}" if home else path)
    if nvcc is None:
        return None
    version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False)
    release = re.search(r"release (\d+)\.", version.stdout)
    if release is None:
        return None
    # The nvcc on the PATH may be a link or a wrapper: the compiler itself knows where it lives.
    dry_run = [nvcc, "--dryrun", "-x", "cu", "-c", os.devnull]
    plan = subprocess.run(dry_run, capture_output=True, text=True, check=False)
    top = re.search(r"^#\$ TOP=(.+)$", plan.stderr, re.MULTILINE)
    folder = Path(top[1].strip()) if top else Path(nvcc).resolve().parents[1]
    return str(folder.resolve()), int(release[1])


def installed_flavour() -> str:
    """Return the ops that the stamp names, "" without one."""
    try:
        return json.loads(STAMP.read_text(encoding="utf-8"))["ops"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def choose_ops() -> Ops:
    """Choose CUDA ops where nvcc, a CUDA torch and a GPU are there; FORCE_CUDA=1 stands for a visible GPU.

    Installed ops that serve the wanted use are kept: a login node does not undo what a GPU node built.

    Raises:
        SetupError: FORCE_CUDA=1, and CUDA ops cannot be compiled.
    """
    import torch

    forced = os.environ.get("FORCE_CUDA", "0") == "1"
    gpu = torch.cuda.is_available()
    installed = installed_flavour()
    nvcc = find_nvcc()
    home = nvcc[0] if nvcc else ""
    if not forced and not gpu:
        if installed.startswith("cuda-"):
            return Ops(installed, home)
        hint = "nvcc is here but no GPU: for CUDA ops (hours of compiling) call FORCE_CUDA=1 scripts/setup.sh"
        return Ops("cpu", note=hint if torch.version.cuda and nvcc else "")
    capabilities = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
    visible = ";".join(f"{major}.{minor}" for major, minor in sorted(capabilities))
    wanted = os.environ.get("TORCH_CUDA_ARCH_LIST", "").replace(" ", ";") or visible or DEFAULT_ARCHITECTURES
    have = installed.removeprefix("cuda-").split(";")
    if installed.startswith("cuda-") and _serves(have, wanted.split(";")):
        return Ops(installed, home)
    problem = _cuda_problem(torch.version.cuda, nvcc)
    if problem and forced:
        raise SetupError(f"FORCE_CUDA=1 asks for CUDA ops, but {problem}")
    if problem:
        note = f"a GPU is visible, but {problem}: CPU ops only, the detector will not train on it"
        return Ops("cpu", note=note)
    return Ops(f"cuda-{wanted}", home)


def _serves(installed: list[str], wanted: list[str]) -> bool:
    """Whether ops for the `installed` architectures run on the `wanted` ones, each as "8.6" or "9.0+PTX".

    A binary runs on its own and later minor versions of its major one, PTX on all later architectures.
    """

    def version(architecture: str) -> tuple[int, ...]:
        return tuple(int(number) for number in re.findall(r"\d+", architecture))

    def runs(have: str, want: str) -> bool:
        same_major = version(have)[:1] == version(want)[:1]
        return version(have) <= version(want) and (same_major or have.endswith("+PTX"))

    return all(any(runs(have, want) for have in installed) for want in wanted)


def _cuda_problem(torch_cuda: str | None, nvcc: tuple[str, int] | None) -> str:
    """Return why CUDA ops cannot be compiled for a torch built with CUDA `torch_cuda`, "" if they can."""
    if torch_cuda is None:
        return "the installed torch has no CUDA"
    major = int(torch_cuda.split(".")[0])
    if nvcc is None:
        return f"there is no nvcc on the PATH or in CUDA_HOME (CUDA {major}, as torch's)"
    if nvcc[1] != major:
        return f"nvcc is of CUDA {nvcc[1]} and torch of CUDA {major}"
    return ""


def build_key(flavour: str) -> str:
    """Return the folder name for wheels that fit this Python, torch, numpy, C library and `flavour` only."""
    from torch import __version__ as torch_version

    parts = [
        f"{sys.implementation.name}{sys.version_info.major}.{sys.version_info.minor}",
        f"torch{torch_version}",
        f"numpy{metadata.version('numpy')}",
        f"{sys.platform}-{platform.machine()}-{''.join(platform.libc_ver())}",
        flavour,
    ]
    return re.sub(r"[^A-Za-z0-9.+-]", "_", "_".join(parts))


def compilers() -> int:
    """Return how many to run at once: one for each processor, if there are 2 GB of free memory for each."""
    memory = Path("/proc/meminfo").read_text(encoding="ascii")
    available = re.search(r"^MemAvailable:\s+(\d+) kB", memory, re.MULTILINE)
    by_memory = int(available[1]) // 2_000_000 if available else 1
    return max(1, min(len(os.sched_getaffinity(0)), by_memory))


def fingerprint() -> str:
    """Return a hash of what an environment is made from; a change asks for a new set-up."""
    digest = hashlib.sha256(f"{ROOT} {sys.version} {sys.prefix}".encode())
    for name in ("requirements.txt", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def is_ready() -> bool:
    """Whether the stamp fits and the three parts that break most easily still load."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        if stamp["fingerprint"] != fingerprint() or stamp["ops"] != choose_ops().flavour:
            return False
        import mmcv._ext  # noqa: F401

        import kps

        return Path(kps.__file__).is_relative_to(ROOT)
    except (OSError, ValueError, KeyError, TypeError, ImportError, SetupError):
        return False


def verify(flavour: str) -> str:
    """Import and try what was installed, write the stamp, and return a line that says what works.

    Raises:
        SetupError: A part does not load or gives a wrong answer.
    """
    try:
        import mmdet.models
        import mmpose.models
        import torch
        import xtcocotools.coco  # noqa: F401
        from mmcv.ops import nms

        import kps
    except Exception as error:
        raise SetupError(f"the installed packages do not load: {type(error).__name__}: {error}") from error
    device = "cuda" if flavour != "cpu" and torch.cuda.is_available() else "cpu"
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], device=device)
    _, kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)
    if kept.tolist() != [0, 2]:
        raise SetupError(f"mmcv's nms on the {device} kept boxes {kept.tolist()} instead of [0, 2]")
    if not Path(kps.__file__).is_relative_to(ROOT):
        raise SetupError(f"`import kps` finds {kps.__file__} instead of this checkout: unset PYTHONPATH")
    part = STAMP.with_suffix(".part")
    part.write_text(json.dumps({"fingerprint": fingerprint(), "ops": flavour}), encoding="utf-8")
    part.replace(STAMP)
    versions = f"torch {torch.__version__}, mmdet {mmdet.__version__}, mmpose {mmpose.__version__}"
    return f"{versions}, ops: {flavour}, tried on the {device}"


def main() -> int:
    """Answer one question of the set-up script on standard output."""
    parser = argparse.ArgumentParser(description="Answers what scripts/setup.sh asks about the environment.")
    parser.add_argument("question", choices=["ready", "missing", "ops", "verify"])
    parser.add_argument(
        "flavour", nargs="?", default="cpu", help='for verify: "cpu" or "cuda-<architectures>"'
    )
    arguments = parser.parse_args()
    try:
        if arguments.question == "ready":
            return 0 if is_ready() else 1
        if arguments.question == "missing":
            print("\n".join(missing(read_pins())))
        elif arguments.question == "ops":
            ops = choose_ops()
            print("\n".join([ops.flavour, build_key(ops.flavour), ops.cuda_home, str(compilers()), ops.note]))
        else:
            print(verify(arguments.flavour))
    except SetupError as error:
        print(f"setup.sh: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
