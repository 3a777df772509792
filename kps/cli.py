"""The command line: each command reads its options, calls one function and says what was written.

Exit codes: 0 done, 1 the input is at fault (one line on stderr), 2 wrong usage, 130 stopped by
Ctrl-C; `kps doctor`: 0 fit, 1 fit with warnings, 2 unfit.
The commands themselves are in `kps.commands`, which is imported when one runs, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kps import __version__
from kps.errors import InputError

INPUT_AT_FAULT, INTERRUPTED = 1, 130
SUBSETS = ("category", "scale", "occlusion", "zoom_in", "viewpoint", "source")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code; wrong usage ends in SystemExit(2), as argparse has it."""
    arguments = build_parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file's name may hold what it cannot take
            stream.reconfigure(errors="backslashreplace")
    try:
        from kps import commands

        commands.check_places(arguments)
        return getattr(commands, arguments.command)(arguments)
    except InputError as error:
        print(f"kps: {error}", file=sys.stderr)
    except BrokenPipeError:  # the reader of our output has gone; Python's own flush at exit must not fail too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"kps: {error.filename or 'input or output'}: {error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        return INTERRUPTED
    return INPUT_AT_FAULT


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; `command` is the name of the function in `kps.commands`."""
    parser = argparse.ArgumentParser(prog="kps", description="Clothes landmark detection on DeepFashion2.")
    parser.add_argument("--version", action="version", version=f"kps {__version__}")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")

    command = _command(commands, "synth", "make a procedural data set in the raw DeepFashion2 layout")
    command.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    for split, count in (("train", 1500), ("validation", 300), ("test", 100)):
        command.add_argument(f"--{split}", type=_count, default=count, metavar="N", help=f"photos ({count})")
    command.add_argument("--seed", type=_count, default=0, metavar="S", help="decides every pixel (0)")
    _add_workers(command)

    command = _command(commands, "doctor", "say whether a raw DeepFashion2 folder is whole and sound")
    command.add_argument("data_root", type=Path, metavar="DATA_ROOT", help="raw DeepFashion2 folder")
    command.add_argument("--decode", action="store_true", help="decode every pixel too (slow)")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the findings there too")
    _add_workers(command)

    command = _command(commands, "convert", "convert a split of a raw folder to a COCO-294 file")
    command.add_argument("data_root", type=Path, metavar="DATA_ROOT", help="raw DeepFashion2 folder")
    command.add_argument("--split", required=True, choices=("train", "validation", "test"))
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="COCO file to write")
    command.add_argument("--visible-only-out", type=Path, metavar="FILE", help="and one without occluded")
    command.add_argument("--limit", type=_positive, metavar="N", help="the first N photos only")
    command.add_argument("--strict", action="store_true", help="refuse a bad item instead of skipping it")
    _add_workers(command)

    command = _command(commands, "evaluate", "score results by the challenge's protocol")
    command.add_argument("ground_truth", type=Path, metavar="GT.json", help="COCO-294 file")
    command.add_argument("results", type=Path, metavar="RESULTS.json", help="public COCO result list")
    kind = command.add_mutually_exclusive_group()
    for name in ("landmarks", "boxes"):
        kind.add_argument(f"--{name}", dest="kind", action="store_const", const=name, help=f"they are {name}")
    command.add_argument("--visible-only", action="store_true", help="occluded landmarks do not count")
    command.add_argument("--by", action="append", default=[], choices=SUBSETS, help="and of each subset")
    command.add_argument("--intervals", action="store_true", help="with 95 %% intervals over photos")
    command.add_argument("--against", type=Path, metavar="OTHER.json",
                         help="how much better than these results, with a paired interval")  # fmt: skip
    command.add_argument("--causes", action="store_true", help="what the lost points of AP are due to")
    command.add_argument("--samples", type=_positive, default=1000, metavar="N",
                         help="random halves of the photos behind an interval (1000)")  # fmt: skip
    command.add_argument("--json", type=Path, metavar="FILE", help="write all of it there too")

    command = _command(commands, "submit", "write a submission zip")
    command.add_argument("results", type=Path, metavar="RESULTS.json", help="landmarks, or a run's .npz")
    command.add_argument("--out", type=Path, required=True, metavar="submission.zip", help="zip to write")
    command.add_argument("--name", metavar="NAME_IN_ZIP", help="of the JSON in the zip (keypoints_test.json)")
    _add_images(command)

    command = _command(commands, "validate", "check a submission zip by reading it back")
    command.add_argument("submission", type=Path, metavar="submission.zip")
    _add_images(command)

    command = _command(commands, "predict", "find garments and landmarks on photos of your own")
    command.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="photos")
    command.add_argument("--models", type=Path, required=True, metavar="DIR", help="work folder of a run")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="for pictures and JSON files")
    _add_engine_commands(commands)
    return parser


def _add_engine_commands(commands: argparse._SubParsersAction) -> None:
    command = _command(commands, "run", "run the whole flow; what is done is not done again")
    command.add_argument("--profile", default="demo", help="demo, tiny, paper, or a YAML file (demo)")
    command.add_argument("--experiment", action="append", default=[], metavar="NAME",
                         help="named experiment instead of the profile's; all: every one")  # fmt: skip
    command.add_argument("--workspace", type=Path, metavar="DIR", help="work folder (runs/PROFILE)")
    command.add_argument("--cores", type=_positive, metavar="N", help="cores to use (all)")
    command.add_argument("--executor", metavar="NAME", help="Snakemake executor, such as slurm")
    command.add_argument("--jobs", type=_positive, default=16, metavar="N", help="jobs of the executor (16)")
    command.add_argument("--dry-run", action="store_true", help="only list the steps that would run")
    command.add_argument("--data-root", type=Path, metavar="DIR", help="raw DeepFashion2 folder to use")
    command.add_argument("--coco-file", action="append", default=[], metavar="[SPLIT=]FILE",
                         help="ready COCO-294 file, of a split (repeatable) or of all alike")  # fmt: skip
    command.add_argument("--image-dir", action="append", default=[], metavar="[SPLIT=]DIR",
                         help="its photos")  # fmt: skip
    command.add_argument("-p", dest="parameter", action="append", default=[], metavar="NOTEBOOK.NAME=VALUE",
                         help='set a parameter, as "04_train_detector.epochs=2"')  # fmt: skip
    command.add_argument("--notebooks", type=Path, metavar="DIR", help="other notebooks than the project's")

    command = _command(commands, "notebook", "run one notebook with parameters")
    command.add_argument("name", metavar="NAME", help='such as "06_finetune_category"')
    command.add_argument("--workspace", type=Path, default=Path("runs/demo"), metavar="DIR")
    command.add_argument("-p", dest="parameter", nargs=2, action="append", default=[],
                         metavar=("NAME", "VALUE"), help="set a parameter")  # fmt: skip
    command.add_argument("--threads", type=_positive, metavar="N", help="of the numerical libraries")
    command.add_argument("--notebooks", type=Path, metavar="DIR", help="other notebooks than the project's")
    command.add_argument("--die-with-parent", action="store_true", help="end when the calling process ends")


def _command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    return command


def _add_workers(command: argparse.ArgumentParser) -> None:
    command.add_argument("--workers", type=_positive, metavar="N", help="processes (all cores)")


def _add_images(command: argparse.ArgumentParser) -> None:
    command.add_argument("--images", type=Path, metavar="INFORMATION.json", help="the only image ids allowed")


def _count(text: str) -> int:
    """A whole number from 0, for argparse."""
    if int(text) < 0:
        raise ValueError(text)
    return int(text)


def _positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)
