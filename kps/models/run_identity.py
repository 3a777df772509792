"""What makes two trainings the same run: configuration, data, weights to start from, and code that learns."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
from mmengine.config import Config

from kps.data.coco import load_coco
from kps.data.photos import stored_path
from kps.files import InputError, read_json, sha256, write_json
from kps.workspace import HANDLING, changed_names, code_sha256

# The module that registers a scope's parts; imported on demand, since each pulls in a large library.
PARTS = {"mmdet": "kps.models.detector", "mmpose": "kps.models.landmarks"}
# Modules, by the beginnings of their names, that do not change what a model of a scope learns, and those that
# do where its weights are chosen by a held-out part.
_NOT_LEARNT_BY = {"mmdet": "kps.models.landmark", "mmpose": "kps.models.detector"}
_SCORING = ("kps.evaluation", "kps.results.detections")
# What of a configuration says how to train and test; the rest are names that its file gives to parts of these.
KEPT = ("default_scope", "work_dir", "randomness", "load_from", "pretrained", "env_cfg", "custom_hooks", "model")
KEPT += ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler", "auto_scale_lr")
KEPT += ("test_dataloader", "tta_model", "tta_pipeline", "visualizer", "data_mode", "dataset_type")
# Files whose content belongs to a run's identity.
_INPUT_KEYS = ("ann_file", "load_from", "pretrained")
# What may change between the start of a run and its resumption.
_FREE_KEYS = ("work_dir", "train_dataloader.num_workers")


def with_identity(config: Config) -> dict[str, Any]:
    """Return a configuration as it is kept, with digests of the data and of the code that learns from it."""
    used = {key: value for key, value in config.to_dict().items() if key in KEPT}
    resolved = orjson.loads(orjson.dumps(used))  # as it will be read back: no tuples
    learnt = {key: resolved.get(key) for key in ("train_dataloader", *_INPUT_KEYS)}
    resolved["input_sha256"] = input_hashes(learnt)  # other data under the same name is another run
    scope, hooks = resolved["default_scope"], resolved.get("custom_hooks") or ()
    without = (*HANDLING, "kps.models.run_identity", "kps.models.launch", _NOT_LEARNT_BY[scope])
    without += () if any(hook["type"] == "SelectionHook" for hook in hooks) else _SCORING
    resolved["code_sha256"] = code_sha256(["kps.models.training", PARTS[scope]], without=without)
    return resolved


def input_hashes(value: Any, key: str = "") -> dict[str, str]:
    """Return SHA-256 by configuration key of what a run learns from: annotations, photos and weights."""
    if key in _INPUT_KEYS and isinstance(value, str) and Path(value).is_file():
        return {key: sha256(Path(value))}
    children = value if isinstance(value, dict) else {}
    found = {k: v for name, child in children.items() for k, v in input_hashes(child, name).items()}
    if "data_prefix" in children and "ann_file" in found:
        found["photos"] = _photos_sha256(Path(children["ann_file"]), Path(children["data_prefix"]["img"]))
    return found


def _photos_sha256(coco_file: Path, image_dir: Path) -> str:
    """Return a digest of the photos that are named; one that is absent is found missing when it is read."""
    paths = [stored_path(image_dir / row.file_name) for row in load_coco(coco_file).images]
    with ThreadPoolExecutor() as pool:
        digests = pool.map(lambda path: sha256(path) if path.is_file() else "", paths)
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def check_same_run(resolved: dict, path: Path, *, finished: bool) -> None:
    """Refuse a folder that holds another run than `resolved`, or a result of another version of the code.

    `path` is the configuration that the folder's run was started with. A run that is under way goes on with other code,
    which may mend what had stopped it, and says so.
    """
    noted = read_json(path)
    before, now = _flatten(noted), _flatten(resolved)
    batch = "train_dataloader.batch_size"
    for run in (before, now):  # twice as many processes with half the batch each learn the same
        run[batch] = run.get(batch, 0) * run.pop("processes", 1)
    for key in [*now, *before]:  # in the configuration's order: what a user sets comes first
        unknown = key.startswith("input_sha256.") and key not in before  # earlier versions noted less
        free = unknown or key in _FREE_KEYS or key.startswith("code_sha256")
        if not free and before.get(key) != now.get(key):
            raise InputError(
                f"{path.parent}: holds a run with another configuration: {key} is {before.get(key)!r} "
                f"there and {now.get(key)!r} now; remove the folder or choose another"
            )
    changed = changed_names(noted.get("code_sha256", {}), resolved["code_sha256"])
    if changed and finished and "code_sha256" in noted:
        raise InputError(
            f"{path.parent}: its result is of another version of the code (changed: {changed}); remove the "
            f"folder to train anew, or code_sha256 from its {path.name} to keep the result"
        )
    if changed:
        print(f"{path.parent}: begun by another version of the code (changed: {changed})", flush=True)
        write_json(path, resolved, indent=True)


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {k: v for name, child in value.items() for k, v in _flatten(child, f"{prefix}.{name}").items()}
    if isinstance(value, list) and any(isinstance(child, dict) for child in value):
        return _flatten({str(i): child for i, child in enumerate(value)}, prefix)
    return {prefix.removeprefix("."): value}
