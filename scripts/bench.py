#!/usr/bin/env python3
"""Ours beside its peers: models against stock mmpose and mmdet, scores against three scorers, files against the plain
way.

    python scripts/bench.py > docs/benchmarks.md        # everything; --only NAME... for a part, --json FILE for rows

Models are timed in one process, ours and the peer in turn, medians of pairs; files and scores as whole commands, each
in a process of its own, with its peak of memory. Peers that are not installed (hotcoco, faster-coco-eval) are "not
run". On a machine with a GPU the models are of the paper's size and run there; without, of the demo's, on one thread.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from kps.aggregation import Aggregation
from kps.data.coco import coco_head, load_coco
from kps.data.convert import convert_split
from kps.files import InputError, available_cores, write_json
from kps.results.detections import ground_truth_detections
from kps.results.predictions import Predictions, iter_results, top_rows
from kps.results.submission import NAME_IN_ZIP, write_submission
from kps.schema import CATEGORIES, NUM_LANDMARKS, SIGMAS
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
    ratios = sorted(theirs / mine for mine, theirs in pairs)
    low, ratio, high = (float(np.quantile(ratios, q)) for q in (0.25, 0.5, 0.75))
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Row(name, mine, theirs, peer_name, unit, ratio, (high - low) / ratio)


# Models

CODECS = {
    "argmax": {"type": "MSRAHeatmap", "unbiased": False},
    "DARK": {"type": "MSRAHeatmap", "unbiased": True},
    "UDP": {"type": "UDPHeatmap"},
}


def cuda() -> bool:
    """Whether models run on a GPU."""
    import torch

    return torch.cuda.is_available()


class Bench:
    """Drawn photos, and models of one size with as many channels as a map has groups."""

    def __init__(self, folder: Path, size: str, map_name: str) -> None:
        from mmpose.registry import MODELS

        from kps.models.landmarks import landmark_config

        self.files = drawn(folder)
        config = {"demo": "hrnet_demo", "paper": "hrnet_w48"}[size]
        groups = Aggregation.named(map_name)
        self.config = landmark_config(config, aggregation=groups, work_dir=folder, **self.files)
        self.name = f"{size}'s size, {groups.num_groups} channels"
        self.input_size, self.build = self.config.test_dataloader.dataset.pipeline[0].input_size, MODELS.build
        self.stride = 4
        self.map_size = [side // self.stride for side in self.input_size]
        self.crops = BATCH * (2 if cuda() else 1)

    def stock_config(self, codec: str = "DARK", *, tuned: bool = False) -> dict:
        """The configuration's model with mmpose's own head and loss."""
        model, sigma = self.config.model.copy(), 3.0 if min(self.map_size) > 90 else 1.0
        decoder = {**CODECS[codec], "input_size": self.input_size, "heatmap_size": self.map_size, "sigma": sigma}
        head = {key: model.head[key] for key in ("in_channels", "deconv_out_channels", "deconv_kernel_sizes")}
        head |= {"type": "HeatmapHead", "out_channels": model.head.out_channels, "decoder": decoder}
        head["loss"] = {"type": "KeypointMSELoss", "use_target_weight": True}
        return {**model, "head": head, "train_cfg": {"compute_acc": not tuned}}

    def loader(self, *, stock: bool = False, cache: bool = False) -> Iterator[dict]:
        """Yield batches of augmented crops with their targets, for ever."""
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
        built, place = DATASETS.build(dataset), 0
        while True:
            items = [built[(place + k) % len(built)] for k in range(self.crops)]
            place += self.crops
            yield (pseudo_collate if stock else stack_crops)(items)

    def model(self, config: dict | None = None, *, fast: bool = True) -> Any:
        """A landmark model to train."""
        return trained(self.build(config or self.config.model), fast=fast)


def trained(model: Any, *, fast: bool) -> Any:
    """Put a model on the GPU where there is one, with the optimizer that trains it; `fast`: bfloat16, channels last."""
    import torch
    from mmengine.optim import build_optim_wrapper

    from kps.models.ops import memory_format

    model.to("cuda" if cuda() else "cpu", memory_format=memory_format() if fast else torch.contiguous_format)
    wrapper = {"type": "AmpOptimWrapper", "dtype": "bfloat16"} if cuda() and fast else {"type": "OptimWrapper"}
    optimizer = {"type": "Adam", "lr": 1e-4, "fused": cuda() and fast}
    model.wrapper = build_optim_wrapper(model, {**wrapper, "optimizer": optimizer})
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
        ours = bench.loader(cache=cache)
        for _ in range(-(-4 * POOL_PHOTOS // bench.crops) if cache else 1):
            next(ours)
        name = f"loader, {words}, {bench.name}"
        yield in_turn(name, partial(next, ours), partial(next, stock), "mmpose", bench.crops, "ms a crop")


def heads(bench: Bench) -> Iterator[Row]:
    """The head's loss with its gradient, and decoding by three codecs, a batch of crops."""
    import torch

    torch.manual_seed(0)
    device = "cuda" if cuda() else "cpu"
    deconv = 2 ** len(bench.config.model.head.deconv_out_channels or ())
    size = [side // deconv for side in bench.map_size[::-1]]
    feats = (torch.randn(bench.crops, bench.config.model.head.in_channels, *size, device=device, requires_grad=True),)
    ours, stock = next(bench.loader()), next(bench.loader(stock=True))
    head = bench.build(bench.config.model.head).to(device)
    peer = bench.build(bench.stock_config(tuned=True)["head"]).to(device)

    def learn(head: Any, samples: list) -> None:
        given = [sample.to(device) for sample in samples]
        sum(head.loss(feats, given, train_cfg={"compute_acc": False}).values()).backward()

    both = (partial(learn, head, ours["data_samples"]), partial(learn, peer, stock["data_samples"]))
    yield in_turn(f"head, loss and gradient, {bench.name}", *both, "mmpose", unit="ms a batch")
    samples = ours["data_samples"]
    for sample in samples:
        sample.gt_instances.bboxes = np.array([[0.0, 0, *sample.input_size]])
        sample.set_metainfo(
            {"input_scale": np.array(sample.input_size), "input_center": np.array(sample.input_size) / 2}
        )
    with torch.no_grad():
        for codec in CODECS:
            peer = bench.build(bench.stock_config(codec)["head"]).to(device).eval()
            both = (partial(head.eval().predict, feats, samples), partial(peer.predict, feats, samples))
            yield in_turn(f"decoding, {bench.name}", *both, f"mmpose, {codec}", unit="ms a batch")


def steps(bench: Bench) -> Iterator[Row]:
    """A step of training, and with its loader; stock as it is shipped, then as fast as its options make it."""
    ours, batch = bench.model(), next(bench.loader())
    stock_batch = next(bench.loader(stock=True))
    for tuned, words in ((False, "as shipped"), (True, "tuned")):
        stock = bench.model(bench.stock_config(tuned=tuned), fast=tuned)
        both = (partial(ours.train_step, batch, ours.wrapper), partial(stock.train_step, stock_batch, stock.wrapper))
        row = in_turn(f"step of training, {bench.name}", *both, f"mmpose {words}", bench.crops, "ms a crop")
        yield row
    if cuda():
        yield matrix_rate(both[0], row.ours * bench.crops, row.name)
    kept, anew = bench.loader(cache=True), bench.loader(stock=True)
    for _ in range(-(-4 * POOL_PHOTOS // bench.crops)):
        next(kept)
    both = (lambda: ours.train_step(next(kept), ours.wrapper), lambda: stock.train_step(next(anew), stock.wrapper))
    yield in_turn(f"epoch of training, {bench.name}", *both, "mmpose tuned", bench.crops, "ms a crop")


def predictions(bench: Bench) -> Iterator[Row]:
    """From photos with boxes to result rows: flip test, a finetuned model for each category."""
    from mmpose.apis import inference_topdown

    from kps.models.landmarks import LandmarkModel, predict_landmarks

    coco = load_coco(bench.files["coco_file"])
    coco = coco.subset(image_ids=coco.image_ids[:12].tolist())
    boxes, photos = ground_truth_detections(coco), bench.files["image_dir"]
    tuned = {item.id: LandmarkModel(bench.config) for item in CATEGORIES}
    stock = bench.model(bench.stock_config()).eval()
    stock.test_cfg = {"flip_test": True, "flip_mode": "heatmap", "shift_heatmap": False}
    crop = [{"type": "LoadImage"}, {"type": "GetBBoxCenterScale"}]
    crop += [{"type": "TopdownAffine", "input_size": bench.input_size}, {"type": "PackPoseInputs"}]
    stock.cfg = bench.config.copy()
    stock.cfg.test_dataloader.dataset.pipeline = crop
    stock.dataset_meta = next(iter(tuned.values())).meta

    def theirs() -> None:
        for image in coco.images:
            found = boxes.take(boxes.image_id == image.id).bbox_xywh
            inference_topdown(stock, str(photos / image.file_name), found, bbox_format="xywh")

    both = (lambda: list(iter_results(predict_landmarks(tuned, boxes, coco, photos))), theirs)
    with contextlib.redirect_stdout(io.StringIO()):
        row = in_turn(f"prediction, 13 models, flip test, {bench.name}", *both, "mmpose", len(boxes), "ms a garment")
    yield row


def detectors(folder: Path) -> Iterator[Row]:
    """A step of the detector's training, and photos through it, masks left out."""
    import torch
    from mmdet.apis import inference_detector
    from mmdet.registry import DATASETS, MODELS
    from mmengine.dataset import pseudo_collate

    from kps.models.detector import detect, detector_config, new_detector

    files, name = drawn(folder), "htc_x101" if cuda() else "htc_demo"
    config = detector_config(name, work_dir=folder, **files)
    dataset, number = DATASETS.build(config.train_dataloader.dataset), config.train_dataloader.batch_size
    batch = pseudo_collate([dataset[k] for k in range(number)])
    ours = trained(MODELS.build(config.model), fast=True)
    for fast, words in ((False, "as shipped"), (True, "in bfloat16") if cuda() else (False, "")):
        if words:
            stock = trained(MODELS.build(config.model), fast=fast).to(memory_format=torch.contiguous_format)
            both = (partial(one.train_step, batch, one.wrapper) for one in (ours, stock))
            yield in_turn(f"step of training, {name}", *both, f"mmdet {words}", number, "ms a photo")
    stock.eval().cfg = config
    found = new_detector(config, stock.state_dict())
    coco = load_coco(files["coco_file"])
    coco = coco.subset(image_ids=coco.image_ids[:16].tolist())
    paths = [str(files["image_dir"] / image.file_name) for image in coco.images]
    both = (lambda: detect(found, coco, files["image_dir"]), lambda: inference_detector(stock, paths))
    with contextlib.redirect_stdout(io.StringIO()):
        row = in_turn(f"detection, {name}", *both, "mmdet", len(paths), "ms a photo")
    yield row


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
    ready, files = find_models(None), drawn(folder)
    landmark_file, boxes_file = export_models(ready.detector, ready.landmarks, folder / "exported")
    coco = load_coco(files["coco_file"])
    coco = coco.subset(image_ids=coco.image_ids[:32].tolist())
    boxes, photos, detector = ground_truth_detections(coco), files["image_dir"], build_detector(ready.detector)
    both = (partial(detect_exported, open_detector(boxes_file), coco, photos),
            partial(detect, detector, coco, photos, batch_size=1))  # fmt: skip
    yield in_turn("detection, exported ready weights", *both, "torch", len(coco.images), "ms a photo")
    both = [partial(predict_landmarks, one, boxes, coco, photos)
            for one in (OnnxLandmarks(landmark_file), LandmarkModel.load(ready.landmarks))]  # fmt: skip
    yield in_turn("landmarks, flip test, exported ready weights", *both, "torch", len(boxes), "ms a garment")


def drawn(folder: Path) -> dict[str, Path]:
    """Where the drawn photos lie."""
    return {"coco_file": folder / "coco.json", "image_dir": folder / "raw" / "train" / "image"}


def models(kind: str) -> list[Row]:
    """All comparisons of a kind in this process, on drawn photos."""
    import torch
    from mmengine.registry import init_default_scope

    import kps.models.landmarks  # noqa: F401  (before mmdet looks for mmcv's ops)

    torch.set_num_threads(1)
    init_default_scope("mmdet" if kind == "detector" else "mmpose")
    torch.backends.cudnn.benchmark = True
    sizes = ("paper",) if cuda() and kind != "loader" else ("demo", "paper")
    wanted = {"loader": loaders, "head": heads, "step": steps, "prediction": predictions}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "raw", train=POOL_PHOTOS, validation=0, test=0)
        convert_split(folder / "raw", "train", folder / "coco.json")
        if kind in ("detector", "exported"):
            return list({"detector": detectors, "exported": exported}[kind](folder))
        if kind in ("step", "prediction"):  # HRNet-w48 takes minutes a step on a CPU
            sizes = sizes[:1]
        maps = ("hand81", "identity") if kind in ("loader", "head") else ("hand81",)
        return [row for size in sizes for each in maps for row in wanted[kind](Bench(folder, size, each))]


# Files and scores: each a whole command in a process of its own

TREE, COCO_FILE, RESULT_FILE, RUN, ZIP = map(Path, ("tree", "coco.json", "results.json", "run.npz", "submission.zip"))
KPS = [sys.executable, "-m", "kps"]
PLAIN = [sys.executable, str(Path(__file__).resolve()), "--plain"]
COMMANDS = {  # name: ours, and its peers
    "conversion, validation": (
        [*KPS, "convert", TREE, "--split", "validation", "--out", "out.json"], {"json and PIL": [*PLAIN, "convert"]},
    ),
    "scores, landmarks": (
        [*KPS, "evaluate", COCO_FILE, RESULT_FILE],
        {name: [*PLAIN, name] for name in ("hotcoco", "faster_coco_eval", "pycocotools")},
    ),
    "writing the submission": (
        [*KPS, "submit", RUN, "--out", "out.zip"], {"json.dumps and zipfile": [*PLAIN, "write"]},
    ),
    "validating the submission": ([*KPS, "validate", ZIP], {"json.load": [*PLAIN, "validate"]}),
    "looking at every file": ([*KPS, "doctor", TREE], {"json and PIL": [*PLAIN, "convert"]}),
}  # fmt: skip


def files(scale: float, name: str, repeats: int) -> list[Row]:
    """Time the commands of a name in turn, in the folder that `prepare` filled."""
    ours, peers = COMMANDS[name]
    rows = []
    for peer_name, peer in peers.items():
        try:
            version(peer_name.replace("_", "-")) if "coco" in peer_name else None
        except PackageNotFoundError:
            peer = None
        pairs = [(measured(ours), measured(peer) if peer else None) for _ in range(repeats)]
        for place, unit in enumerate(("s", "GB")):
            mine = statistics.median(pair[0][place] for pair in pairs)
            if not peer:
                rows.append(Row(f"{name} ({unit})", mine, None, f"{peer_name}: not run", unit, None, None))
                continue
            theirs = statistics.median(pair[1][place] for pair in pairs)
            ratios = [pair[1][place] / max(pair[0][place], 1e-9) for pair in pairs]
            spread = (max(ratios) - min(ratios)) / statistics.median(ratios)
            rows.append(Row(f"{name} ({unit})", mine, theirs, peer_name, unit, statistics.median(ratios), spread))
    return rows


def measured(command: list) -> tuple[float, float]:
    """Seconds and the peak of resident memory, GB, of a command and its workers."""
    started, peak = time.perf_counter(), 0
    process = psutil.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            members = (process, *process.children(recursive=True))
            peak = max(peak, sum(member.memory_info().rss for member in members))
        time.sleep(0.02)
    if process.returncode not in (0, 1, 2):  # the doctor's verdict is in the code
        raise InputError(f"{' '.join(map(str, command))} ended with {process.returncode}")
    return time.perf_counter() - started, peak / 1e9


def prepare(scale: float) -> None:
    """Make what the commands read, or a share of it: drawn photos many times, and results that stray from the truth."""
    write_dataset(Path("pool"), train=POOL_PHOTOS, validation=0, test=0)
    for folder in ("validation/annos", "validation/image", "test/image"):
        (TREE / folder).mkdir(parents=True)
    for split, kind, end, count in (
        ("validation", "annos", "json", VALIDATION_PHOTOS), ("validation", "image", "jpg", VALIDATION_PHOTOS),
        ("test", "image", "jpg", TEST_PHOTOS),
    ):  # fmt: skip
        for number in range(1, max(1, round(scale * count)) + 1):
            source = f"pool/train/{kind}/{1 + number % POOL_PHOTOS:06d}.{end}"
            os.link(source, TREE / split / kind / f"{number:06d}.{end}")
    convert_split(TREE, "validation", COCO_FILE)
    rng, items = np.random.default_rng(0), load_coco(COCO_FILE).instances
    items = items.take(rng.permutation(np.arange(round(1.1 * scale * RESULTS)) % len(items)))
    distance = rng.gamma(2.0, 0.02, len(items))
    keypoints = items.keypoints.copy()
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
    """Do one thing as one writes it first, in one process with everything in memory, or with another's scorer."""
    if what == "convert":
        from PIL import Image

        images, annotations = [], []
        for path in sorted((TREE / "validation" / "annos").iterdir()):
            with Image.open(TREE / "validation" / "image" / f"{path.stem}.jpg") as image:
                images.append({"id": int(path.stem), "file_name": f"{path.stem}.jpg", "width": image.width})
                images[-1]["height"] = image.height
            for key, item in json.loads(path.read_text()).items():
                if key.startswith("item"):
                    keypoints, start = [0] * (3 * NUM_LANDMARKS), 3 * CATEGORIES[item["category_id"] - 1].first_index
                    keypoints[start : start + len(item["landmarks"])] = item["landmarks"]
                    x1, y1, x2, y2 = item["bounding_box"]
                    row = {"id": len(annotations) + 1, "image_id": int(path.stem), "category_id": item["category_id"]}
                    row |= {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
                    annotations.append(row | {"keypoints": keypoints, "segmentation": item["segmentation"]})
        Path("out.json").write_text(json.dumps(coco_head("") | {"images": images, "annotations": annotations}))
    elif what == "write":
        with zipfile.ZipFile("out.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(NAME_IN_ZIP, json.dumps(list(iter_results(Predictions.load(RUN)))))
    elif what == "validate":
        with zipfile.ZipFile(ZIP) as archive, archive.open(NAME_IN_ZIP) as file:
            assert all(len(row["keypoints"]) == 3 * NUM_LANDMARKS for row in json.load(file))
    else:
        score_by(what)


def score_by(library: str) -> None:
    """Score with pycocotools, or with what offers its interface."""
    if library == "hotcoco":
        from hotcoco import COCO, COCOeval
    elif library == "faster_coco_eval":
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as COCOeval
    else:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    truth = COCO(str(COCO_FILE))
    extra = {"kpt_oks_sigmas": np.array(SIGMAS)} if library == "faster_coco_eval" else {}
    evaluation = COCOeval(truth, truth.loadRes(str(RESULT_FILE)), "keypoints", **extra)
    evaluation.params.kpt_oks_sigmas = list(SIGMAS) if library == "hotcoco" else np.array(SIGMAS)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    print(f"AP {evaluation.stats[0]:.9f}")


KINDS = ("loader", "head", "step", "prediction", "detector", "exported")


def page(rows: list[Row], words: list[str]) -> str:
    """The rows in Markdown, with what they were measured on."""
    cells = [
        [row.name, f"{row.ours:.3g}", "" if row.peer is None else f"{row.peer:.3g}", row.unit, row.peer_name]
        + ["" if value is None else f"{value:.{digits}f}" for value, digits in ((row.ratio, 2), (row.spread, 2))]
        for row in rows
    ]
    table = "\n".join("| " + " | ".join(row) + " |" for row in cells)
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"""# Benchmarks

Output of `python scripts/bench.py{"".join(f" {word}" for word in words)}`: ours beside a peer, measured in turn; a
ratio above 1 is in our favour, the spread is the distance of its quartiles (of whole commands: of its extremes) over
it.

| what | ours | peer | unit | peer's name | ratio | spread |
| --- | ---: | ---: | --- | --- | ---: | ---: |
{table}

Machine: {hardware()}; {used}.
"""


def main(words: list[str]) -> int:
    """Measure what is asked for; 1 where a command failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    names = [*KINDS, *COMMANDS]
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
    rows: list[Row] = []
    try:
        for kind in (name for name in KINDS if name in arguments.only):
            print(f"measuring: {kind}", file=sys.stderr, flush=True)
            rows += models(kind)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            wanted = [name for name in COMMANDS if name in arguments.only]
            prepare(arguments.scale) if wanted else None
            for name in wanted:
                print(f"measuring: {name}", file=sys.stderr, flush=True)
                rows += files(arguments.scale, name, arguments.repeats)
    except InputError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        if arguments.json:
            write_json(arguments.json.absolute(), [row._asdict() for row in rows], indent=True)
    print(page(rows, words))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
