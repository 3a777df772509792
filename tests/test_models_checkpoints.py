"""Checkpoints: nothing but weights comes out of them, whatever was put in."""

import os
import pickle
from pathlib import Path

import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import pytest
import torch
from broken_inputs import LFS_POINTER, zipped
from torch import nn

from kps.files import InputError
from kps.models import checkpoints


class Trap:
    """Unpickling it makes a file: proof that code ran."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.fixture(params=["torch zip", "torch legacy", "plain pickle"])
def trap(request, tmp_path):
    path, target = tmp_path / "trap.pth", tmp_path / "ran"
    content = {"state_dict": {"weight": torch.zeros(2)}, "meta": Trap(target)}
    if request.param == "plain pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=request.param == "torch zip")
    return path, target


@pytest.mark.parametrize("read", [checkpoints.load_weights, checkpoints.read_checkpoint, checkpoints.stored_config])
def test_a_crafted_checkpoint_is_refused_and_runs_nothing(trap, read):
    path, target = trap
    with pytest.raises(InputError, match=r"trap\.pth: .*(more than weights: posix\.mkdir$|but got a Python pickle)"):
        read(path)  # without torch's advice to unpickle
    assert not target.exists()


def test_mmengine_has_no_way_around(trap):
    path, target = trap
    with pytest.raises(InputError):
        mmengine_checkpoint.load_checkpoint(nn.Linear(2, 2), str(path))
    with pytest.raises(InputError):
        mmengine_checkpoint._load_checkpoint(str(path))
    assert not target.exists()


def test_numbers_of_numpy_are_read(tmp_path):
    path = tmp_path / "a.pth"
    history = {"loss": np.arange(3.0), "last": np.float32(2), "flags": np.array([True]), "steps": np.int64(3)}
    checkpoints.save_checkpoint(path, {"state_dict": {"w": torch.ones(1)}, "message_hub": history})
    read = checkpoints.read_checkpoint(path)["message_hub"]
    assert read["loss"].tolist() == [0, 1, 2] and read["last"] == 2 and read["flags"][0] and read["steps"] == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (LFS_POINTER, "got a Git LFS pointer"),
        (pickle.dumps({"w": np.zeros(2)}), "got a Python pickle"),
        (zipped({"w.npy": b""}), "got an .npz archive"),
        (b'{"state_dict": {}}', "it is damaged or none"),
        (b"<html>404</html>", "it is damaged or none"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path, content, says):
    path = tmp_path / "final.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"final\.pth: expected a checkpoint, but {says}"):
        checkpoints.read_checkpoint(path)


@pytest.mark.parametrize("cut", [0, 10, 400, -30])
def test_a_truncated_checkpoint_is_named(tmp_path, cut):
    path = tmp_path / "cut.pth"
    checkpoints.save_checkpoint(path, {"state_dict": {"w": torch.ones(100)}})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"cut\.pth"):
        checkpoints.load_weights(path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"state_dict": {"a": 1}}, {"state_dict": {}}])
def test_what_holds_no_weights_is_refused(tmp_path, content):
    path = tmp_path / "a.pth"
    torch.save(content, path)
    with pytest.raises(InputError, match="expected"):
        checkpoints.load_weights(path)


def test_weights_of_another_model_are_refused_by_name(tmp_path):
    path = tmp_path / "a.pth"
    checkpoints.save_checkpoint(path, {"state_dict": nn.Linear(2, 3).state_dict()})
    checkpoints.load_into(nn.Linear(2, 3), path)
    with pytest.raises(InputError, match=r"weight is \(4, 2\) in the model, \(3, 2\) in the file"):
        checkpoints.load_into(nn.Linear(2, 4), path)
    with pytest.raises(InputError, match="bias is nothing in the model"):
        checkpoints.load_into(nn.Linear(2, 3, bias=False), path)


@pytest.mark.parametrize("type_name", ["os.system", "mmengine.utils.is_installed"])
def test_a_configuration_that_would_be_called_is_refused(tmp_path, type_name):
    path = tmp_path / "a.pth"
    config = f'{{"model": {{"heads": [{{"type": "{type_name}", "command": "true"}}]}}}}'
    checkpoints.save_checkpoint(path, {"meta": {"config_json": config}, "state_dict": {"w": torch.ones(1)}})
    with pytest.raises(InputError, match=type_name):
        checkpoints.stored_config(path)


def test_scales_come_back_as_tuples():
    config = checkpoints.as_config({"a": [{"scale": [2, 1]}, {"scales": [[3, 1], [4, 1]]}], "channels": [1, 2]})
    assert config.a[0].scale == (2, 1) and config.a[1].scales == [(3, 1), (4, 1)] and config.channels == [1, 2]


@pytest.fixture
def tuned():
    """A base of 48 + 4 + 1 numbers and two models near it: one changed by rank one, the other in its scales too."""
    torch.manual_seed(0)
    base = {"conv": torch.randn(4, 3, 2, 2), "scale": torch.ones(4), "steps": torch.tensor(7)}
    change = torch.outer(torch.randn(4), torch.randn(12)).reshape(4, 3, 2, 2)
    return base, {1: base | {"conv": base["conv"] + 3 * change}, 2: base | {"scale": base["scale"] + 0.1}}


def test_changes_of_low_rank_are_whole_at_a_share_of_the_numbers(tuned):
    base, models = tuned
    near, numbers = checkpoints.cut_changes(base, models, 0.2)
    assert numbers == (4 + 12) + 4
    for kind, weights in models.items():
        assert list(near[kind]) == list(base) and near[kind]["steps"].dtype == torch.int64
        for name, value in weights.items():
            torch.testing.assert_close(near[kind][name], value)


def test_what_changed_most_for_its_numbers_goes_first_and_nothing_is_the_base(tuned):
    base, models = tuned
    near, numbers = checkpoints.cut_changes(base, models, 0.16)  # 16 numbers of 106: the rank-one change
    assert numbers == 16 and torch.allclose(near[1]["conv"], models[1]["conv"], atol=1e-5)
    assert torch.equal(near[2]["scale"], base["scale"])
    near, numbers = checkpoints.cut_changes(base, models, 0)
    assert numbers == 0 and all(torch.equal(near[1][name], value) for name, value in base.items())


def test_a_cut_is_the_nearest_of_its_rank():
    torch.manual_seed(0)
    base = {"layer": torch.zeros(6, 5)}
    full = torch.randn(6, 5)
    for rank in range(1, 5):
        near, numbers = checkpoints.cut_changes(base, {1: {"layer": full}}, rank * 11 / 30)
        lost = torch.linalg.svdvals(full)[rank:].square().sum()
        assert numbers == 11 * rank and torch.isclose((near[1]["layer"] - full).square().sum(), lost)
