"""The command line: each command reads its options, calls one function and says what was written.

Exit codes: 0 done, 1 the input is at fault (one line on stderr), 2 wrong usage, 130 stopped by
Ctrl-C; `kps doctor`: 0 fit, 1 fit with warnings, 2 unfit.
Each command imports what it needs when it runs, so that `--help` is quick.
"""

import argparse
import io
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kps import __version__
from kps.files import InputError

DONE, AT_FAULT, INTERRUPTED = 0, 1, 130
OUTPUTS = ("out", "visible_only_out", "json", "workspace")  # options that say where to write
VERDICTS = {"fit": 0, "warnings": 1, "unfit": 2}  # of the doctor
SUBSETS = ("category", "scale", "occlusion", "zoom_in", "viewpoint", "source")


def check_places(arguments: Namespace) -> None:
    """Refuse outputs that are inputs or lie in raw data; every path but those of OUTPUTS is an input."""
    from kps.workspace import check_outputs

    outputs: list[Path] = []
    inputs: list[Path] = []
    for name, value in vars(arguments).items():
        paths = value if isinstance(value, list) else [value]
        (outputs if name in OUTPUTS else inputs).extend(path for path in paths if isinstance(path, Path))
    check_outputs(outputs, inputs)


def synth(arguments: Namespace) -> None:
    """Write the built-in data set."""
    from kps.synthetic import write_dataset

    counts = {split: getattr(arguments, split) for split in ("train", "validation", "test")}
    write_dataset(arguments.out, **counts, seed=arguments.seed, workers=arguments.workers)
    photos = ", ".join(f"{count} {split}" for split, count in counts.items())
    print(f"wrote {arguments.out}: photos {photos}")


def doctor(arguments: Namespace) -> int:
    """Look at every file of a raw folder; the exit code tells fit (0), warnings (1), unfit (2)."""
    from kps.data.doctor import diagnose, format_diagnosis
    from kps.files import write_json

    diagnosis = diagnose(arguments.data_root, workers=arguments.workers, decode=arguments.decode)
    print(format_diagnosis(diagnosis))
    if arguments.json:
        write_json(arguments.json, diagnosis.to_json(), indent=True)
        print(f"wrote {arguments.json}")
    return VERDICTS[diagnosis.verdict]


def convert(arguments: Namespace) -> None:
    """Convert a split of a raw folder to COCO-294; compare it with the official file where there is one."""
    from kps.data.convert import compare_with_official, convert_split
    from kps.data.raw import find_raw

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
        information = find_raw(arguments.data_root).information
        ours = dict.fromkeys(("validation", "validation_visible_and_occluded"), arguments.out)
        for key, path in (ours | {"validation_visible_only": arguments.visible_only_out}).items():
            if path and key in information:
                lines = compare_with_official(path, information[key]) or ["nothing differs"]
                print("\n  ".join([f"compared with {information[key]}:", *lines]))


def evaluate(arguments: Namespace) -> None:
    """Score a result list against ground truth; by request with intervals, subsets, a rival, and causes."""
    from kps.data.coco import load_coco
    from kps.evaluation.labels import check_labels, check_results
    from kps.evaluation.summary import summarise
    from kps.files import write_json
    from kps.results.detections import load_detections
    from kps.results.predictions import load_results

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


def _kind_of_results(path: Path) -> str:
    """`landmarks` or `boxes`, by the first row of a result list."""
    from kps.data.rows import iter_json_rows
    from kps.files import open_file

    with open_file(path) as file:
        row = next(iter_json_rows(file.read, str(path)), (0, None))[1]
    if row is None:
        raise InputError(f"{path}: expected at least one result, but the list is empty")
    for key, kind in (("keypoints", "landmarks"), ("bbox", "boxes")):
        if key in row:
            return kind
    raise InputError(f"{path}: row 0: expected keypoints or bbox, but got {', '.join(row) or 'nothing'}")


def submit(arguments: Namespace) -> None:
    """Write a submission zip."""
    from kps.results.submission import NAME_IN_ZIP, write_submission

    name = arguments.name or NAME_IN_ZIP
    rows = write_submission(arguments.results, arguments.out, name_in_zip=name, images=arguments.images)
    print(f"wrote {arguments.out}: {rows} rows in {name}")


def validate(arguments: Namespace) -> None:
    """Read a submission zip back and check it."""
    from kps.results.submission import validate_submission

    summary = validate_submission(arguments.submission, images=arguments.images)
    for warning in summary.warnings:
        print(f"warning: {warning}")
    low, high = summary.score_range
    holds = f"{summary.num_rows} rows on {summary.num_images} images, scores {low:.3f} to {high:.3f}"
    print(f"{arguments.submission} is valid: {holds}, {len(summary.warnings)} warnings")


def export(arguments: Namespace) -> None:
    """Write models as ONNX files."""
    from kps.models.export import export_models
    from kps.predict import find_models

    warnings.simplefilter("ignore")  # of tracing: its results are compared by tests
    models = find_models(arguments.models)
    if models.exported:
        raise InputError(f"{arguments.models}: expected a run with trained models, but they are exported already")
    for path in export_models(models.detector, models.landmarks, arguments.out):
        print(f"wrote {path}, {path.stat().st_size / 2**20:.1f} MiB")


def predict(arguments: Namespace) -> int:
    """Find garments and landmarks on photos of one's own."""
    from kps.files import read_json
    from kps.predict import photos_and_videos, predict_photos

    warnings.simplefilter("ignore")  # Pillow's, of odd EXIF data and large sizes: what matters is told
    failed = []

    def tell(error: InputError) -> None:
        failed.append(error)
        print(f"kps: {error}", file=sys.stderr)

    if arguments.models is None:
        print("models: the ready weights of this package, see kps/weights/README.md")
    for path in predict_photos(photos_and_videos(arguments.images), arguments.models, arguments.out, tell=tell):
        value = read_json(path)
        count, video = len(value["garments"]), "frames_per_second" in value
        drawn, counted = f"{path.stem}.{'mp4' if video else 'jpg'}", "frame" if video else "garment"
        print(f"wrote {path} and {drawn}: {count} {counted}{'s' * (count != 1)}")
    return AT_FAULT if failed else DONE


def view(arguments: Namespace) -> None:
    """Write a page to look at results."""
    from kps.figures.view import view

    out = arguments.out or arguments.runs[0] / "view.html"
    print(f"wrote {view(arguments.runs, out, split=arguments.split, name=arguments.predictions)}: open it in a browser")


def notebook(arguments: Namespace) -> None:
    """Run one notebook as a step."""
    from kps.flow.locks import die_with_parent
    from kps.flow.notebook import run_notebook

    if arguments.die_with_parent:
        die_with_parent()
    given = {"workspace": arguments.workspace, "threads": arguments.threads}
    executed = run_notebook(arguments.name, dict(arguments.parameter), **given)
    if not arguments.die_with_parent:
        print(f"wrote {executed}")


def run(arguments: Namespace) -> int:
    """Run a profile, or list the steps that it would run."""
    from kps.files import available_cores, read_json
    from kps.flow.run import load_profile, make_plan, parse_overrides, parse_split_paths, run_plan, steps_to_run
    from kps.flow.steps import PREPARE, REPORT, SUBMISSION, check_data
    from kps.workspace import Workspace

    overrides = parse_overrides(arguments.parameter)
    data = {"data_root": str(arguments.data_root.resolve())} if arguments.data_root else {}
    data |= parse_split_paths("coco_file", arguments.coco_file, "{}_file")
    data |= parse_split_paths("image_dir", arguments.image_dir, "{}_images")
    if data:
        overrides[PREPARE] = overrides.get(PREPARE, {}) | data
    profile = load_profile(arguments.profile, arguments.experiment)
    steps = make_plan(profile, overrides)
    workspace = arguments.workspace or Path("runs") / profile.name
    check_data(next((step.parameters for step in steps if step.notebook == PREPARE), {}), workspace)
    cores = arguments.cores or available_cores()
    on_cores = {"workspace": workspace, "cores": cores, "executor": arguments.executor}
    if arguments.dry_run:
        todo = dict(steps_to_run(steps, **on_cores))
        for name, reason in todo.items():
            print(f"{name:<48}{reason}")
        print(f"{len(todo)} of {len(steps)} steps would run in {workspace}")
        return DONE
    print(f"profile {profile.name}: {len(steps)} steps in {workspace} on {cores} cores", flush=True)
    if not run_plan(steps, jobs=arguments.jobs, **on_cores):
        print("stopped at the step named above; the same command goes on from there", flush=True)
        return AT_FAULT
    for step in (step.name for step in steps if step.notebook in (SUBMISSION, REPORT)):
        for name, path in read_json(Workspace(workspace).record(step)).get("outputs", {}).items():
            print(f"{name}: {path}")
    print(f"done: all {len(steps)} steps; the notebooks as they ran are in {workspace / 'executed'}")
    return DONE


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code; wrong usage ends in SystemExit(2), as argparse has it."""
    arguments = build_parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file's name may hold what it cannot take
            stream.reconfigure(errors="backslashreplace")
    try:
        check_places(arguments)
        return globals()[arguments.command](arguments) or DONE
    except InputError as error:
        print(f"kps: {error}", file=sys.stderr)
    except BrokenPipeError:  # the reader of our output has gone; Python's own flush at exit must not fail too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"kps: {error.filename or 'input or output'}: {error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        return INTERRUPTED
    return AT_FAULT


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; `command` is the name of the function in `kps.__main__`."""
    parser = argparse.ArgumentParser(prog="kps", description="Clothes landmark detection on DeepFashion2.")
    parser.add_argument("--version", action="version", version=f"kps {__version__}")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")

    a_file, a_folder = {"type": Path, "metavar": "FILE"}, {"type": Path, "metavar": "DIR"}
    workers = {"type": _positive, "metavar": "N", "help": "processes (all cores)"}
    raw = {"type": Path, "metavar": "DATA_ROOT", "help": "raw DeepFashion2 folder"}
    allowed = {"type": Path, "metavar": "INFORMATION.json", "help": "the only image ids allowed"}
    repeated: dict[str, Any] = {"action": "append", "default": []}

    add = command("synth", "make a procedural data set in the raw DeepFashion2 layout").add_argument
    add("out", type=Path, metavar="OUT", help="folder to make")
    for split, count in (("train", 1500), ("validation", 300), ("test", 100)):
        add(f"--{split}", type=_count, default=count, metavar="N", help=f"photos ({count})")
    add("--seed", type=_count, default=0, metavar="S", help="decides every pixel (0)")
    add("--workers", **workers)

    add = command("doctor", "say whether a raw DeepFashion2 folder is whole and sound").add_argument
    add("data_root", **raw)
    add("--decode", action="store_true", help="decode every pixel too (slow)")
    add("--json", **a_file, help="write the findings there too")
    add("--workers", **workers)

    add = command("convert", "convert a split of a raw folder to a COCO-294 file").add_argument
    add("data_root", **raw)
    add("--split", required=True, choices=("train", "validation", "test"))
    add("--out", **a_file, required=True, help="COCO file to write")
    add("--visible-only-out", **a_file, help="and one without occluded")
    add("--limit", type=_positive, metavar="N", help="the first N photos only")
    add("--strict", action="store_true", help="refuse a bad item instead of skipping it")
    add("--workers", **workers)

    scoring = command("evaluate", "score results by the challenge's protocol")
    add, kind = scoring.add_argument, scoring.add_mutually_exclusive_group()
    add("ground_truth", type=Path, metavar="GT.json", help="COCO-294 file")
    add("results", type=Path, metavar="RESULTS.json", help="public COCO result list")
    for name in ("landmarks", "boxes"):
        kind.add_argument(f"--{name}", dest="kind", action="store_const", const=name, help=f"they are {name}")
    add("--visible-only", action="store_true", help="occluded landmarks do not count")
    add("--by", **repeated, choices=SUBSETS, help="and of each subset")
    add("--intervals", action="store_true", help="with 95 %% intervals over photos")
    add("--against", type=Path, metavar="OTHER.json", help="how much better than these, with a paired interval")
    add("--causes", action="store_true", help="what the lost points of AP are due to")
    add("--samples", type=_positive, default=1000, metavar="N", help="random halves behind an interval (1000)")
    add("--json", **a_file, help="write all of it there too")

    add = command("submit", "write a submission zip").add_argument
    add("results", type=Path, metavar="RESULTS.json", help="landmarks, or a run's .npz")
    add("--out", type=Path, required=True, metavar="submission.zip", help="zip to write")
    add("--name", metavar="NAME_IN_ZIP", help="of the JSON in the zip (keypoints_test.json)")
    add("--images", **allowed)

    add = command("validate", "check a submission zip by reading it back").add_argument
    add("submission", type=Path, metavar="submission.zip")
    add("--images", **allowed)

    add = command("predict", "find garments and landmarks on photos of your own").add_argument
    add("images", type=Path, nargs="+", metavar="IMAGE", help="photos, videos, folders of them")
    add("--models", **a_folder, help="work folder of a run, or what kps export wrote (the ready weights here)")
    add("--out", **a_folder, required=True, help="for pictures and JSON files")

    add = command("export", "write models as ONNX files, which kps predict runs without torch").add_argument
    add("--models", **a_folder, help="work folder of a run (the ready weights of this package)")
    add("--out", **a_folder, required=True, help="new folder, for detector.onnx and landmarks.onnx")

    add = command("view", "write a page to look at results: photos, truth, predictions, the worst first").add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="work folder; a second one is shown beside")
    add("--out", type=Path, metavar="PAGE.html", help="the page (RUN/view.html)")
    add("--predictions", metavar="NAME", help="of a row of the tables (ensemble, or what there is)")
    add("--split", default="validation", choices=("train", "validation"), help="whose truth is known (validation)")

    add = command("run", "run the whole flow; what is done is not done again").add_argument
    add("--profile", default="demo", help="demo, hrnet, tiny, ready, paper, or a YAML file (demo)")
    add("--experiment", **repeated, metavar="NAME", help="instead of the profile's; all: every one")
    add("--workspace", **a_folder, help="work folder (runs/PROFILE)")
    add("--cores", type=_positive, metavar="N", help="cores to use (all)")
    add("--executor", metavar="NAME", help="Snakemake executor, such as slurm")
    add("--jobs", type=_positive, default=16, metavar="N", help="jobs of the executor (16)")
    add("--dry-run", action="store_true", help="only list the steps that would run")
    add("--data-root", **a_folder, help="raw DeepFashion2 folder to use")
    add("--coco-file", **repeated, metavar="[SPLIT=]FILE", help="ready COCO-294 file, of a split or of all alike")
    add("--image-dir", **repeated, metavar="[SPLIT=]DIR", help="its photos")
    add("-p", dest="parameter", **repeated, metavar="NOTEBOOK.NAME=VALUE", help="set a parameter, as 04.epochs=2")

    add = command("notebook", "run one notebook with parameters").add_argument
    add("name", metavar="NAME", help='such as "06_finetune_category"')
    add("--workspace", **a_folder, default=Path("runs/demo"))
    add("-p", dest="parameter", nargs=2, **repeated, metavar=("NAME", "VALUE"), help="set a parameter")
    add("--threads", type=_positive, metavar="N", help="of the numerical libraries")
    add("--die-with-parent", action="store_true", help="end when the calling process ends")
    return parser


def _count(text: str) -> int:
    """A whole number from 0, for argparse."""
    if int(text) < 0:
        raise ValueError(text)
    return int(text)


def _positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    if _count(text) == 0:
        raise ValueError(text)
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
