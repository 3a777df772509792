"""The built-in data set: true annotations, the raw layout, the plan, the same photos from the same seed."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from kps.data.coco import coco_annotation, load_coco
from kps.files import InputError, read_json
from kps.schema import CATEGORIES, category
from kps.synthetic import PhotoPlan, category_counts, part_names, plan_split, render_photo, write_dataset
from kps.synthetic.plan import FLOOR_ITEMS, ITEMS_PER_PHOTO, TRAIN_ITEMS, Item

FIELDS = {
    "segmentation", "scale", "viewpoint", "zoom_in", "landmarks", "style", "bounding_box", "category_id",
    "occlusion", "category_name",
}  # fmt: skip


def make_plan(*categories: int, look_seed: int = 1, source: str = "shop") -> PhotoPlan:
    return PhotoPlan(tuple(Item(number, 0, look_seed) for number in categories), source, 1)


def items_of(annotation: dict) -> list[dict]:
    return [value for key, value in annotation.items() if key.startswith("item")]


def rows_of(item: dict) -> np.ndarray:
    return np.array(item["landmarks"]).reshape(-1, 3)


def mask_of(item: dict, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.array(polygon).reshape(-1, 1, 2) for polygon in item["segmentation"]], 1)
    return mask


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def photos() -> list[tuple[np.ndarray, dict]]:
    """Ten photos of every category."""
    return [
        render_photo(11, "train", 100 * row.id + index, make_plan(row.id, look_seed=index))
        for row in CATEGORIES
        for index in range(10)
    ]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "data"
    write_dataset(root, train=20, validation=16, test=4, seed=3, workers=2)
    return root


def test_each_part_occurs_once_in_a_category_and_mirrors_with_its_flip_pair() -> None:
    names = part_names()
    assert len(names) == 294
    for row in CATEGORIES:
        own = names[row.slice]
        assert len(set(own)) == row.num_landmarks
        mirrored = [name.replace("left", "?").replace("right", "left").replace("?", "right") for name in own]
        assert [own[index] for index in row.flip_indices] == mirrored


def test_an_annotation_has_the_raw_form_and_lies_in_the_photo(photos: list) -> None:
    for image, annotation in photos:
        height, width = image.shape[:2]
        assert image.dtype == np.uint8 and annotation["source"] == "shop" and annotation["pair_id"] == 1
        for item in items_of(annotation):
            assert set(item) == FIELDS
            assert item["category_name"] == category(item["category_id"]).name
            row = coco_annotation(item, annotation_id=1, image_id=1, where="a test")
            assert row["num_keypoints"] == (rows_of(item)[:, 2] > 0).sum()
            x1, y1, x2, y2 = item["bounding_box"]
            assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
            rows = rows_of(item)
            assert (rows[rows[:, 2] == 0] == 0).all()
            known = rows[rows[:, 2] > 0]
            assert ((known[:, :2] >= [x1, y1]) & (known[:, :2] <= [x2, y2])).all()
            assert all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in item["segmentation"])


def test_every_garment_of_every_category_is_drawn(photos: list) -> None:
    for row in CATEGORIES:
        drawn = [item for _, annotation in photos for item in items_of(annotation) if item["category_id"] == row.id]
        assert len(drawn) >= 9
        seen = np.mean([(rows_of(item)[:, 2] == 2).mean() for item in drawn])
        assert seen > 0.5, f"{row.name}: only {seen:.2f} of the landmarks can be seen"


def test_visible_landmarks_lie_on_the_visible_garment(photos: list) -> None:
    """The outline passes through the landmarks: a seen one is a few pixels from the mask at most."""
    for image, annotation in photos:
        for item in items_of(annotation):
            distance = cv2.distanceTransform(1 - mask_of(item, image.shape[:2]), cv2.DIST_L2, 3)
            rows = rows_of(item)
            size = np.subtract(item["bounding_box"][2:], item["bounding_box"][:2]).max()
            for x, y, seen in rows:
                if seen == 2:
                    assert distance[y, x] <= max(4, 0.05 * size), (item["category_name"], x, y)


def test_attributes_follow_from_the_landmarks_and_the_mask(photos: list) -> None:
    for image, annotation in photos:
        for item in items_of(annotation):
            visibility = rows_of(item)[:, 2]
            share = mask_of(item, image.shape[:2]).mean()
            inside = visibility > 0
            assert item["zoom_in"] == (1 if inside.all() else 2 if inside.mean() >= 0.5 else 3)
            covered = (visibility[inside] == 1).mean()
            assert item["occlusion"] == (1 if covered < 0.2 else 2 if covered < 0.5 else 3)
            if min(abs(share - 0.1), abs(share - 0.4)) > 0.02:
                assert item["scale"] == (1 if share < 0.1 else 2 if share < 0.4 else 3)
            assert item["viewpoint"] in {1, 2, 3}
    found = {
        name: {item[name] for _, annotation in photos for item in items_of(annotation)}
        for name in ("scale", "occlusion", "zoom_in", "viewpoint")
    }
    assert all(values == {1, 2, 3} for values in found.values()), found


def test_sides_are_those_of_the_picture_in_frontal_views(photos: list) -> None:
    for _, annotation in photos:
        for item in items_of(annotation):
            names = part_names()[category(item["category_id"]).slice]
            rows = dict(zip(names, rows_of(item), strict=True))
            corner = next(part for part in ("hem_corner", "skirt_hem_corner", "waist") if f"{part}_left" in rows)
            left, right = rows[f"{corner}_left"], rows[f"{corner}_right"]
            if item["viewpoint"] == 2 and left[2] and right[2]:
                assert left[0] < right[0]


@pytest.mark.parametrize("outer, rows", [(4, [7, 8, 9]), (12, [14, 15, 16])], ids=["armpit, coat", "hem, dress"])
def test_an_outer_garment_covers_landmarks_of_the_inner_one(outer: int, rows: list[int]) -> None:
    """Rows of a short sleeve top are covered below a coat or a dress, and seen without."""
    covered: dict[bool, list[int]] = {True: [], False: []}
    for index in range(12):
        for worn in (True, False):
            plan = make_plan(*[outer] * worn, 1, look_seed=index)
            _, annotation = render_photo(2, "train", index, plan)
            for item in items_of(annotation):
                if item["category_id"] == 1 and item["viewpoint"] == 2:
                    covered[worn] += rows_of(item)[rows, 2].tolist()
    assert covered[True].count(2) < 0.15 * len(covered[True])
    assert covered[False].count(2) > 0.4 * len(covered[False])


def test_some_dresses_are_worn_over_a_top() -> None:
    outfits = [[item.category_id for item in photo.items] for photo in plan_split(0, "train", 400)]
    layered = [outfit for outfit in outfits if outfit[0] in {12, 13} and len(outfit) == 2]
    assert len(layered) > 5 and all(outfit[1] in {1, 2} for outfit in layered)


def test_two_photos_of_a_look_show_the_same_cloth() -> None:
    """A garment's colour and length come from its look seed, so that pair_id tells the truth."""

    def colour(index: int, look_seed: int) -> np.ndarray:
        image, annotation = render_photo(4, "train", index, make_plan(9, look_seed=look_seed))
        item = items_of(annotation)[0]
        return np.median(image[mask_of(item, image.shape[:2]) > 0], axis=0)

    same = [np.abs(colour(i, i) - colour(i + 50, i)).mean() for i in range(8)]
    other = [np.abs(colour(i, i) - colour(i + 50, i + 9)).mean() for i in range(8)]
    assert np.mean(same) < 0.6 * np.mean(other)


@pytest.mark.parametrize("photos_wanted", [16, 40, 200, 3000])
def test_the_plan_follows_table_3_above_the_floor(photos_wanted: int) -> None:
    counts = category_counts(photos_wanted)
    total = photos_wanted * ITEMS_PER_PHOTO
    assert abs(counts.sum() - total) <= 1
    assert counts.min() >= (FLOOR_ITEMS if photos_wanted >= 60 else 1)
    shares = np.array(TRAIN_ITEMS) / sum(TRAIN_ITEMS)
    common = shares > 0.08
    ratio = counts[common] / total / shares[common]
    assert ratio.max() / ratio.min() < (1.1 if photos_wanted >= 200 else 1.6)
    plan = plan_split(0, "train", photos_wanted)
    assert len(plan) == photos_wanted
    planned = np.bincount([item.category_id for photo in plan for item in photo.items], minlength=14)[1:]
    assert np.abs(planned - counts).sum() <= 0.02 * total + 2
    assert planned.min() >= 1
    assert max(len(photo.items) for photo in plan) <= 3


@pytest.mark.parametrize("photos_wanted", [0, 1, 2, 5, 11])
def test_tiny_splits_have_a_plan(photos_wanted: int) -> None:
    plan = plan_split(0, "test", photos_wanted)
    assert len(plan) == photos_wanted and all(photo.items for photo in plan)


def test_photos_of_a_pair_share_their_first_garment() -> None:
    pairs: dict[int, list[PhotoPlan]] = {}
    for photo in plan_split(5, "train", 300):
        pairs.setdefault(photo.pair_id, []).append(photo)
    joined = [group for group in pairs.values() if len(group) > 1]
    assert len(joined) > 40
    for group in joined:
        assert len({photo.items[0] for photo in group}) == 1 and group[0].items[0].style == 1
        assert sorted(photo.source for photo in group)[0] == "shop"
    assert all(item.style == 0 for g in pairs.values() if len(g) == 1 for item in g[0].items)


def test_the_layout_is_that_of_the_raw_data_set(dataset: Path) -> None:
    splits = ("train", "validation", "test")
    assert [len(list((dataset / split / "image").glob("*.jpg"))) for split in splits] == [20, 16, 4]
    assert len(list((dataset / "train" / "annos").glob("*.json"))) == 20
    assert (dataset / "validation" / "annos" / "000016.json").is_file()
    assert not (dataset / "test" / "annos").exists()
    image = cv2.imread(str(dataset / "train" / "image" / "000001.jpg"))
    assert image is not None and 300 < image.shape[0] < 800


def test_the_evaluation_files_agree_with_the_annotations(dataset: Path) -> None:
    information = read_json(dataset / "json_for_validation" / "keypoints_val_information.json")
    assert [row["id"] for row in information["images"]] == list(range(1, 17))
    tests = read_json(dataset / "json_for_test" / "keypoints_test_information.json")
    assert [row["file_name"] for row in tests["images"]] == [f"{number:06d}.jpg" for number in range(1, 5)]
    both = load_coco(dataset / "json_for_validation" / "keypoints_val_vis_and_occ.json").instances
    visible = load_coco(dataset / "json_for_validation" / "keypoints_val_vis.json").instances
    raw = [
        item
        for number in range(1, 17)
        for item in items_of(read_json(dataset / "validation" / "annos" / f"{number:06d}.json"))
    ]
    assert len(raw) == len(both.category_id) == len(visible.category_id)
    assert [item["category_id"] for item in raw] == both.category_id.tolist()
    assert sum((rows_of(item)[:, 2] > 0).sum() for item in raw) == both.num_keypoints.sum()
    assert sum((rows_of(item)[:, 2] == 2).sum() for item in raw) == visible.num_keypoints.sum()


def test_the_number_of_workers_does_not_matter(dataset: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "again", train=20, validation=16, test=4, seed=3, workers=1)
    assert digests(tmp_path / "again") == digests(dataset)


def test_another_seed_gives_other_photos(dataset: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "other", train=2, validation=0, test=0, seed=4, workers=1)
    first = (tmp_path / "other" / "train" / "image" / "000001.jpg").read_bytes()
    assert first != (dataset / "train" / "image" / "000001.jpg").read_bytes()


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept.txt").write_text("mine")
    with pytest.raises(InputError, match=r"out: expected a new or empty folder"):
        write_dataset(tmp_path / "out", train=1, validation=0, test=0)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "kept.txt"]


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="validation: expected a number of photos of at least 0, but got -1"):
        write_dataset(tmp_path / "out", train=1, validation=-1, test=0)
    assert not (tmp_path / "out").exists()


def test_a_failed_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kps.synthetic.dataset.render_photo", fail)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "out", train=1, validation=0, test=0, workers=1)
    assert list(tmp_path.iterdir()) == []
