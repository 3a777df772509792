"""The released data set's figures: those of its page for images, Table 3 of the paper for items."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from kps.schema import package_data

# Annotations number as many as images; the original paper's 391 K training images were not all released.
RELEASED_IMAGES = {"train": 191_961, "validation": 32_153, "test": 62_629}
VALIDATION_ITEMS_ON_THE_PAGE = 51_490  # the competition's page, against 52,490 in the paper


@dataclass(frozen=True)
class Released:
    """What was released of a split; `per_category` is in the order of the 13 categories."""

    num_images: int
    num_items: int
    per_category: tuple[int, ...]


def released(split: str) -> Released:
    """Return a split's released figures; the test split has no public items."""
    if split == "test":
        return Released(RELEASED_IMAGES["test"], 0, ())
    table = orjson.loads(package_data("report/paper_tables.json"))["table3"]
    key = {"train": "num_train", "validation": "num_val"}[split]
    return Released(RELEASED_IMAGES[split], table["all"][key], tuple(table[key]))
