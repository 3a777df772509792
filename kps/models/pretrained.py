"""Public weights to start from: of mmdetection's and mmpose's model zoos, or HRNet's own.

Everything that fits is taken; what depends on the number of classes or landmarks starts anew. Files are read
with `weights_only`, as every checkpoint.
"""

from __future__ import annotations

import re
import urllib.error
from pathlib import Path

import torch
from torch import Tensor, nn

from kps.files import InputError, atomic_path
from kps.models.checkpoints import load_weights

BACKBONE = "backbone."
# HRNet's official checkpoints hold the backbone without a prefix, and the head under these names.
_OFFICIAL_HEADS = ("final_layer.", "head.", "classifier.", "incre_modules.", "downsamp_modules.")
_COUNTERS = re.compile(r"num_batches_tracked$")


def load_pretrained(model: nn.Module, where: str) -> list[str]:
    """Start a model from public weights; return the names of its parameters that start anew.

    Args:
        model: a detector or landmark model with a backbone.
        where: a file or URL.

    Raises:
        InputError: the file cannot be had (the message says what to do), is no checkpoint, or its backbone is
            another one (the first difference is named).
    """
    path = fetch(where)
    weights, own = _in_our_names(load_weights(path)), model.state_dict()
    fitting = {name: value for name, value in weights.items() if _fits(own.get(name), value)}
    for name, value in own.items():
        if name.startswith(BACKBONE) and name not in fitting and not _COUNTERS.search(name):
            got = tuple(weights[name].shape) if name in weights else "nothing"
            raise InputError(
                f"{path}: not of this backbone: {name} is {tuple(value.shape)} in the model, {got} in the file"
            )
    model.load_state_dict(fitting, strict=False)
    anew = [name for name in own if name not in fitting and not _COUNTERS.search(name)]
    print(f"starting from {Path(path).name}: {len(own) - len(anew)} of {len(own)} tensors", flush=True)
    return anew


def fetch(where: str) -> Path:
    """Return the file of a path or URL; what was fetched stays in torch's cache.

    Raises:
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


def _in_our_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names as in mmdet's and mmpose's models: official HRNet files have neither prefix nor mmpose's head."""
    plain = {name.removeprefix("module."): value for name, value in weights.items()}
    if any(name.startswith(BACKBONE) for name in plain):
        return plain
    return {BACKBONE + name: value for name, value in plain.items() if not name.startswith(_OFFICIAL_HEADS)}


def _fits(own: Tensor | None, value: Tensor) -> bool:
    return own is not None and own.shape == value.shape
