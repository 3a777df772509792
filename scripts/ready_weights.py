#!/usr/bin/env python3
"""Make kps/weights, the models that `kps predict` takes by default, of a run of the profile `ready`.

    kps run --profile ready && python scripts/ready_weights.py runs/ready

With --mean the detector's weights become the mean of the run's and of those that are there, from which the run started:
such means are often better than either (Wortsman et al., Model soups, 2022). Weights become half precision; of the
configuration in them, paths of the machine keep their last part only. Prints the lines of the model card
(kps/weights/README.md) that hold size and checksum.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import orjson

from kps.files import InputError, sha256
from kps.models.checkpoints import as_config, read_checkpoint, save_checkpoint
from kps.predict import READY, find_models


def main() -> int:
    """Write both files; 1 where the run is not finished."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run", type=Path, nargs="?", default=Path("runs/ready"), help="work folder (runs/ready)")
    parser.add_argument("--mean", action="store_true", help="of the detector's weights and those that are there")
    arguments = parser.parse_args()
    try:
        models = find_models(arguments.run)
        READY.mkdir(exist_ok=True)
        for name, checkpoint in {"detector": models.detector, "landmarks": models.landmarks}.items():
            path, content = READY / f"{name}.pth", read_checkpoint(checkpoint)
            if arguments.mean and name == "detector":
                before, weights = read_checkpoint(path)["state_dict"], content["state_dict"]
                content["state_dict"] = {key: (one + before[key].to(one)) / 2 if one.is_floating_point() else one
                                         for key, one in weights.items()}  # fmt: skip
            save_checkpoint(path, portable(content))
            print(f"| {path.name} | {path.stat().st_size:,} | `{sha256(path)}` |")
    except InputError as error:
        print(f"ready_weights: {error}", file=sys.stderr)
        return 1
    return 0


def portable(content: dict[str, Any]) -> dict[str, Any]:
    """A final checkpoint in half precision, without paths of the machine that it was trained on."""
    config = _without_folders(orjson.loads(content["meta"]["config_json"]))
    meta = content["meta"] | {"config_json": orjson.dumps(config).decode()}
    meta["cfg"] = "\n".join(f"{key} = {value!r}" for key, value in as_config(config).to_dict().items())
    weights = {name: one.half() if one.is_floating_point() else one for name, one in content["state_dict"].items()}
    return {"meta": meta, "state_dict": weights}


def _without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_folders(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_without_folders(child) for child in value]
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value


if __name__ == "__main__":
    sys.exit(main())
