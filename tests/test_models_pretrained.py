"""Public weights to start from: names of every zoo are understood, another backbone is refused by name."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from small_models import detector_config, landmark_config

from kps.aggregation import Aggregation
from kps.configs import load_config
from kps.files import InputError
from kps.models import detector, landmarks  # noqa: F401  (fill the registries)
from kps.models.checkpoints import fetch, load_pretrained, read_checkpoint, save_checkpoint
from kps.workspace import REPOSITORY

FILES = {"coco_file": "c.json", "work_dir": "w"}


def build(aggregation: str = "hand81", size: str = "tiny") -> torch.nn.Module:
    config = landmark_config(size=size, aggregation=Aggregation.named(aggregation), **FILES)
    with DefaultScope.overwrite_default_scope("mmpose"):
        return MODELS.build(config.model)


def official(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The backbone as HRNet's authors name it, as trained in parallel, with a head of 17 key points."""
    names = {name.removeprefix("backbone."): v for name, v in model.backbone.state_dict().items()}
    head = {"final_layer.weight": torch.zeros(17, 48, 1, 1), "final_layer.bias": torch.zeros(17)}
    return {f"module.{name}": value for name, value in (names | head).items()}


@pytest.mark.parametrize("naming", ["official", "mmpose"])
def test_the_backbone_is_taken_and_the_head_starts_anew(tmp_path, naming, capsys):
    giver, taker = build("identity"), build("hand81")
    weights = official(giver) if naming == "official" else giver.state_dict()
    torch.save(weights if naming == "official" else {"state_dict": weights}, tmp_path / "w.pth")
    anew = load_pretrained(taker, str(tmp_path / "w.pth"))
    for name, value in giver.backbone.state_dict().items():
        assert torch.equal(taker.backbone.state_dict()[name], value)
    assert anew and all(name.startswith("head.") for name in anew)
    assert "starting from w.pth: " in capsys.readouterr().out


def test_another_backbone_is_refused_by_name(tmp_path):
    weights = official(build())
    weights["module.conv1.weight"] = torch.zeros(64, 3, 7, 7)
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w\.pth: not of this backbone: backbone\.conv1\.weight is "):
        load_pretrained(build(), str(tmp_path / "w.pth"))


def test_missing_weights_come_with_advice_and_others_are_fetched_once(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"none\.pth: no such file .* or start without"):
        fetch(str(tmp_path / "none.pth"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    url = f"file://{tmp_path}/w.pth"
    with pytest.raises(InputError, match=r"cannot be fetched .* fetch it by hand"):
        fetch(url)
    assert not list(tmp_path.rglob(".*"))
    (tmp_path / "w.pth").write_bytes(b"weights")
    assert fetch(url).read_bytes() == b"weights"
    (tmp_path / "w.pth").unlink()
    assert fetch(url).read_bytes() == b"weights"


def test_public_names_are_urls():
    for architecture in ("htc", "cascade"):
        config = detector_config(architecture=architecture, size="paper", pretrained="public", **FILES)
        assert config.pretrained.startswith("https://") and architecture in config.pretrained
    assert landmark_config(size="demo", pretrained="w.pth", **FILES).pretrained.endswith("/w.pth")
    assert landmark_config(**FILES).pretrained is None


@pytest.mark.parametrize(
    ("kind", "name"), [("landmarks", "lite"), ("detectors", "htc_lite"), ("detectors", "cascade_lite")]
)
def test_small_models_start_from_the_ready_weights(kind, name):
    config = load_config(name, kind)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert load_pretrained(model, config.public_weights) == []
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert Path(config.public_weights).resolve().parent.name == "weights" and len(changed) > len(before) / 2


def test_ready_weights_are_halves_of_a_run_or_the_mean_with_those_before(tmp_path, monkeypatch):
    script = runpy.run_path(str(REPOSITORY / "scripts" / "ready_weights.py"))
    names, ready = script["main"].__globals__, tmp_path / "weights"
    for name, value in {"detector": 1.0, "landmarks": 2.0}.items():
        config = {"work_dir": "/home/of/someone", "list": [{"img": "/data/train.json"}]}
        content = {"meta": {"config_json": json.dumps(config)}, "state_dict": {"weight": torch.full((2,), value)}}
        save_checkpoint(tmp_path / f"{name}.pth", content)
    models = SimpleNamespace(detector=tmp_path / "detector.pth", landmarks=tmp_path / "landmarks.pth")
    monkeypatch.setitem(names, "find_models", lambda run: models)
    monkeypatch.setitem(names, "READY", ready)
    for words, expected in (([], (1, 2)), (["--mean"], (2, 4))):
        monkeypatch.setattr("sys.argv", ["ready_weights.py", *words])
        assert script["main"]() == 0
        found = [read_checkpoint(ready / f"{name}.pth") for name in ("detector", "landmarks")]
        assert [one["state_dict"]["weight"].tolist() for one in found] == [[value] * 2 for value in expected]
        assert all(one["state_dict"]["weight"].dtype == torch.half for one in found)
        assert json.loads(found[0]["meta"]["config_json"]) == {"work_dir": "someone", "list": [{"img": "train.json"}]}
        for path, value in ((models.detector, 3.0), (models.landmarks, 4.0)):  # the next sitting
            content["state_dict"] = {"weight": torch.full((2,), value)}
            save_checkpoint(path, content)
