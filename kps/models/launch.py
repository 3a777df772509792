"""Several processes of one job, one a GPU: started by torchrun, joined, and what each of them does."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from mmengine.dist import get_world_size, is_main_process

from kps.configs import absolute
from kps.data.coco import load_coco
from kps.evaluation.labels import check_results
from kps.files import InputError, read_json, write_json
from kps.results.detections import Detections, load_detections, save_detections
from kps.results.predictions import Predictions
from kps.workspace import REPOSITORY


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that torchrun started: over NCCL with a GPU each (else InputError), or over Gloo."""
    if torch.cuda.is_available():
        rank, gpus = torch.distributed.get_node_local_rank(), torch.cuda.device_count()
        if rank >= gpus:
            raise InputError(f"expected a GPU for each process, but got process {rank + 1} and {gpus} GPUs")
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def run_processes(arguments: list[str], processes: int) -> None:
    """Run `python -m ARGUMENTS` as so many processes and wait; their output goes where ours goes.

    InputError: one of them failed; it has said why.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    child = subprocess.Popen(
        [*command, str(processes), "-m", *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        for line in child.stdout:  # through our own output, which a notebook shows
            print(line, end="", flush=True)
    except BaseException:
        child.terminate()
        raise
    finally:
        child.wait()
    if child.returncode != 0:
        raise InputError(f"one of {processes} processes of {arguments[0]} failed; see the lines above")


def predict_by_processes(
    checkpoints: dict[int, Path], boxes: Path, coco_file: Path, image_dir: Path, *, processes: int, **how: Any
) -> Predictions:
    """Locate landmarks in a box file as `kps.models.landmarks.predict_landmarks` does, with the photos shared out.

    `how` is as there. The processes are on this machine, one a GPU. InputError: one of them failed; it has said why.
    """
    given = {"checkpoints": checkpoints, "boxes": boxes, "coco_file": coco_file, "image_dir": image_dir}
    return _shared_out("predict", processes, given | how)


def detect_by_processes(
    checkpoint: Path, coco_file: Path, image_dir: Path, *, augment: bool = False, processes: int = 1
) -> Detections:
    """Find garments as `kps.models.detector.detect` does, with the photos shared out; see above."""
    given = {"checkpoint": checkpoint, "coco_file": coco_file, "image_dir": image_dir, "augment": augment}
    return _shared_out("detect", processes, given)


def _shared_out(job: str, processes: int, given: dict[str, Any]) -> Any:
    """Do a job, in this process if it is one; the result of several comes back in a file, which goes afterwards."""
    do, name, _, load = JOBS[job]
    if processes == 1:
        return do(**given)
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "job.json", Path(folder) / name
        write_json(file, _in_full({**given, "out": out}))
        run_processes(["kps.models.launch", job, str(file)], processes)
        return load(out)


def _in_full(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_full(part) for key, part in value.items()}
    return absolute(value) if isinstance(value, Path) else value


def _train(path: Path) -> None:
    from kps.models.checkpoints import as_config
    from kps.models.training import train

    config = as_config(read_json(path))
    batch, number = config.train_dataloader.batch_size * config.get("processes", 1), get_world_size()
    if batch % number:
        raise InputError(f"{path}: expected its batch of {batch} to be shared evenly, but by {number}")
    config.train_dataloader.batch_size = batch // number
    for made_anew in ("input_sha256", "code_sha256", "processes"):
        config.pop(made_anew, None)
    train(config)


def _predict(checkpoints: dict, boxes: Path, coco_file: Path, image_dir: Path, **how: Any) -> Predictions:
    from kps.models.landmarks import predict_landmarks

    detections, coco = load_detections(Path(boxes)), load_coco(Path(coco_file))
    for line in check_results(coco, detections, boxes) if is_main_process() else ():  # the box file may be of one's own
        print(f"warning: {line}", flush=True)
    models = {int(key): Path(checkpoint) for key, checkpoint in checkpoints.items()}
    return predict_landmarks(models, detections, coco, Path(image_dir), **how)


def _detect(checkpoint: Path, coco_file: Path, image_dir: Path, augment: bool) -> Detections:
    from kps.models.detector import detect

    return detect(Path(checkpoint), load_coco(Path(coco_file)), Path(image_dir), augment=augment)


JOBS = {  # what a process does, and the name, the writer and the reader of its result
    "predict": (_predict, "found.npz", lambda path, found: found.save(path), Predictions.load),
    "detect": (_detect, "found.json", save_detections, load_detections),
}


def main() -> int:
    """Do one job as one of several processes."""
    names = ("train", *JOBS)
    if len(sys.argv) != 3 or sys.argv[1] not in names:
        print(f"usage: torchrun --nproc_per_node N -m kps.models.launch {{{','.join(names)}}} FILE", file=sys.stderr)
        return 2
    job, file = sys.argv[1], Path(sys.argv[2])
    try:
        with process_group():
            if job == "train":
                _train(file)
            else:
                do, _, save, _ = JOBS[job]
                given = read_json(file)
                out, found = Path(given.pop("out")), do(**given)
                if is_main_process():
                    save(out, found)
    except InputError as error:
        print(f"kps: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
