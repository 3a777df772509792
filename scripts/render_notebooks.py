#!/usr/bin/env python3
"""Make docs/notebooks, the notebooks as pages with their figures, of the executed notebooks of runs.

    python scripts/render_notebooks.py runs/demo runs/hrnet

Of a notebook that ran several times, one run is shown, of the first work folder that has it. Figures become JPEG where
they hold photos, else PNG of 256 colours.
"""

import io
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from PIL import Image

from kps.flow.steps import NOTEBOOKS
from kps.workspace import REPOSITORY

SHOWN = ("_hand81_plain_12", "_finetune_plain", "_htc", "_hand81", "_ensemble", "")  # the first that was run
PROGRESS = re.compile(r"left |, \d+ s\n")
WIDEST, LARGE = 1100, 90_000  # px of a figure; bytes from which a PNG is one of photos


def main() -> int:
    """Write the pages; 1 where a notebook was not run."""
    runs, out = [Path(run) for run in sys.argv[1:] or ["runs/demo"]], REPOSITORY / "docs" / "notebooks"
    places = {name: [run / "executed" / f"{name}{end}.ipynb" for run in runs for end in SHOWN] for name in NOTEBOOKS}
    ran = {name: next((path for path in paths if path.exists()), None) for name, paths in places.items()}
    if missing := [name for name, path in ran.items() if path is None]:
        print(f"render_notebooks: {', '.join(missing)} not run in {', '.join(map(str, runs))}", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    for old in (path for path in out.iterdir() if path.stem.startswith(NOTEBOOKS)):  # only what was made here
        old.unlink()
    for name, path in ran.items():
        render(nbformat.read(path, as_version=4), name, out, path.resolve().parents[2])
    size = sum(path.stat().st_size for path in out.iterdir())
    print(f"wrote {out}: {size / 1e6:.1f} MB")
    return 0


def render(notebook: nbformat.NotebookNode, name: str, out: Path, runs: Path) -> None:
    """Write NAME.md and its figures of a run in `runs`; output stays, progress and paths of the machine go."""
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.outputs = [one for one in cell.outputs if one.output_type != "stream" or not PROGRESS.search(one.text)]
    body, resources = MarkdownExporter().from_notebook_node(notebook, {"unique_key": name, "output_files_dir": "."})
    for place, content in resources["outputs"].items():
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        picture.thumbnail((WIDEST, 10 * WIDEST))
        target = out / Path(place).name
        picture.quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)
        if target.stat().st_size > LARGE:  # photos
            target.unlink()
            picture.save(target.with_suffix(".jpg"), quality=85)
            body = body.replace(target.name, f"{target.stem}.jpg")
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = body.replace(f"{runs}/", f"{runs.name}/").replace(f"{runs.parent}/", "")
    links = rf"\]\((?:\./)?({'|'.join(NOTEBOOKS)})\.ipynb\)"
    body = re.sub(links, r"](\1.md)", re.sub(r"\n{3,}", "\n\n", body))
    (out / f"{name}.md").write_text(
        f"<!-- made by scripts/render_notebooks.py -->\n\n{body.strip()}\n", encoding="utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
