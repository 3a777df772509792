"""Builder of a small data set of plain rectangles as garments, for tests that train."""

from pathlib import Path

import cv2
import numpy as np
from builders import make_item, save_coco

from kps.data.coco import coco_annotation

COLOURS = {1: (200, 40, 40), 8: (40, 200, 40), 12: (40, 40, 200)}  # category id: BGR


def write_photos(folder: Path, *, count: int = 8, size_wh: tuple[int, int] = (120, 160), seed: int = 0) -> Path:
    """Write photos with a coloured rectangle each to folder/image and return their COCO-294 file."""
    generator = np.random.default_rng(seed)
    width, height = size_wh
    (folder / "image").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        kind = list(COLOURS)[number % len(COLOURS)]
        w, h = generator.integers(width // 3, width // 2), generator.integers(height // 3, height // 2)
        x, y = generator.integers(0, width - w), generator.integers(0, height - h)
        photo = generator.integers(90, 130, (height, width, 3)).astype(np.uint8)
        photo[y : y + h, x : x + w] = COLOURS[kind]
        name = f"{number:06d}.jpg"
        cv2.imwrite(str(folder / "image" / name), photo)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        item = make_item(kind, box=tuple(int(value) for value in (x, y, x + w, y + h)), seed=number)
        annotations.append(coco_annotation(item, annotation_id=number, image_id=number, where=name))
    save_coco(folder / "coco.json", images, annotations)
    return folder / "coco.json"
