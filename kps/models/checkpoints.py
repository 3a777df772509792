"""Checkpoints: written whole or not at all, read without ever running code from them, and public weights.

`torch.load(weights_only=True)` builds tensors and plain containers only. mmengine's loader falls back to a
full unpickle where that fails; importing this module replaces it, so that weights named in a configuration
(`init_cfg`, `load_from`) take the same strict way.
"""

import importlib
import importlib.util
import pickle
import re
import urllib.error
import warnings
from collections import Counter
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import orjson
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import Registry
from torch import Tensor, nn

from kps.files import CHECKPOINT, InputError, atomic_path, reason_of


def _statistic(owner: Any, name: str) -> Any:
    """Stand in for `getattr` in checkpoints of mmengine: it names a loss history's statistics, nothing else."""
    if (owner is HistoryBuffer or isinstance(owner, HistoryBuffer)) and name in ("max", "min", "mean", "current"):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f"GLOBAL builtins.getattr of {name!r}")


# What checkpoints of mmengine hold besides tensors: loss histories as NumPy arrays. None of these runs code.
SAFE_TYPES = [
    np.ndarray,
    np.dtype,
    np._core.multiarray._reconstruct,
    np._core.multiarray.scalar,
    *{type(np.dtype(name)) for name in ("bool", "uint8", "int32", "int64", "uint32", "uint64", "float32", "float64")},
    HistoryBuffer,
    bytes,
    (_statistic, "builtins.getattr"),
]
SCOPES = ("mmengine", "mmcv", "mmdet", "mmpose", "mmpretrain")  # libraries whose registries are trusted
# Keys of pairs that mmdet and mmpose want as tuples, which JSON does not have.
TUPLES = ("scale", "scales", "img_scale", "input_size", "heatmap_size", "in_featuremap_size", "sigma", "img")
# What torch raises on other files than checkpoints.
_BROKEN = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError, AttributeError)


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Return the content of a checkpoint file, tensors on the CPU.

    InputError: the file is absent, damaged, no checkpoint, or holds more than tensors and plain values.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such checkpoint")
    content = _load_strictly(path, "cpu")
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a checkpoint (a dictionary), but it holds a {type(content).__name__}")
    return content


def _load_strictly(file: Any, map_location: Any = None, weights_only: bool = True) -> Any:
    """Stand in for mmengine's loader: the same call, but only ever with weights_only=True."""
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(SAFE_TYPES):
            warnings.simplefilter("ignore")  # of other protocols of pickle
            return torch.load(file, map_location=map_location, weights_only=True)
    except _BROKEN as error:
        if found := re.search(r"GLOBAL (\S+)", str(error)):  # of torch's own words the rest is advice to unpickle
            raise InputError(f"{file}: refused, since it holds more than weights: {found[1]}") from None
        words = "" if isinstance(error, pickle.UnpicklingError) else str(error).split(". ")[0]
        reason = reason_of(file, f"it is damaged or none{words and f' ({words})'}", own=(CHECKPOINT,))
        raise InputError(f"{file}: expected a checkpoint, but {reason}") from None


mmengine_checkpoint._safe_torch_load = _load_strictly


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically: a killed process leaves the old file or the new one."""
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def load_weights(path: Path | str) -> dict[str, Tensor]:
    """Return the weights in a checkpoint, by parameter name.

    InputError: see `read_checkpoint`; or the file holds no weights.
    """
    content = read_checkpoint(path)
    weights = content.get("state_dict", content)
    if not isinstance(weights, dict) or not weights or not all(isinstance(v, Tensor) for v in weights.values()):
        raise InputError(f"{path}: expected weights (a dictionary of tensors, or one under 'state_dict')")
    return weights


def load_into(model: nn.Module, path: Path | str, weights: dict[str, Tensor] | None = None) -> None:
    """Load a checkpoint's weights (`weights`, if they were read already) into a model of its architecture.

    InputError: see `load_weights`; or names or shapes differ from the model's (the first one is named).
    """
    weights = load_weights(path) if weights is None else weights
    _check_shapes(model.state_dict(), weights, f"{path}: not of this model")
    model.load_state_dict(weights)


def _check_shapes(own: dict[str, Tensor], weights: dict[str, Tensor], what: str) -> None:
    for name in [*own, *weights]:
        expected, got = (tuple(d[name].shape) if name in d else "nothing" for d in (own, weights))
        if expected != got:
            raise InputError(f"{what}: {name} is {expected} in the model, {got} in the file")


def cut_changes(
    base: dict[str, Tensor], tuned: Mapping[int, dict[str, Tensor]], share: float
) -> tuple[dict[int, dict[str, Tensor]], int]:
    """Weights near those of models tuned from one base, of `share` of the numbers that full copies hold; and how many.

    What a model changed of a tensor is cut at its singular values: of all tensors and models those stay that hold most
    squared change a number, and a scale or bias is one of them.
    """
    changes, parts = {}, []
    for key, name in product(tuned, (name for name, value in base.items() if value.is_floating_point())):
        change = tuned[key][name].double() - base[name].double()
        rows = change.reshape(len(change), -1) if change.dim() > 1 else change.reshape(-1, 1)
        changes[key, name] = left, size, right = torch.linalg.svd(rows, full_matrices=False)
        cost = rows.shape[0] + rows.shape[1] * (change.dim() > 1)
        parts += [(value**2 / cost, cost, (key, name)) for value in size.tolist() if value]
    parts.sort(key=lambda part: -part[0])
    total = np.cumsum([cost for _, cost, _ in parts])
    kept = parts[: int((total <= share * len(tuned) * sum(value.numel() for value in base.values())).sum())]
    rank = Counter(place for *_, place in kept)
    near = {key: dict(base) for key in tuned}
    for (key, name), of in rank.items():
        left, size, right = changes[key, name]
        change = (left[:, :of] * size[:of]) @ right[:of]
        near[key][name] = (base[name].double() + change.reshape(base[name].shape)).to(base[name].dtype)
    return near, sum(cost for _, cost, _ in kept)


def stored_config(path: Path | str) -> Config:
    """Return the resolved configuration that a final checkpoint carries.

    InputError: see `read_checkpoint`; no configuration in it; or one with a type outside the registries.
    """
    text = read_checkpoint(path).get("meta", {}).get("config_json")
    if not isinstance(text, str):
        raise InputError(f"{path}: expected a final checkpoint with its configuration, but it carries none")
    config = orjson.loads(text)
    _refuse_foreign_types(config, path)
    return as_config(config)


def as_config(resolved: dict[str, Any]) -> Config:
    """Return a configuration read from JSON as mmengine wants it: image scales are tuples there."""
    return Config(_with_tuples(resolved))


def _with_tuples(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _with_tuples(child, name) for name, child in value.items()}
    if isinstance(value, list):
        of_numbers = all(isinstance(child, int | float) for child in value)
        children = [_with_tuples(child, key) for child in value]
        return tuple(children) if of_numbers and key in TUPLES else children
    return value


def _refuse_foreign_types(value: Any, path: Path | str) -> None:
    """Let through names of registries; mmengine would import and call whatever else a dotted name points to."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    name = str(value.get("type", "")) if isinstance(value, dict) else ""
    scope, dot, rest = name.partition(".")
    if dot and not (scope in SCOPES and _is_registered(scope, rest)):
        raise InputError(f"{path}: refused, since its configuration names a type outside the registries: {name!r}")
    for child in children:
        _refuse_foreign_types(child, path)


def _is_registered(scope: str, name: str) -> bool:
    """Whether a library of OpenMMLab has registered a part of this name; False where it is not installed."""
    if importlib.util.find_spec(scope) is None:
        return False
    parts = [part for part in vars(importlib.import_module(f"{scope}.registry")).values() if isinstance(part, Registry)]
    for registry in parts:
        registry.import_from_location()
    return any(name in registry.module_dict for registry in parts)


BACKBONE = "backbone."
# HRNet's official checkpoints hold the backbone without a prefix, and the head under these names.
_OFFICIAL_HEADS = ("final_layer.", "head.", "classifier.", "incre_modules.", "downsamp_modules.")


def load_pretrained(model: nn.Module, where: str) -> list[str]:
    """Start a detector or landmark model from public weights, a file or URL; return which parameters start anew.

    InputError: the file cannot be had (the message says what to do), is no checkpoint, or its backbone is another one
    (the first difference is named).
    """
    path, own = fetch(where), model.state_dict()
    weights = {name.removeprefix("module."): value for name, value in load_weights(path).items()}
    if not any(name.startswith(BACKBONE) for name in weights):
        weights = {BACKBONE + name: value for name, value in weights.items() if not name.startswith(_OFFICIAL_HEADS)}
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    anew = [name for name in own if name not in fitting and not name.endswith("num_batches_tracked")]
    needed = {name: own[name] for name in anew if name.startswith(BACKBONE)}
    _check_shapes(needed, {name: weights[name] for name in needed if name in weights}, f"{path}: not of this backbone")
    model.load_state_dict(fitting, strict=False)
    print(f"starting from {Path(path).name}: {len(own) - len(anew)} of {len(own)} tensors", flush=True)
    return anew


def fetch(where: str) -> Path:
    """Return the file of a path or URL; what was fetched stays in torch's cache.

    InputError: no such file, or it cannot be fetched; says what to do.
    """
    advice = "fetch it by hand and give its path as `pretrained`, or start without: pretrained=None"
    if "://" not in where:
        if not Path(where).is_file():
            raise InputError(f"{where}: no such file with weights to start from; {advice}")
        return Path(where)
    path = Path(torch.hub.get_dir()) / "checkpoints" / where.rsplit("/", 1)[1]
    if not path.is_file():
        try:
            with atomic_path(path) as temporary:
                torch.hub.download_url_to_file(where, str(temporary), progress=False)
        except (urllib.error.URLError, OSError) as error:
            raise InputError(f"{where}: cannot be fetched ({error}); {advice}") from None
    return path
