"""The commands of `kps`: each takes the parsed options, calls one function and says what was written.

Each imports what it needs when it is called; each returns the exit code.
"""

from __future__ import annotations

import sys
import warnings
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kps.errors import InputError

if TYPE_CHECKING:
    from kps.engine.profiles import Step

DONE, STEP_FAILED = 0, 1
OUTPUTS = ("out", "visible_only_out", "json", "workspace")  # options that say where to write
VERDICTS = {"fit": 0, "warnings": 1, "unfit": 2}  # of the doctor


def check_places(arguments: Namespace) -> None:
    """Refuse outputs that are inputs or lie in raw data; every path but those of OUTPUTS is an input."""
    from kps.workspace import check_outputs

    places: dict[bool, list[Path]] = {True: [], False: []}
    for name, value in vars(arguments).items():
        paths = value if isinstance(value, list) else [value]
        places[name in OUTPUTS] += [path for path in paths if isinstance(path, Path)]
    check_outputs(places[True], places[False])


def synth(arguments: Namespace) -> int:
    """Write the built-in data set."""
    from kps.synthetic import write_dataset

    counts = {split: getattr(arguments, split) for split in ("train", "validation", "test")}
    write_dataset(arguments.out, **counts, seed=arguments.seed, workers=arguments.workers)
    photos = ", ".join(f"{count} {split}" for split, count in counts.items())
    print(f"wrote {arguments.out}: photos {photos}")
    return DONE


def doctor(arguments: Namespace) -> int:
    """Look at every file of a raw folder; the exit code tells fit (0), warnings (1), unfit (2)."""
    from kps.doctor import diagnose, format_diagnosis
    from kps.files import write_json

    diagnosis = diagnose(arguments.data_root, workers=arguments.workers, decode=arguments.decode)
    print(format_diagnosis(diagnosis))
    if arguments.json:
        write_json(arguments.json, diagnosis.to_json(), indent=True)
        print(f"wrote {arguments.json}")
    return VERDICTS[diagnosis.verdict]


def convert(arguments: Namespace) -> int:
    """Convert a split of a raw folder to COCO-294; compare it with the official file where there is one."""
    from kps.convert import convert_split

    counts = convert_split(
        arguments.data_root, arguments.split, arguments.out, visible_only_out=arguments.visible_only_out,
        limit=arguments.limit, workers=arguments.workers, strict=arguments.strict,
    )  # fmt: skip
    for line in counts.skipped:
        print(f"skipped: {line}", file=sys.stderr)
    files = " and ".join(str(path) for path in (arguments.out, arguments.visible_only_out) if path)
    print(
        f"wrote {files}: {counts.num_images} photos, {counts.num_items} items, "
        f"{counts.num_items_without_landmarks} without landmarks, {counts.num_skipped} skipped"
    )
    if arguments.split == "validation" and arguments.limit is None:
        _compare_with_official(arguments)
    return DONE


def _compare_with_official(arguments: Namespace) -> None:
    """Say how the written ground truths differ from those of json_for_validation, where these are."""
    from kps.information import compare_with_information
    from kps.raw import find_raw

    information = find_raw(arguments.data_root).information
    ours = {
        "validation": arguments.out,
        "validation_visible_and_occluded": arguments.out,
        "validation_visible_only": arguments.visible_only_out,
    }
    for key, path in ours.items():
        if path and key in information:
            print(f"compared with {information[key]}:")
            print("\n".join(f"  {line}" for line in compare_with_information(path, information[key]).lines()))


def evaluate(arguments: Namespace) -> int:
    """Score a result list against ground truth; by request with intervals, subsets, a rival, and causes."""
    from kps.coco import load_coco
    from kps.detections import load_detections
    from kps.doctor.labels import check_labels, check_results
    from kps.evaluation.summary import summarise
    from kps.files import write_json
    from kps.predictions import load_results

    kind = arguments.kind or _kind_of_results(arguments.results)
    if kind == "boxes" and (arguments.visible_only or arguments.causes):
        option = "--visible-only" if arguments.visible_only else "--causes"
        raise InputError(f"{option} is about landmarks, but the results are boxes")
    load: Callable[[Path], Any] = load_detections if kind == "boxes" else load_results
    truth = load_coco(arguments.ground_truth)
    loaded = {path: load(path) for path in (arguments.results, arguments.against) if path}
    warnings = sum((check_results(truth, rows, path) for path, rows in loaded.items()), check_labels(truth))
    values, lines = summarise(
        truth, loaded[arguments.results], rival=loaded.get(arguments.against),
        by=[name for name in dict.fromkeys(arguments.by) if name != "category"],  # it is always shown
        intervals=arguments.intervals, causes=arguments.causes, samples=arguments.samples,
        visible_only=arguments.visible_only,
    )  # fmt: skip
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)
    print("\n".join(lines))
    if arguments.json:
        write_json(arguments.json, values, indent=True)
        print(f"wrote {arguments.json}")
    return DONE


def _kind_of_results(path: Path) -> str:
    """`landmarks` or `boxes`, by the first row of a result list."""
    from kps.files import open_file
    from kps.json_rows import iter_json_rows

    with open_file(path) as file:
        row = next(iter_json_rows(file.read, str(path)), (0, None))[1]
    if row is None:
        raise InputError(f"{path}: expected at least one result, but the list is empty")
    for key, kind in (("keypoints", "landmarks"), ("bbox", "boxes")):
        if key in row:
            return kind
    raise InputError(f"{path}: row 0: expected keypoints or bbox, but got {', '.join(row) or 'nothing'}")


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
    from kps.files import read_json
    from kps.predict import predict_photos

    warnings.simplefilter("ignore")  # Pillow's, of odd EXIF data and large sizes: what matters is told
    failed = []

    def tell(error: InputError) -> None:
        failed.append(error)
        print(f"kps: {error}", file=sys.stderr)

    for path in predict_photos(arguments.images, arguments.models, arguments.out, tell=tell):
        count = len(read_json(path)["garments"])
        print(f"wrote {path} and {path.stem}.jpg: {count} garment{'s' * (count != 1)}")
    return STEP_FAILED if failed else DONE


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
    from kps.engine.parameters import check_data
    from kps.engine.profiles import load_profile, make_plan, parse_overrides, parse_split_paths
    from kps.engine.run import run_plan, steps_to_run
    from kps.engine.steps import PREPARE, REPORT, SUBMISSION
    from kps.parallel import available_cores

    overrides = parse_overrides(arguments.parameter)
    data = {"data_root": str(arguments.data_root.resolve())} if arguments.data_root else {}
    data |= parse_split_paths("coco_file", arguments.coco_file, "{}_file")
    data |= parse_split_paths("image_dir", arguments.image_dir, "{}_images")
    if data:
        overrides.setdefault(PREPARE, {}).update(data)
    profile = load_profile(arguments.profile, arguments.experiment)
    folder = {"folder": arguments.notebooks} if arguments.notebooks else {}
    steps = make_plan(profile, overrides, **folder)
    workspace = arguments.workspace or Path("runs") / profile.name
    prepare = [step.parameters for step in steps if step.notebook == PREPARE]
    check_data(prepare[0] if prepare else {}, workspace)
    cores = arguments.cores or available_cores()
    if arguments.dry_run:
        given = {"workspace": workspace, "cores": cores, "executor": arguments.executor}
        todo = dict(steps_to_run(steps, **given, **folder))
        _print_plan([step for step in steps if step.name in todo], todo, size=profile.size)
        print(f"{len(todo)} of {len(steps)} steps would run in {workspace}")
        return DONE
    print(f"profile {profile.name}: {len(steps)} steps in {workspace} on {cores} cores", flush=True)
    cluster = {"executor": arguments.executor, "jobs": arguments.jobs}
    if run_plan(steps, workspace=workspace, cores=cores, **cluster, **folder):
        _print_outputs([step.name for step in steps if step.notebook in (SUBMISSION, REPORT)], workspace)
        print(f"done: all {len(steps)} steps; the notebooks as they ran are in {workspace / 'executed'}")
        return DONE
    print("stopped at the step named above; the same command goes on from there", flush=True)
    return STEP_FAILED


def _print_plan(steps: list[Step], reasons: dict[str, str], *, size: str) -> None:
    """List steps; those of the paper's size with what they would cost."""
    from kps.engine.estimates import SIZE, estimate, total

    for step in steps:
        cost = ""
        if size == SIZE:
            one = estimate(step)
            cost = f"{one.gpu_hours:>7.1f} GPU h{one.disk_gb:>7.2f} GB   "
        print(f"{step.name:<48}{cost}{reasons[step.name]}")
    if size == SIZE:
        whole = total(steps)
        print(
            f"about {whole.gpu_hours:.0f} GPU hours and {whole.disk_gb:.0f} GB in all: estimated for one "
            "data-centre GPU, not measured"
        )


def _print_outputs(steps: list[str], workspace: Path) -> None:
    """Name the files that steps say they wrote."""
    from kps.files import read_json
    from kps.workspace import Workspace

    for step in steps:
        for name, path in read_json(Workspace(workspace).record(step)).get("outputs", {}).items():
            print(f"{name}: {path}")
