"""The commands of `kps`: each takes the parsed options, calls one function and says what was written.

Each imports what it needs when it is called; each returns the exit code.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from kps.errors import InputError

DONE, STEP_FAILED = 0, 1


def synth(arguments: Namespace) -> int:
    """Write the built-in data set."""
    from kps.synthetic import write_dataset

    counts = {split: getattr(arguments, split) for split in ("train", "validation", "test")}
    write_dataset(arguments.out, **counts, seed=arguments.seed, workers=arguments.workers)
    photos = ", ".join(f"{count} {split}" for split, count in counts.items())
    print(f"wrote {arguments.out}: photos {photos}")
    return DONE


def convert(arguments: Namespace) -> int:
    """Convert a split of a raw folder to COCO-294."""
    from kps.convert import convert_split

    counts = convert_split(
        arguments.data_root, arguments.split, arguments.out, visible_only_out=arguments.visible_only_out,
        limit=arguments.limit, workers=arguments.workers,
    )  # fmt: skip
    files = " and ".join(str(path) for path in (arguments.out, arguments.visible_only_out) if path)
    without = counts.num_items_without_landmarks
    print(f"wrote {files}: {counts.num_images} photos, {counts.num_items} items, {without} without landmarks")
    return DONE


def evaluate(arguments: Namespace) -> int:
    """Score a result list against ground truth."""
    from kps.coco import load_coco
    from kps.detections import load_detections
    from kps.evaluation.metrics import evaluate_boxes, evaluate_landmarks
    from kps.files import write_json
    from kps.predictions import load_results

    kind = arguments.kind or _kind_of_results(arguments.results)
    if kind == "boxes" and arguments.visible_only:
        raise InputError("--visible-only is about landmarks, but the results are boxes")
    truth = load_coco(arguments.ground_truth)
    if kind == "boxes":
        scores, what = evaluate_boxes(truth, load_detections(arguments.results)), "boxes"
    else:
        results = load_results(arguments.results)
        scores = evaluate_landmarks(truth, results, visible_only=arguments.visible_only)
        what = "visible landmarks" if arguments.visible_only else "visible and occluded landmarks"
    print(f"{what}: {scores.num_results} results, {scores.num_items} items on {scores.num_images} images")
    _print_scores(scores.to_json())
    if arguments.json:
        write_json(arguments.json, scores.to_json(), indent=True)
        print(f"wrote {arguments.json}")
    return DONE


def _kind_of_results(path: Path) -> str:
    """`landmarks` or `boxes`, by the first row of a result list."""
    from kps.json_rows import iter_json_rows

    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with open(path, "rb") as file:
        row = next(iter_json_rows(file.read, str(path)), (0, None))[1]
    if row is None:
        raise InputError(f"{path}: expected at least one result, but the list is empty")
    for key, kind in (("keypoints", "landmarks"), ("bbox", "boxes")):
        if key in row:
            return kind
    raise InputError(f"{path}: row 0: expected keypoints or bbox, but got {', '.join(row) or 'nothing'}")


def _print_scores(scores: dict[str, Any]) -> None:
    from kps.schema import CATEGORIES

    def text(value: float | None) -> str:
        return "    -" if value is None else f"{value:.3f}"

    print("  ".join(f"{name} {text(scores[name])}" for name in ("AP", "AP50", "AP75", "AR")))
    for item in CATEGORIES:
        print(f"{item.id:>4}  {item.name:<22}{text(scores['per_category'][str(item.id)])}")


def submit(arguments: Namespace) -> int:
    """Write a submission zip."""
    from kps.submission import NAME_IN_ZIP, write_submission

    name = arguments.name or NAME_IN_ZIP
    rows = write_submission(arguments.results, arguments.out, name_in_zip=name, images=arguments.images)
    print(f"wrote {arguments.out}: {rows} rows in {name}")
    return DONE


def validate(arguments: Namespace) -> int:
    """Read a submission zip back and check it."""
    from kps.submission import validate_submission

    summary = validate_submission(arguments.submission, images=arguments.images)
    for warning in summary.warnings:
        print(f"warning: {warning}")
    low, high = summary.score_range
    holds = f"{summary.num_rows} rows on {summary.num_images} images, scores {low:.3f} to {high:.3f}"
    print(f"{arguments.submission} is valid: {holds}, {len(summary.warnings)} warnings")
    return DONE


def predict(arguments: Namespace) -> int:
    """Find garments and landmarks on photos of one's own."""
    from kps.predict import predict_photos

    for path in predict_photos(arguments.images, arguments.models, arguments.out):
        print(f"wrote {path} and {path.with_suffix('.jpg').name}")
    return DONE


def notebook(arguments: Namespace) -> int:
    """Run one notebook as a step."""
    from kps.engine.notebook import NOTEBOOK_FOLDER, run_notebook
    from kps.engine.processes import die_with_parent

    if arguments.die_with_parent:
        die_with_parent()
    executed = run_notebook(
        arguments.name, dict(arguments.parameter), workspace=arguments.workspace, threads=arguments.threads,
        folder=arguments.notebooks or NOTEBOOK_FOLDER,
    )  # fmt: skip
    if not arguments.die_with_parent:
        print(f"wrote {executed}")
    return DONE


def run(arguments: Namespace) -> int:
    """Run a profile, or list the steps that it would run."""
    from kps.engine.profiles import load_profile, make_plan, parse_overrides
    from kps.engine.run import default_cores, run_plan, steps_to_run
    from kps.engine.steps import PREPARE, REPORT, SUBMISSION

    overrides = parse_overrides(arguments.parameter)
    for option in ("data_root", "coco_file", "image_dir"):
        if path := getattr(arguments, option):
            overrides.setdefault(PREPARE, {})[option] = str(path.resolve())
    profile = load_profile(arguments.profile)
    folder = {"folder": arguments.notebooks} if arguments.notebooks else {}
    steps = make_plan(profile, overrides, **folder)
    workspace = arguments.workspace or Path("runs") / profile.name
    cores = arguments.cores or default_cores()
    if arguments.dry_run:
        todo = steps_to_run(steps, workspace=workspace, cores=cores, **folder)
        for step, reason in todo:
            print(f"{step:<44}{reason}")
        print(f"{len(todo)} of {len(steps)} steps would run in {workspace}")
        return DONE
    print(f"profile {profile.name}: {len(steps)} steps in {workspace} on {cores} cores", flush=True)
    if run_plan(steps, workspace=workspace, cores=cores, **folder):
        _print_outputs([step.name for step in steps if step.notebook in (SUBMISSION, REPORT)], workspace)
        print(f"done: all {len(steps)} steps; the notebooks as they ran are in {workspace / 'executed'}")
        return DONE
    print("stopped at the step named above; the same command goes on from there", flush=True)
    return STEP_FAILED


def _print_outputs(steps: list[str], workspace: Path) -> None:
    """Name the files that steps say they wrote."""
    from kps.files import read_json
    from kps.workspace import Workspace

    for step in steps:
        for name, path in read_json(Workspace(workspace).record(step)).get("outputs", {}).items():
            print(f"{name}: {path}")
