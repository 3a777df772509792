"""Several processes of one job, one a GPU: started by torchrun, joined, and what each of them does."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed
from mmengine.dist import get_world_size, is_main_process

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


AT_FAULT = 1


def predict_by_processes(
    checkpoints: dict[int, Path], boxes: Path, coco_file: Path, image_dir: Path, *, flip_test: bool, processes: int
) -> Predictions:
    """Locate landmarks as `kps.models.landmarks.predict_landmarks` does, with the photos shared out.

    InputError: one of the processes failed; it has said why.

    Args:
        checkpoints: of each category id.
        boxes: a box file.
        coco_file: names the photos.
        image_dir: their folder.
        flip_test: average with the mirrored crop.
        processes: on this machine, one a GPU.
    """
    if processes == 1:
        return _predict_landmarks(checkpoints, boxes, coco_file, image_dir, flip_test=flip_test)
    files = {"boxes": boxes, "coco_file": coco_file, "image_dir": image_dir}
    options = {"flip_test": flip_test, "checkpoints": {k: str(v.resolve()) for k, v in checkpoints.items()}}
    with _done_by_processes("predict", files, options, processes, "predictions.npz") as out:
        return Predictions.load(out)


def detect_by_processes(
    checkpoint: Path, coco_file: Path, image_dir: Path, *, augment: bool = False, processes: int = 1
) -> Detections:
    """Find garments as `kps.models.detector.detect` does, with the photos shared out; see above."""
    if processes == 1:
        from kps.models.detector import detect

        return detect(checkpoint, load_coco(coco_file), image_dir, augment=augment)
    files = {"checkpoint": checkpoint, "coco_file": coco_file, "image_dir": image_dir}
    with _done_by_processes("detect", files, {"augment": augment}, processes, "boxes.json") as out:
        return load_detections(out)


@contextmanager
def _done_by_processes(
    job: str, files: dict[str, Path], options: dict, processes: int, out_name: str
) -> Iterator[Path]:
    """Run a job and yield the file that it wrote, which goes afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / out_name
        paths = {name: str(Path(path).resolve()) for name, path in {**files, "out": out}.items()}
        write_json(Path(folder) / "job.json", {**paths, **options})
        run_processes(["kps.models.launch", job, str(Path(folder) / "job.json")], processes)
        yield out


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


def _predict(path: Path) -> None:
    job = read_json(path)
    checkpoints = {int(key): Path(checkpoint) for key, checkpoint in job["checkpoints"].items()}
    where = (Path(job[name]) for name in ("boxes", "coco_file", "image_dir"))
    found = _predict_landmarks(checkpoints, *where, flip_test=job["flip_test"])
    if is_main_process():
        found.save(Path(job["out"]))


def _predict_landmarks(
    checkpoints: dict[int, Path], boxes: Path, coco_file: Path, image_dir: Path, *, flip_test: bool
) -> Predictions:
    """Locate landmarks in a box file, which may be of one's own."""
    from kps.models.landmarks import predict_landmarks

    detections, coco = load_detections(boxes), load_coco(coco_file)
    for line in check_results(coco, detections, boxes) if is_main_process() else ():
        print(f"warning: {line}", flush=True)
    return predict_landmarks(checkpoints, detections, coco, image_dir, flip_test=flip_test)


def _detect(path: Path) -> None:
    from kps.models.detector import detect

    job = read_json(path)
    coco, images = load_coco(Path(job["coco_file"])), Path(job["image_dir"])
    found = detect(Path(job["checkpoint"]), coco, images, augment=job["augment"])
    if is_main_process():
        save_detections(Path(job["out"]), found)


def main() -> int:
    """Do one job as one of several processes."""
    jobs = {"train": _train, "detect": _detect, "predict": _predict}
    if len(sys.argv) != 3 or sys.argv[1] not in jobs:
        names = ",".join(jobs)
        print(f"usage: torchrun --nproc_per_node N -m kps.models.launch {{{names}}} FILE", file=sys.stderr)
        return 2
    try:
        with process_group():
            jobs[sys.argv[1]](Path(sys.argv[2]))
    except InputError as error:
        print(f"kps: {error}", file=sys.stderr)
        return AT_FAULT
    return 0


if __name__ == "__main__":
    sys.exit(main())
