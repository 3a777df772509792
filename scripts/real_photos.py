#!/usr/bin/env python3
"""Hold the landmark models of a workspace against real photos: mean OKS and PCK on ground-truth boxes.

Prints a Markdown table, beside the mean shape of the workspace's training split, which looks at no pixel:

    python scripts/real_photos.py --workspace runs/demo --coco sample/train_coco.json --images sample/image
"""

import argparse
import sys
from pathlib import Path

from kps.data.coco import Coco, load_coco
from kps.evaluation.scores import PCK_THRESHOLDS, landmark_accuracy, mean_shape, mean_shape_predictions
from kps.files import InputError
from kps.models.landmarks import landmark_checkpoints, predict_landmarks
from kps.results.detections import Detections, ground_truth_detections
from kps.results.predictions import Predictions, ensemble
from kps.workspace import Workspace

MODELS = ("universal", "finetune_plain", "finetune_flip")


def main() -> int:
    """Read the options, evaluate, print the table; 1 where the input is at fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--workspace", type=Path, default=Path("runs/demo"), help="a finished run (runs/demo)")
    parser.add_argument("--coco", type=Path, required=True, metavar="FILE", help="COCO-294 file of the photos")
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER", help="the photos")
    parser.add_argument("--aggregation", default="hand81", help="the models' map (hand81)")
    arguments = parser.parse_args()
    try:
        work, coco = Workspace(arguments.workspace), load_coco(arguments.coco)
        predictions = predict_all(work, coco, arguments.images, arguments.aggregation)
        accuracy = {name: landmark_accuracy(coco, found) for name, found in predictions.items()}
    except InputError as error:
        print(f"real_photos: {error}", file=sys.stderr)
        return 1
    print(table(accuracy, num_photos=len(coco.images)))
    return 0


def predict_all(work: Workspace, coco: Coco, images: Path, aggregation: str) -> dict[str, Predictions]:
    """Predictions by name: the mean shape, every trained model, and the mean of the finetuned ones."""
    boxes = ground_truth_detections(coco)
    shape = mean_shape(load_coco(work.coco("train")))
    found = {"mean shape": mean_shape_predictions(shape, boxes)}
    for model in MODELS:
        found[model] = _predict(work, model, boxes, coco, images, aggregation)
    finetuned = [found[model] for model in MODELS if model.startswith("finetune")]
    return found | {"ensemble": ensemble(finetuned)}


def _predict(work: Workspace, model: str, boxes: Detections, coco: Coco, images: Path, aggregation: str) -> Predictions:
    return predict_landmarks(landmark_checkpoints(work, model, aggregation), boxes, coco, images)


def table(accuracy: dict[str, dict[str, float]], *, num_photos: int) -> str:
    """A Markdown table, one row a model."""
    items = next(iter(accuracy.values()))["num_items"]
    measures = ["mean_oks", *(f"PCK@{threshold:g}" for threshold in PCK_THRESHOLDS)]
    head = ["", "mean OKS", *measures[1:]]
    rows = [[name, *(f"{score[measure]:.3f}" for measure in measures)] for name, score in accuracy.items()]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{num_photos} photos, {items} garments, ground-truth boxes, flip test.\n\n{text}"


if __name__ == "__main__":
    sys.exit(main())
