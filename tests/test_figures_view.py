"""kps.figures.view: what is in the page, what is refused, and clicks in a browser where there is one."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import make_coco
from evaluation_cases import perfect

from kps.__main__ import main
from kps.data.coco import load_coco
from kps.figures.view import CAUSES
from kps.workspace import Workspace

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def make_run(root: Path, *, off: float = 0.0, missed: int = 0) -> Workspace:
    """A run on five photos whose results are `off` px off; the last ones are missed, the first has another category."""
    work = Workspace(root)
    work.coco("validation").parent.mkdir(parents=True)
    shutil.move(make_coco(root, (1, 7, 8, 8, 9)).path, work.coco("validation"))
    work.write_data({"validation": root / "with space"}, source="test")
    found = perfect(load_coco(work.coco("validation"))).take(np.arange(5 - missed))
    found.keypoints[..., 0] += off
    found = replace(found, category_id=np.where(found.image_id == 1, 2, found.category_id))
    work.predictions("universal", "validation").parent.mkdir(parents=True)
    found.save(work.predictions("universal", "validation"))
    return work


def data_of(page: Path) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])


def test_a_page_holds_truth_and_results_with_their_causes(tmp_path, capsys):
    first, second = make_run(tmp_path / "a"), make_run(tmp_path / "b", off=20, missed=2)
    assert main(["view", str(first.root), str(second.root)]) == 0
    assert "open it in a browser" in capsys.readouterr().out
    data = data_of(first.root / "view.html")
    assert len(data["runs"]) == 2 and [photo["n"] for photo in data["photos"]] == [1, 2, 3, 4, 5]
    assert data["photos"][0]["f"] == "with%20space/000001.jpg"
    named = [[[CAUSES[cause] for cause in one[4]] for one in photo["t"]] for photo in data["photos"]]
    assert named == [[["wrong category"] * 2], *[[["right item"] * 2]] * 2, *[[["right item", "missed box"]]] * 2]
    assert [photo["o"] for photo in data["photos"]][::4] == [[0, 0], [1, 0]]
    assert 0 < data["photos"][1]["o"][1] < data["photos"][1]["o"][0] == 1
    (shorts,) = data["photos"][1]["r"][0]
    assert data["kinds"][shorts[0]]["name"] == "shorts" and shorts[2:4] == [1, 0]
    assert shorts[4][:2] == data["photos"][1]["t"][0][2][:2]


def test_other_photos_other_files_and_no_results_are_refused(tmp_path, capsys):
    work, other = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    assert main(["view", str(work.root)]) == main(["view", str(work.root)]) == 0  # its own page is replaced
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    other.coco("validation").write_text(other.coco("validation").read_text() + " ")
    for arguments, message in (
        ([work.root, "--out", mine], "mine.html: would be overwritten"),
        ([work.root, other.root], "expected the photos of"),
        ([work.root, "--predictions", "ensemble"], "expected predictions of validation, ensemble"),
    ):
        assert main(["view", *map(str, arguments)]) == 1
        assert message in capsys.readouterr().err
    assert mine.read_text() == "mine"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to click in")
def test_filters_and_orders_in_a_browser(tmp_path):
    first, second = make_run(tmp_path / "a"), make_run(tmp_path / "b", off=20, missed=2)
    page = tmp_path / "view.html"
    assert main(["view", str(first.root), str(second.root), "--out", str(page)]) == 0
    clicks = """<script>{
    const seen = [], note = () => seen.push([...document.querySelectorAll("figure")].map(one => one.innerText.match(/photo (\\d+)/)[1]));
    const set = (id, value) => { at(id).value = value; at(id).dispatchEvent(new Event("input")); note(); };
    note(); set("kind", "7"); set("order", "largest difference"); set("kind", ""); set("cause", "4"); set("cause", "");
    set("attribute", "0,2"); set("attribute", "0,1"); set("attribute", ""); set("order", "by photo"); set("low", "1"); set("low", "0");
    set("score", "2"); document.querySelector("figure").click(); at("truth").click();
    document.body.dataset.seen = JSON.stringify([seen, document.querySelectorAll(".big, .hidetruth").length,
        document.querySelectorAll("circle").length, location.hash]);
    }</script></body>"""  # noqa: E501
    page.write_text(page.read_text().replace("</body>", clicks))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    text = re.search(r'data-seen="(.*?)"', shown)[1].replace("&quot;", '"').replace("&amp;", "&")
    seen, toggled, circles, address = json.loads(text)
    every = ["1", "2", "3", "4", "5"]
    assert seen == [
        every, ["3", "4"], ["4", "3"], ["4", "5", "3", "2", "1"], ["4", "5"], ["4", "5", "3", "2", "1"],
        ["4", "5", "3", "2", "1"], [], ["4", "5", "3", "2", "1"], every, ["2", "3", "4", "5"], every, every,
    ]  # fmt: skip
    assert (toggled, circles) == (2, 0) and "score=2" in address
