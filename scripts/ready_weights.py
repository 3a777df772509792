#!/usr/bin/env python3
"""Make kps/weights, the models that `kps predict` takes by default, of a run of the profile `ready`.

    kps run --profile ready && python scripts/ready_weights.py runs/ready

Weights become half precision; of the configuration in them, paths of the machine keep their last part only. Prints the
lines of the model card (kps/weights/README.md) that hold size and checksum.
"""

import sys
from pathlib import Path
from typing import Any

import orjson

from kps.files import InputError, sha256
from kps.models.checkpoints import as_config, read_checkpoint, save_checkpoint
from kps.predict import READY, find_models


def main() -> int:
    """Write both files; 1 where the run is not finished."""
    try:
        models = find_models(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/ready"))
        READY.mkdir(exist_ok=True)
        for name, checkpoint in {"detector": models.detector, "landmarks": models.landmarks}.items():
            path = READY / f"{name}.pth"
            save_checkpoint(path, portable(read_checkpoint(checkpoint)))
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
