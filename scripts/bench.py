#!/usr/bin/env python3
"""Ours beside its peers: stock mmpose and mmdet, three scorers, and files written the plain way.

    python scripts/bench.py                # everything, as a page; --only NAME... for a part, --json FILE for rows

Models are timed in one process, ours and the peer in turn, medians of pairs; files and scores as whole commands, each
in a process of its own, with its peak of memory. Peers that are not installed (hotcoco, faster-coco-eval) are "not
run". On a machine with a GPU the models are of the paper's size and run there; without, of the demo's, on one thread.
"""

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any

import kps.models  # noqa: F401  # isort: skip  (before mmdet looks for mmcv's ops)
import numpy as np
import pandas as pd
import psutil
import torch
from mmdet.apis import inference_detector
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmpose.apis import inference_topdown
from torch.utils.flop_counter import FlopCounterMode

from kps import exported
from kps.aggregation import Aggregation
from kps.data.coco import Coco, load_coco
from kps.data.convert import convert_split
from kps.files import InputError, available_cores, write_json
from kps.models import detector, landmark_data, ops
from kps.models.export import export_models
from kps.models.landmarks import LandmarkModel, landmark_config, predict_landmarks
from kps.predict import find_models
from kps.report import markdown
from kps.results.detections import ground_truth_detections
from kps.results.predictions import Predictions, top_rows
from kps.results.submission import NAME_IN_ZIP, write_submission
from kps.schema import CATEGORIES
from kps.synthetic import write_dataset
from kps.workspace import hardware, versions

PHOTOS, RESULTS = {"validation": 32_153, "test": 62_629}, 500_000
POOL_PHOTOS, BATCH = 60, 16  # photos drawn, and crops at a time
POOL = Path("pool")  # this and all below lie in a temporary folder
DRAWN = {"coco_file": Path("drawn.json"), "image_dir": POOL / "train" / "image"}
LEAST = 3  # pairs of times, however long they take
GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
seconds = 6.0  # for each comparison of models
Row = dict[str, Any]  # one comparison


def compared(name: str, pairs: Sequence[Sequence[float]], peer_name: str, unit: str) -> Row:
    """Summarise pairs of ours and the peer's; ours alone where the peer is not installed.

    A ratio above 1 is in our favour; the spread is the distance of its quartiles over it.
    """
    ours, *peer = np.median(pairs, axis=0).tolist()
    row = {"name": name, "ours": ours, "peer": None, "peer_name": f"{peer_name}: not run", "unit": unit}
    if not peer:
        return row | {"ratio": None, "spread": None}
    low, ratio, high = np.quantile([peer / own for own, peer in pairs], (0.25, 0.5, 0.75)).tolist()
    return row | {"peer": peer[0], "peer_name": peer_name, "ratio": ratio, "spread": (high - low) / ratio}


def in_turn(name: str, ours: Callable, peer: Callable, peer_name: str, per: float = 1, unit: str = "ms") -> Row:
    """Time two functions in turn, milliseconds for each of `per` things."""

    def timed(function: Callable) -> float:
        started = time.perf_counter()
        function()
        if GPU:
            torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - started) / per

    pairs, started = [], time.monotonic()
    for function in (ours, peer, ours, peer):  # caches, kernels and clocks
        timed(function)
    while len(pairs) < LEAST or time.monotonic() - started < seconds:
        pairs.append((timed(ours), timed(peer)))
    return compared(name, pairs, peer_name, unit)


CODECS = {
    "argmax": {"type": "MSRAHeatmap", "unbiased": False},
    "DARK": {"type": "MSRAHeatmap", "unbiased": True},
    "UDP": {"type": "UDPHeatmap"},
}


class Bench:
    """Drawn photos, and models of one size with as many channels as a map has groups."""

    def __init__(self, size: str, map_name: str) -> None:
        groups, config = Aggregation.named(map_name), {"demo": "hrnet_demo", "paper": "hrnet_w48"}[size]
        self.config = landmark_config(config, aggregation=groups, work_dir=POOL, **DRAWN)
        self.name = f"{size}'s size, {groups.num_groups} channels"
        self.input_size = self.config.test_dataloader.dataset.pipeline[0].input_size
        self.map_size = [side // 4 for side in self.input_size]
        self.crops = BATCH * (2 if GPU else 1)

    def stock_config(self, codec: str = "DARK", *, tuned: bool = False) -> dict:
        """The configuration's model with mmpose's own head and loss."""
        model, sigma = self.config.model.copy(), 3.0 if min(self.map_size) > 90 else 1.0
        decoder = {**CODECS[codec], "input_size": self.input_size, "heatmap_size": self.map_size, "sigma": sigma}
        head = {key: model.head[key] for key in ("in_channels", "deconv_out_channels", "deconv_kernel_sizes")}
        head |= {"type": "HeatmapHead", "out_channels": model.head.out_channels, "decoder": decoder}
        head["loss"] = {"type": "KeypointMSELoss", "use_target_weight": True}
        return {**model, "head": head, "train_cfg": {"compute_acc": not tuned}}

    def stock_pipeline(self, *, training: bool) -> list[dict]:
        """mmpose's own way from a photo to a crop, in training with augmentation and target."""
        augment = {"type": "RandomBBoxTransform", "scale_factor": (0.75, 1.25), "rotate_factor": 30}
        target = {"type": "GenerateTarget", "encoder": self.stock_config()["head"]["decoder"]}
        crop = {"type": "TopdownAffine", "input_size": self.input_size}
        middle = [augment, crop, target] if training else [crop]
        return [{"type": "LoadImage"}, {"type": "GetBBoxCenterScale"}, *middle, {"type": "PackPoseInputs"}]

    def loader(self, *, stock: bool = False, cache: bool = False) -> Callable[[], dict]:
        """A function that returns the next batch of augmented crops with their targets; patches are kept by now."""
        dataset = self.config.train_dataloader.dataset.copy()
        if stock:
            dataset.pipeline = self.stock_pipeline(training=True)
        else:
            dataset.pipeline[0].cache = cache
        built, collate = DATASETS.build(dataset), pseudo_collate if stock else landmark_data.stack_crops
        rows = cycle(range(len(built)))
        for _ in range(len(built) if cache else 0):
            built[next(rows)]
        return lambda: collate([built[next(rows)] for _ in range(self.crops)])


def trained(model: Any, *, fast: bool = True) -> Any:
    """Put a model where models run, with the optimizer that trains it; `fast`: bfloat16 on a GPU, channels last."""
    model.to(DEVICE, memory_format=ops.memory_format() if fast else torch.contiguous_format)
    fast = fast and GPU
    wrapper = {"type": "AmpOptimWrapper", "dtype": "bfloat16"} if fast else {"type": "OptimWrapper"}
    model.wrapper = build_optim_wrapper(model, {**wrapper, "optimizer": {"type": "Adam", "lr": 1e-4, "fused": fast}})
    return model.train()


def matrix_rate(step: Callable, milliseconds: float, name: str) -> Row:
    """The rate of a step's matrix arithmetic beside that of one large product in bfloat16."""
    with FlopCounterMode(display=False) as counter:
        step()
    a, b = torch.randn(2, 8192, 8192, device="cuda", dtype=torch.bfloat16)
    product = in_turn("", lambda: a @ b, lambda: a @ b, "")["ours"]
    ours, peak = counter.get_total_flops() / milliseconds / 1e9, 2 * 8192**3 / product / 1e9
    row = {"name": f"{name}, matrix rate", "ours": ours, "peer": peak, "peer_name": "8192 x 8192 x 8192 product"}
    return row | {"unit": "TFLOP/s", "ratio": ours / peak, "spread": None}


def loaders(bench: Bench) -> Iterator[Row]:
    """A crop with its target and collating, decoded anew or kept."""
    stock = bench.loader(stock=True)
    for cache, words in ((False, "each photo read anew"), (True, "patches kept")):
        name = f"loader, {words}, {bench.name}"
        yield in_turn(name, bench.loader(cache=cache), stock, "mmpose", bench.crops, "ms a crop")


def heads(bench: Bench) -> Iterator[Row]:
    """The head's loss with its gradient, and decoding by three codecs, a batch of crops."""
    torch.manual_seed(0)
    head = bench.config.model.head
    size = [side // 2 ** len(head.deconv_out_channels or ()) for side in bench.map_size[::-1]]
    feats = (torch.randn(bench.crops, head.in_channels, *size, device=DEVICE, requires_grad=True),)
    samples, stock_samples = (bench.loader(stock=stock)()["data_samples"] for stock in (False, True))

    def learn(head: Any, samples: list) -> None:
        given = [sample.to(DEVICE) for sample in samples]
        sum(head.loss(feats, given, train_cfg={"compute_acc": False}).values()).backward()

    ours, peer = (MODELS.build(one).to(DEVICE) for one in (head, bench.stock_config(tuned=True)["head"]))
    both = (partial(learn, ours, samples), partial(learn, peer, stock_samples))
    yield in_turn(f"head, loss and gradient, {bench.name}", *both, "mmpose", unit="ms a batch")
    for sample in samples:
        wh = np.array(sample.input_size)
        sample.gt_instances.bboxes = np.array([[0.0, 0, *wh]])
        sample.set_metainfo({"input_scale": wh, "input_center": wh / 2})
    with torch.no_grad():
        for codec in CODECS:
            peer = MODELS.build(bench.stock_config(codec)["head"]).to(DEVICE).eval()
            both = (partial(ours.eval().predict, feats, samples), partial(peer.predict, feats, samples))
            yield in_turn(f"decoding, {bench.name}", *both, f"mmpose, {codec}", unit="ms a batch")


def steps(bench: Bench) -> Iterator[Row]:
    """A step of training, and with its loader; stock as it is shipped, then as fast as its options make it."""
    ours, kept, anew = trained(MODELS.build(bench.config.model)), bench.loader(cache=True), bench.loader(stock=True)
    batch, stock_batch = kept(), anew()
    for tuned, words in ((False, "as shipped"), (True, "tuned")):
        stock = trained(MODELS.build(bench.stock_config(tuned=tuned)), fast=tuned)
        both = (partial(ours.train_step, batch, ours.wrapper), partial(stock.train_step, stock_batch, stock.wrapper))
        yield (row := in_turn(f"step of training, {bench.name}", *both, f"mmpose {words}", bench.crops, "ms a crop"))
    if GPU:
        yield matrix_rate(both[0], row["ours"] * bench.crops, row["name"])
    both = (lambda: ours.train_step(kept(), ours.wrapper), lambda: stock.train_step(anew(), stock.wrapper))
    yield in_turn(f"epoch of training, {bench.name}", *both, "mmpose tuned", bench.crops, "ms a crop")


def predictions(bench: Bench) -> Iterator[Row]:
    """From photos with boxes to landmarks: flip test, a finetuned model for each category."""
    coco, photos = some_photos(12)
    boxes = ground_truth_detections(coco)
    tuned = {item.id: LandmarkModel(bench.config) for item in CATEGORIES}
    stock = trained(MODELS.build(bench.stock_config())).eval()
    stock.test_cfg = {"flip_test": True, "flip_mode": "heatmap", "shift_heatmap": False}
    stock.cfg, stock.dataset_meta = bench.config.copy(), tuned[1].meta
    stock.cfg.test_dataloader.dataset.pipeline = bench.stock_pipeline(training=False)

    def theirs() -> None:
        for image in coco.images:
            found = boxes.take(boxes.image_id == image.id).bbox_xywh
            inference_topdown(stock, str(photos / image.file_name), found, bbox_format="xywh")

    both = (lambda: predict_landmarks(tuned, boxes, coco, photos), theirs)
    yield in_turn(f"prediction, 13 models, flip test, {bench.name}", *both, "mmpose", len(boxes), "ms a garment")


def detectors() -> Iterator[Row]:
    """A step of the detector's training, and photos through it, masks left out."""
    name = "htc_x101" if GPU else "htc_demo"
    config = detector.detector_config(name, work_dir=POOL, **DRAWN)
    dataset, number = DATASETS.build(config.train_dataloader.dataset), config.train_dataloader.batch_size
    batch = pseudo_collate([dataset[k] for k in range(number)])
    ours = trained(MODELS.build(config.model))
    for words in ("as shipped", *(["in bfloat16"] if GPU else [])):
        stock = trained(MODELS.build(config.model), fast=words != "as shipped")
        stock.to(memory_format=torch.contiguous_format)
        both = (partial(one.train_step, batch, one.wrapper) for one in (ours, stock))
        yield in_turn(f"step of training, {name}", *both, f"mmdet {words}", number, "ms a photo")
    stock.eval().cfg = config
    found, (coco, photos) = detector.new_detector(config, stock.state_dict()), some_photos(16)
    paths = [str(photos / image.file_name) for image in coco.images]
    both = (lambda: detector.detect(found, coco, photos), lambda: inference_detector(stock, paths))
    yield in_turn(f"detection, {name}", *both, "mmdet", len(paths), "ms a photo")


def exports() -> Iterator[Row]:
    """The ready weights under onnxruntime beside torch, a photo at a time and landmarks with the flip test."""
    torch.set_num_threads(available_cores())  # as onnxruntime
    ready, (coco, photos) = find_models(None), some_photos(32)
    landmark_file, boxes_file = export_models(ready.detector, ready.landmarks, Path("exported"))
    ours, peer = exported.open_detector(boxes_file), detector.build_detector(ready.detector)
    both = (partial(exported.detect, ours, coco, photos), partial(detector.detect, peer, coco, photos, batch_size=1))
    yield in_turn("detection, exported ready weights", *both, "torch", len(coco.images), "ms a photo")
    boxes = ground_truth_detections(coco)
    found = exported.OnnxLandmarks(landmark_file), LandmarkModel.load(ready.landmarks)
    both = (partial(predict_landmarks, model, boxes, coco, photos) for model in found)
    yield in_turn("landmarks, flip test, exported ready weights", *both, "torch", len(boxes), "ms a garment")


def some_photos(count: int) -> tuple[Coco, Path]:
    """The first of the drawn photos, and their folder."""
    coco = load_coco(DRAWN["coco_file"])
    return coco.subset(image_ids=coco.image_ids[:count].tolist()), DRAWN["image_dir"]


OF_SIZES = {"loader": loaders, "head": heads, "step": steps, "prediction": predictions}
OF_PHOTOS = {"detector": detectors, "exported": exports}


def models(kind: str) -> list[Row]:
    """All comparisons of a kind in this process."""
    torch.set_num_threads(1)
    init_default_scope("mmdet" if kind == "detector" else "mmpose")
    torch.backends.cudnn.benchmark = True
    sizes = ("demo", "paper") if kind == "loader" or not GPU else ("paper",)
    if kind in ("step", "prediction"):  # HRNet-w48 takes minutes a step on a CPU
        sizes = sizes[:1]
    maps = ("hand81", "identity") if kind in ("loader", "head") else ("hand81",)
    with contextlib.redirect_stdout(io.StringIO()):
        if kind in OF_PHOTOS:
            return list(OF_PHOTOS[kind]())
        return [row for size in sizes for each in maps for row in OF_SIZES[kind](Bench(size, each))]


# Files and scores: each a whole command in a process of its own

TREE, COCO_FILE, RESULT_FILE, RUN, ZIP = map(Path, ("tree", "coco.json", "results.json", "run.npz", "submission.zip"))
PLAIN = Path(__file__).resolve().with_name("plain_peers.py")
SCORERS, FILES = ("hotcoco", "faster_coco_eval", "pycocotools"), f"{COCO_FILE} {RESULT_FILE}"
CONVERSION = {"json and PIL": f"convert {TREE}/validation"}
COMMANDS = {  # name: words of kps, and the peers, each with the words of PLAIN
    "conversion, validation": (f"convert {TREE} --split validation --out out.json", CONVERSION),
    "scores, landmarks": (f"evaluate {FILES}", {name: f"{name} {FILES}" for name in SCORERS}),
    "scores with intervals and subsets":
        (f"evaluate {FILES} --intervals --by scale", {"hotcoco, scores alone": f"hotcoco {FILES}"}),
    "writing the submission": (f"submit {RUN} --out out.zip", {"json.dumps and zipfile": f"write {RUN}"}),
    "validating the submission": (f"validate {ZIP}", {"json.load": f"validate {ZIP}"}),
    "looking at every file": (f"doctor {TREE}", CONVERSION),
}  # fmt: skip


def files(name: str, repeats: int) -> Iterator[Row]:
    """Time the commands of a name in turn, in the folder that `prepare` filled."""
    ours, peers = COMMANDS[name]
    for peer_name, words in peers.items():
        scorer, commands = words.split()[0], [["-m", "kps", *ours.split()], [PLAIN, *words.split()]]
        if scorer in SCORERS and find_spec(scorer) is None:
            commands.pop()
        rounds = np.array([[measured(command) for command in commands] for _ in range(repeats)])
        for number, unit in enumerate(("s", "GB")):
            yield compared(f"{name} ({unit})", rounds[:, :, number], peer_name, unit)


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
    for split, kind, end in (("validation", "annos", "json"), ("validation", "image", "jpg"), ("test", "image", "jpg")):
        (TREE / split / kind).mkdir(parents=True)
        for number in range(1, max(1, round(scale * PHOTOS[split])) + 1):
            source = POOL / "train" / kind / f"{1 + number % POOL_PHOTOS:06d}.{end}"
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


def page(rows: list[Row], words: list[str]) -> str:
    """The rows in Markdown, with what they were measured on."""
    table = pd.DataFrame(rows).set_index("name").rename(columns={"peer_name": "peer's name"})
    for name, form in (("ours", "{:.3g}"), ("peer", "{:.3g}"), ("ratio", "{:.2f}"), ("spread", "{:.2f}")):
        table[name] = ["" if pd.isna(value) else form.format(value) for value in table[name]]
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"`{' '.join(['scripts/bench.py', *words])}`\n\n{markdown(table)}\n\nMachine: {hardware()}; {used}."


def main(words: list[str]) -> int:
    """Measure what is asked for; 1 where a command failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    names = [*OF_SIZES, *OF_PHOTOS, *COMMANDS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {names}")
    parser.add_argument("--scale", type=float, default=1.0, help="of the files, for a quick look (1)")
    parser.add_argument("--repeats", type=int, default=3, help="of the commands (3)")
    parser.add_argument("--seconds", type=float, default=seconds, help="for each comparison of models (6)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    arguments = parser.parse_args(words)
    globals()["seconds"] = arguments.seconds
    rows, out = [], arguments.json and arguments.json.absolute()
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            write_dataset(POOL, train=POOL_PHOTOS, validation=0, test=0)
            convert_split(POOL, "train", DRAWN["coco_file"])
            if set(arguments.only) & set(COMMANDS):
                prepare(arguments.scale)
            for name in (name for name in names if name in arguments.only):
                print(f"measuring: {name}", file=sys.stderr, flush=True)
                rows += files(name, arguments.repeats) if name in COMMANDS else models(name)
    except InputError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        if out:
            write_json(out, rows, indent=True)
    print(page(rows, words))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
