"""A part of a COCO-294 file as another file, row by row, so that memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from kps.coco import coco_categories, visible_only_annotation
from kps.files import atomic_path, open_file
from kps.json_rows import read_json_lists

Row = dict[str, Any]


def save_selection(source: Path, out: Path, image_ids: Iterable[int], *, visible_only: bool = False) -> None:
    """Write the given photos of a COCO-294 file with their annotations, rows as they are.

    Args:
        source: a file that `load_coco` accepts.
        out: the file to write, whole or not at all.
        image_ids: of the photos to keep.
        visible_only: leave occluded landmarks (v = 1) unlabelled.

    Raises:
        InputError: `source` is absent or is broken JSON.
    """
    wanted = set(image_ids)
    change = visible_only_annotation if visible_only else dict
    head = {"info": {"description": "DeepFashion2 layout, 294 landmarks"}, "licenses": []}
    with open_file(source) as file, atomic_path(out) as temporary, open(temporary, "wb") as target:
        target.write(orjson.dumps({**head, "categories": coco_categories()})[:-1])
        lists = _Lists(target)
        takers = {
            "images": lists.taker("images", lambda row: row if row["id"] in wanted else None),
            "annotations": lists.taker(
                "annotations", lambda row: change(row) if row["image_id"] in wanted else None
            ),
        }
        read_json_lists(file.read, str(source), takers)
        lists.end()


class _Lists:
    """Writes the rows of several lists, one list after the other, into an object."""

    def __init__(self, target: BinaryIO) -> None:
        self.target, self.name, self.count = target, "", 0

    def taker(self, name: str, choose: Callable[[Row], Row | None]) -> Callable[[int, Row], None]:
        """Return what takes the rows of a list; `choose` returns the row to write, None for none."""

        def take(number: int, row: Row) -> None:
            if self.name != name:
                self._begin(name)
            if (chosen := choose(row)) is not None:
                self.target.write((b"," if self.count else b"") + orjson.dumps(chosen))
                self.count += 1

        return take

    def _begin(self, name: str) -> None:
        self.target.write((b"]" if self.name else b"") + b',"%b":[' % name.encode())
        self.name, self.count = name, 0

    def end(self) -> None:
        """Close the last list and the object."""
        self.target.write(b"]}" if self.name else b"}")
