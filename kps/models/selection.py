"""The score by which a run's best weights are chosen: average precision on the held-out part of train."""

from pathlib import Path

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from kps.data.coco import Coco, load_coco
from kps.evaluation.scores import evaluate_boxes, evaluate_landmarks
from kps.models.detector import detect, ready
from kps.models.held_out import held_out_images
from kps.models.landmarks import LandmarkModel, predict_landmarks
from kps.results.detections import ground_truth_detections


def score(config: Config, weights: dict[str, Tensor], part: dict) -> float:
    """Return the average precision of weights on the held-out part; -1 where nothing in it counts.

    Args:
        config: of the run, which says which model the weights are of.
        weights: of the model.
        part: "coco_file", "image_dir", "share", and "category_id" (or None).
    """
    whole = load_coco(Path(part["coco_file"]))
    truth = whole.subset(image_ids=held_out_images(whole, part["share"]), category_id=part["category_id"])
    of_model = _score_landmarks if config.default_scope == "mmpose" else _score_boxes
    value = of_model(config, weights, truth, Path(part["image_dir"]))
    return value if value == value else -1.0


def _score_landmarks(config: Config, weights: dict[str, Tensor], truth: Coco, image_dir: Path) -> float:
    model = LandmarkModel(config)
    model.model.load_state_dict(weights)
    found = predict_landmarks(model, ground_truth_detections(truth), truth, image_dir, flip_test=False)
    return evaluate_landmarks(truth, found).AP


def _score_boxes(config: Config, weights: dict[str, Tensor], truth: Coco, image_dir: Path) -> float:
    init_default_scope("mmdet")
    model = MODELS.build(config.model)
    model.load_state_dict(weights)
    return evaluate_boxes(truth, detect(ready(model, config), truth, image_dir)).AP
