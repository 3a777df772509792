#!/usr/bin/env python3
"""Ours beside its peers: models against stock mmpose and mmdet, scores against three scorers, files against the plain
way.

    python scripts/bench.py                # everything, as a page; --only NAME... for a part, --json FILE for rows

Models are timed in one process, ours and the peer in turn, medians of pairs; files and scores as whole commands, each
in a process of its own, with its peak of memory. Peers that are not installed (hotcoco, faster-coco-eval) are "not
run". On a machine with a GPU the models are of the paper's size and run there; without, of the demo's, on one thread.
"""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import psutil

from kps.aggregation import Aggregation
from kps.data.coco import coco_head, load_coco
from kps.data.convert import convert_split
from kps.files import InputError, available_cores, write_json
from kps.report import markdown
from kps.results.detections import ground_truth_detections
from kps.results.predictions import Predictions, top_rows
from kps.results.submission import NAME_IN_ZIP, write_submission
from kps.schema import CATEGORIES, NUM_LANDMARKS, SIGMAS, category
from kps.synthetic import write_dataset
from kps.workspace import hardware, versions

VALIDATION_PHOTOS, TEST_PHOTOS, RESULTS = 32_153, 62_629, 500_000
POOL_PHOTOS, BATCH = 60, 16  # photos drawn, and crops at a time
LEAST = 3  # pairs of times, however long they take
seconds = 6.0  # for each comparison of models


class Row(NamedTuple):
    """One comparison: medians in `unit`; `ratio` above 1 is in our favour, `spread` its quartiles' distance over it."""

    name: str
    ours: float
    peer: float | None
    peer_name: str
    unit: str
    ratio: float | None
    spread: float | None

    @classmethod
    def of_pairs(cls, name: str, pairs: Sequence[Sequence[float]], peer_name: str, unit: str) -> "Row":
        """Summarise pairs of ours and the peer's."""
        mine, theirs = np.median(pairs, axis=0).tolist()
        low, ratio, high = np.quantile([peer / own for own, peer in pairs], (0.25, 0.5, 0.75)).tolist()
        return cls(name, mine, theirs, peer_name, unit, ratio, (high - low) / ratio)


# Models


def in_turn(name: str, ours: Callable, peer: Callable, peer_name: str, per: float = 1, unit: str = "ms") -> Row:
    """Time two functions in turn, milliseconds for each of `per` things."""
    import torch

    def timed(function: Callable) -> float:
        started = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - started) / per

    pairs, started = [], time.monotonic()
    for function in (ours, peer, ours, peer):  # caches, kernels and clocks
        timed(function)
    while len(pairs) < LEAST or time.monotonic() - started < seconds:
        pairs.append((timed(ours), timed(peer)))
    return Row.of_pairs(name, pairs, peer_name, unit)


CODECS = {
    "argmax": {"type": "MSRAHeatmap", "unbiased": False},
    "DARK": {"type": "MSRAHeatmap", "unbiased": True},
    "UDP": {"type": "UDPHeatmap"},
}


def device() -> str:
    """Where models run."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class Bench:
    """Drawn photos, and models of one size with as many channels as a map has groups."""

    def __init__(self, folder: Path, size: str, map_name: str) -> None:
        from mmpose.registry import MODELS

        from kps.models.landmarks import landmark_config

        self.files, groups = drawn(folder), Aggregation.named(map_name)
        config = {"demo": "hrnet_demo", "paper": "hrnet_w48"}[size]
        self.config = landmark_config(config, aggregation=groups, work_dir=folder, **self.files)
        self.name = f"{size}'s size, {groups.num_groups} channels"
        self.input_size, self.build = self.config.test_dataloader.dataset.pipeline[0].input_size, MODELS.build
        self.map_size = [side // 4 for side in self.input_size]
        self.crops = BATCH * (2 if device() == "cuda" else 1)

    def stock_config(self, codec: str = "DARK", *, tuned: bool = False) -> dict:
        """The configuration's model with mmpose's own head and loss."""
        model, sigma = self.config.model.copy(), 3.0 if min(self.map_size) > 90 else 1.0
        decoder = {**CODECS[codec], "input_size": self.input_size, "heatmap_size": self.map_size, "sigma": sigma}
        head = {key: model.head[key] for key in ("in_channels", "deconv_out_channels", "deconv_kernel_sizes")}
        head |= {"type": "HeatmapHead", "out_channels": model.head.out_channels, "decoder": decoder}
        head["loss"] = {"type": "KeypointMSELoss", "use_target_weight": True}
        return {**model, "head": head, "train_cfg": {"compute_acc": not tuned}}

    def loader(self, *, stock: bool = False, cache: bool = False) -> Callable[[], dict]:
        """A function that returns the next batch of augmented crops with their targets; patches are kept by now."""
        from mmengine.dataset import pseudo_collate
        from mmpose.registry import DATASETS

        from kps.models.landmark_data import stack_crops

        dataset = self.config.train_dataloader.dataset.copy()
        if stock:
            augment = {"type": "RandomBBoxTransform", "scale_factor": (0.75, 1.25), "rotate_factor": 30}
            target = {"type": "GenerateTarget", "encoder": self.stock_config()["head"]["decoder"]}
            crop = [{"type": "TopdownAffine", "input_size": self.input_size}, target, {"type": "PackPoseInputs"}]
            dataset.pipeline = [{"type": "LoadImage"}, {"type": "GetBBoxCenterScale"}, augment, *crop]
        else:
            dataset.pipeline[0].cache = cache
        built, collate = DATASETS.build(dataset), pseudo_collate if stock else stack_crops
        rows = cycle(range(len(built)))
        for _ in range(len(built) if cache else 0):
            built[next(rows)]
        return lambda: collate([built[next(rows)] for _ in range(self.crops)])


def trained(model: Any, *, fast: bool = True) -> Any:
    """Put a model where models run, with the optimizer that trains it; `fast`: bfloat16 on a GPU, channels last."""
    import torch
    from mmengine.optim import build_optim_wrapper

    from kps.models.ops import memory_format

    model.to(device(), memory_format=memory_format() if fast else torch.contiguous_format)
    fast = fast and device() == "cuda"
    wrapper = {"type": "AmpOptimWrapper", "dtype": "bfloat16"} if fast else {"type": "OptimWrapper"}
    model.wrapper = build_optim_wrapper(model, {**wrapper, "optimizer": {"type": "Adam", "lr": 1e-4, "fused": fast}})
    return model.train()


def matrix_rate(step: Callable, milliseconds: float, name: str) -> Row:
    """The rate of a step's matrix arithmetic beside that of one large product in bfloat16."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    a, b = torch.randn(2, 8192, 8192, device="cuda", dtype=torch.bfloat16)
    product = in_turn("", lambda: a @ b, lambda: a @ b, "").ours
    ours, peak = counter.get_total_flops() / milliseconds / 1e9, 2 * 8192**3 / product / 1e9
    return Row(f"{name}, matrix rate", ours, peak, "8192 x 8192 x 8192 product", "TFLOP/s", ours / peak, None)


def loaders(bench: Bench) -> Iterator[Row]:
    """A crop with its target and collating, decoded anew or kept."""
    stock = bench.loader(stock=True)
    for cache, words in ((False, "each photo read anew"), (True, "patches kept")):
        name = f"loader, {words}, {bench.name}"
        yield in_turn(name, bench.loader(cache=cache), stock, "mmpose", bench.crops, "ms a crop")


def heads(bench: Bench) -> Iterator[Row]:
    """The head's loss with its gradient, and decoding by three codecs, a batch of crops."""
    import torch

    torch.manual_seed(0)
    head = bench.config.model.head
    size = [side // 2 ** len(head.deconv_out_channels or ()) for side in bench.map_size[::-1]]
    feats = (torch.randn(bench.crops, head.in_channels, *size, device=device(), requires_grad=True),)
    samples, stock_samples = (bench.loader(stock=stock)()["data_samples"] for stock in (False, True))

    def learn(head: Any, samples: list) -> None:
        given = [sample.to(device()) for sample in samples]
        sum(head.loss(feats, given, train_cfg={"compute_acc": False}).values()).backward()

    ours, peer = (bench.build(one).to(device()) for one in (head, bench.stock_config(tuned=True)["head"]))
    both = (partial(learn, ours, samples), partial(learn, peer, stock_samples))
    yield in_turn(f"head, loss and gradient, {bench.name}", *both, "mmpose", unit="ms a batch")
    for sample in samples:
        wh = np.array(sample.input_size)
        sample.gt_instances.bboxes = np.array([[0.0, 0, *wh]])
        sample.set_metainfo({"input_scale": wh, "input_center": wh / 2})
    with torch.no_grad():
        for codec in CODECS:
            peer = bench.build(bench.stock_config(codec)["head"]).to(device()).eval()
            both = (partial(ours.eval().predict, feats, samples), partial(peer.predict, feats, samples))
            yield in_turn(f"decoding, {bench.name}", *both, f"mmpose, {codec}", unit="ms a batch")


def steps(bench: Bench) -> Iterator[Row]:
    """A step of training, and with its loader; stock as it is shipped, then as fast as its options make it."""
    ours, kept, anew = trained(bench.build(bench.config.model)), bench.loader(cache=True), bench.loader(stock=True)
    batch, stock_batch = kept(), anew()
    for tuned, words in ((False, "as shipped"), (True, "tuned")):
        stock = trained(bench.build(bench.stock_config(tuned=tuned)), fast=tuned)
        both = (partial(ours.train_step, batch, ours.wrapper), partial(stock.train_step, stock_batch, stock.wrapper))
        row = in_turn(f"step of training, {bench.name}", *both, f"mmpose {words}", bench.crops, "ms a crop")
        yield row
    if device() == "cuda":
        yield matrix_rate(both[0], row.ours * bench.crops, row.name)
    both = (lambda: ours.train_step(kept(), ours.wrapper), lambda: stock.train_step(anew(), stock.wrapper))
    yield in_turn(f"epoch of training, {bench.name}", *both, "mmpose tuned", bench.crops, "ms a crop")


def predictions(bench: Bench) -> Iterator[Row]:
    """From photos with boxes to landmarks: flip test, a finetuned model for each category."""
    from mmpose.apis import inference_topdown

    from kps.models.landmarks import LandmarkModel, predict_landmarks

    coco, photos = some_photos(bench.files, 12)
    boxes = ground_truth_detections(coco)
    tuned = {item.id: LandmarkModel(bench.config) for item in CATEGORIES}
    stock = trained(bench.build(bench.stock_config())).eval()
    stock.test_cfg = {"flip_test": True, "flip_mode": "heatmap", "shift_heatmap": False}
    crop = [{"type": "LoadImage"}, {"type": "GetBBoxCenterScale"}]
    crop += [{"type": "TopdownAffine", "input_size": bench.input_size}, {"type": "PackPoseInputs"}]
    stock.cfg, stock.dataset_meta = bench.config.copy(), tuned[1].meta
    stock.cfg.test_dataloader.dataset.pipeline = crop

    def theirs() -> None:
        for image in coco.images:
            found = boxes.take(boxes.image_id == image.id).bbox_xywh
            inference_topdown(stock, str(photos / image.file_name), found, bbox_format="xywh")

    both = (lambda: predict_landmarks(tuned, boxes, coco, photos), theirs)
    yield in_turn(f"prediction, 13 models, flip test, {bench.name}", *both, "mmpose", len(boxes), "ms a garment")


def detectors(folder: Path) -> Iterator[Row]:
    """A step of the detector's training, and photos through it, masks left out."""
    import torch
    from mmdet.apis import inference_detector
    from mmdet.registry import DATASETS, MODELS
    from mmengine.dataset import pseudo_collate

    from kps.models.detector import detect, detector_config, new_detector

    files, name = drawn(folder), "htc_x101" if device() == "cuda" else "htc_demo"
    config = detector_config(name, work_dir=folder, **files)
    dataset, number = DATASETS.build(config.train_dataloader.dataset), config.train_dataloader.batch_size
    batch = pseudo_collate([dataset[k] for k in range(number)])
    ours = trained(MODELS.build(config.model))
    for words in ("as shipped", *(["in bfloat16"] if device() == "cuda" else [])):
        stock = trained(MODELS.build(config.model), fast=words != "as shipped")
        stock.to(memory_format=torch.contiguous_format)
        both = (partial(one.train_step, batch, one.wrapper) for one in (ours, stock))
        yield in_turn(f"step of training, {name}", *both, f"mmdet {words}", number, "ms a photo")
    stock.eval().cfg = config
    found, (coco, photos) = new_detector(config, stock.state_dict()), some_photos(files, 16)
    paths = [str(photos / image.file_name) for image in coco.images]
    both = (lambda: detect(found, coco, photos), lambda: inference_detector(stock, paths))
    yield in_turn(f"detection, {name}", *both, "mmdet", len(paths), "ms a photo")


def exported(folder: Path) -> Iterator[Row]:
    """The ready weights under onnxruntime beside torch, a photo at a time and landmarks with the flip test."""
    import torch

    from kps.exported import OnnxLandmarks, open_detector
    from kps.exported import detect as detect_exported
    from kps.models.detector import build_detector, detect
    from kps.models.export import export_models
    from kps.models.landmarks import LandmarkModel, predict_landmarks
    from kps.predict import find_models

    torch.set_num_threads(available_cores())  # as onnxruntime
    ready, (coco, photos) = find_models(None), some_photos(drawn(folder), 32)
    landmark_file, boxes_file = export_models(ready.detector, ready.landmarks, folder / "exported")
    ours, peer = open_detector(boxes_file), build_detector(ready.detector)
    both = (partial(detect_exported, ours, coco, photos), partial(detect, peer, coco, photos, batch_size=1))
    yield in_turn("detection, exported ready weights", *both, "torch", len(coco.images), "ms a photo")
    boxes, models = ground_truth_detections(coco), (OnnxLandmarks(landmark_file), LandmarkModel.load(ready.landmarks))
    both = (partial(predict_landmarks, model, boxes, coco, photos) for model in models)
    yield in_turn("landmarks, flip test, exported ready weights", *both, "torch", len(boxes), "ms a garment")


def drawn(folder: Path) -> dict[str, Path]:
    """Where the drawn photos lie."""
    return {"coco_file": folder / "coco.json", "image_dir": folder / "raw" / "train" / "image"}


def some_photos(files: dict[str, Path], count: int) -> tuple[Any, Path]:
    """The first photos of a file, and their folder."""
    coco = load_coco(files["coco_file"])
    return coco.subset(image_ids=coco.image_ids[:count].tolist()), files["image_dir"]


OF_SIZES = {"loader": loaders, "head": heads, "step": steps, "prediction": predictions}
OF_PHOTOS = {"detector": detectors, "exported": exported}


def models(kind: str) -> list[Row]:
    """All comparisons of a kind in this process, on drawn photos."""
    import torch
    from mmengine.registry import init_default_scope

    import kps.models.landmarks  # noqa: F401  (before mmdet looks for mmcv's ops)

    torch.set_num_threads(1)
    init_default_scope("mmdet" if kind == "detector" else "mmpose")
    torch.backends.cudnn.benchmark = True
    sizes = ("demo", "paper") if kind == "loader" or device() == "cpu" else ("paper",)
    if kind in ("step", "prediction"):  # HRNet-w48 takes minutes a step on a CPU
        sizes = sizes[:1]
    maps = ("hand81", "identity") if kind in ("loader", "head") else ("hand81",)
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(name)
        write_dataset(folder / "raw", train=POOL_PHOTOS, validation=0, test=0)
        convert_split(folder / "raw", "train", folder / "coco.json")
        if kind in OF_PHOTOS:
            return list(OF_PHOTOS[kind](folder))
        return [row for size in sizes for each in maps for row in OF_SIZES[kind](Bench(folder, size, each))]


# Files and scores: each a whole command in a process of its own

TREE, COCO_FILE, RESULT_FILE, RUN, ZIP = map(Path, ("tree", "coco.json", "results.json", "run.npz", "submission.zip"))
SCORERS = ("hotcoco", "faster_coco_eval", "pycocotools")
COMMANDS = {  # name: ours, and the peers, each with what `plainly` does for it
    "conversion, validation": (
        ["convert", TREE, "--split", "validation", "--out", "out.json"], {"json and PIL": "convert"},
    ),
    "scores, landmarks": (["evaluate", COCO_FILE, RESULT_FILE], {name: name for name in SCORERS}),
    "scores with intervals and subsets": (
        ["evaluate", COCO_FILE, RESULT_FILE, "--intervals", "--by", "scale"], {"hotcoco, scores alone": "hotcoco"},
    ),
    "writing the submission": (["submit", RUN, "--out", "out.zip"], {"json.dumps and zipfile": "write"}),
    "validating the submission": (["validate", ZIP], {"json.load": "validate"}),
    "looking at every file": (["doctor", TREE], {"json and PIL": "convert"}),
}  # fmt: skip


def files(name: str, repeats: int) -> Iterator[Row]:
    """Time the commands of a name in turn, in the folder that `prepare` filled."""
    ours, peers = COMMANDS[name]
    for peer_name, what in peers.items():
        there = what not in SCORERS or find_spec(what) is not None
        commands = [["-m", "kps", *ours], *([[Path(__file__).resolve(), "--plain", what]] if there else [])]
        rounds = np.array([[measured(command) for command in commands] for _ in range(repeats)])
        for unit, pairs in (("s", rounds[:, :, 0]), ("GB", rounds[:, :, 1])):
            title = f"{name} ({unit})"
            if there:
                yield Row.of_pairs(title, pairs, peer_name, unit)
            else:
                yield Row(title, float(np.median(pairs)), None, f"{peer_name}: not run", unit, None, None)


def measured(words: list) -> tuple[float, float]:
    """Seconds and the peak of resident memory, GB, of a call of Python and its workers."""
    started, peak, silent = time.perf_counter(), 1, subprocess.DEVNULL
    process = psutil.Popen([sys.executable, *map(str, words)], stdout=silent, stderr=silent)
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            members = (process, *process.children(recursive=True))
            peak = max(peak, sum(member.memory_info().rss for member in members))
        time.sleep(0.02)
    if process.returncode not in (0, 1, 2):  # the doctor's verdict is in the code
        raise InputError(f"{' '.join(map(str, words))} ended with {process.returncode}")
    return time.perf_counter() - started, peak / 1e9


def prepare(scale: float) -> None:
    """Make what the commands read, or a share of it: drawn photos many times, and results that stray from the truth."""
    write_dataset(Path("pool"), train=POOL_PHOTOS, validation=0, test=0)
    counts = {"validation": VALIDATION_PHOTOS, "test": TEST_PHOTOS}
    for split, kind, end in (("validation", "annos", "json"), ("validation", "image", "jpg"), ("test", "image", "jpg")):
        (TREE / split / kind).mkdir(parents=True)
        for number in range(1, max(1, round(scale * counts[split])) + 1):
            source = f"pool/train/{kind}/{1 + number % POOL_PHOTOS:06d}.{end}"
            os.link(source, TREE / split / kind / f"{number:06d}.{end}")
    convert_split(TREE, "validation", COCO_FILE)
    rng, items = np.random.default_rng(0), load_coco(COCO_FILE).instances
    items = items.take(rng.permutation(np.arange(round(1.1 * scale * RESULTS)) % len(items)))
    distance, keypoints = rng.gamma(2.0, 0.02, len(items)), items.keypoints.copy()
    spread = (distance * items.bbox_xywh[:, 2:].max(axis=1))[:, None, None]
    keypoints[:, :, :2] += rng.standard_normal((*keypoints.shape[:2], 2)) * spread
    keypoints *= keypoints[:, :, 2:] > 0
    score = np.clip(np.exp(-10 * distance) + rng.normal(0, 0.1, len(items)), 0.001, 1)
    rows = np.arange(1, len(items) + 1)
    results = Predictions(rows, items.image_id, items.category_id, items.bbox_xywh, score, score, keypoints)
    results = results.take(top_rows(results)[: max(10, round(scale * RESULTS))])
    results.save(RUN)
    write_submission(results, ZIP)
    with zipfile.ZipFile(ZIP) as archive:
        Path(archive.extract(NAME_IN_ZIP)).rename(RESULT_FILE)


def plainly(what: str) -> None:
    """Do one thing as one writes it first, in one process with everything in memory, or score with another library."""
    if what == "convert":
        convert_plainly()
    elif what == "write":
        run, rows = Predictions.load(RUN), []
        columns = (run.image_id.tolist(), run.category_id.tolist(), run.keypoints.round(2), run.score.tolist())
        for image_id, kind, own, score in zip(*columns, strict=True):
            garment, keypoints = category(kind), [0] * (3 * NUM_LANDMARKS)
            places = own[: garment.num_landmarks].ravel().tolist()
            keypoints[3 * garment.slice.start : 3 * garment.slice.stop] = places
            rows.append({"image_id": image_id, "category_id": kind, "keypoints": keypoints, "score": score})
        with zipfile.ZipFile("out.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(NAME_IN_ZIP, json.dumps(rows))
    elif what == "validate":
        with zipfile.ZipFile(ZIP) as archive, archive.open(NAME_IN_ZIP) as file:
            assert all(len(row["keypoints"]) == 3 * NUM_LANDMARKS for row in json.load(file))
    else:
        score_by(what)


def convert_plainly() -> None:
    """Convert annotations, with the sizes of their photos."""
    from PIL import Image

    images, annotations = [], []
    for path in sorted((TREE / "validation" / "annos").iterdir()):
        with Image.open(TREE / "validation" / "image" / f"{path.stem}.jpg") as image:
            images.append({"id": int(path.stem), "file_name": f"{path.stem}.jpg"})
            images[-1] |= {"width": image.width, "height": image.height}
        for item in (value for key, value in json.loads(path.read_text()).items() if key.startswith("item")):
            keypoints, start = [0] * (3 * NUM_LANDMARKS), 3 * CATEGORIES[item["category_id"] - 1].first_index
            keypoints[start : start + len(item["landmarks"])] = item["landmarks"]
            x1, y1, x2, y2 = item["bounding_box"]
            row = {"id": len(annotations) + 1, "image_id": int(path.stem), "category_id": item["category_id"]}
            row |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            annotations.append(row | {"keypoints": keypoints, "segmentation": item["segmentation"]})
    Path("out.json").write_text(json.dumps(coco_head("") | {"images": images, "annotations": annotations}))


def score_by(library: str) -> None:
    """Score with pycocotools, or with what offers its interface."""
    found = import_module(library)
    if library == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    else:
        COCO, COCOeval = found.COCO, getattr(found, "COCOeval_faster", None) or found.COCOeval
    sigmas = list(SIGMAS) if library == "hotcoco" else np.array(SIGMAS)
    extra = {"kpt_oks_sigmas": sigmas} if library == "faster_coco_eval" else {}
    truth = COCO(str(COCO_FILE))
    evaluation = COCOeval(truth, truth.loadRes(str(RESULT_FILE)), "keypoints", **extra)
    evaluation.params.kpt_oks_sigmas = sigmas
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    print(f"AP {evaluation.stats[0]:.9f}")


def page(rows: list[Row], words: list[str]) -> str:
    """The rows in Markdown, with what they were measured on."""
    table = pd.DataFrame([row._asdict() for row in rows]).set_index("name").rename(columns={"peer_name": "peer's name"})
    for name, form in (("ours", "{:.3g}"), ("peer", "{:.3g}"), ("ratio", "{:.2f}"), ("spread", "{:.2f}")):
        table[name] = ["" if pd.isna(value) else form.format(value) for value in table[name]]
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"`{' '.join(['scripts/bench.py', *words])}`\n\n{markdown(table)}\n\nMachine: {hardware()}; {used}."


def main(words: list[str]) -> int:
    """Measure what is asked for; 1 where a command failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    kinds = [*OF_SIZES, *OF_PHOTOS]
    names = [*kinds, *COMMANDS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {names}")
    parser.add_argument("--scale", type=float, default=1.0, help="of the files, for a quick look (1)")
    parser.add_argument("--repeats", type=int, default=3, help="of the commands (3)")
    parser.add_argument("--seconds", type=float, default=seconds, help="for each comparison of models (6)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--plain", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    globals()["seconds"] = arguments.seconds
    if arguments.plain:
        plainly(arguments.plain)
        return 0
    rows, out = [], arguments.json and arguments.json.absolute()
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            if set(arguments.only) & set(COMMANDS):
                prepare(arguments.scale)
            for name in (name for name in names if name in arguments.only):
                print(f"measuring: {name}", file=sys.stderr, flush=True)
                rows += models(name) if name in kinds else files(name, arguments.repeats)
    except InputError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        if out:
            write_json(out, [row._asdict() for row in rows], indent=True)
    print(page(rows, words))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
