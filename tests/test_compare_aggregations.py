"""scripts/compare_aggregations.py: maps are trained alike and compared in pairs; a map may be a prior."""

import subprocess
import sys

import pytest
from garment_photos import write_photos

from kps.models.checkpoints import load_weights
from kps.workspace import REPOSITORY, Workspace


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Workspace:
    folder = tmp_path_factory.mktemp("compare")
    work = Workspace(folder / "run")
    for split in ("train", "validation"):
        work.coco(split).parent.mkdir(parents=True, exist_ok=True)
        write_photos(folder / split).rename(work.coco(split))
    work.write_data({split: folder / split / "image" for split in ("train", "validation")}, source="test")
    return work


def run(work: Workspace, *maps: str) -> subprocess.CompletedProcess[str]:
    short = ["--shares", "0.5", "--seeds", "0", "--config", "hrnet_tiny", "--epochs", "1", "--draws", "8"]
    command = [sys.executable, REPOSITORY / "scripts" / "compare_aggregations.py", "--workspace", work.root]
    return subprocess.run([*command, *short, "--maps", *maps], capture_output=True, text=True, check=False)


def test_a_map_and_the_same_as_a_prior(work):
    done = run(work, "hand81", "hand81+100")
    assert done.returncode == 0, done.stderr
    head, hard, soft = (line.split() for line in done.stdout.splitlines()[-3:])
    assert head == ["seed", "0", "mean", "5", "rarest", "over", "hand81", "low", "high"]
    assert hard[:2] == ["0.5", "hand81"] and hard[-3:] == ["NaN"] * 3  # the map that others are held against
    assert soft[:2] == ["0.5", "hand81+100"] and float(soft[-2]) <= float(soft[-3]) <= float(soft[-1])
    weights = [load_weights(work.root / "study" / f"{name}_0.5_0" / "final.pth") for name in ("hand81", "hand81+100")]
    assert "head.residual" not in weights[0] and weights[1]["head.residual"].abs().sum() > 0


def test_a_map_that_was_not_made_is_one_line(work):
    done = run(work, "derived")
    assert done.returncode == 1 and done.stdout == "" and "derived" in done.stderr and done.stderr.count("\n") == 1
