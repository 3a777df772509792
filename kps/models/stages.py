"""Which checkpoint serves which category: the universal model's, or those finetuned from it."""

from __future__ import annotations

from pathlib import Path

from kps.files import InputError
from kps.models.training import FINAL
from kps.schema import CATEGORIES
from kps.workspace import Workspace, load_record

UNIVERSAL, FINETUNED = "universal", "finetune_"  # names of models; the second is followed by a variant


def landmark_checkpoints(work: Workspace, model: str, aggregation: str) -> dict[int, Path]:
    """The checkpoint of each category id: of "universal", or of "finetune_" and a variant ("finetune_plain").

    A category of which the training split has no landmarks could not be finetuned, as its record says: there
    the universal model serves.

    Raises:
        InputError: an unknown model, or one that was not trained.
    """
    if model != UNIVERSAL and not model.startswith(FINETUNED):
        raise InputError(f"model: expected {UNIVERSAL} or {FINETUNED}VARIANT, but got {model!r}")
    universal = work.universal_dir(aggregation) / FINAL
    if not universal.exists():
        raise InputError(f"{universal}: no such checkpoint; train the universal landmark model first")
    if model == UNIVERSAL:
        return {item.id: universal for item in CATEGORIES}
    variant = model.removeprefix(FINETUNED)
    return {item.id: _finetuned(work, aggregation, variant, item.id) or universal for item in CATEGORIES}


def _finetuned(work: Workspace, aggregation: str, variant: str, category_id: int) -> Path | None:
    """The finetuned checkpoint, None where the category's record says that there was nothing to train on."""
    record = work.record(f"06_finetune_category_{aggregation}_{variant}_{category_id:02d}")
    if record.exists() and not load_record(record).metrics["train_items"]:
        return None  # also where a checkpoint of other data lies there
    path = work.finetune_dir(aggregation, variant, category_id) / FINAL
    if not path.exists():
        raise InputError(f"{path}: no such checkpoint; finetune category {category_id} ({variant}) first")
    return path
